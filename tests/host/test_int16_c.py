"""int16 activations in C on this machine, for every table of kernels: each byte is the reference's."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path

import pytest
from host_c import SANITIZE, STRICT, Net, compile_c, first_difference, run_program, write_c
from int16_cases import branchy_network, int16_networks, kinds, small_network, some_int16
from networks import int8_inputs, kernels_of, plan_with_cuts, quantized

from mbn2c.ir.graph import Graph
from mbn2c.ir.plan import Plan
from mbn2c.planner.layerwise import plan_layerwise
from mbn2c.planner.overlap import check_overlaps
from mbn2c.reference.run_graph import run_graph
from mbn2c.reference.run_plan import run_plan

ISAS = [("scalar",), ("arm_dsp", "armv7m", "scalar"), ("arm_mve", "arm_dsp", "armv7m", "scalar")]

BRANCHY_SEEDS = (1, 2, 11)


@cache
def small_networks() -> tuple[Graph, ...]:
    """Four with other int16 activations each."""
    graph = small_network()
    return tuple(quantized(graph, int16=some_int16(graph, seed)) for seed in (22, 26, 27, 29))


@cache
def branchy_networks() -> tuple[Graph, ...]:
    """Three with other int16 activations each."""
    graph = branchy_network()
    return tuple(quantized(graph, int16=some_int16(graph, seed)) for seed in BRANCHY_SEEDS)


def plans(isas: tuple[str, ...]) -> list[Plan]:
    """Layer by layer, in a stream, in a stream of pieces, and in two streams; those with branches layer by layer."""
    cuts: list[list[bool]] = [[], [], [False] * 6 + [True]]
    layerwise = (small_networks()[0], *branchy_networks())
    made = [plan_layerwise(graph, kernels_of(graph, isas)) for graph in layerwise]
    for graph, cut, pieces in zip(small_networks()[1:], cuts, ((), (3,), (2, 0)), strict=True):
        made.append(plan_with_cuts(graph, cut, pieces, isas))
    return made


def test_the_small_networks_have_every_kind() -> None:
    found = set().union(*map(kinds, small_networks()))
    for op in ("conv2d", "depthwise_conv2d", "average_pool2d"):
        assert found >= {(op, x, y) for x in ("int8", "int16") for y in ("int8", "int16")}, op
    assert ("fully_connected", "int16", "int16") in found
    assert len([kind for kind in found if kind[0] == "add" and "int16" in kind]) == 7


def test_the_branchy_networks_have_every_kind() -> None:
    found = set().union(*map(kinds, branchy_networks()))
    for op in ("lookup", "max_pool2d"):
        assert found >= {(op, x, y) for x, y in (("int8", "int16"), ("int16", "int8"), ("int16", "int16"))}, op
    for op in ("mul", "concat"):
        assert len([kind for kind in found if kind[0] == op and "int16" in kind]) >= 3, op


@pytest.mark.parametrize("isas", ISAS, ids="+".join)
def test_plans_keep_int16_rows_apart(isas: tuple[str, ...]) -> None:
    for plan in plans(isas):
        check_overlaps(plan)
        values = next(int8_inputs(plan.graph, 1, seed=3))
        reference = run_graph(plan.graph, {"input": values})
        assert first_difference(reference, run_plan(plan, {"input": values})) == ""


@pytest.mark.parametrize("isas", ISAS, ids="+".join)
def test_c_is_the_reference(tmp_path: Path, need_tool: Callable[[str], str], isas: tuple[str, ...]) -> None:
    need_tool("gcc")
    compare(tmp_path, {str(index): plan for index, plan in enumerate(plans(isas))}, isas)


@pytest.mark.parametrize("isas", ISAS, ids="+".join)
def test_c_is_clean(tmp_path: Path, need_tool: Callable[[str], str], isas: tuple[str, ...]) -> None:
    need_tool("gcc")
    sources = write_c(tmp_path, [Net("net", plans(isas)[1], isas=isas)])
    kernels = [source for source in sources if "_s16_" in source]
    assert len(kernels) >= 4
    compile_c(tmp_path, kernels, *STRICT, "-c")


@pytest.mark.slow
@pytest.mark.parametrize("isas", ISAS, ids="+".join)
def test_c_of_every_case_is_the_reference(
    tmp_path: Path, need_tool: Callable[[str], str], isas: tuple[str, ...]
) -> None:
    need_tool("gcc")
    compare(
        tmp_path,
        {name: plan_layerwise(one.graph, kernels_of(one.graph, isas)) for name, one in int16_networks().items()},
        isas,
    )


def compare(folder: Path, made: Mapping[str, Plan], isas: tuple[str, ...]) -> None:
    """Every tensor of every Plan, in C, under sanitizers."""
    nets = [Net(f"n{index}", plan, isas=isas) for index, plan in enumerate(made.values())]
    inputs = [list(int8_inputs(plan.graph, 4, seed=index)) for index, plan in enumerate(made.values())]
    found = run_program(folder, nets, inputs, "gcc", SANITIZE)
    for (name, plan), images, results in zip(made.items(), inputs, found, strict=True):
        for values, tensors in zip(images, results, strict=True):
            assert first_difference(run_graph(plan.graph, {"input": values}), tensors) == "", name
