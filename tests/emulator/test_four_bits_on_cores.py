"""Weights of four bits, and multipliers that layers share, on emulated boards, by the kernels of their cores."""

from __future__ import annotations

from pathlib import Path

import pytest
from emulated import check_in_emulator
from firmware import missing_tool
from four_bit_cases import pointwise_network
from networks import plan_with_cuts

from mbn2c.ir.graph import Graph
from mbn2c.kernels import isas_for
from mbn2c.targets import load_board, load_core

# Cores with kernels of their own.
BOARDS = {
    "cortex-m0plus": "qemu-mps2-an385",
    "cortex-m3": "qemu-mps2-an385",
    "cortex-m4": "qemu-mps2-an386",
    "cortex-m55": "qemu-mps3-an547",
    "rv32imc": "qemu-riscv32-virt",
}
# A row's pixels, channels, and the pieces it runs in: blocks of one, two, three and four pixels.
SHAPES = [(core, 11, 17, ()) for core in BOARDS] + [("cortex-m4", 2, 13, ()), ("cortex-m4", 9, 32, (4,))]


@pytest.mark.parametrize(("core", "width", "channels", "pieces"), SHAPES)
def test_every_step_is_the_reference(
    tmp_path: Path, core: str, width: int, channels: int, pieces: tuple[int, ...]
) -> None:
    check(tmp_path, core, pointwise_network(width, channels), pieces)


# Rows whose blocks are all four sizes of the convolutions, and several of the depthwise ones.
@pytest.mark.parametrize(
    ("width", "channels", "in_eight_bits"), [(11, 17, True), (6, 8, True), (2, 13, True), (11, 17, False)]
)
def test_shared_multipliers(tmp_path: Path, width: int, channels: int, in_eight_bits: bool) -> None:
    graph = pointwise_network(width, channels, in_eight_bits=in_eight_bits, shares_multipliers=True)
    check(tmp_path, "cortex-m4", graph, ())


def check(folder: Path, core: str, graph: Graph, pieces: tuple[int, ...]) -> None:
    if lacking := missing_tool(load_core(core), load_board(BOARDS[core])):
        pytest.skip(f"not installed: {lacking}")
    isas = isas_for(load_core(core).isas, "balanced")
    check_in_emulator(folder, plan_with_cuts(graph, [], pieces, isas), core, BOARDS[core], isas)
