"""The generated C computes the reference bit by bit, keeps its promises as C, and answers misuse with an error code."""

from __future__ import annotations

from pathlib import Path

import pytest
from host_c import Net, first_difference, run_program
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from networks import cut_lists, int8_inputs, kernels_of, networks, plan_with_cuts

from mbn2c.ir.graph import Graph
from mbn2c.ir.text import print_graph
from mbn2c.planner.layerwise import plan_layerwise
from mbn2c.reference.run_graph import run_graph

SANITIZE = ("-O1", "-w", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
NETS = 10


def check_nets(folder: Path, drawn: list[tuple[Graph, list[bool]]], compiler: str, flags: tuple[str, ...]) -> None:
    nets, inputs = [], []
    for index, (graph, cuts) in enumerate(drawn):
        plans = plan_layerwise(graph, kernels_of(graph)), plan_with_cuts(graph, cuts)
        nets += [Net(f"n{index}_{place}", plan) for place, plan in enumerate(plans)]
        inputs += [list(int8_inputs(graph, 4, seed=index))] * len(plans)
    found = run_program(folder, nets, inputs, compiler, flags)
    for net, images, results in zip(nets, inputs, found, strict=True):
        graph = net.plan.graph
        for values, tensors in zip(images, results, strict=True):
            difference = first_difference(run_graph(graph, {graph.inputs[0].tensor: values}), tensors)
            assert difference == "", f"{difference}\n{print_graph(graph)}"


batches = st.lists(st.tuples(networks(), cut_lists), min_size=NETS, max_size=NETS)


@settings(max_examples=4, phases=[Phase.generate])
@given(batches)
def test_random_networks_under_sanitizers(tmp_path_factory: pytest.TempPathFactory, drawn) -> None:
    check_nets(tmp_path_factory.mktemp("nets"), drawn, "gcc", SANITIZE)
