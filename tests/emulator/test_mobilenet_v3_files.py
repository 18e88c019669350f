"""MobileNetV3 of two exporters on an emulated board of each core: no byte of any tensor differs, on board or host."""

from __future__ import annotations

from pathlib import Path

import pytest
from devices import assert_exact, build_with_inputs, verify_on
from firmware import missing_tool
from shared import shared

from mbn2c.commands.verify import VerifyOptions
from mbn2c.targets import load_board, load_core

FILES = {"pt_legacy_op17_v3s": 112, "onnxsim_op11_v3s": 96}
BOARDS = {
    "cortex-m0plus": "qemu-mps2-an385",
    "cortex-m4": "qemu-mps2-an386",
    "cortex-m7": "qemu-mps2-an500",
    "cortex-m55": "qemu-mps3-an547",
    "rv32imc": "qemu-riscv32-virt",
}


@pytest.mark.slow
@pytest.mark.parametrize("core", BOARDS)
@pytest.mark.parametrize("name", FILES)
def test_every_tensor_on_a_board(tmp_path: Path, name: str, core: str) -> None:
    if lacking := missing_tool(load_core(core), load_board(BOARDS[core])):
        pytest.skip(f"not installed: {lacking}")
    model, size = shared(f"models/exporters/{name}.onnx"), FILES[name]
    output, images = build_with_inputs(tmp_path, model, (3, size, size), core, BOARDS[core])
    result = verify_on(output, BOARDS[core], tmp_path / "board", VerifyOptions(images, limit=2, layers=True))
    assert_exact(result, 2)
