"""The command line's way to real boards: flash --dry-run, and verify with --port on two boards over TCP."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace

import pytest
from devices import build_folder, demo_options

from mbn2c import demo
from mbn2c.build import toolchain
from mbn2c.cli import main
from mbn2c.emit.bundle import write_bundle
from mbn2c.layout import c_files
from mbn2c.output_folder import OutputFolder
from mbn2c.target import load_board


@pytest.fixture(scope="module")
def output(tmp_path_factory: pytest.TempPathFactory) -> OutputFolder:
    return build_folder(tmp_path_factory.mktemp("digits"), replace(demo_options("aarch64"), effort="fast"))


@pytest.fixture(scope="module")
def pis(output: OutputFolder, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[str]]:
    """The ports of two Raspberry Pis, their program run by QEMU's user-mode emulator."""
    emulator = shutil.which("qemu-aarch64")
    if emulator is None or shutil.which("aarch64-linux-gnu-gcc") is None:
        pytest.skip("not installed: qemu-user gcc-aarch64-linux-gnu libc6-dev-arm64-cross (apt install)")
    folder, board = tmp_path_factory.mktemp("pi"), load_board("raspberry-pi")
    write_bundle(c_files(output.layout(output.core), output.names, output.core, board), folder)
    elf = toolchain.build(folder, output.prefix, output.core, board).path
    environment = {**os.environ, "MBN_TCP_PORT": "0"}
    programs = [subprocess.Popen([emulator, elf], stdout=subprocess.PIPE, text=True, env=environment) for _ in range(2)]
    try:
        said = [program.stdout.readline() for program in programs if program.stdout is not None]
        yield [f"socket://127.0.0.1:{line.split()[-1]}" for line in said]
    finally:
        for program in programs:
            program.kill()
            program.wait()


def verify_json(capsys: pytest.CaptureFixture[str], output: OutputFolder, *more: str) -> dict[str, object]:
    labels = str(demo.TEST_LABELS)
    words = ["verify", str(output.path), "--images", str(demo.TEST_FOLDER), "--labels", labels, "--json", *more]
    assert main(words) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["device_vs_reference_mismatches"] == result["reference_vs_ort_int8_mismatches"] == 0
    return dict(result)


def test_verify_on_two_ports(pis: list[str], output: OutputFolder, capsys: pytest.CaptureFixture[str]) -> None:
    one = verify_json(capsys, output, "--port", pis[0], "--limit", "6", "--digest")
    two = verify_json(capsys, output, "--port", pis[0], "--port", pis[1], "--limit", "6", "--baud", "921600")
    assert one["board"] == two["board"] == "raspberry-pi"
    assert (one["devices"], two["devices"]) == (1, 2)
    assert one["top1_device"] == two["top1_device"] and one["images"] == two["images"] == 6
    assert not (output.path / "verify.journal").exists()


def test_resume_with_nothing_to_go_on_with(
    pis: list[str], output: OutputFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    assert verify_json(capsys, output, "--port", pis[1], "--limit", "2", "--resume")["resumed_images"] == 0


def test_flash_dry_run(output: OutputFolder, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["flash", str(output.path), "--board", "pico", "--dry-run"]) == 0
    assert "family 0xe48bff56" in capsys.readouterr().out
    assert main(["flash", str(output.path), "--board", "nucleo-h743zi2", "--dry-run", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["board"] == "nucleo-h743zi2" and said["dry_run"] and "pyocd load" in said["steps"][1]


def test_flash_needs_a_board(output: OutputFolder, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["flash", str(output.path)]) == 2
    assert "no board to flash" in capsys.readouterr().err
    assert main(["flash", str(output.path), "--board", "host"]) == 2
