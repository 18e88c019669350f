"""The C and the printed Plan of tiny models, so that a review shows C changing. `pytest --update-golden` renews them.

Ranges are given here instead of calibrated, so that no float32 sum of another machine moves a digit.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from host_c import Net
from models import RELU6, Builder, same_window, tiny_two_outputs
from networks import kernels_of, plan_with_cuts

from mbn2c.ir.graph import Graph
from mbn2c.ir.plan import Plan
from mbn2c.ir.text import print_graph, print_plan
from mbn2c.planner.layerwise import plan_layerwise
from mbn2c.quantize.calibrate import Range
from mbn2c.quantize.quantize import quantize


def with_given_ranges(graph: Graph) -> Graph:
    clamped = {node.outputs[0] for node in graph.nodes if getattr(node.attributes, "activation", None) == RELU6}
    names = [name for name, tensor in graph.tensors.items() if tensor.data is None]
    return quantize(graph, {name: Range(0.0, 6.0) if name in clamped else Range(-4.0, 4.0) for name in names})


def one_block() -> Graph:
    """An image, a convolution, an inverted residual with its shortcut, a head."""
    builder = Builder((6, 5, 3), name="block")
    x = builder.conv2d("input", 4, same_window(3, 2), RELU6)
    x = builder.inverted_residual(x, 4, 2, same_window(3, 1))
    return builder.graph(builder.fully_connected(builder.average_pool(x), 3))


def in_one_stream(graph: Graph) -> Plan:
    return plan_with_cuts(graph, [])


def layer_by_layer(graph: Graph) -> Plan:
    return plan_layerwise(graph, kernels_of(graph))


CASES: dict[str, tuple[Callable[[], Graph], Callable[[Graph], Plan], tuple[str, ...]]] = {
    "block_layers": (one_block, layer_by_layer, (".c",)),
    "block_stream": (one_block, in_one_stream, (".c", ".h", "_constants.c")),
    "two_outputs": (tiny_two_outputs, layer_by_layer, (".c", ".h")),
}


@pytest.mark.parametrize("name", CASES)
def test_plan_and_c(name: str, golden: Callable[[str, str], None]) -> None:
    make, schedule, suffixes = CASES[name]
    graph = with_given_ranges(make())
    plan = schedule(graph)
    tables = np.tile(np.arange(-128, 128), (3, 1)).astype(np.int8) if name == "block_stream" else None
    files = Net(name, plan, labels=("one", "two", "three"), tables=tables).files()
    golden(f"{name}.plan.txt", print_graph(graph) + print_plan(plan))
    for suffix in suffixes:
        golden(f"{name}{suffix}", files[f"{name}{suffix}"].decode())
