"""The Plan, run row by row in an arena that poisons dead bytes, computes what the Graph means."""

from __future__ import annotations

import pytest
from host_c import first_difference
from hypothesis import given, settings
from models import OPERATOR_CASES, tiny_mobilenet_v1, tiny_mobilenet_v2, tiny_two_outputs
from networks import cut_lists, int8_inputs, kernels_of, networks, piece_lists, plan_with_cuts, quantized

from mbn2c.ir.graph import Graph
from mbn2c.ir.plan import Plan
from mbn2c.ir.text import print_plan
from mbn2c.planner.layerwise import plan_layerwise
from mbn2c.planner.overlap import check_overlaps
from mbn2c.reference.run_graph import run_graph
from mbn2c.reference.run_plan import run_plan

ISAS = [("scalar",), ("arm_dsp", "scalar"), ("arm_mve", "arm_dsp", "scalar")]
TINY = {"v2": tiny_mobilenet_v2, "v1": tiny_mobilenet_v1, "two outputs": tiny_two_outputs}


def check_plan(plan: Plan, images: int = 1) -> None:
    """check_overlaps has no complaint, and every tensor is what the Graph says."""
    check_overlaps(plan)
    assert plan.lower_bound_bytes <= plan.arena_bytes
    for values in list(int8_inputs(plan.graph, images + 2, seed=1))[2:]:
        inputs = {plan.graph.inputs[0].tensor: values}
        assert first_difference(run_graph(plan.graph, inputs), run_plan(plan, inputs)) == "", print_plan(plan)


@given(networks(), cut_lists, piece_lists)
def test_random_networks(graph: Graph, cuts: list[bool], pieces: list[int]) -> None:
    check_plan(plan_layerwise(graph, kernels_of(graph)))
    check_plan(plan_with_cuts(graph, cuts))
    check_plan(plan_with_cuts(graph, cuts, pieces))


@pytest.mark.slow
@settings(max_examples=600)
@given(networks(blocks=7), cut_lists, piece_lists)
def test_many_random_networks(graph: Graph, cuts: list[bool], pieces: list[int]) -> None:
    check_plan(plan_with_cuts(graph, cuts))
    check_plan(plan_with_cuts(graph, cuts, pieces))


@pytest.mark.parametrize("pieces", [[0], [1], [2], [4], [8]])
@pytest.mark.parametrize("name", TINY)
def test_tiny_networks_in_one_stream(name: str, pieces: list[int]) -> None:
    check_plan(plan_with_cuts(quantized(TINY[name]()), [], pieces), images=2)


@pytest.mark.parametrize("isas", ISAS, ids="-".join)
@pytest.mark.parametrize("name", [*OPERATOR_CASES, *TINY])
def test_operators_alone_and_tiny_networks_on_every_core(name: str, isas: tuple[str, ...]) -> None:
    """With the rows as the kernels of a core want them."""
    graph = quantized({**OPERATOR_CASES, **TINY}[name]())
    check_plan(plan_layerwise(graph, kernels_of(graph, isas)))
    check_plan(plan_with_cuts(graph, [], [], isas))
    check_plan(plan_with_cuts(graph, [], [3], isas))
