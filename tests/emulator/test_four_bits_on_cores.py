"""Weights of four bits on emulated boards, by the kernels of their cores."""

from __future__ import annotations

from pathlib import Path

import pytest
from emulated import check_in_emulator
from firmware import missing_tool
from four_bit_cases import pointwise_network
from networks import plan_with_cuts

from mbn2c.kernels import isas_for
from mbn2c.targets import load_board, load_core

# Cores with kernels of their own.
BOARDS = {
    "cortex-m0plus": "qemu-mps2-an385",
    "cortex-m4": "qemu-mps2-an386",
    "cortex-m55": "qemu-mps3-an547",
}
# A row's pixels, channels, and the pieces it runs in: blocks of one, two, three and four pixels.
SHAPES = [(core, 11, 17, ()) for core in BOARDS] + [("cortex-m4", 2, 13, ()), ("cortex-m4", 9, 32, (4,))]


@pytest.mark.parametrize(("core", "width", "channels", "pieces"), SHAPES)
def test_every_step_is_the_reference(
    tmp_path: Path, core: str, width: int, channels: int, pieces: tuple[int, ...]
) -> None:
    if lacking := missing_tool(load_core(core), load_board(BOARDS[core])):
        pytest.skip(f"not installed: {lacking}")
    isas = isas_for(load_core(core).isas, "balanced")
    plan = plan_with_cuts(pointwise_network(width, channels), [], pieces, isas)
    check_in_emulator(tmp_path, plan, core, BOARDS[core], isas)
