"""`mbn2c bench`: every counted instruction belongs to a step or to the schedule."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from devices import build_folder, demo_options

from mbn2c.bench import SCHEDULE, bench
from mbn2c.errors import BoardError
from mbn2c.target import load_board

BOARD = "qemu-mps2-an386"


def test_layers_add_up_to_the_total(tmp_path: Path) -> None:
    if shutil.which("qemu-system-arm") is None or shutil.which("arm-none-eabi-gcc") is None:
        pytest.skip("qemu-system-arm or arm-none-eabi-gcc is not installed")
    output = build_folder(tmp_path / "out", demo_options("cortex-m4"))
    result = bench(output, load_board(BOARD), tmp_path / "firmware")
    layers = result["layers"]
    assert [layer["step"] for layer in layers] == [*range(len(layers) - 1), None]
    assert layers[-1]["op"] == SCHEDULE
    assert sum(layer["instructions"] for layer in layers) == result["instructions_per_inference"]
    for layer in layers:
        assert sum(layer["classes"].values()) == layer["instructions"]
        if layer["macs"]:
            assert layer["classes"]["mac"] > 0, layer["name"]
            assert layer["classes"]["load"] > layer["instructions"] // 100, layer["name"]
    assert sum(layer["macs"] for layer in layers) == output.report["model"]["macs"]


def test_a_board_that_does_not_count_is_refused(tmp_path: Path) -> None:
    output = build_folder(tmp_path / "out", demo_options("host"))
    with pytest.raises(BoardError, match="counts no instructions"):
        bench(output, load_board("host"), tmp_path / "firmware")
