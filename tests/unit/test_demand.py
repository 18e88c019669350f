"""Calls on demand: which they are, that rings are short for them, and that all who play a Plan play them alike."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from models import Builder, same_window
from networks import int8_inputs, kernels_of

from mbn2c.errors import InternalError
from mbn2c.ir.graph import Graph
from mbn2c.ir.plan import Plan, Rows
from mbn2c.planner.columns import Pieces
from mbn2c.planner.memory import allocate
from mbn2c.planner.overlap import check_overlaps
from mbn2c.planner.schedule import make_schedule, scratch_sizes
from mbn2c.planner.segments import measure_segments
from mbn2c.planner.streaming import TradeOffs
from mbn2c.quantize.calibrate import Range
from mbn2c.quantize.quantize import quantize
from mbn2c.reference.run_graph import run_graph
from mbn2c.reference.run_plan import run_plan


def int8(graph: Graph) -> Graph:
    names = [name for name, tensor in graph.tensors.items() if tensor.data is None]
    return quantize(graph, dict.fromkeys(names, Range(-3.0, 5.0)))


def two_ways() -> Graph:
    """x is widened and meets what a deeper way makes of it; then a last layer reads the sum."""
    builder = Builder((12, 6, 3))
    x = builder.conv2d("input", 8, same_window(3, 1))
    a = builder.conv2d(builder.depthwise(x, same_window(3, 1)), 8)
    return builder.graph(builder.conv2d(builder.add(a, builder.conv2d(x, 8)), 2))


def planned(graph: Graph, cuts: tuple[int, ...] = (), rows_per_run: int = 1) -> Plan:
    """Cut after these nodes."""
    names = [node.name for node in graph.nodes]
    bounds = [0, *cuts, len(names)]
    segments = [names[first:end] for first, end in itertools.pairwise(bounds)]
    many = dict.fromkeys(names, rows_per_run) if rows_per_run > 1 else None
    return allocate(make_schedule(graph, kernels_of(graph), segments, rows_per_run=many), "cuts")


def waiting(plan: Plan) -> list[str]:
    return [call.node for call in plan.calls if call.on_demand]


def test_both_ways_to_a_sum_wait() -> None:
    graph = int8(two_ways())
    # Two calls lead to the sum one after the other, the third one alone.
    assert waiting(planned(graph)) == ["depthwise_conv2d_1", "conv2d_2", "conv2d_3"]
    # Where a loop has one way only, nobody need wait; nor where several rows are made in a run.
    assert waiting(planned(graph, (3,))) == []
    assert waiting(planned(graph, (), 2)) == []


def test_what_makes_less_of_a_shared_stream_does_not_wait() -> None:
    """Else the stream would wait with it: its rows are more than those that are made of them."""
    builder = Builder((12, 6, 3))
    x = builder.conv2d("input", 8, same_window(3, 1))
    small = builder.conv2d(x, 2)
    y = builder.conv2d(builder.depthwise(builder.depthwise(x, same_window(5, 1)), same_window(5, 1)), 2)
    plan = planned(int8(builder.graph(builder.add(small, y))))
    assert "conv2d_1" not in waiting(plan)
    assert (plan.buffers["conv2d_0"].slots, plan.buffers["conv2d_1"].slots) == (5, 4)


@pytest.mark.parametrize("cuts", [(), (1,), (1, 5)])
def test_rings_before_a_sum_hold_one_row(cuts: tuple[int, ...]) -> None:
    """Though what is read is complete, as it is behind a cut: a call that does not wait runs to its end at once."""
    plan = planned(int8(two_ways()), cuts)
    assert [plan.buffers[name].slots for name in ("conv2d_2", "conv2d_3")] == [1, 1]
    check_overlaps(plan)


def played(plan: Plan, **changes: bool) -> Plan:
    """With other `on_demand` of the calls of these nodes, and all else as it was."""
    loops = [
        Rows(tuple(replace(c, on_demand=changes.get(c.node, c.on_demand)) for c in loop.calls)) for loop in plan.loops
    ]
    return replace(plan, loops=tuple(loops))


def test_the_judges_play_as_the_plan_says() -> None:
    plan = planned(int8(two_ways()), (1,))
    values = {"input": next(iter(int8_inputs(plan.graph, 3, seed=1)))}
    expected = run_graph(plan.graph, values)
    assert all(np.array_equal(found, expected[name]) for name, found in run_plan(plan, values).items())
    hasty = played(plan, conv2d_3=False)
    with pytest.raises(InternalError, match="row 1 of conv2d_3 overwrites"):
        check_overlaps(hasty)
    with pytest.raises(InternalError, match="conv2d_3"):
        run_plan(hasty, values)


def test_who_is_read_twice_cannot_wait() -> None:
    with pytest.raises(InternalError, match="2 reads of conv2d_0 cannot ask"):
        check_overlaps(played(planned(int8(two_ways())), conv2d_0=True))


def test_the_search_needs_less_for_it() -> None:
    """Where two ways of a complete tensor meet, neither is ever whole."""
    graph = int8(two_ways())
    plan = TradeOffs(graph, kernels_of(graph)).best("ram").plan
    assert plan.buffers["conv2d_3"].slots == plan.buffers["conv2d_2"].slots == 1


def three_ways() -> Graph:
    """The two ways meet a third one, which is complete where everything but the input's own loop begins."""
    builder = Builder((12, 6, 3))
    x = builder.conv2d("input", 8, same_window(3, 1))
    a = builder.conv2d(builder.depthwise(x, same_window(3, 1)), 8)
    b = builder.add(a, builder.conv2d(x, 8))
    return builder.graph(builder.add(builder.conv2d(builder.depthwise(b, same_window(3, 1)), 8), builder.conv2d(x, 8)))


@pytest.mark.parametrize("make", [two_ways, three_ways])
@pytest.mark.parametrize("pieces", [Pieces(), Pieces(2), Pieces(3, 1)])
def test_a_segment_waits_only_as_it_was_measured(make: Callable[[], Graph], pieces: Pieces) -> None:
    """One that ends before the ways meet is no choice: what waits in it would run to its end at once."""
    graph = int8(make())
    kernels, names = kernels_of(graph), [node.name for node in graph.nodes]
    segments = measure_segments(graph, kernels, scratch_sizes(graph, kernels), [pieces])
    assert segments.options == ((pieces, False), (pieces, True))
    choices = 0
    for cuts in (cuts for count in range(3) for cuts in itertools.combinations(range(1, len(names)), count)):
        bounds = [0, *cuts, len(names)]
        way = list(itertools.pairwise(bounds))
        for waits in itertools.product((False, True), repeat=len(way)):
            peak = max(segments.peak_bytes[first, end, int(w)] for (first, end), w in zip(way, waits, strict=True))
            if not np.isfinite(peak):
                continue
            choices += any(waits)
            parts = [names[first:end] for first, end in way]
            schedule = make_schedule(graph, kernels, parts, [pieces] * len(way), waits=waits)
            plan = allocate(schedule, "way")
            assert [any(call.on_demand for call in loop.calls) for loop in plan.loops] == list(waits)
            assert plan.lower_bound_bytes <= peak
    assert choices
