"""Rows made phase by phase where windows have dilation: fewer are kept, and no value changes, in Python and in C."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from host_c import SANITIZE, Net, first_difference, own_rows, run_program
from models import Builder, same_window
from networks import int8_inputs, kernels_of, quantized

from mbn2c.errors import InternalError
from mbn2c.ir.graph import Graph
from mbn2c.ir.plan import Plan, from_memory, in_memory
from mbn2c.ir.row_order import RowOrder
from mbn2c.ir.window import Window
from mbn2c.planner.columns import Pieces
from mbn2c.planner.memory import allocate
from mbn2c.planner.overlap import check_overlaps
from mbn2c.planner.phases import phases_of
from mbn2c.planner.schedule import make_schedule
from mbn2c.planner.streaming import TradeOffs
from mbn2c.planner.views import views_of
from mbn2c.reference.run_graph import run_graph
from mbn2c.reference.run_plan import run_plan


def dilated(by: int) -> Window:
    return Window((3, 3), (1, 1), (by, by, by, by), (by, by))


def network(height: int, dilations: tuple[int, ...], *, pool: bool = False) -> Graph:
    """Inverted residuals with dilation; with `pool` an image pooling branch whose one pixel is beside every other."""
    builder = Builder((height, 7, 3), seed=height)
    x = builder.conv2d("input", 4, same_window(3, 1))
    for by in dilations:
        y = builder.depthwise(builder.conv2d(x, 6), dilated(by))
        x = builder.add(builder.conv2d(y, 4), x)
    if pool:
        image = builder.resize(builder.conv2d(builder.average_pool(x), 3), x, "nearest")
        x = builder.conv2d(builder.concat(builder.conv2d(x, 5), image), 4)
    return quantized(builder.graph(builder.conv2d(x, 2, same_window(3, 1))))


def plan_of(graph: Graph, ends: tuple[int, ...], columns: int, *, phased: bool = True) -> Plan:
    """Segments that end before these nodes, in pieces of so many columns."""
    names, kernels = [node.name for node in graph.nodes], kernels_of(graph)
    edges = (0, *ends, len(names))
    segments = [names[first:end] for first, end in pairwise(edges)]
    phases = phases_of(graph, views_of(graph, kernels)) if phased else {}
    return allocate(make_schedule(graph, kernels, segments, [Pieces(columns)] * len(segments), phases=phases), "phases")


# (graph, where segments end, columns of a piece)
CASES = {
    "one loop": (network(9, (2,)), (), 0),
    "in pieces": (network(9, (2,)), (1,), 2),
    "twice": (network(13, (4, 4)), (1, 5), 0),
    "twice, in pieces": (network(13, (4, 4)), (1,), 3),
    "growing": (network(11, (2, 3)), (1, 5), 2),
    "lower than its dilation": (network(2, (3,)), (1,), 0),
    "with image pooling": (network(10, (2, 4), pool=True), (1, 5, 11), 2),
}


@pytest.fixture(scope="module")
def plans() -> dict[str, Plan]:
    return {name: plan_of(*case) for name, case in CASES.items()}


@pytest.mark.parametrize("name", CASES)
def test_the_plan_computes_the_graph(name: str, plans: dict[str, Plan]) -> None:
    graph, plan = CASES[name][0], plans[name]
    check_overlaps(plan)
    [values] = int8_inputs(graph, 1)
    reference, found = run_graph(graph, {"input": values}), run_plan(plan, {"input": values})
    assert all(np.array_equal(found[tensor], reference[tensor]) for tensor in found)
    assert any(buffer.phases > 1 for buffer in plan.buffers.values())


def test_rings_keep_a_window_without_dilation() -> None:
    graph, ends, columns = CASES["twice"]
    read = [node.inputs[0] for node in graph.nodes if node.op == "depthwise_conv2d"]
    assert {plan_of(graph, ends, columns).buffers[name].slots for name in read} == {3}
    assert {plan_of(graph, ends, columns, phased=False).buffers[name].slots for name in read} == {9}


def test_the_search_takes_them_where_they_save() -> None:
    graph = network(21, (4, 4))
    curve = TradeOffs(graph, kernels_of(graph)).curve
    smallest = min((point.plan for point in curve), key=lambda plan: plan.arena_bytes)
    assert any(buffer.phases == 4 for buffer in smallest.buffers.values())


@pytest.mark.parametrize("one_body", [False, True], ids=["a body for each step", "one body"])
def test_c_is_the_reference(
    one_body: bool, plans: dict[str, Plan], tmp_path: Path, need_tool: Callable[[str], str]
) -> None:
    need_tool("gcc")
    inputs = [list(int8_inputs(plan.graph, 2)) for plan in plans.values()]
    nets = [Net(f"n{number}", plan, one_body=one_body) for number, plan in enumerate(plans.values())]
    found = run_program(tmp_path, nets, inputs, "gcc", SANITIZE)
    for plan, images, results in zip(plans.values(), inputs, found, strict=True):
        for values, tensors in zip(images, results, strict=True):
            assert first_difference(own_rows(plan, run_graph(plan.graph, {"input": values})), tensors) == ""


@pytest.mark.parametrize("change", [{"phases": 2}, {"slots": 2}], ids=str)
def test_another_order_is_noticed(change: dict[str, int], plans: dict[str, Plan]) -> None:
    plan = plans["twice"]
    name = next(node.inputs[0] for node in plan.graph.nodes if node.op == "depthwise_conv2d")
    buffers = dict(plan.buffers) | {name: replace(plan.buffers[name], **change)}
    with pytest.raises(InternalError):
        check_overlaps(replace(plan, buffers=buffers))


def test_order() -> None:
    assert RowOrder(7, 3).in_order == [0, 3, 6, 1, 4, 2, 5]
    assert RowOrder(7, 3).positions == [0, 3, 5, 1, 4, 6, 2]
    assert RowOrder(2, 3).in_order == [0, 1]
    assert RowOrder(7, 3, top=2).in_order == [2, 5, 0, 3, 6, 1, 4]


def test_what_an_observer_sees(plans: dict[str, Plan]) -> None:
    plan = plans["twice"]
    buffer = next(one for one in plan.buffers.values() if one.phases > 1 and one.pad[0])
    values = np.arange(buffer.height * buffer.width * buffer.channels, dtype=np.int32).astype(np.int8)
    whole = values.reshape(1, buffer.height, buffer.width, buffer.channels)
    assert np.array_equal(from_memory(buffer, in_memory(buffer, whole, 0)), whole)
