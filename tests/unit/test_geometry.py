"""Views, upsampling and vectors: the judges agree with the planner, and find the fault that each check is for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from branchy_toys import ToyBuilder, toy_networks, toy_plan
from host_c import first_difference
from hypothesis import given, settings
from hypothesis import strategies as st
from models import same_window
from networks import cut_lists, int8_inputs, kernels_of, piece_lists
from toy_operators import TOYS, toys

from mbn2c.errors import InternalError
from mbn2c.ir.graph import Graph, Quant
from mbn2c.ir.plan import Buffer, Plan
from mbn2c.ir.text import print_plan
from mbn2c.ir.window import Window
from mbn2c.planner.cost import plan_instructions, weight_bytes_read
from mbn2c.planner.overlap import check_overlaps
from mbn2c.planner.streaming import TradeOffs
from mbn2c.reference.run_graph import run_graph
from mbn2c.reference.run_plan import run_plan


@pytest.fixture(autouse=True, scope="module")
def _with_toys() -> Iterator[None]:
    with toys():
        yield


def complaint(plan: Plan) -> tuple[str, str]:
    """What the overlap checker says, and what running says: that it stops, or what differs."""
    values = {"input": list(int8_inputs(plan.graph, 3, seed=1))[2]}
    said = []
    for check in (
        lambda: check_overlaps(plan) or "",
        lambda: first_difference(run_graph(plan.graph, values), run_plan(plan, values)),
    ):
        try:
            said.append(check())
        except InternalError as error:
            said.append(f"{error.what}, {error.where}")
    return said[0], said[1]


@given(toy_networks(), cut_lists, piece_lists)
def test_random_toys(graph: Graph, cuts: list[bool], pieces: list[int]) -> None:
    for plan in (toy_plan(graph, cuts), toy_plan(graph, (), pieces), toy_plan(graph, cuts, pieces)):
        assert complaint(plan) == ("", ""), print_plan(plan)


blocks = st.lists(st.sampled_from((1, 2, 3, 5)), min_size=1, max_size=4)


@given(toy_networks(), cut_lists, piece_lists, blocks, st.sampled_from((("scalar",), ("arm_dsp", "scalar"))))
def test_several_rows_in_a_run(
    graph: Graph, cuts: list[bool], pieces: list[int], blocks: list[int], isas: tuple[str, ...]
) -> None:
    for plan in (toy_plan(graph, cuts, (), isas, blocks), toy_plan(graph, (), pieces, isas, blocks)):
        assert complaint(plan) == ("", ""), print_plan(plan)


@given(toy_networks())
@settings(max_examples=10)
def test_the_search_plans_toys(graph: Graph) -> None:
    for point in TradeOffs(graph, kernels_of(graph)).curve:
        assert complaint(point.plan) == ("", ""), print_plan(point.plan)


@pytest.mark.slow
@settings(max_examples=500)
@given(toy_networks(6), cut_lists, piece_lists)
def test_many_random_toys(graph: Graph, cuts: list[bool], pieces: list[int]) -> None:
    for plan in (toy_plan(graph, cuts), toy_plan(graph, cuts, pieces)):
        assert complaint(plan) == ("", ""), print_plan(plan)


# --- one network, and its faults -----------------------------------------------------------------


@pytest.fixture(scope="module")
def plan(_with_toys: None) -> Plan:
    """Two convolutions made where their concatenation has them, a slice of that, an upsampling and a vector."""
    builder = ToyBuilder((8, 6, 3))
    x = builder.conv2d("input", 4, same_window(3, 1))
    a, b = builder.conv2d(x, 2), builder.depthwise(x, same_window(3, 1))
    both = builder.toy("concat", a, b)
    part = builder.toy("slice", builder.conv2d(both, 5, same_window(3, 1)), first=1, count=3)
    y = builder.toy("upsample", builder.depthwise(part, Window(stride=(2, 2))), factor=(2, 2))
    y = builder.toy("vector", y, builder.average_pool(part))
    return toy_plan(builder.finished(builder.conv2d(y, 2), builder.conv2d(a, 1)))


def changed(plan: Plan, tensor: str, **changes: object) -> Plan:
    return replace(plan, buffers={**plan.buffers, tensor: replace(plan.buffers[tensor], **changes)})


def test_what_lies_where(plan: Plan) -> None:
    assert complaint(plan) == ("", "")
    both = plan.buffers["toy_concat_3"]
    inside = {name: one for name, one in plan.buffers.items() if one.view_of}
    assert {name: (one.view_of, one.channel_offset_bytes) for name, one in inside.items()} == {
        "conv2d_1": ("toy_concat_3", 0),
        "depthwise_conv2d_2": ("toy_concat_3", 2),
        "toy_slice_5": ("conv2d_4", 1),
    }
    for name in ("conv2d_1", "depthwise_conv2d_2"):
        one = plan.buffers[name]
        assert (one.offset, one.row_bytes, one.slots, one.pad) == (both.offset, both.row_bytes, both.slots, both.pad)
        assert one.pixel_stride_bytes == both.pixel_bytes == 6
    assert [call.node for call in plan.calls if call.is_view] == ["toy_concat_3", "toy_slice_5"]
    assert "depthwise_conv2d_2: 8 rows" in print_plan(plan) or "in toy_concat_3 from byte 2" in print_plan(plan)


FAULTS: dict[str, tuple[str, dict[str, object]]] = {
    "channel offset off by one": ("depthwise_conv2d_2", {"channel_offset_bytes": 1}),
    "channel offset of a slice off by one": ("toy_slice_5", {"channel_offset_bytes": 2}),
    "pixel stride off by one": ("conv2d_1", {"pixel_stride_bytes": 5}),
    "pixel stride of the whole": ("toy_concat_3", {"pixel_stride_bytes": 7}),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_found_by_both_judges(fault: str, plan: Plan) -> None:
    tensor, changes = FAULTS[fault]
    by_checker, by_arena = complaint(changed(plan, tensor, **changes))
    assert by_checker and by_arena, (by_checker, by_arena)


LIES_ELSEWHERE: dict[str, tuple[object, object]] = {
    "offset": (-16, 16),
    "row_bytes": (-1, 1),
    "slots": (-1, 1),
    "pad": ((0, 0, 0, 0), (2, 1, 1, 1)),
    "pixel_stride_bytes": (-1, 1),
    "dtype": ("float32", "uint8"),
    "planar": (True, True),
}


@pytest.mark.parametrize("what", LIES_ELSEWHERE)
@pytest.mark.parametrize("side", [0, 1])
@pytest.mark.parametrize("tensor", ["conv2d_1", "depthwise_conv2d_2", "toy_concat_3"])
def test_a_view_lies_as_its_whole(tensor: str, what: str, side: int, plan: Plan) -> None:
    """Whichever of the two is moved, and to either side."""
    new, old = LIES_ELSEWHERE[what][side], getattr(plan.buffers[tensor], what)
    with pytest.raises(InternalError) as caught:
        check_overlaps(changed(plan, tensor, **{what: old + new if type(new) is int else new}))
    assert caught.value.what.startswith("toy_concat_3 and ") and caught.value.what.endswith(f"have another {what}")


def rings(plan: Plan) -> list[Buffer]:
    return [buffer for buffer in plan.buffers.values() if 1 < buffer.slots < buffer.rows and not buffer.view_of]


def test_a_shared_ring_one_row_short_is_found(plan: Plan) -> None:
    found = 0
    for ring in rings(plan):
        names = [name for name, one in plan.buffers.items() if ring.tensor in (name, one.view_of)]
        short = plan
        for name in names:
            short = changed(short, name, slots=ring.slots - 1)
        by_checker, by_arena = complaint(short)
        assert by_checker and by_arena, ring.tensor
        found += len(names) > 1
    assert found >= 1, "no ring is shared"


# --- several rows in a run -----------------------------------------------------------------------


def test_rows_of_a_run_need_their_rows_together() -> None:
    """Three rows at a time of a 3x3 window want five rows of the ring; with one less both judges complain."""
    builder = ToyBuilder((12, 5, 3))
    x = builder.depthwise(builder.conv2d("input", 4), same_window(3, 1))
    graph = builder.finished(builder.conv2d(x, 2))
    one, three = toy_plan(graph), toy_plan(graph, rows_per_run=(1, 3, 1))
    assert (one.buffers["conv2d_0"].slots, three.buffers["conv2d_0"].slots) == (3, 5)
    assert complaint(three) == ("", "")
    assert all(complaint(changed(three, "conv2d_0", slots=4)))
    assert [weight_bytes_read(plan.calls[2], graph) for plan in (one, three)] == [12 * 36, 4 * 36]
    kernels = kernels_of(graph)
    assert plan_instructions(one, kernels) == plan_instructions(three, kernels)
    slow = dict.fromkeys(kernels, 2.0)
    assert plan_instructions(one, kernels, slow) - plan_instructions(three, kernels, slow) == 2 * 8 * 36


# --- numbers of more than one byte ---------------------------------------------------------------


def wide(dtype: str) -> Graph:
    """A network that only copies, of numbers of any type."""
    builder = ToyBuilder((6, 5, 4))
    x = builder.toy("upsample", "input", factor=(2, 1))
    low, high = builder.toy("slice", x, first=0, count=1), builder.toy("slice", x, first=1, count=3)
    up = [builder.toy("upsample", one, factor=(1, 2)) for one in (low, high)]
    graph = builder.finished(builder.toy("concat", *up))
    quant = Quant(np.ones(1, np.float32), 5)
    return replace(graph, tensors={n: replace(one, dtype=dtype, quant=quant) for n, one in graph.tensors.items()})


def difference_or_complaint(reference: dict[str, np.ndarray], plan: Plan, values: np.ndarray) -> str:
    try:
        return first_difference(reference, run_plan(plan, {"input": values}))
    except InternalError as error:
        return error.what


@pytest.mark.parametrize("dtype", ["uint8", "int16", "int32"])
def test_numbers_of_any_type(dtype: str) -> None:
    graph = wide(dtype)
    bytes_each = np.dtype(dtype).itemsize
    values = np.random.default_rng(0).integers(0, 256, (1, 6, 5, 4 * bytes_each), np.uint8).view(dtype)
    for cuts in ([], [True] * 8):
        plan = toy_plan(graph, cuts)
        for name, one in plan.buffers.items():
            assert (one.dtype, one.pixel_bytes) == (dtype, graph.tensors[name].shape[3] * bytes_each)
        check_overlaps(plan)
        reference = run_graph(graph, {"input": values})
        assert first_difference(reference, run_plan(plan, {"input": values})) == ""
        shifted = next(one for one in plan.buffers.values() if one.channel_offset_bytes)
        broken = changed(plan, shifted.tensor, channel_offset_bytes=shifted.channel_offset_bytes - 1)
        with pytest.raises(InternalError):
            check_overlaps(broken)
        # Whose channels are read among others gets their neighbours: other numbers, and no complaint.
        assert difference_or_complaint(reference, broken, values)


def test_a_view_of_other_channels_than_its_operator_says(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    concat = TOYS["toy_concat"]
    right = type(concat).slices

    def swapped(self, node, graph):
        first, second = right(self, node, graph)
        return replace(first, target=second.count), replace(second, target=0)

    monkeypatch.setattr(type(concat), "slices", swapped)
    by_checker, _ = complaint(plan)
    assert "of toy_concat_3 lies" in by_checker


def test_the_maps_of_toys_say_what_they_need(plan: Plan) -> None:
    for node in plan.graph.nodes:
        if node.op in TOYS:
            shape = plan.graph.tensors[node.outputs[0]].shape
            for number in range(len(node.inputs)):
                for axis, one in enumerate(TOYS[node.op].row_maps(node, plan.graph, number)):
                    needed = [TOYS[node.op].needs(node, plan.graph, number, axis, y) for y in range(shape[1 + axis])]
                    assert [one.rows(y) for y in range(shape[1 + axis])] == needed
