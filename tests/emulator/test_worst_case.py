"""What follows a detector's heads never takes more than `build` says, and not much less where it has most to do."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from firmware import missing_tool
from models import Builder
from networks import quantized
from ssd import Level, detector, random_centroids, random_detector, random_level

from mbn2c.commands.bench.measure import CLASSES, measure_choice
from mbn2c.ir.graph import Graph
from mbn2c.kernels.worst_case import worst_case
from mbn2c.ops import OPERATORS
from mbn2c.ops.ssd_boxes import SsdBoxesAttributes
from mbn2c.ops.ssd_boxes.arithmetic import CENTRES
from mbn2c.ops.ssd_candidates import SsdCandidatesAttributes
from mbn2c.planner.choice import choose_plan
from mbn2c.targets import load_board, load_core

BOARDS = {
    "cortex-m7": "qemu-mps2-an500",
    "cortex-m0plus": "qemu-mps2-an385",
    "cortex-m55": "qemu-mps3-an547",
    "rv32imc": "qemu-riscv32-virt",
    "aarch64-neon": "aarch64-user",
}
SIDE, BOXES = 16, 32


def counted_and_said(graph: Graph, core_name: str, image: np.ndarray, folder: Path) -> tuple[int, int]:
    """Instructions of the steps behind the heads, and what they may be at most."""
    core, board = load_core(core_name), load_board(BOARDS[core_name])
    if lacking := missing_tool(core, board):
        pytest.skip(f"not installed: {lacking}")
    choice = choose_plan(graph, core, "speed")
    found = measure_choice(choice, core, board, image, folder, steps=True)
    assert found.mismatches == 0
    makers = {call.step: graph.producer[call.write].op for call in choice.plan.calls if call.node}
    behind = [step for step, op in makers.items() if OPERATORS[op].is_postprocessing]
    said = worst_case(choice.plan, core)
    assert said is not None
    return sum(sum(found.by_step[str(step)][: len(CLASSES)]) for step in behind), said


def crowded(levels: int = 3) -> tuple[Graph, np.ndarray]:
    """Each anchor is a better candidate than those before it, and each box overlaps all that are kept but is dropped by
    the last of them only."""
    candidates = SsdCandidatesAttributes(1, 1, -1, 4, -255, 64)
    level = random_level(np.random.default_rng(0), SIDE, SIDE, 1, CENTRES)
    level = replace(level, step_x=0, step_y=0, zero_point=0, rank_step=1 << 10)
    level = replace(level, anchors=((100 << 16,) * 4,), offset_steps=((9000, 9000, 400, 400),))
    boxes = SsdBoxesAttributes((), (0, 1, 2, 3), CENTRES, 200, 200, BOXES, (1 << 16) - 1, True)
    graph = detector([Level(SIDE, SIDE, candidates, level)] * levels, boxes)
    rising = np.arange(SIDE * SIDE) - 128
    # Of the levels in turn one candidate, so that each has a share of what is kept.
    distinct = np.maximum(rising, 127 - BOXES // levels + 1)[:, None] * [1, -1, 1, 1]
    shifts = [np.array([3 * number, number, 0, 0]) for number in range(levels)]
    parts = [np.column_stack([rising, np.clip(distinct + shift, -128, 127)]) for shift in shifts]
    return graph, np.concatenate(parts, axis=1).reshape(1, SIDE, SIDE, -1).astype(np.int8)


@pytest.mark.parametrize("core", ["cortex-m7", *(pytest.param(one, marks=pytest.mark.slow) for one in [*BOARDS][1:])])
def test_the_most_is_met_and_near(core: str, tmp_path: Path) -> None:
    graph, image = crowded()
    found, said = counted_and_said(graph, core, image, tmp_path)
    assert 0.55 * said < found <= said


@pytest.mark.slow
@pytest.mark.parametrize("core", BOARDS)
@pytest.mark.parametrize("seed", range(12))
def test_the_most_is_never_exceeded(seed: int, core: str, tmp_path: Path) -> None:
    graph = random_detector(seed) if seed < 9 else random_centroids(seed)
    shape = graph.tensors["input"].shape
    rising = np.linspace(-128, 127, shape[1] * shape[2]).reshape(1, shape[1], shape[2], 1)
    found, said = counted_and_said(graph, core, np.broadcast_to(rising, shape).astype(np.int8), tmp_path)
    assert found <= said


def test_where_it_is_not_known_or_there_is_none() -> None:
    def said(graph: Graph, core: str) -> int | None:
        return worst_case(choose_plan(graph, load_core(core), "speed").plan, load_core(core))

    assert said(crowded()[0], "x86-64") is None
    layers = Builder((8, 8, 3))
    assert said(quantized(layers.graph(layers.conv2d("input", 4))), "x86-64") == 0
