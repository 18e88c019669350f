"""Branches, views, upsampling, vectors and rows in blocks, in C under ASan and UBSan: every byte is run_graph's."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from branchy import branchy_networks
from branchy_toys import ToyBuilder, toy_networks
from host_c import SANITIZE, Net, first_difference, run_program
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from models import same_window
from networks import int8_inputs, kernels_of, plan_with_cuts
from toy_operators import TOYS, toys

from mbn2c.ir.graph import Graph
from mbn2c.ir.plan import Plan
from mbn2c.planner.memory import allocate
from mbn2c.planner.schedule import make_schedule
from mbn2c.reference.run_graph import run_graph


@pytest.fixture(autouse=True, scope="module")
def _with_toys() -> Iterator[None]:
    with toys():
        yield


def differences(folder: Path, nets: Sequence[Net]) -> list[str]:
    """Of each net the first tensor that its C makes otherwise; what lies as a slice in another is seen there."""
    inputs = [list(int8_inputs(net.plan.graph, 3, seed=number)) for number, net in enumerate(nets)]
    found = []
    for net, images, results in zip(nets, inputs, run_program(folder, nets, inputs, "gcc", SANITIZE), strict=True):
        for values, tensors in zip(images, results, strict=True):
            reference = run_graph(net.plan.graph, {"input": values})
            seen = {name: one for name, one in reference.items() if not net.plan.buffers[name].is_slice}
            found.append(first_difference(seen, tensors))
    return [one for one in found if one]


def plans(graph: Graph) -> list[Plan]:
    """In one stream, in pieces, layer by layer, and with several rows in a run; only views that kernels can do."""
    names = [node.name for node in graph.nodes]
    kernels = kernels_of(graph)
    blocks = dict(zip(names, (2, 3, 1, 4) * len(names), strict=False))
    return [
        plan_with_cuts(graph, []),
        plan_with_cuts(graph, [], [2]),
        plan_with_cuts(graph, [True] * len(names)),
        allocate(make_schedule(graph, kernels, [names], rows_per_run=blocks), "blocks"),
    ]


def check(folder: Path, graphs: Sequence[Graph]) -> None:
    nets = [Net(f"n{g}_{p}", plan) for g, graph in enumerate(graphs) for p, plan in enumerate(plans(graph))]
    assert differences(folder, nets) == []


@settings(max_examples=1, phases=[Phase.generate])
@given(st.lists(st.one_of(branchy_networks(), toy_networks()), min_size=6, max_size=6))
def test_random_branches_under_sanitizers(tmp_path_factory: pytest.TempPathFactory, graphs: list[Graph]) -> None:
    check(tmp_path_factory.mktemp("nets"), graphs)


@pytest.mark.slow
@settings(max_examples=30, phases=[Phase.generate])
@given(st.lists(branchy_networks(3), min_size=10, max_size=10))
def test_300_random_branches_under_sanitizers(tmp_path_factory: pytest.TempPathFactory, graphs: list[Graph]) -> None:
    check(tmp_path_factory.mktemp("nets"), graphs)


@pytest.mark.slow
@settings(max_examples=10, phases=[Phase.generate])
@given(st.lists(toy_networks(5), min_size=10, max_size=10))
def test_100_random_toys_under_sanitizers(tmp_path_factory: pytest.TempPathFactory, graphs: list[Graph]) -> None:
    check(tmp_path_factory.mktemp("nets"), graphs)


# --- one of each, and its faults -----------------------------------------------------------------


def of_each() -> Graph:
    """A split whose parts are padded, a concatenation in place, every toy, and readers at several rates."""
    builder = ToyBuilder((6, 6, 4))
    x = builder.conv2d("input", 5, same_window(3, 1))
    low, high = (builder.toy("slice", x, first=first, count=count) for first, count in ((0, 2), (2, 3)))
    both = builder.toy("concat", builder.toy("row", low), high)
    y = builder.toy("upsample", builder.depthwise(both, same_window(3, 2)), factor=(2, 2))
    y = builder.toy("vector", builder.add(y, both), builder.conv2d(builder.average_pool(x), 5))
    return builder.finished(builder.conv2d(builder.toy("blend", y), 2, same_window(3, 1)), builder.conv2d(x, 1))


def test_every_kind_is_there_and_exact(tmp_path: Path) -> None:
    graph = of_each()
    assert {node.op for node in graph.nodes} >= set(TOYS)
    every = plans(graph)
    for plan in every:
        assert any(call.is_view for call in plan.calls)
    assert differences(tmp_path, [Net(f"n{number}", plan) for number, plan in enumerate(every)]) == []


def changed(plan: Plan, tensor: str, **changes: object) -> Plan:
    return replace(plan, buffers={**plan.buffers, tensor: replace(plan.buffers[tensor], **changes)})


@pytest.mark.parametrize("fault", ["channel offset", "row map", "edge", "vector", "column map"])
def test_a_fault_of_the_plan_shows_in_c(fault: str, tmp_path: Path) -> None:
    plan = plans(of_each())[0]
    slices = [name for name, buffer in plan.buffers.items() if buffer.channel_offset_bytes]
    if fault == "channel offset":
        plan = changed(plan, slices[0], channel_offset_bytes=plan.buffers[slices[0]].channel_offset_bytes - 1)
    else:
        op, change = {
            "row map": ("toy_upsample", {"denominator": 1, "numerator": 0}),
            "edge": ("toy_blend", {"phase": -2}),
            "vector": ("toy_row", {"numerator": 0}),
            "column map": ("toy_upsample", {"phase": 1}),
        }[fault]
        step = next(call.step for call in plan.calls if call.node.startswith(op))
        plan = with_map(plan, step, "column_map" if fault == "column map" else "row_map", change)
    assert differences(tmp_path, [Net("n", plan)])


def with_map(plan: Plan, step: int, which: str, change: dict[str, int]) -> Plan:
    def of(call):
        if call.step != step:
            return call
        first = replace(call.reads[0], **{which: replace(getattr(call.reads[0], which), **change)})
        return replace(call, reads=(first, *call.reads[1:]))

    loops = tuple(replace(loop, calls=tuple(of(call) for call in loop.calls)) for loop in plan.loops)
    return replace(plan, loops=loops)
