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
from mbn2c.ir.kernel import Kernel
from mbn2c.kernels import isas_for, select
from mbn2c.ops.base.operator import LOWERED
from mbn2c.planner.layerwise import plan_layerwise
from mbn2c.reference.run_graph import run_graph
from mbn2c.targets import all_cores

CASES = every_case()
GOALS = ("speed", "balanced", "ram", "lean", "smallest")
TABLES = {goal: {isas_for(core.isas, goal) for core in all_cores()} for goal in GOALS}
# Those for speed first, and of them the shortest: what others have in common with them is not compiled again.
ISAS = sorted(set.union(*TABLES.values()), key=lambda isas: (isas not in TABLES["speed"], len(isas), isas))


@cache
def int8_networks() -> dict[str, Graph]:
    graphs = {}
    for name, (operator, case) in CASES.items():
        if case.quants:
            graphs[name] = graph_of(operator, case, name)
        elif LOWERED in operator.stages:
            graphs[name] = quantized(graph_of(operator, case, name))
    return graphs


@cache
def networks_by_table() -> dict[tuple[str, ...], dict[str, Graph]]:
    """Each example for the first table that has its kernel; what else is in its network, other examples ask for."""
    found: dict[tuple[str, ...], dict[str, Graph]] = {isas: {} for isas in ISAS}
    for name, graph in int8_networks().items():
        node = next(node for node in graph.nodes if node.name == "case")
        seen: set[Kernel] = set()
        for isas in ISAS:
            kernel = select(node, graph, isas)
            if kernel not in seen:
                seen.add(kernel)
                found[isas][name] = graph
    return {isas: graphs for isas, graphs in found.items() if graphs}


@pytest.mark.parametrize("isas", networks_by_table(), ids="+".join)
def test_c_is_the_reference(tmp_path: Path, need_tool: Callable[[str], str], isas: tuple[str, ...]) -> None:
    need_tool("gcc")
    graphs = networks_by_table()[isas]
    plans = [plan_layerwise(graph, kernels_of(graph, isas)) for graph in graphs.values()]
    nets = [Net(f"n{index}", plan, isas=isas) for index, plan in enumerate(plans)]
    inputs = [list(int8_inputs(graph, 4, seed=index)) for index, graph in enumerate(graphs.values())]
    found = run_program(tmp_path, nets, inputs, "gcc", SANITIZE)
    for (name, graph), plan, images, results in zip(graphs.items(), plans, inputs, found, strict=True):
        for values, tensors in zip(images, results, strict=True):
            reference = own_rows(plan, run_graph(graph, {"input": values}))
            assert first_difference(reference, tensors) == "", name
