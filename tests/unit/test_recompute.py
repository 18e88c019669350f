"""Layers computed twice so that a large tensor need not wait for a mean: fewer bytes, the same results, a price."""

from __future__ import annotations

import numpy as np
import pytest
from models import Builder, same_window
from networks import as_image, compare_with_onnx_runtime, int8_inputs, int8_model, kernels_of, quantized

from mbn2c.ir.check import check
from mbn2c.ir.graph import Graph
from mbn2c.network.recompute import AGAIN, recompute
from mbn2c.ops import OPERATORS
from mbn2c.planner.streaming import trade_offs
from mbn2c.reference.run_graph import run_graph


@pytest.fixture(scope="module")
def gated() -> Graph:
    """A decoder's gate: what was enlarged waits for the mean of its sum with a skip."""
    builder = Builder((16, 16, 3), seed=5)
    skip = builder.conv2d("input", 6, same_window(3, 1))
    small = builder.conv2d(builder.conv2d(skip, 6, same_window(3, 2)), 6, same_window(3, 2))
    large = builder.conv2d(builder.resize(small, skip, "linear"), 6)
    gate = builder.function("sigmoid", builder.conv2d(builder.average_pool(builder.add(skip, large)), 6), None)
    return quantized(builder.graph(builder.conv2d(builder.add(builder.mul(skip, gate), large), 3)))


def macs(graph: Graph) -> int:
    return sum(OPERATORS[node.op].macs(node, graph) for node in graph.nodes)


def least_bytes(graph: Graph) -> int:
    return min(point.plan.arena_bytes for point in trade_offs(graph, kernels_of(graph)))


def test_less_waits(gated: Graph) -> None:
    again = check(recompute(gated, 0.5), "quantized", OPERATORS)
    copies = [node.op for node in again.nodes if node.name.endswith(AGAIN)]
    assert copies == ["resize2d", "conv2d"]
    assert least_bytes(again) < 0.8 * least_bytes(gated)


def test_results_stay(gated: Graph) -> None:
    again = recompute(gated, 0.5)
    model = int8_model(again)
    for values in int8_inputs(again, 2):
        before, after = (run_graph(graph, {"input": values}) for graph in (gated, again))
        assert all(np.array_equal(after[name], tensor) for name, tensor in before.items())
        assert compare_with_onnx_runtime(again, after, model(as_image(again, values))) == ""


@pytest.mark.parametrize("share", [0.0, 0.02])
def test_it_has_a_price(gated: Graph, share: float) -> None:
    assert recompute(gated, share) is gated
    extra = macs(recompute(gated, 0.5)) - macs(gated)
    assert recompute(gated, 1.001 * extra / macs(gated)) is not gated


def test_what_does_not_wait_stays() -> None:
    builder = Builder((8, 8, 3), seed=1)
    x = builder.conv2d("input", 4, same_window(3, 1))
    graph = quantized(builder.graph(builder.conv2d(builder.average_pool(x), 3)))
    assert recompute(graph, 1.0) is graph
