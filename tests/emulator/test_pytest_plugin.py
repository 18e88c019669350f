"""The plugin, in a pytest of its own: a user's test file, on host and emulator, with a JUnit report."""

from __future__ import annotations

import xml.etree.ElementTree as Xml
from pathlib import Path

import pytest
from devices import build_folder, demo_options
from users_pytest import run_pytest

from mbn2c.commands import demo

USERS_TEST = f"""
def test_accuracy(mbn2c_board):
    result = mbn2c_board.verify({str(demo.TEST_FOLDER)!r}, labels={str(demo.TEST_LABELS)!r}, limit=5)
    assert result["device_vs_reference_mismatches"] == 0
    assert result["top1_device"] > 0.7
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("user")
    (folder / "test_mine.py").write_text(USERS_TEST)
    build_folder(folder / "out", demo_options("cortex-m7"))
    return folder


@pytest.mark.parametrize("where", [(), ("--mbn2c-board", "qemu-mps2-an500")], ids=["host", "emulator"])
def test_a_users_test(folder: Path, where: tuple[str, ...]) -> None:
    done = run_pytest(
        folder, "--mbn2c-out", "out", "--junitxml", "junit.xml", "--strict-markers", "-m", "mbn2c", *where
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 passed" in done.stdout
    names = {entry.get("name"): entry.get("value") for entry in Xml.parse(folder / "junit.xml").iter("property")}
    assert names["mbn2c_images"] == "5" and names["mbn2c_device_vs_reference_mismatches"] == "0"


def test_without_an_output_folder_it_is_skipped_in_words(folder: Path) -> None:
    done = run_pytest(folder)
    assert done.returncode == 0 and "--mbn2c-out OUT" in done.stdout
