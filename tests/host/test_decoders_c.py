"""Random decoders in every mode of Resize: what a Plan keeps is enough, and the C is the reference (ASan, UBSan)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from decoders import RESIZES, decoder
from host_c import SANITIZE, Net, first_difference, own_rows, run_program
from networks import int8_inputs, plan_with_cuts

from mbn2c.ir.plan import Plan
from mbn2c.ir.text import print_graph, print_plan
from mbn2c.planner.overlap import check_overlaps
from mbn2c.reference.run_graph import run_graph
from mbn2c.reference.run_plan import run_plan

NAMES = [*RESIZES]


def plan_of(name: str, seed: int) -> Plan:
    """Of a decoder: in one loop, or in pieces of columns."""
    return plan_with_cuts(decoder(seed, RESIZES[name]), [seed % 3 == 2], [] if seed % 4 < 2 else [4])


def check_c(folder: Path, plans: Sequence[Plan]) -> None:
    inputs = [list(int8_inputs(plan.graph, 3)) for plan in plans]
    nets = [Net(f"n{number}", plan) for number, plan in enumerate(plans)]
    found = run_program(folder, nets, inputs, "gcc", SANITIZE)
    for plan, images, results in zip(plans, inputs, found, strict=True):
        for values, tensors in zip(images, results, strict=True):
            difference = first_difference(own_rows(plan, run_graph(plan.graph, {"input": values})), tensors)
            assert difference == "", f"{difference}\n{print_graph(plan.graph)}{print_plan(plan)}"


@pytest.mark.parametrize("name", NAMES)
def test_the_plan_computes_the_graph(name: str) -> None:
    plan = plan_of(name, NAMES.index(name))
    check_overlaps(plan)
    inputs = {"input": list(int8_inputs(plan.graph, 3))[2]}
    assert first_difference(run_graph(plan.graph, inputs), run_plan(plan, inputs)) == "", print_plan(plan)


def test_a_few_in_c(tmp_path: Path, need_tool: Callable[[str], str]) -> None:
    need_tool("gcc")
    check_c(tmp_path, [plan_of(name, number) for number, name in enumerate(NAMES[4::9])])


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(10))
def test_every_mode_in_c(seed: int, tmp_path: Path, need_tool: Callable[[str], str]) -> None:
    need_tool("gcc")
    check_c(tmp_path, [plan_of(name, 20 * seed + number) for number, name in enumerate(NAMES)])
