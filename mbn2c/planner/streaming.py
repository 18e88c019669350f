"""Graph -> Plans that stream: exact choice of where to cut, and of how rows are cut into pieces.

All segments are measured once (`segments.py`). For every limit on live bytes, dynamic programming over the cuts gives
the cheapest way through the network; going from limit to limit makes the trade-off curve of RAM against instructions.
What a point of the curve really needs is known when its buffers have their places.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from mbn2c.errors import UsageError
from mbn2c.ir.graph import Graph
from mbn2c.ir.kernel import Kernel
from mbn2c.ir.plan import Plan
from mbn2c.planner.columns import Pieces
from mbn2c.planner.cost import plan_instructions
from mbn2c.planner.geometry import Geometries
from mbn2c.planner.layerwise import LAYERWISE, schedule_layerwise
from mbn2c.planner.memory import allocate
from mbn2c.planner.phases import phases_of
from mbn2c.planner.schedule import Schedule, make_schedule, scratch_sizes
from mbn2c.planner.segments import Segments, measure_segments
from mbn2c.planner.views import views_of

OPTIMIZE = ("ram", "balanced", "speed")
BELOW_LIMIT = "streaming, cheapest below the limit"
# What a Plan that was chosen says of how it was.
SCHEDULES = (*(f"streaming, {goal}" for goal in OPTIMIZE), BELOW_LIMIT)
# Widths of pieces that are tried, in columns of what the reader of a strip makes, and where in a segment they begin.
_COLUMNS = (2, 3, 4, 6, 8, 12, 16)
_FIRST_CALLS = (0, 1, 2, 3)
PIECES = (Pieces(), *(Pieces(columns, first) for columns in _COLUMNS for first in _FIRST_CALLS))
_CURVE_POINTS = 6
# What keeping the minimum peak's live bytes throughout the network would cost, as a share of all instructions.
_LEANNESS = 0.002
# How much more than the cheapest plan a goal may cost.
MOST_EXTRA = {"ram": 0.115, "balanced": 0.045, "speed": 0.0}
# Placing buffers may cost a little more than their live bytes, so with a limit some tighter plans are tried as well.
_LIMIT_STEPS = (1.0, 0.98, 0.95, 0.92, 0.88)


@dataclass(frozen=True, eq=False)
class TradeOff:
    """One point of the curve: a Plan, and what it is estimated to cost."""

    plan: Plan
    instructions: float


@dataclass(frozen=True)
class Cut:
    """One segment of a way through the network: nodes `first` to `end` - 1, how its rows are cut, and who waits."""

    first: int
    end: int
    pieces: Pieces
    waits: bool


@dataclass(frozen=True)
class Way:
    """One way through the network: its segments, their largest peak of live bytes, and what they cost together."""

    cuts: tuple[Cut, ...]
    peak_bytes: float
    instructions: float


class TradeOffs:
    """The curve of one network, whose plans have their buffers placed, which takes longest, when somebody asks."""

    def __init__(
        self,
        graph: Graph,
        kernels: Mapping[str, Kernel],
        *,
        ram_limit: int | None = None,
        known: Geometries | None = None,
    ) -> None:
        """The points from minimum RAM to fewest instructions.

        ram_limit  bytes of arena near which plans are looked for most closely
        known      what plans of this Graph with other kernels have worked out
        """
        phased = phases_of(graph, views_of(graph, kernels))
        searches = [Search(graph, kernels, known=known, phases=phases) for phases in ({}, phased)[: 1 + bool(phased)]]
        self._sketches = [search.sketch(way) for search in searches for way in _chosen(search.front(), ram_limit)]
        self._layerwise = _Sketch(schedule_layerwise(graph, kernels, searches[0].scratch), kernels, LAYERWISE)

    @cached_property
    def curve(self) -> list[TradeOff]:
        """All of it, and the plan layer by layer at its end."""
        return [*_without_worse(sketch.trade_off for sketch in self._sketches), self._layerwise.trade_off]

    def best(self, optimize: str) -> TradeOff:
        """The point that a goal asks for; its Plan's `schedule` says so. Plans that cannot be it are not placed.

        ram       the minimum RAM for a tenth more instructions than the cheapest plan takes
        balanced  the minimum product of RAM and instructions for 4 % more
        speed     the fewest instructions, and of such plans the one with minimum RAM
        """
        if optimize not in OPTIMIZE:
            raise UsageError(f"no such goal: {optimize}", where="--optimize", hint=f"one of {', '.join(OPTIMIZE)}")
        weight = 1 if optimize == "balanced" else 0

        def rank(arena_bytes: int, instructions: float) -> tuple[float, float]:
            return arena_bytes * instructions**weight, instructions

        points = [*self._sketches, self._layerwise]
        most = min(point.instructions for point in points) * (1 + MOST_EXTRA[optimize])
        at_least = [rank(point.least_bytes, point.instructions) for point in points]
        # The first in the curve's order wins where ranks are equal.
        best: tuple[tuple[float, float], int, TradeOff] | None = None
        for index in sorted(range(len(points)), key=at_least.__getitem__):
            if points[index].instructions > most:
                continue
            if best is not None and at_least[index] > best[0]:
                break
            placed = points[index].trade_off
            candidate = (rank(placed.plan.arena_bytes, placed.instructions), index, placed)
            best = candidate if best is None else min(best, candidate, key=lambda one: one[:2])
        assert best is not None
        return TradeOff(replace(best[2].plan, schedule=f"streaming, {optimize}"), best[2].instructions)


class _Sketch:
    """A Plan whose buffers have no places yet."""

    def __init__(self, schedule: Schedule, kernels: Mapping[str, Kernel], name: str) -> None:
        self._schedule, self._name = schedule, name
        plan = allocate(schedule, name, is_placed=False)
        self.least_bytes = plan.lower_bound_bytes
        self.instructions = plan_instructions(plan, kernels)

    @cached_property
    def trade_off(self) -> TradeOff:
        """With its buffers placed."""
        return TradeOff(allocate(self._schedule, self._name), self.instructions)


def cheapest_within(curve: Sequence[TradeOff], fits: Callable[[Plan], bool]) -> Plan | None:
    """The cheapest Plan of the curve that fits, or None; its `schedule` says that it had to."""
    fitting = [point for point in curve if fits(point.plan)]
    if not fitting:
        return None
    best = min(fitting, key=lambda point: (point.instructions, point.plan.arena_bytes))
    return replace(best.plan, schedule=BELOW_LIMIT)


def _chosen(front: Sequence[Way], ram_limit: int | None) -> list[Way]:
    """The ways worth a Plan: the ends of the front, what each goal may take, those near the limit, some between."""
    least_cost = min(way.instructions for way in front)
    wanted = [front[0], front[-1]]
    for extra in MOST_EXTRA.values():
        wanted.append([way for way in front if way.instructions <= least_cost * (1 + extra)][-1])
    for limit in [ram_limit * share for share in _LIMIT_STEPS] if ram_limit is not None else []:
        wanted += [way for way in front if way.peak_bytes <= limit][:1]
    for peak in np.geomspace(front[0].peak_bytes, front[-1].peak_bytes, _CURVE_POINTS):
        wanted.append(min(front, key=lambda way: abs(way.peak_bytes - peak)))
    return [way for way in front if way in wanted]


def _without_worse(points: Iterable[TradeOff]) -> list[TradeOff]:
    """By RAM; only points that are cheaper than all smaller ones."""
    curve: list[TradeOff] = []
    for point in sorted(points, key=lambda point: (point.plan.arena_bytes, point.instructions)):
        if not curve or point.instructions < curve[-1].instructions:
            curve.append(point)
    return curve


class Search:
    """Ways through one network."""

    def __init__(
        self,
        graph: Graph,
        kernels: Mapping[str, Kernel],
        pieces: Sequence[Pieces] = PIECES,
        known: Geometries | None = None,
        phases: Mapping[str, int] | None = None,
    ) -> None:
        self.graph, self.kernels, self.phases = graph, kernels, phases or {}
        self.scratch = scratch_sizes(graph, kernels)
        self.segments: Segments = measure_segments(graph, kernels, self.scratch, pieces, known, self.phases)
        self.count = len(graph.nodes)
        self.least_bytes = self._least_peak(self.segments.peak_bytes.min(axis=2))
        self.costs = self._costs()

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

    def _walk(self, limit: float) -> tuple[list[int], np.ndarray]:
        """For the cheapest way with no peak above the limit: for each end where its segment starts; options."""
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
        return starts, options

    def cheapest(self, limit: float) -> Way:
        """The cheapest way with no peak above the limit, which some way must keep."""
        starts, options = self._walk(limit)
        cuts: list[Cut] = []
        peak, instructions = 0.0, 0.0
        end = self.count
        while end > 0:
            first = starts[end]
            option = int(options[first, end])
            cuts.append(Cut(first, end, *self.segments.options[option]))
            peak = max(peak, float(self.segments.peak_bytes[first, end, option]))
            instructions += float(self.segments.instructions[first, end, option])
            end = first
        return Way(tuple(reversed(cuts)), peak, instructions)

    def front(self) -> list[Way]:
        """All ways that are the cheapest for some limit on live bytes, from the largest peak to the minimum."""
        ways = [self.cheapest(np.inf)]
        while ways[-1].peak_bytes > self.least_bytes:
            ways.append(self.cheapest(ways[-1].peak_bytes - 1))
        # Since leanness counts too, some of these are more expensive than the next.
        return [way for way, next_way in zip(ways, [*ways[1:], None], strict=True) if _is_cheaper(way, next_way)]

    def sketch(self, way: Way) -> _Sketch:
        """The Plan of a way."""
        names = [node.name for node in self.graph.nodes]
        segments = [names[cut.first : cut.end] for cut in way.cuts]
        pieces, waits = [cut.pieces for cut in way.cuts], [cut.waits for cut in way.cuts]
        schedule = make_schedule(
            self.graph, self.kernels, segments, pieces, self.scratch, phases=self.phases, waits=waits
        )
        return _Sketch(schedule, self.kernels, "streaming")


def _is_cheaper(way: Way, other: Way | None) -> bool:
    return other is None or way.instructions < other.instructions
