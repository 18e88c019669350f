"""The streaming planner: the RAM it must reach, exact cuts, limits, and C that runs in the order the planner played."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from host_c import SANITIZE, Context, Net, first_difference, load, run_program
from mobilenets import mobilenet_v1, mobilenet_v2
from models import RELU6, Builder, same_window, tiny_mobilenet_v1, tiny_mobilenet_v2
from networks import as_int8, int8_inputs, kernels_of, quantized

from mbn2c.emit.network.model import Names, model_files
from mbn2c.emit.network.steps import piece_rows
from mbn2c.errors import UsageError
from mbn2c.ir.graph import Graph
from mbn2c.ir.plan import Plan
from mbn2c.kernels import TABLES, kernels_of_plan
from mbn2c.planner.columns import Extent, Pieces, cut_into_pieces
from mbn2c.planner.cost import (
    call_instructions,
    moved_bytes,
    plan_instructions,
    surroundings_of,
    weight_bytes,
    weight_bytes_read,
)
from mbn2c.planner.layerwise import plan_layerwise
from mbn2c.planner.memory import allocate
from mbn2c.planner.overlap import check_overlaps
from mbn2c.planner.schedule import extents_of, inner_tensors, make_call, make_schedule, pads_of, scratch_sizes
from mbn2c.planner.segments import measure_segments
from mbn2c.planner.streaming import (
    MOST_EXTRA,
    OPTIMIZE,
    PIECES,
    Search,
    TradeOff,
    TradeOffs,
    cheapest_within,
)
from mbn2c.planner.timeline import simulate
from mbn2c.reference.run_graph import run_graph
from mbn2c.reference.run_plan import run_plan

KIB = 1024
# Worst-case stacks of the generated C on Cortex-M are 180 to 390 bytes; the builds measure them.
STACK_BYTES = 512

NETWORKS = {
    "mobilenet_v2_1.0_224": lambda: mobilenet_v2(1.0, 224),
    "mobilenet_v2_0.35_224": lambda: mobilenet_v2(0.35, 224),
    "mobilenet_v2_0.35_96": lambda: mobilenet_v2(0.35, 96),
    "vww_96": lambda: mobilenet_v1(0.25, 96, classes=2),
    "mobilenet_v1_1.0_224": lambda: mobilenet_v1(1.0, 224),
}


@cache
def ways_of(name: str) -> TradeOffs:
    graph = as_int8(NETWORKS[name]())
    return TradeOffs(graph, kernels_of(graph))


def curve_of(name: str) -> tuple[TradeOff, ...]:
    return tuple(ways_of(name).curve)


def total_bytes(plan: Plan) -> int:
    return plan.arena_bytes + plan.context_bytes(32) + STACK_BYTES


# --- what must be reached ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "goal", "limit_kib", "most_extra"),
    [
        ("mobilenet_v2_1.0_224", "ram", 93, 0.115),
        ("mobilenet_v2_1.0_224", "balanced", 93, 0.045),
        ("mobilenet_v2_0.35_224", "ram", 42, 0.115),
        ("mobilenet_v2_0.35_224", "balanced", 42, 0.045),
        ("mobilenet_v2_0.35_96", "ram", 12.5, 0.115),
        ("mobilenet_v2_0.35_96", "balanced", 13, 0.045),
        ("vww_96", "ram", 11.5, 0.115),
        ("vww_96", "balanced", 12, 0.045),
        ("mobilenet_v1_1.0_224", "ram", 130, 0.115),
        ("mobilenet_v1_1.0_224", "balanced", 130, 0.045),
    ],
)
def test_ram_and_instructions(name: str, goal: str, limit_kib: float, most_extra: float) -> None:
    chosen = ways_of(name).best(goal)
    layerwise = curve_of(name)[-1]
    assert total_bytes(chosen.plan) <= limit_kib * KIB
    assert chosen.instructions <= layerwise.instructions * (1 + most_extra)


@pytest.mark.parametrize("name", NETWORKS)
def test_curve_falls(name: str) -> None:
    curve = curve_of(name)
    assert 5 <= len(curve) <= 10
    for small, large in pairwise(curve[:-1]):
        assert small.plan.arena_bytes < large.plan.arena_bytes
        assert small.instructions > large.instructions
    assert curve[-1].plan.schedule == "layerwise"
    assert all(point.plan.lower_bound_bytes <= point.plan.arena_bytes for point in curve)


def test_planning_examines_few_plans() -> None:
    """Planning MobileNetV2 takes a few seconds: all segments are measured once, and few plans are laid out in full."""
    search = Search(NETWORKS["mobilenet_v2_1.0_224"](), kernels_of(NETWORKS["mobilenet_v2_1.0_224"]()))
    count = search.count
    assert search.segments.peak_bytes.shape == (count, count + 1, len(PIECES))
    assert np.isfinite(search.segments.peak_bytes).sum() == count * (count + 1) // 2 * len(PIECES) <= 70_000
    assert len(curve_of("mobilenet_v2_1.0_224")) <= 20


def test_planning_is_deterministic() -> None:
    graph = as_int8(NETWORKS["vww_96"]())
    first, second = (TradeOffs(graph, kernels_of(graph)).best("balanced").plan for _ in range(2))
    assert (first.loops, first.buffers, first.scratch) == (second.loops, second.buffers, second.scratch)


# --- goals and limits ----------------------------------------------------------------------------


def test_goals_are_ordered() -> None:
    ram, balanced, speed = (ways_of("mobilenet_v2_1.0_224").best(goal) for goal in ("ram", "balanced", "speed"))
    assert ram.plan.arena_bytes <= balanced.plan.arena_bytes <= speed.plan.arena_bytes
    assert ram.instructions >= balanced.instructions >= speed.instructions
    assert [point.plan.schedule for point in (ram, speed)] == ["streaming, ram", "streaming, speed"]
    with pytest.raises(UsageError, match="no such goal: size"):
        ways_of("vww_96").best("size")


@pytest.mark.parametrize("goal", OPTIMIZE)
@pytest.mark.parametrize("name", ["vww_96", "mobilenet_v2_0.35_96"])
def test_a_goal_takes_the_point_of_the_whole_curve_that_it_says(name: str, goal: str) -> None:
    graph = as_int8(NETWORKS[name]())
    chosen = TradeOffs(graph, kernels_of(graph)).best(goal)  # of which no curve was made
    curve = curve_of(name)
    most = min(point.instructions for point in curve) * (1 + MOST_EXTRA[goal])
    weight = 1 if goal == "balanced" else 0
    wanted = min(
        (point for point in curve if point.instructions <= most),
        key=lambda point: (point.plan.arena_bytes * point.instructions**weight, point.instructions),
    )
    assert (chosen.plan.loops, chosen.plan.buffers) == (wanted.plan.loops, wanted.plan.buffers)


def test_limit_gives_the_cheapest_plan_that_fits() -> None:
    curve = curve_of("vww_96")
    plan = cheapest_within(curve, lambda plan: plan.arena_bytes <= 12 * KIB)
    assert plan is not None and plan.arena_bytes <= 12 * KIB
    instructions = plan_instructions(plan, kernels_of(plan.graph))
    assert instructions == min(point.instructions for point in curve if point.plan.arena_bytes <= 12 * KIB)
    assert instructions < curve[0].instructions
    assert cheapest_within(curve, lambda plan: plan.arena_bytes < curve[0].plan.arena_bytes) is None


# --- exactness -----------------------------------------------------------------------------------


def ways(count: int) -> Iterator[list[tuple[int, int]]]:
    """All ways to cut nodes 0 to count - 1 into segments (first, end)."""
    for mask in range(1 << (count - 1)):
        ends = [index + 1 for index in range(count - 1) if mask >> index & 1] + [count]
        yield list(zip([0, *ends[:-1]], ends, strict=True))


def test_search_finds_what_trying_all_ways_finds() -> None:
    builder = Builder((20, 16, 3))
    x = builder.conv2d("input", 6, same_window(3, 2), RELU6)
    x = builder.inverted_residual(x, 6, 3, same_window(3, 1))
    x = builder.inverted_residual(x, 10, 3, same_window(3, 2))
    graph = builder.graph(builder.average_pool(x))
    kernels, count = kernels_of(graph), len(graph.nodes)
    peaks = measure_segments(graph, kernels, scratch_sizes(graph, kernels), PIECES).peak_bytes.min(axis=2)
    best = min(max(peaks[first, end] for first, end in way) for way in ways(count))
    smallest = min(point.plan.lower_bound_bytes for point in TradeOffs(graph, kernels).curve)
    assert smallest <= best


@pytest.mark.parametrize("make", [tiny_mobilenet_v2, tiny_mobilenet_v1])
@pytest.mark.parametrize("pieces", [Pieces(), Pieces(1), Pieces(2), Pieces(4), Pieces(2, 1), Pieces(4, 2)])
def test_measured_peaks_are_never_too_small(make: Callable[[], Graph], pieces: Pieces) -> None:
    graph = make()
    kernels, names = kernels_of(graph), [node.name for node in graph.nodes]
    peaks = measure_segments(graph, kernels, scratch_sizes(graph, kernels), [pieces]).peak_bytes
    for way in list(ways(len(names)))[:: max(1, 2 ** (len(names) - 7))]:
        schedule = make_schedule(graph, kernels, [names[a:b] for a, b in way], [pieces] * len(way))
        exact = allocate(schedule, "way").lower_bound_bytes
        assert exact <= max(peaks[first, end, 0] for first, end in way)


def test_nothing_is_computed_twice() -> None:
    for point in curve_of("vww_96"):
        for call in point.plan.calls:
            write = point.plan.buffers[call.write]
            over = point.plan.buffers[call.reads[0].tensor] if call.accumulates else write
            assert list(call.pieces) == sorted(set(call.pieces))
            if call.pieces:
                assert call.pieces[-1] == (over.width if call.accumulates else over.columns)


# --- pieces --------------------------------------------------------------------------------------


def expand_depthwise_project(kernel: int, stride: int) -> Graph:
    builder = Builder((30, 30, 4))
    x = builder.conv2d("input", 12, activation=RELU6)
    x = builder.depthwise(x, same_window(kernel, stride), RELU6)
    return builder.graph(builder.conv2d(x, 6))


@pytest.mark.parametrize(
    ("kernel", "stride", "expanded", "columns", "kept", "depthwise"),
    [
        # 3x3: a strip holds a piece, two columns of the one before, and the padding on the right.
        (3, 1, (11, 21, 32), 13, (0, 9, 19), (9, 19, 30)),
        # Stride 2: pieces are twice as wide as what is made of them.
        (3, 2, (17, 32), 17, (0, 16), (8, 15)),
        (5, 1, (12, 22, 34), 16, (0, 8, 18), (8, 18, 30)),
    ],
)
def test_where_pieces_end(
    kernel: int,
    stride: int,
    expanded: tuple[int, ...],
    columns: int,
    kept: tuple[int, ...],
    depthwise: tuple[int, ...],
) -> None:
    graph = expand_depthwise_project(kernel, stride)
    pads = pads_of(graph)
    calls = [
        make_call(step, node, graph, pads, kernels_of(graph)[node.name])
        for step, node in enumerate(graph.nodes, start=1)
    ]
    inner = inner_tensors(graph, [node.name for node in graph.nodes])
    pieced, strips = cut_into_pieces(calls, extents_of(graph, pads), inner, Pieces(10 if stride == 1 else 8))
    assert [call.pieces for call in pieced] == [expanded, depthwise, depthwise]
    strip = strips["conv2d_0"]
    assert (strip.slots, strip.columns, strip.kept) == (kernel - 1, columns, kept)
    assert strips["depthwise_conv2d_1"].slots == 0
    assert extents_of(graph, pads)["conv2d_0"] == Extent(kernel // 2, 30, kernel // 2)


def test_weights_are_counted_once_per_run() -> None:
    graph = expand_depthwise_project(3, 1)
    names = [node.name for node in graph.nodes]
    plan = allocate(make_schedule(graph, kernels_of(graph), [names], [Pieces(10)]), "pieces")
    read = {call.node: weight_bytes_read(call, graph) // max(1, weight_bytes(call, graph)) for call in plan.calls}
    assert read == {"": 0, "conv2d_0": 30 * 3, "depthwise_conv2d_1": 30 * 3, "conv2d_2": 30 * 3}


@pytest.mark.parametrize("isa", sorted(TABLES.keys() - {"arm_dsp_quads"}))  # which read no 3x3 windows
def test_a_piece_of_the_input_costs_what_the_schedule_takes(isa: str) -> None:
    """No kernel makes it: where one that is slow to enter reads it, thin pieces are no more expensive than elsewhere.

    Counted in the emulator on all cores: 141 to 215 instructions, and those for moving bytes.
    """
    builder = Builder((30, 30, 8))
    x = builder.depthwise(builder.conv2d("input", 16, same_window(3, 1)), same_window(3, 1))
    graph = quantized(builder.graph(builder.conv2d(x, 8)))
    names = [node.name for node in graph.nodes]
    kernels = kernels_of(graph, (isa, "scalar"))
    assert kernels[names[0]] in TABLES[isa]
    plan = allocate(make_schedule(graph, kernels, [names], [Pieces(10, 0)]), "pieces")
    call, around = plan.calls[0], surroundings_of(plan, kernels)
    moved = moved_bytes(call, around)
    assert len(call.pieces) == 3 and moved > 0
    price = call_instructions(call, around) - kernels[names[0]].rates.moved * moved
    assert 141 <= price / (2 * 30) <= 215


# --- in C ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def tiny() -> tuple[Graph, list[Plan]]:
    graph = quantized(tiny_mobilenet_v2(33, 40))
    return graph, [point.plan for point in TradeOffs(graph, kernels_of(graph)).curve]


def test_every_plan_of_a_curve_is_exact(tiny: tuple[Graph, list[Plan]], tmp_path: Path) -> None:
    graph, plans = tiny
    assert any(plan.pieced_steps for plan in plans)
    images = list(int8_inputs(graph, 3))
    references = [run_graph(graph, {"input": image}) for image in images]
    nets = [Net(f"n{index}", plan) for index, plan in enumerate(plans)]
    found = run_program(tmp_path, nets, [images] * len(nets), "gcc", SANITIZE)
    for plan, results in zip(plans, found, strict=True):
        check_overlaps(plan)
        assert first_difference(references[2], run_plan(plan, {"input": images[2]})) == ""
        for reference, tensors in zip(references, results, strict=True):
            assert first_difference(reference, tensors) == "", plan.schedule


def test_pieces_are_as_small_as_their_columns(tmp_path: Path) -> None:
    """A byte a number where all are below 256; a table of two widths side by side in one program."""
    nets, images = [], []
    for width in (253, 400):
        builder = Builder((5, width, 2))
        x = builder.depthwise(builder.conv2d("input", 4, same_window(3, 1)), same_window(3, 1))
        graph = quantized(builder.graph(builder.conv2d(x, 3)), 1)
        schedule = make_schedule(graph, kernels_of(graph), [[node.name for node in graph.nodes]], [Pieces(60, 0)])
        nets.append(Net(f"w{width}", allocate(schedule, "stream")))
        images.append(list(int8_inputs(graph, 3)))
    found = run_program(tmp_path, nets, images, "gcc", SANITIZE)
    for net, (kind, most), inputs, results in zip(
        nets, [("uint8_t", 255), ("uint16_t", 511)], images, found, strict=True
    ):
        calls = net.plan.calls
        numbers = [value for call in calls for row in piece_rows(net.plan, call) for value in row.values()]
        assert most // 2 < max(int(value) for value in numbers) <= most
        text = (tmp_path / f"{net.prefix}.c").read_text(encoding="utf-8")
        assert re.findall(r"#define MBN_COLUMN (\w+)", text) == [kind]
        for image, tensors in zip(inputs, results, strict=True):
            assert first_difference(run_graph(net.plan.graph, {"input": image}), tensors) == ""


@pytest.mark.parametrize(("isas", "columns"), [(("armv6m_lanes", "armv6m"), 8), (("arm_dsp",), 4)])
def test_the_steps_of_a_network_can_be_read(isas: Sequence[str], columns: int) -> None:
    """At most 540 lines of vww_96, cut as `ram` cuts it: these have the most words of params, and the most pieces.

    Some 40 are the functions that make structs of tables without the columns that all rows share.
    """
    graph = quantized(NETWORKS["vww_96"](), 1)
    kernels = kernels_of(graph, (*isas, "scalar"))
    names = [node.name for node in graph.nodes]
    segments = [names[:8], *([name] for name in names[8:])]
    schedule = make_schedule(graph, kernels, segments, [Pieces(columns, 1), *([Pieces()] * (len(names) - 8))])
    plan = allocate(schedule, "stream")
    assert plan.pieced_steps >= 7
    assert sum(len(piece_rows(plan, call)) for call in plan.calls) >= 160 // columns
    files = model_files(plan, kernels_of_plan(plan, (*isas, "scalar")), Names("network", "vww_96", bytes(32)))
    assert len(files["network.c"].splitlines()) <= 540


def test_c_runs_in_the_order_the_planner_played(tiny: tuple[Graph, list[Plan]], tmp_path: Path) -> None:
    graph, _ = tiny
    names = [node.name for node in graph.nodes]
    wanted = (Pieces(), Pieces(2), Pieces(4, 2))
    schedules = [make_schedule(graph, kernels_of(graph), [names], [pieces]) for pieces in wanted]
    nets = [Net(f"n{index}", allocate(schedule, "stream")) for index, schedule in enumerate(schedules)]
    library = load(tmp_path, nets)
    image = next(int8_inputs(graph, 1))
    for net, schedule in zip(nets, schedules, strict=True):
        context = Context(library, net)
        context.observe()
        context.run(image)
        # The observer is told of rows that hold pixels, so padding and rows that are only summed up are missing.
        seen = [step for step, _ in context.seen]
        order = list(simulate(schedule).ran)
        assert _is_subsequence(seen, order)
        assert len(seen) == sum(_pixel_runs(net.plan, call) for call in net.plan.calls)


def _pixel_runs(plan: Plan, call) -> int:
    return 1 if call.accumulates else plan.buffers[call.write].height * max(1, len(call.pieces))


def _is_subsequence(short: list[int], long: list[int]) -> bool:
    rest = iter(long)
    return all(step in rest for step in short)


def test_layerwise_is_still_one_loop_per_node() -> None:
    graph = tiny_mobilenet_v2()
    plan = plan_layerwise(graph, kernels_of(graph))
    assert [len(loop.calls) for loop in plan.loops] == [2] + [1] * (len(graph.nodes) - 1)
    assert plan.pieced_steps == 0
    assert np.isfinite(plan_instructions(plan, kernels_of(graph)))
