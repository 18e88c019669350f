"""Graph -> Plan that streams: exact choice of where to cut, and of how wide pieces are.

All segments are measured once (`segments.py`). For every limit on live bytes, dynamic programming over the cuts gives
the cheapest way through the network; the limits from the smallest possible upward make the trade-off curve of RAM
against instructions. What a curve point really needs is known when its buffers have their places.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from mbn2c.errors import FitError, UsageError
from mbn2c.ir.graph import Graph
from mbn2c.ir.kernel import Kernel
from mbn2c.ir.plan import Plan
from mbn2c.planner.cost import plan_instructions
from mbn2c.planner.layerwise import plan_layerwise
from mbn2c.planner.memory import allocate
from mbn2c.planner.schedule import make_schedule
from mbn2c.planner.segments import Segments, measure_segments

OPTIMIZE = ("ram", "balanced", "speed")
# Widths of pieces that are tried, in columns of what the reader of a strip makes; 0 is whole rows.
PIECE_COLUMNS = (0, 2, 4, 8, 16)
_CURVE_POINTS = 7
# What all bytes alive at the least peak throughout the network would cost, as a share of all instructions.
_LEANNESS = 0.002
# How much more than the cheapest plan a goal may cost.
_MOST_EXTRA = {"ram": 0.11, "balanced": 0.04, "speed": 0.0}
# A little above the least peak there are plans whose buffers fit together better, or that cost much less.
_NEAR_LEAST = (1.0, 1.01, 1.02, 1.035, 1.05)
# Placing buffers may cost a little more than their live bytes, so with a limit some tighter plans are tried as well.
_LIMIT_STEPS = (1.0, 0.98, 0.95, 0.92, 0.88)


@dataclass(frozen=True, eq=False)
class TradeOff:
    """One point of the curve: a Plan, and what it is estimated to cost."""

    plan: Plan
    instructions: float


@dataclass(frozen=True)
class _Cut:
    """One segment of a way through the network: nodes `first` to `end` - 1."""

    first: int
    end: int
    piece_columns: int


def plan_streaming(
    graph: Graph, kernels: Mapping[str, Kernel], *, optimize: str = "balanced", ram_limit: int | None = None
) -> Plan:
    """The Plan that `optimize` asks for.

    ram       the least RAM for a tenth more instructions than the cheapest plan takes
    balanced  the least product of RAM and instructions for 4 % more
    speed     the least instructions, and of such plans the one with least RAM

    ram_limit  bytes the arena may have; the cheapest plan that fits is taken, whatever `optimize` says
    raises     FitError if no plan fits, with the smallest possible and the layer that makes it
    """
    return choose(trade_offs(graph, kernels, ram_limit=ram_limit), optimize, ram_limit).plan


def trade_offs(graph: Graph, kernels: Mapping[str, Kernel], *, ram_limit: int | None = None) -> list[TradeOff]:
    """The curve from least RAM to least instructions, and the plan layer by layer at its end for comparison."""
    search = _Search(graph, kernels)
    limits = [search.least_bytes * share for share in _NEAR_LEAST]
    limits += list(np.ceil(np.geomspace(search.least_bytes, search.fastest_bytes, _CURVE_POINTS)))
    if ram_limit is not None:
        limits += [max(ram_limit * share, search.least_bytes) for share in _LIMIT_STEPS]
    points = {cuts: search.trade_off(cuts) for cuts in (search.cheapest(limit) for limit in limits)}
    curve = _without_worse(points.values())
    layerwise = plan_layerwise(graph, kernels)
    return [*curve, TradeOff(layerwise, plan_instructions(layerwise, kernels))]


def choose(curve: Sequence[TradeOff], optimize: str, ram_limit: int | None = None) -> TradeOff:
    """The point of the curve that `optimize` asks for; its Plan's `schedule` says so."""
    if optimize not in OPTIMIZE:
        raise UsageError(f"no such goal: {optimize}", where="--optimize", hint=f"one of {', '.join(OPTIMIZE)}")
    if ram_limit is not None:
        fitting = [point for point in curve if point.plan.arena_bytes <= ram_limit]
        if not fitting:
            _refuse(curve, ram_limit)
        best = min(fitting, key=lambda point: (point.instructions, point.plan.arena_bytes))
        name = "streaming, cheapest below the limit"
    else:
        most = min(point.instructions for point in curve) * (1 + _MOST_EXTRA[optimize])
        weight = 1 if optimize == "balanced" else 0
        best = min(
            (point for point in curve if point.instructions <= most),
            key=lambda point: (point.plan.arena_bytes * point.instructions**weight, point.instructions),
        )
        name = f"streaming, {optimize}"
    return TradeOff(replace(best.plan, schedule=name), best.instructions)


def _refuse(curve: Sequence[TradeOff], ram_limit: int) -> None:
    smallest = min((point.plan for point in curve), key=lambda plan: plan.arena_bytes)
    node = next(call.node or "input" for call in smallest.calls if call.step == smallest.peak_step)
    raise FitError(
        f"the smallest arena possible is {smallest.arena_bytes:,} B, the limit leaves {ram_limit:,} B",
        where=f"step {smallest.peak_step}, {node}, where most bytes are alive",
        hint="a smaller input or a narrower network, or a board with more RAM",
    )


def _without_worse(points: Iterable[TradeOff]) -> list[TradeOff]:
    """By RAM; only points that are cheaper than all smaller ones."""
    curve: list[TradeOff] = []
    for point in sorted(points, key=lambda point: (point.plan.arena_bytes, point.instructions)):
        if not curve or point.instructions < curve[-1].instructions:
            curve.append(point)
    return curve


class _Search:
    """Ways through one network."""

    def __init__(self, graph: Graph, kernels: Mapping[str, Kernel]) -> None:
        self.graph, self.kernels = graph, kernels
        self.segments: Segments = measure_segments(graph, kernels, PIECE_COLUMNS)
        self.count = len(graph.nodes)
        self.least_bytes = self._least_peak(self.segments.peak_bytes.min(axis=2))
        self.costs = self._costs()
        self.fastest_bytes = self._fastest_peak()

    def _costs(self) -> np.ndarray:
        """Instructions, and a little for every byte alive: of equally cheap ways the leanest is easiest to place."""
        instructions = self.segments.instructions
        peaks = np.where(np.isfinite(instructions), self.segments.peak_bytes, 0)
        nodes = np.arange(self.count + 1)[None, :, None] - np.arange(self.count)[:, None, None]
        lean = _LEANNESS * instructions[0, -1].min() / (self.count * self.least_bytes)
        return np.asarray(instructions + lean * peaks * nodes)

    def _least_peak(self, peaks: np.ndarray) -> float:
        """The smallest possible largest peak on a way through the network; peaks [first, end]."""
        reached = np.full(self.count + 1, np.inf)
        reached[0] = 0
        for end in range(1, self.count + 1):
            reached[end] = np.maximum(reached[:end], peaks[:end, end]).min()
        return float(reached[-1])

    def _fastest_peak(self) -> float:
        """The smallest limit under which nothing is dearer than without one."""
        limits = np.unique(self.segments.peak_bytes[np.isfinite(self.segments.peak_bytes)])
        limits = limits[limits >= self.least_bytes]
        least_cost = self._walk(np.inf)[0]
        low, high = 0, len(limits) - 1
        while low < high:
            middle = (low + high) // 2
            if self._walk(limits[middle])[0] <= least_cost * (1 + 1e-9):
                high = middle
            else:
                low = middle + 1
        return float(limits[low])

    def _walk(self, limit: float) -> tuple[float, list[int], np.ndarray]:
        """(cost of the cheapest way with no peak above the limit, for each end where its segment starts, options)."""
        costs = np.where(self.segments.peak_bytes <= limit, self.costs, np.inf)
        options = costs.argmin(axis=2)
        costs = costs.min(axis=2)
        reached = np.full(self.count + 1, np.inf)
        reached[0] = 0
        starts = [0] * (self.count + 1)
        for end in range(1, self.count + 1):
            total = reached[:end] + costs[:end, end]
            # Of equally cheap ways the one with the longest last segment: fewer loops.
            starts[end] = int(total.argmin())
            reached[end] = total[starts[end]]
        return float(reached[-1]), starts, options

    def cheapest(self, limit: float) -> tuple[_Cut, ...]:
        """The cheapest way with no peak above the limit, which some way must keep."""
        _, starts, options = self._walk(limit)
        cuts: list[_Cut] = []
        end = self.count
        while end > 0:
            first = starts[end]
            cuts.append(_Cut(first, end, self.segments.piece_columns[int(options[first, end])]))
            end = first
        return tuple(reversed(cuts))

    def trade_off(self, cuts: Sequence[_Cut]) -> TradeOff:
        """The Plan of a way, and its cost."""
        names = [node.name for node in self.graph.nodes]
        segments = [names[cut.first : cut.end] for cut in cuts]
        schedule = make_schedule(self.graph, self.kernels, segments, [cut.piece_columns for cut in cuts])
        plan = allocate(schedule, "streaming")
        return TradeOff(plan, plan_instructions(plan, self.kernels))
