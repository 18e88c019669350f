"""Plans: no living byte is overwritten, damage is found, and what a Plan says of itself is so."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import pytest
from host_c import Tensors, first_difference
from hypothesis import given, settings
from hypothesis import strategies as st
from models import tiny_mobilenet_v1, tiny_mobilenet_v2, tiny_two_outputs
from networks import cut_lists, int8_inputs, kernels_of, networks, piece_lists, plan_with_cuts, quantized

from mbn2c.errors import InternalError
from mbn2c.ir.graph import Graph
from mbn2c.ir.plan import Plan, Rows
from mbn2c.planner.layerwise import plan_layerwise
from mbn2c.planner.overlap import check_overlaps
from mbn2c.planner.schedule import make_schedule
from mbn2c.reference.run_graph import run_graph
from mbn2c.reference.run_plan import run_plan

NEVER: list[bool] = []


SMALL = {"v2": lambda: tiny_mobilenet_v2(9, 8), "v1": tiny_mobilenet_v1, "two outputs": tiny_two_outputs}


@pytest.fixture(scope="module", params=SMALL)
def graph(request: pytest.FixtureRequest) -> Graph:
    return quantized(SMALL[request.param]())


def plans_of(graph: Graph) -> list[Plan]:
    """Layer by layer, in one stream, in streams of three layers, in pieces, and with planar rows."""
    threes = [index % 3 == 2 for index in range(len(graph.nodes))]
    return [
        plan_layerwise(graph, kernels_of(graph)),
        plan_with_cuts(graph, NEVER),
        plan_with_cuts(graph, threes),
        plan_with_cuts(graph, NEVER, [2]),
        plan_with_cuts(graph, NEVER, [], ("arm_dsp", "scalar")),
        plan_with_cuts(graph, threes, [3], ("arm_dsp", "scalar")),
    ]


# --- what a Plan says of itself ------------------------------------------------------------------


def test_steps_count_all_calls(graph: Graph) -> None:
    for plan in plans_of(graph):
        assert [call.step for call in plan.calls] == list(range(len(graph.nodes) + 1))
        assert [call.node for call in plan.calls] == ["", *(node.name for node in graph.nodes)]


def test_buffers_say_which_steps_touch_them(graph: Graph) -> None:
    for plan in plans_of(graph):
        for name, buffer in plan.buffers.items():
            touching = [c.step for c in plan.calls if c.write == name or any(read.tensor == name for read in c.reads)]
            last = plan.calls[-1].step if graph.is_output(name) else max(touching)
            assert (buffer.first_step, buffer.last_step) == (min(touching), last), name


def test_arena_is_no_smaller_than_the_bound(graph: Graph) -> None:
    for plan in plans_of(graph):
        assert plan.lower_bound_bytes <= plan.arena_bytes
        assert plan.arena_bytes % 16 == 0
        assert 0 <= plan.peak_step < len(plan.calls)
        assert max(buffer.end for buffer in plan.buffers.values()) <= plan.arena_bytes


def test_scratch_of_sums_is_aligned(graph: Graph) -> None:
    for plan in plans_of(graph):
        assert all(scratch.offset % 4 == 0 for scratch in plan.scratch.values())


def test_one_stream_needs_no_more_than_layers(graph: Graph) -> None:
    """Streams exist to save memory; on these networks of a few rows at least they must not cost it."""
    layerwise, stream = plans_of(graph)[:2]
    assert stream.lower_bound_bytes <= layerwise.lower_bound_bytes * 1.1


@pytest.mark.parametrize("damage", ["missing", "twice", "order"])
def test_segments_must_hold_every_node_once_in_order(damage: str) -> None:
    graph = quantized(tiny_mobilenet_v1())
    names = [node.name for node in graph.nodes]
    segments = {"missing": [names[:-1]], "twice": [names, names[-1:]], "order": [names[::-1]]}[damage]
    with pytest.raises(InternalError, match="every node once, in order"):
        make_schedule(graph, kernels_of(graph), segments)


# --- damage --------------------------------------------------------------------------------------


def moved(plan: Plan, tensor: str, offset: int) -> Plan:
    buffer = replace(plan.buffers[tensor], offset=plan.buffers[tensor].offset + offset)
    return replace(plan, buffers={**plan.buffers, tensor: buffer})


def with_slots(plan: Plan, tensor: str, slots: int) -> Plan:
    return replace(plan, buffers={**plan.buffers, tensor: replace(plan.buffers[tensor], slots=slots)})


def complaint(check: Callable[[], object]) -> str:
    try:
        check()
    except InternalError as error:
        return f"{error.what}, {error.where}"
    return ""


def damaged(plan: Plan) -> Iterator[tuple[str, Plan]]:
    """Every buffer and scratch a row up, a row down, a byte down and at the start; rings and strips shorter."""
    for name, buffer in plan.buffers.items():
        for offset in (buffer.row_bytes, -buffer.row_bytes, -1, -buffer.offset):
            if buffer.offset + offset >= 0 and offset:
                yield f"{name} moved by {offset}", moved(plan, name, offset)
        if buffer.slots > 1:
            yield f"{name} with {buffer.slots - 1} slots", with_slots(plan, name, buffer.slots - 1)
        if buffer.strip_columns:
            early = replace(buffer, kept=tuple(max(0, kept - 1) for kept in buffer.kept))
            late = replace(buffer, kept=tuple(kept + 1 if kept else 0 for kept in buffer.kept))
            short = replace(buffer, strip_columns=buffer.strip_columns - 1)
            for what, changed in (("early", early), ("late", late), ("short", short)):
                if changed != buffer and changed.strip_columns:
                    yield f"strip of {name} {what}", replace(plan, buffers={**plan.buffers, name: changed})
    for step, scratch in plan.scratch.items():
        for offset in (0, scratch.offset + 16, max(0, scratch.offset - 16)):
            yield f"scratch at {offset}", replace(plan, scratch={**plan.scratch, step: replace(scratch, offset=offset)})


def test_damage_is_found(graph: Graph) -> None:
    """The checker, which only looks, and the simulated arena, which computes, complain about the same Plans.

    A damaged Plan that neither complains about still computes the right result.
    """
    values = {"input": next(iter(int8_inputs(graph, 3)))}
    reference = run_graph(graph, values)
    for plan in plans_of(graph):
        found, harmless = 0, 0
        for what, broken in damaged(plan):
            results: list[Tensors] = []
            by_checker = complaint(lambda broken=broken: check_overlaps(broken))
            by_arena = complaint(lambda broken=broken, results=results: results.append(run_plan(broken, values)))
            assert bool(by_checker) == bool(by_arena), f"{what}: checker '{by_checker}', arena '{by_arena}'"
            if by_checker:
                found += 1
            else:
                harmless += 1
                assert first_difference(reference, results[0]) == "", what
        assert found > harmless, f"{found} found, {harmless} harmless"


@settings(max_examples=20)
@given(networks(), cut_lists, piece_lists, st.data())
def test_random_damage_is_found_by_both_or_harmless(
    graph: Graph, cuts: list[bool], pieces: list[int], data: st.DataObject
) -> None:
    plan = plan_with_cuts(graph, cuts, pieces)
    values = {"input": list(int8_inputs(graph, 3))[2]}
    name = data.draw(st.sampled_from(sorted(plan.buffers)))
    buffer = plan.buffers[name]
    slots = data.draw(st.integers(min(1, buffer.slots), buffer.slots))
    offset = data.draw(st.integers(0, max(0, plan.arena_bytes - slots * buffer.row_bytes)))
    broken = with_slots(moved(plan, name, offset - buffer.offset), name, slots)
    by_checker = complaint(lambda: check_overlaps(broken))
    by_arena = complaint(lambda: run_plan(broken, values))
    assert bool(by_checker) == bool(by_arena), f"checker '{by_checker}', arena '{by_arena}'"
    if not by_arena:
        assert first_difference(run_graph(graph, values), run_plan(broken, values)) == ""


def test_the_checker_names_step_bytes_and_owners() -> None:
    graph = quantized(tiny_mobilenet_v2())
    plan = plan_with_cuts(graph, NEVER)
    ring = next(buffer for buffer in plan.buffers.values() if buffer.is_ring and buffer.slots > 2)
    said = complaint(lambda: check_overlaps(with_slots(plan, ring.tensor, ring.slots - 1)))
    assert f"row {ring.slots - 1} of {ring.tensor} overwrites row 0 of {ring.tensor} at bytes {ring.offset}.." in said
    assert "which is still needed, step" in said


def test_the_order_of_buffers_changes_nothing() -> None:
    """Rings of planar rows carry their padding on, whichever tensor's pixels are counted first."""
    carrying = 0
    for plan in plans_of(quantized(tiny_mobilenet_v2(9, 8))):
        for name, buffer in plan.buffers.items():
            if buffer.planar and buffer.is_ring and any(buffer.pad):
                carrying += 1
                check_overlaps(replace(plan, buffers={name: buffer, **plan.buffers}))
    assert carrying


def test_an_arena_that_is_too_small_is_found(graph: Graph) -> None:
    values = {"input": np.zeros(graph.tensors["input"].shape, np.int8)}
    for plan in plans_of(graph):
        small = replace(plan, arena_bytes=max(buffer.end for buffer in plan.buffers.values()) - 1)
        if small.arena_bytes >= max((scratch.end for scratch in plan.scratch.values()), default=0):
            assert "leaves the arena" in complaint(lambda small=small: check_overlaps(small))
        assert complaint(lambda small=small: check_overlaps(small))
        assert "leave the arena" in complaint(lambda small=small: run_plan(small, values))


def test_a_loop_that_cannot_end_is_found() -> None:
    graph = quantized(tiny_mobilenet_v1())
    plan = plan_layerwise(graph, kernels_of(graph))
    first, second, *others = plan.loops
    swapped = replace(plan, loops=(Rows(second.calls), Rows(first.calls), *others))
    said = complaint(lambda: check_overlaps(swapped))
    assert "the loop stops after 0 of" in said and said.endswith("step 2, depthwise_conv2d_1")
    values = {"input": np.zeros(graph.tensors["input"].shape, np.int8)}
    assert "the loop stops after 0 of" in complaint(lambda: run_plan(swapped, values))
