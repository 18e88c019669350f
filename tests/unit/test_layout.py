"""What fits: a board's RAM and --ram-limit decide between plans and kernel families, or refuse in words."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import cache

import pytest
from mobilenets import mobilenet_v1
from networks import quantized

from mbn2c.errors import FitError
from mbn2c.ir.graph import Graph
from mbn2c.kernels import isas_for, select
from mbn2c.planner.choice import STACK_ALLOWANCE_BYTES, choose_plan, firmware_bytes
from mbn2c.planner.streaming import TradeOffs
from mbn2c.targets import Board, Memory, load_board, load_core

KIB = 1024


@cache
def vww() -> Graph:
    return quantized(mobilenet_v1(0.25, 96, classes=2), 1)


def board_with(ram_bytes: int) -> Board:
    board = load_board("qemu-microbit")
    memories = tuple(replace(m, size_bytes=ram_bytes) if m.kind == "ram" else m for m in board.memories)
    return replace(board, memories=memories)


def _with_flash(board: Board, flash_bytes: int) -> tuple[Memory, ...]:
    return tuple(replace(m, size_bytes=flash_bytes) if m.kind == "flash" else m for m in board.memories)


def kernels_used(core: str, optimize: str, **limits: object) -> tuple[set[str], str, int]:
    """Functions of the ordinary convolutions, why the plan was taken, and the bytes of arena and context."""
    choice = choose_plan(vww(), load_core(core), optimize, **limits)  # type: ignore[arg-type]
    used = {choice.kernels[node.name].function for node in vww().nodes if node.op == "conv2d"}
    return used, choice.fit, choice.plan.arena_bytes + choice.plan.context_bytes(32)


def test_a_board_with_enough_ram_changes_nothing() -> None:
    core = load_core("cortex-m7")
    free, on_board = (choose_plan(vww(), core, "speed", board=board) for board in (None, load_board("qemu-mps2-an500")))
    assert on_board.fit == free.fit == ""
    assert (on_board.plan.loops, on_board.plan.buffers) == (free.plan.loops, free.plan.buffers)


def test_a_board_with_little_ram_gets_the_cheapest_plan_that_fits() -> None:
    board = board_with(16 * KIB)
    free = kernels_used("cortex-m0plus", "speed")
    used, fit, size = kernels_used(
        "cortex-m0plus", "speed", board=replace(board, memories=_with_flash(board, KIB * KIB))
    )
    left = 16 * KIB - 2048 - firmware_bytes(vww(), board)
    assert free[2] > left >= size
    assert fit == (
        f"'speed' would take {free[2]:,} B of arena and context, 'ram' of qemu-microbit (16,384 B) leaves "
        f"{left:,} B: the cheapest plan that fits was taken"
    )
    assert used == free[0]


@pytest.mark.parametrize("optimize", ["balanced", "speed"])
def test_kernels_of_other_families_are_tried_before_refusing(optimize: str) -> None:
    smallest = min(
        point.plan.arena_bytes + point.plan.context_bytes(32)
        for point in choose_plan(vww(), load_core("cortex-m0plus"), optimize).curve
    )
    used, fit, size = kernels_used("cortex-m0plus", optimize, ram_limit=smallest - 16 + STACK_ALLOWANCE_BYTES)
    assert "mbn_conv2d_direct_s8_armv6m" in used
    assert size < smallest
    assert "the cheapest plan that fits was taken" in fit


def test_kernels_that_do_not_fit_the_flash_are_not_taken() -> None:
    """Kernels for speed store lists beside the weights; a flash of 256 KiB has no room for them."""
    used, fit, _ = kernels_used("cortex-m0plus", "speed", board=board_with(64 * KIB))
    assert "mbn_conv2d_lanes_s8_armv6m" not in used
    assert re.fullmatch(
        r"the kernels of 'speed' would take at least 2\d\d,\d\d\d B of 'flash' of qemu-microbit \(262,144 B\): "
        "others, which take less, were chosen",
        fit,
    )


def test_a_limit_takes_the_cheapest_plan_whatever_is_optimized() -> None:
    _, fit, size = kernels_used("cortex-m7", "ram", ram_limit=64 * KIB)
    assert size > kernels_used("cortex-m7", "ram")[2]
    assert fit == "the cheapest plan within --ram-limit 65,536 B"


@pytest.mark.parametrize("limits", [{"ram_limit": 8 * KIB}, {"board": board_with(8 * KIB)}], ids=["option", "board"])
def test_what_cannot_fit_is_refused_with_the_smallest_and_its_layer(limits: dict[str, object]) -> None:
    with pytest.raises(FitError) as refused:
        kernels_used("cortex-m0plus", "balanced", **limits)
    isas = isas_for(load_core("cortex-m0plus").isas, "smallest")
    smallest = TradeOffs(vww(), {node.name: select(node, vww(), isas) for node in vww().nodes}).curve[0].plan
    least = smallest.arena_bytes + smallest.context_bytes(32)
    assert f"arena and context take at least {least:,} B" in refused.value.what
    assert ("--ram-limit 8,192 B leaves 7,680 B" in refused.value.what) == ("ram_limit" in limits)
    assert refused.value.where == (
        f"step {smallest.peak_step}, {smallest.calls[smallest.peak_step].node}, where most bytes are alive"
    )


def test_hosted_boards_have_no_limit() -> None:
    assert choose_plan(vww(), load_core("host"), "speed", board=load_board("host")).fit == ""
