"""Every operator's cases in C, for every table of kernels, on this machine: each byte is the reference's."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
from host_c import SANITIZE, Net, first_difference, own_rows, run_program
from networks import int8_inputs, kernels_of, quantized
from operator_cases import every_case, graph_of

from mbn2c.ir.graph import Graph
from mbn2c.kernels import isas_for
from mbn2c.ops.base.operator import LOWERED
from mbn2c.planner.layerwise import plan_layerwise
from mbn2c.reference.run_graph import run_graph
from mbn2c.targets import all_cores

CASES = every_case()
GOALS = ("speed", "balanced", "ram", "lean", "smallest")
TABLES = {goal: {isas_for(core.isas, goal) for core in all_cores()} for goal in GOALS}
ISAS = [
    pytest.param(isas, id="+".join(isas), marks=() if isas in TABLES["speed"] else pytest.mark.slow)
    for isas in sorted(set.union(*TABLES.values()))
]


@cache
def int8_networks() -> dict[str, Graph]:
    graphs = {}
    for name, (operator, case) in CASES.items():
        if case.quants:
            graphs[name] = graph_of(operator, case, name)
        elif LOWERED in operator.stages:
            graphs[name] = quantized(graph_of(operator, case, name))
    return graphs


@pytest.mark.parametrize("isas", ISAS)
def test_c_is_the_reference(tmp_path: Path, need_tool: Callable[[str], str], isas: tuple[str, ...]) -> None:
    need_tool("gcc")
    graphs = int8_networks()
    plans = [plan_layerwise(graph, kernels_of(graph, isas)) for graph in graphs.values()]
    nets = [Net(f"n{index}", plan, isas=isas) for index, plan in enumerate(plans)]
    inputs = [list(int8_inputs(graph, 4, seed=index)) for index, graph in enumerate(graphs.values())]
    found = run_program(tmp_path, nets, inputs, "gcc", SANITIZE)
    for (name, graph), plan, images, results in zip(graphs.items(), plans, inputs, found, strict=True):
        for values, tensors in zip(images, results, strict=True):
            reference = own_rows(plan, run_graph(graph, {"input": values}))
            assert first_difference(reference, tensors) == "", name
