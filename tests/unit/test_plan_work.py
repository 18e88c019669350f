"""How much work a plan takes, counted and not timed: it must not grow faster with the network than it has to."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from mobilenets import mobilenet_v3_small
from models import RELU6, Builder, same_window, tiny_mobilenet_v2, tiny_two_outputs
from networks import kernels_of, quantized

from mbn2c.errors import InternalError
from mbn2c.ir.graph import Graph
from mbn2c.planner import timeline
from mbn2c.planner.geometry import Geometries
from mbn2c.planner.schedule import scratch_sizes
from mbn2c.planner.segments import measure_segments
from mbn2c.planner.streaming import PIECES

ISAS = ("arm_dsp", "armv7m", "scalar")
WIDTHS = len({pieces.columns for pieces in PIECES if pieces.columns})


def test_work_grows_with_the_nodes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cuts, and what calls do row by row, are worked out a few times per node, not for every segment again.

    A segment is what a pair of nodes makes; how often one is measured depends on how many ways of cutting it differ.
    """
    graph = quantized(mobilenet_v3_small(0.35, 32), 1)
    kernels = kernels_of(graph, ISAS)
    worked_out: list[int] = []
    original = timeline._runs
    monkeypatch.setattr(
        timeline, "_runs", lambda schedule, call: worked_out.append(call.step) or original(schedule, call)
    )
    nodes = len(graph.nodes)
    assert nodes > 100
    work = measure_segments(graph, kernels, scratch_sizes(graph, kernels), PIECES).work
    assert sorted(worked_out) == list(range(nodes + 1))
    assert work.cuts <= 2 * WIDTHS * nodes
    assert work.measured <= 6 * nodes * (nodes + 1) / 2
    # One simulation for all segments that start at a node, of every row at most once in whole.
    runs = sum(graph.tensors[node.outputs[0]].shape[1] + 4 for node in graph.nodes)
    assert work.moments <= runs * nodes


def two_ways() -> Graph:
    """Both ways are summed up: the second can stream in pieces only where the first is not of the same segment."""
    builder = Builder((12, 24, 3))
    x = builder.conv2d("input", 4, same_window(3, 1), RELU6)
    a = builder.depthwise(x, same_window(3, 1), RELU6)
    b = builder.depthwise(x, same_window(5, 1), RELU6)
    return builder.graph(builder.conv2d(builder.add(a, b), 2))


@pytest.mark.parametrize("make", [lambda: tiny_mobilenet_v2(24, 8), tiny_two_outputs, two_ways])
def test_cuts_that_are_shared_measure_the_same(make: Callable[[], Graph]) -> None:
    """A segment costs the same whichever other ways of cutting were measured before it."""
    graph = quantized(make())
    kernels = kernels_of(graph)
    scratch = scratch_sizes(graph, kernels)
    together = measure_segments(graph, kernels, scratch, PIECES)
    for number, pieces in enumerate(PIECES):
        alone = measure_segments(graph, kernels, scratch, [pieces])
        assert (alone.peak_bytes[:, :, 0] == together.peak_bytes[:, :, number]).all(), pieces
        assert (alone.instructions[:, :, 0] == together.instructions[:, :, number]).all(), pieces


def test_what_cores_have_in_common_is_worked_out_once() -> None:
    graph = quantized(tiny_mobilenet_v2(24, 8))
    known = Geometries(graph)
    for number, isas in enumerate((("scalar",), ("armv7m", "scalar"), ("arm_dsp", "scalar"))):
        kernels = kernels_of(graph, isas)
        scratch = scratch_sizes(graph, kernels)
        alone = measure_segments(graph, kernels, scratch, PIECES)
        found = measure_segments(graph, kernels, scratch, PIECES, known)
        assert (found.peak_bytes == alone.peak_bytes).all()
        assert (found.instructions == alone.instructions).all()
        assert (found.work.moments, found.work.cuts) == ((0, 0) if number else (alone.work.moments, alone.work.cuts))
    with pytest.raises(InternalError, match="another Graph"):
        measure_segments(quantized(tiny_two_outputs()), {}, {}, PIECES, known)
