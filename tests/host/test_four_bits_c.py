"""Weights of four bits in C on this machine, for every table of kernels: each byte is the reference's."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
from four_bit_cases import four_bit_networks, pointwise_network
from host_c import SANITIZE, STRICT, Net, compile_c, first_difference, run_program, write_c
from networks import int8_inputs, kernels_of, plan_with_cuts
from test_operators_c import ISAS

from mbn2c.ir.graph import Graph
from mbn2c.kernels import kernels_of_plan, packed, select
from mbn2c.planner.layerwise import plan_layerwise
from mbn2c.reference.run_graph import run_graph

networks = cache(four_bit_networks)
# Blocks of one to four pixels, as the only ones of a row and beside others.
SHAPES = ((2, 8), (7, 20), (9, 32))


# Of bias, multiplier and what else a channel has, channels that are read together, and inputs: Helium reads biases as
# often as there are pixels, Cortex-M0+ 16 channels at once and the lengths of their groups, Cortex-M3 five words for a
# channel and eight inputs at once, RV32 four words for a channel.
CHANNEL_BYTES = {"arm_mve": 24, "armv6m": 36, "armv7m": 20, "rv32im": 18}
CHANNELS = {"armv6m": 32}
INPUTS = {"armv7m": 8}


@cache
def tables() -> tuple[tuple[str, ...], ...]:
    """Those that choose other kernels for these cases than the ones before."""
    seen, found = set(), []
    for isas in ISAS:
        kernels = {kernel_of(graph, isas) for graph in networks().values()}
        if not kernels <= seen:
            seen |= kernels
            found.append(isas)
    return tuple(found)


def kernel_of(graph: Graph, isas: tuple[str, ...]) -> object:
    return select(next(node for node in graph.nodes if node.name == "case"), graph, isas)


def test_the_cases_are_those_of_pointwise_layers() -> None:
    assert {name.split()[0] for name in networks()} == {"conv2d", "fully_connected"}
    assert len(networks()) >= 6


@pytest.mark.parametrize("isas", tables(), ids="+".join)
def test_c_is_the_reference(tmp_path: Path, need_tool: Callable[[str], str], isas: tuple[str, ...]) -> None:
    need_tool("gcc")
    plans = [plan_layerwise(graph, kernels_of(graph, isas)) for graph in networks().values()]
    for shape in SHAPES:
        plans.append(plan_with_cuts(pointwise_network(*shape), [], (2,) if shape[0] > 8 else (), isas))
    nets = [Net(f"n{index}", plan, isas=isas) for index, plan in enumerate(plans)]
    inputs = [list(int8_inputs(plan.graph, 4, seed=index)) for index, plan in enumerate(plans)]
    for plan, images, results in zip(plans, inputs, run_program(tmp_path, nets, inputs, "gcc", SANITIZE), strict=True):
        for values, tensors in zip(images, results, strict=True):
            assert first_difference(run_graph(plan.graph, {"input": values}), tensors) == "", plan.graph.name


@pytest.mark.parametrize("isas", tables(), ids="+".join)
def test_c_is_clean(tmp_path: Path, need_tool: Callable[[str], str], isas: tuple[str, ...]) -> None:
    need_tool("gcc")
    sources = write_c(tmp_path, [Net("net", plan_with_cuts(pointwise_network(6, 7), [], (), isas), isas=isas)])
    kernels = [source for source in sources if "_w4" in source]
    assert kernels
    compile_c(tmp_path, kernels, *STRICT, "-c")


@pytest.mark.parametrize("isas", tables(), ids="+".join)
def test_weights_take_half_a_byte(isas: tuple[str, ...]) -> None:
    plan = plan_with_cuts(pointwise_network(8, 64), [], (), isas)
    for node, kernel in kernels_of_plan(plan, isas).items():
        if kernel.weight_bits == 4:
            one = next(other for other in plan.graph.nodes if other.name == node)
            weights, bias = (plan.graph.constant(name) for name in one.inputs[1:])
            constants = packed(kernel, one, plan.graph)
            pairs = -(-len(bias) // 2)  # of channels, which may share bytes
            together = INPUTS.get(kernel.isa, 1)
            assert constants.weight_bytes <= pairs * -(-weights[0].size // together) * together + len(bias)
            group = CHANNELS.get(kernel.isa, 2)
            rows, taps = -(-len(bias) // group) * group, -(-weights[0].size // 16) * 16
            assert constants.size_bytes <= rows * (taps // 2 + CHANNEL_BYTES.get(kernel.isa, 8))
