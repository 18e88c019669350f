"""Layers that share few multipliers, in C on this machine: all bytes are the reference's; a channel takes 3 less."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from four_bit_cases import pointwise_network
from host_c import SANITIZE, Net, first_difference, run_program
from networks import int8_inputs, kernels_of, plan_with_cuts, quantized
from operator_cases import every_case, graph_of

from mbn2c.ir.graph import Graph
from mbn2c.ir.kernel import SHARED_NUMBERS
from mbn2c.ir.plan import Plan
from mbn2c.kernels import kernels_of_plan, packed_constants
from mbn2c.kernels.arm_dsp import conv, depthwise
from mbn2c.kernels.arm_dsp.shared import indices
from mbn2c.numerics.shared import RUNGS
from mbn2c.planner.layerwise import plan_layerwise
from mbn2c.reference.run_graph import run_graph

DSP = ("arm_dsp", "scalar")
# A row's pixels and channels: blocks of one to four pixels, depthwise ones of one to eight outputs.
SHAPES = ((2, 8), (5, 7), (7, 20), (9, 32), (16, 9))


def examples() -> list[Graph]:
    """Those of all operators with weights."""
    cases = every_case().items()
    graphs = [
        graph_of(operator, case, name) for name, (operator, case) in cases if operator.has_weights and not case.quants
    ]
    return [quantized(graph, shares_multipliers=True) for graph in graphs]


def plans() -> list[Plan]:
    found = [plan_layerwise(graph, kernels_of(graph, DSP)) for graph in examples()]
    for in_eight_bits in (True, False):
        for shape in SHAPES:
            graph = pointwise_network(*shape, in_eight_bits=in_eight_bits, shares_multipliers=True)
            found.append(plan_with_cuts(graph, [], (), DSP))
    return found


def test_c_is_the_reference(tmp_path: Path, need_tool: Callable[[str], str]) -> None:
    need_tool("gcc")
    nets = [Net(f"n{index}", plan, isas=DSP) for index, plan in enumerate(plans())]
    inputs = [list(int8_inputs(net.plan.graph, 4, seed=index)) for index, net in enumerate(nets)]
    for net, images, results in zip(nets, inputs, run_program(tmp_path, nets, inputs, "gcc", SANITIZE), strict=True):
        for values, tensors in zip(images, results, strict=True):
            assert first_difference(run_graph(net.plan.graph, {"input": values}), tensors) == "", net.plan.graph.name


def constants_bytes(graph: Graph) -> int:
    plan = plan_with_cuts(graph, [], (), DSP)
    return sum(one.size_bytes for one in packed_constants(plan, kernels_of_plan(plan, DSP)).values())


@pytest.mark.parametrize("in_eight_bits", [True, False])
def test_a_channel_takes_a_byte_instead_of_a_multiplier(in_eight_bits: bool) -> None:
    width, channels = 16, 64
    own, shared = (
        pointwise_network(width, channels, in_eight_bits=in_eight_bits, shares_multipliers=shares)
        for shares in (False, True)
    )
    layers = [node for node in shared.nodes if len(node.inputs) == 3]
    outputs = sum(len(shared.constant(node.inputs[2])) for node in layers)
    # Words behind each layer's last pair, and the multipliers.
    table = 4 * len(np.unique(np.concatenate([node.attributes.requantize.multiplier for node in layers])))
    assert constants_bytes(own) - constants_bytes(shared) >= 3 * outputs - 8 * len(layers) - table


def test_the_multipliers_lie_there_once() -> None:
    graph = pointwise_network(9, 16, in_eight_bits=True, shares_multipliers=True)
    plan = plan_with_cuts(graph, [], (), DSP)
    constants = packed_constants(plan, kernels_of_plan(plan, DSP)).values()
    tables = [one.arrays[SHARED_NUMBERS] for one in constants if SHARED_NUMBERS in one.arrays]
    assert len(tables) == 1
    assert set(tables[0].tolist()) <= set(np.rint(RUNGS * 2.0**32).astype(np.int64).tolist())


@pytest.mark.parametrize("layers", [conv, depthwise], ids=["convolutions", "depthwise layers"])
def test_a_channel_with_its_neighbours_multiplier_is_noticed(
    layers: ModuleType, tmp_path: Path, need_tool: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    need_tool("gcc")
    plan = plan_with_cuts(pointwise_network(5, 7, in_eight_bits=True, shares_multipliers=True), [], (), DSP)

    def one_off(multipliers: np.ndarray, numbers: tuple[int, ...]) -> np.ndarray:
        found = indices(multipliers, numbers)
        return np.where(found > 0, found - 1, found)

    monkeypatch.setattr(layers, "indices", one_off)
    inputs = list(int8_inputs(plan.graph, 1))
    [[tensors]] = run_program(tmp_path, [Net("net", plan, isas=DSP)], [inputs], "gcc", ("-O0", "-w"))
    assert first_difference(run_graph(plan.graph, {"input": inputs[0]}), tensors) != ""
