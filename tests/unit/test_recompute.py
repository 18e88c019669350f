"""Layers computed twice so that a large tensor need not wait for a mean: fewer bytes, the same results, a price."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from models import Builder, same_window
from networks import as_image, compare_with_onnx_runtime, int8_inputs, int8_model, kernels_of, quantized

from mbn2c.commands.build import build
from mbn2c.commands.build_options import BuildOptions
from mbn2c.errors import FitError
from mbn2c.frontend.export import to_onnx_float
from mbn2c.ir.check import check
from mbn2c.ir.graph import Graph
from mbn2c.network.recompute import AGAIN, MOST_EXTRA_TO_FIT, copies, recompute, recompute_to_fit
from mbn2c.ops import OPERATORS
from mbn2c.planner.streaming import TradeOffs
from mbn2c.reference.run_graph import run_graph
from mbn2c.report.build_text import build_text
from mbn2c.report.json import read_record
from mbn2c.report.record import BuildRecord
from mbn2c.targets import load_core


def decoder() -> Graph:
    """A decoder's gate: what was enlarged waits for the mean of its sum with a skip."""
    builder = Builder((16, 16, 3), seed=5)
    skip = builder.conv2d("input", 6, same_window(3, 1))
    small = builder.conv2d(builder.conv2d(skip, 6, same_window(3, 2)), 6, same_window(3, 2))
    large = builder.conv2d(builder.resize(small, skip, "linear"), 6)
    gate = builder.function("sigmoid", builder.conv2d(builder.average_pool(builder.add(skip, large)), 6), None)
    return builder.graph(builder.conv2d(builder.add(builder.mul(skip, gate), large), 3))


@pytest.fixture(scope="module")
def gated() -> Graph:
    return quantized(decoder())


def macs(graph: Graph) -> int:
    return sum(OPERATORS[node.op].macs(node, graph) for node in graph.nodes)


def least_bytes(graph: Graph) -> int:
    return min(point.plan.arena_bytes for point in TradeOffs(graph, kernels_of(graph)).curve)


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


def test_as_few_as_fit(gated: Graph) -> None:
    """Asked for in their order; what fits as it is, or not at all, stays."""
    twice = recompute(gated, MOST_EXTRA_TO_FIT)
    assert [node.name for node in copies(twice)] == ["resize2d_3__again", "conv2d_4__again"] and not copies(gated)
    asked: list[int] = []

    def fits_with(count: int) -> Callable[[Graph], bool]:
        return lambda graph: asked.append(len(copies(graph))) or len(copies(graph)) >= count

    assert recompute_to_fit(gated, fits_with(0)) is gated and asked == [0]
    assert recompute_to_fit(gated, fits_with(1)).nodes == twice.nodes and asked == [0, 0, 2]
    assert recompute_to_fit(gated, fits_with(99)) is gated


def test_who_has_nothing_to_compute_twice_is_not_asked() -> None:
    builder = Builder((8, 8, 3), seed=1)
    graph = quantized(builder.graph(builder.conv2d("input", 4, same_window(3, 1))))
    assert recompute_to_fit(graph, lambda graph: pytest.fail("asked")) is graph


def test_a_limit_computes_twice_what_it_must(gated: Graph, tmp_path: Path) -> None:
    """`macs` are the network's own, `recomputed_macs` those of the copies; a larger limit, or 0, wants none."""
    model = tmp_path / "gated.onnx"
    model.write_bytes(to_onnx_float(decoder()))
    options = BuildOptions(model=model, core=load_core("cortex-m7"), calib="random", optimize="ram")
    own = macs(gated)

    def built(**changes: object) -> BuildRecord:
        bundle = build(replace(options, **changes))
        return read_record(bundle["report.json"])

    free = built()
    assert (free.model.macs, free.recomputed_macs) == (own, 0)
    tight = free.ram.arena_bytes + free.ram.context_bytes + 512 - 64
    found = built(ram_limit=tight)
    assert (found.model.macs, found.model.parameters) == (own, free.model.parameters)
    assert found.recomputed_macs == macs(recompute(gated, MOST_EXTRA_TO_FIT)) - own > 0
    assert "are executed twice" in build_text(found, "out", "")
    assert built(ram_limit=tight + 64).recomputed_macs == 0
    with pytest.raises(FitError):
        built(ram_limit=tight, recompute=0.0)
