"""int16 activations on emulated boards, by the kernels of their cores."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from emulated import check_in_emulator
from firmware import missing_tool
from int16_cases import branchy_network, small_network, some_int16
from networks import plan_with_cuts, quantized

from mbn2c.ir.graph import Graph
from mbn2c.kernels import isas_for
from mbn2c.targets import load_board, load_core

# Each core, a board that runs its code, a network, which of its activations are int16, and the pieces it runs in.
BOARDS: dict[str, tuple[str, Callable[[], Graph], int, tuple[int, ...]]] = {
    "cortex-m7": ("qemu-mps2-an500", small_network, 22, (3,)),
    "cortex-m55": ("qemu-mps3-an547", small_network, 26, (3,)),
    "cortex-m0plus": ("qemu-mps2-an385", branchy_network, 2, ()),
    "rv32imc": ("qemu-riscv32-virt", branchy_network, 11, ()),
}


SLOW = ("cortex-m55", "rv32imc")


@pytest.mark.parametrize(
    "core", [pytest.param(core, marks=pytest.mark.slow if core in SLOW else ()) for core in BOARDS]
)
def test_every_step_is_the_reference(tmp_path: Path, core: str) -> None:
    board, network, seed, pieces = BOARDS[core]
    if lacking := missing_tool(load_core(core), load_board(board)):
        pytest.skip(f"not installed: {lacking}")
    graph, isas = network(), isas_for(load_core(core).isas, "balanced")
    plan = plan_with_cuts(quantized(graph, int16=some_int16(graph, seed)), [], pieces, isas)
    check_in_emulator(tmp_path, plan, core, board, isas)
