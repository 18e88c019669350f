"""Graphs with branches: any number of readers of rings and strips; each check finds the fault it is for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from branchy import branchy_networks, strips_of_several
from host_c import first_difference
from hypothesis import given, settings
from models import RELU, RELU6, Builder, same_window
from networks import cut_lists, int8_inputs, piece_lists, plan_with_cuts, quantized

from mbn2c.errors import InternalError
from mbn2c.ir.graph import Graph
from mbn2c.ir.plan import Plan
from mbn2c.ir.text import print_plan
from mbn2c.ir.window import Activation, Window
from mbn2c.planner.overlap import check_overlaps
from mbn2c.reference.run_graph import run_graph
from mbn2c.reference.run_plan import run_plan


def check_plan(plan: Plan) -> None:
    check_overlaps(plan)
    inputs = {plan.graph.inputs[0].tensor: list(int8_inputs(plan.graph, 3, seed=1))[2]}
    assert first_difference(run_graph(plan.graph, inputs), run_plan(plan, inputs)) == "", print_plan(plan)


@settings(max_examples=25)
@given(branchy_networks(), cut_lists, piece_lists)
def test_random_branches(graph: Graph, cuts: list[bool], pieces: list[int]) -> None:
    check_plan(plan_with_cuts(graph, cuts))
    check_plan(plan_with_cuts(graph, [], pieces))
    check_plan(plan_with_cuts(graph, cuts, pieces, ("arm_dsp", "scalar")))


@pytest.mark.slow
@settings(max_examples=400)
@given(branchy_networks(4), cut_lists, piece_lists)
def test_many_random_branches(graph: Graph, cuts: list[bool], pieces: list[int]) -> None:
    check_plan(plan_with_cuts(graph, cuts, pieces))


# --- a strip with two and three readers ----------------------------------------------------------


def heads(*windows: Window) -> Graph:
    """One tensor, and a head for each window that reads it."""
    builder = Builder((9, 16, 3))
    x = builder.conv2d("input", 6, same_window(3, 1), RELU6)
    return quantized(builder.graph(*(builder.conv2d(x, 2, window) for window in windows)), 1)


READERS = {
    "1x1 and 3x3": (Window(), same_window(3, 1)),
    "3x3 and 5x5": (same_window(3, 1), same_window(5, 1)),
    "3x3 and 3x3 stride 2": (same_window(3, 1), same_window(3, 2)),
    "dilated, 1x1 and 3x3": (Window((3, 3), (1, 1), (2, 2, 2, 2), (2, 2)), Window(), same_window(3, 1)),
}


@pytest.fixture(scope="module", params=READERS)
def strip(request: pytest.FixtureRequest) -> tuple[Plan, str]:
    plan = plan_with_cuts(heads(*READERS[request.param]), [], [4])
    assert strips_of_several(plan) == 1
    return plan, "conv2d_0"


def damaged(plan: Plan, name: str) -> Iterator[tuple[str, Plan]]:
    buffer = plan.buffers[name]
    for what, changed in (
        ("a row less", replace(buffer, slots=buffer.slots - 1)),
        ("a column less", replace(buffer, strip_columns=buffer.strip_columns - 1)),
        ("a column gone too early", replace(buffer, kept=tuple(kept + 1 if kept else 0 for kept in buffer.kept))),
    ):
        yield what, replace(plan, buffers={**plan.buffers, name: changed})


def test_a_strip_keeps_what_the_slowest_reader_wants(strip: tuple[Plan, str]) -> None:
    plan, name = strip
    check_plan(plan)
    values = {"input": next(iter(int8_inputs(plan.graph, 3)))}
    for what, broken in damaged(plan, name):
        for check in (check_overlaps, lambda plan: run_plan(plan, values)):
            with pytest.raises(InternalError):
                check(broken)
                pytest.fail(f"nobody sees {what}")


# --- concatenations ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("activations", "tables"),
    [((None, None), 0), ((RELU, RELU), 0), ((RELU, None), 1), ((RELU6, RELU), 1), ((RELU6, RELU6), 0)],
)
def test_a_clamp_that_the_outputs_range_does_not_do_keeps_its_own(
    activations: tuple[Activation | None, Activation | None], tables: int
) -> None:
    builder = Builder((6, 6, 3), 4)
    x = builder.conv2d("input", 8)
    # The second reaches beyond 6, and below 0 where nothing clamps it.
    wide = builder.conv2d(x, 4, activation=activations[1])
    builder.tensors[f"{wide}.weight"] = replace(
        builder.tensors[f"{wide}.weight"], data=20 * builder.tensors[f"{wide}.weight"].data
    )
    joined = builder.concat(builder.conv2d(x, 4, activation=activations[0]), wide)
    graph = quantized(builder.graph(joined))
    found = graph.producer[joined].attributes.tables
    assert sum(table is not None for table in found) == tables and found[1] is None
