"""The Plan, run row by row in an arena that poisons dead bytes, computes what the Graph means."""

from __future__ import annotations

from host_c import first_difference
from hypothesis import given, settings
from networks import cut_lists, int8_inputs, kernels_of, networks, plan_with_cuts

from mbn2c.ir.graph import Graph
from mbn2c.ir.plan import Plan
from mbn2c.planner.layerwise import plan_layerwise
from mbn2c.planner.overlap import check_overlaps
from mbn2c.reference.run_graph import run_graph
from mbn2c.reference.run_plan import run_plan

ALWAYS, NEVER = [True] * 99, [False] * 99


def check_plan(plan: Plan) -> None:
    """check_overlaps has no complaint, and every tensor is what the Graph says."""
    check_overlaps(plan)
    assert plan.lower_bound_bytes <= plan.arena_bytes
    for values in list(int8_inputs(plan.graph, 3, seed=1))[1:]:
        inputs = {plan.graph.inputs[0].tensor: values}
        assert first_difference(run_graph(plan.graph, inputs), run_plan(plan, inputs)) == ""


@settings(max_examples=40)
@given(networks(), cut_lists)
def test_random_networks(graph: Graph, cuts: list[bool]) -> None:
    check_plan(plan_layerwise(graph, kernels_of(graph)))
    check_plan(plan_with_cuts(graph, NEVER))
    check_plan(plan_with_cuts(graph, cuts))
