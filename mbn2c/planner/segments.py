"""Graph and kernels -> for every segment a network can be cut into: its peak of live bytes, and its cost.

One simulation of everything from node i on serves all segments that start at i, since deeper calls do not change the
order of those above them. Pieces are not simulated here: their reads are taken to last, and their writes to begin,
as if the whole row went through at once, which is never too little.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mbn2c.ir.graph import Graph
from mbn2c.ir.kernel import Kernel
from mbn2c.ir.plan import Call, Rows
from mbn2c.planner.columns import Pieces, Strip, cut_into_pieces
from mbn2c.planner.cost import Surroundings, call_instructions
from mbn2c.planner.lifetimes import shared, slots_needed
from mbn2c.planner.schedule import Schedule, extents_of, inner_tensors, make_call, pads_of
from mbn2c.planner.timeline import Timeline, simulate
from mbn2c.planner.views import views_of


@dataclass(frozen=True, eq=False)
class Segments:
    """Entry [i, j, k]: the segment of nodes i to j - 1 with `pieces[k]`; infinite where i >= j.

    peak_bytes    live bytes at its fullest moment, tensors that only pass by included
    instructions  estimate for its calls
    """

    pieces: tuple[Pieces, ...]
    peak_bytes: np.ndarray
    instructions: np.ndarray


def measure_segments(
    graph: Graph, kernels: Mapping[str, Kernel], scratch: Mapping[str, int], pieces: Sequence[Pieces]
) -> Segments:
    """Peaks and costs of all segments; scratch: `schedule.scratch_sizes`."""
    count = len(graph.nodes)
    peaks = np.full((count, count + 1, len(pieces)), np.inf)
    costs = np.full((count, count + 1, len(pieces)), np.inf)
    for first in range(count):
        suffix = _Suffix(graph, kernels, scratch, first)
        for option, wanted in enumerate(pieces):
            peaks[first, first + 1 :, option], costs[first, first + 1 :, option] = suffix.measure(wanted)
    return Segments(tuple(pieces), peaks, costs)


class _Suffix:
    """Everything from node `first` on as one loop over whole rows."""

    def __init__(self, graph: Graph, kernels: Mapping[str, Kernel], scratch: Mapping[str, int], first: int) -> None:
        self.graph, self.kernels, self.first = graph, kernels, first
        self.views = views_of(graph, kernels)
        self.pads = pads_of(graph, self.views)
        nodes = graph.nodes[first:]
        calls = [
            make_call(step, node, graph, self.pads, kernels[node.name], self.views)
            for step, node in enumerate(nodes, first + 1)
        ]
        if first == 0:
            calls.insert(0, Call(0, "", (), graph.inputs[0].tensor))
        self.calls = calls
        self.extents = extents_of(graph, self.pads)
        self.inner = inner_tensors(graph, [node.name for node in nodes], self.views)
        self.measured: dict[tuple[tuple[int, ...], ...], tuple[np.ndarray, np.ndarray]] = {}
        self.schedule = Schedule(graph, (Rows(tuple(calls)),), self.pads, kernels, scratch, views=self.views)
        self.timeline = shared(simulate(self.schedule), self.views.sharing())
        self.ran = np.array(self.timeline.ran)
        # Nodes are numbered from 0, steps from 1: segment [first, end) holds the steps up to `end`.
        numbers = {node.name: index for index, node in enumerate(graph.nodes)}
        self.maker = {name: numbers[graph.producer[name].name] if name in graph.producer else -1 for name in self.pads}
        self.last_reader = {
            name: max((numbers[reader.name] for reader in graph.consumers[name]), default=-1) for name in self.pads
        }
        self.last_reader |= {port.tensor: len(graph.nodes) for port in graph.outputs}
        for host, names in self.views.sharing().items():
            self.maker[host] = min(self.maker[name] for name in names)
            self.last_reader[host] = max(self.last_reader[name] for name in names)

    def measure(self, wanted: Pieces) -> tuple[np.ndarray, np.ndarray]:
        """Peak bytes and instructions of the segments that end after node first, first + 1, ..."""
        calls: Sequence[Call] = self.calls
        strips: Mapping[str, Strip] = {}
        if wanted.columns:
            calls, strips = cut_into_pieces(self.calls, self.extents, self.inner, wanted)
        # Narrow rows are cut in few ways, however wide the pieces shall be.
        pieces = tuple(call.pieces for call in calls)
        if pieces not in self.measured:
            self.measured[pieces] = self._measure(calls, strips)
        return self.measured[pieces]

    def _measure(self, calls: Sequence[Call], strips: Mapping[str, Strip]) -> tuple[np.ndarray, np.ndarray]:
        around = Surroundings(self.graph, self.kernels, self.extents, strips)
        moments = _Moments(self.timeline, self.ran, calls)
        live = np.zeros(len(self.ran) + 2, np.int64)
        total, peaks, costs = 0.0, [], []
        working: list[Call] = []
        growing: dict[str, tuple[np.ndarray, int]] = {}
        hosts = {self.views.host(name) for name in self.pads}
        waiting = {name for name in hosts if self.maker[name] < self.first <= self.last_reader[name]}
        if self.first == 0:
            waiting = set()
            growing[self.graph.inputs[0].tensor] = self._growing(moments, self.graph.inputs[0].tensor)
        constant = sum(self._full_bytes(name) for name in waiting)
        for call in calls:
            total += call_instructions(call, around)
            if not call.node:
                continue
            host = self.views.host(call.write)
            if self.maker[host] >= self.first - (self.first == 0):
                growing[host] = self._growing(moments, host)
            if call.accumulates:
                self._add_scratch(live, [call])
            else:
                working.append(call)
            number = call.step - 1
            for name in [name for name in growing if self.last_reader[name] <= number]:
                del growing[name]
                self._add_inner(live, moments, name, strips.get(name))
            for name in [name for name in waiting if self.last_reader[name] <= number]:
                waiting.remove(name)
                constant -= self._full_bytes(name)
                self._add_dying(live, moments, name)
            change = live.copy()
            self._add_scratch(change, working)
            for births, row_bytes in growing.values():
                np.add.at(change, births, row_bytes)
            peaks.append(constant + int(np.cumsum(change).max()))
            costs.append(total)
        return np.array(peaks, float), np.array(costs, float)

    def _full_bytes(self, name: str) -> int:
        return self.schedule.rows(name) * self.schedule.row_bytes(name)

    def _growing(self, moments: _Moments, name: str) -> tuple[np.ndarray, int]:
        return moments.written[name], self.schedule.row_bytes(name)

    def _add_inner(self, live: np.ndarray, moments: _Moments, name: str, strip: Strip | None) -> None:
        row_bytes = self.schedule.row_bytes(name)
        written, last_read = moments.written[name], moments.last_read[name]
        if strip is None:
            size = slots_needed(written, last_read) * row_bytes
        else:
            size = strip.slots * row_bytes + strip.columns * self.schedule.pixel_bytes(name)
        live[written.min()] += size
        live[last_read.max() + 1] -= size

    def _add_dying(self, live: np.ndarray, moments: _Moments, name: str) -> None:
        live[0] += self._full_bytes(name)
        np.add.at(live, moments.last_read[name] + 1, -self.schedule.row_bytes(name))

    def _add_scratch(self, live: np.ndarray, calls: Sequence[Call]) -> None:
        """The scratch these calls share."""
        scratch = self.schedule.scratch
        sizes = {call.step: scratch[call.node] for call in calls if scratch[call.node]}
        if sizes:
            size = max(sizes.values())
            live[min(self.timeline.first_run[step] for step in sizes)] += size
            live[max(self.timeline.last_run[step] for step in sizes) + 1] -= size


class _Moments:
    """Written and last read, stretched to whole rounds for calls that work in pieces.

    A piece of a row goes through all pieced calls before the next one starts. So rows they read last until the next
    run of a call at or above the first pieced one, and rows they write begin with its run before.
    """

    def __init__(self, timeline: Timeline, ran: np.ndarray, calls: Sequence[Call]) -> None:
        self.written, self.last_read = dict(timeline.written), dict(timeline.last_read)
        roots = _piece_roots(calls)
        rounds = {root: np.flatnonzero(ran <= root) for root in set(roots.values())}
        for call in calls:
            root = roots.get(call.step)
            if root is None:
                continue
            starts = rounds[root]
            written = self.written[call.write]
            self.written[call.write] = starts[np.maximum(np.searchsorted(starts, written, side="right") - 1, 0)]
            ends = np.append(starts[1:] - 1, len(ran) - 1)
            for read in call.reads:
                last = self.last_read[read.tensor]
                mine = (ran[np.minimum(last, len(ran) - 1)] == call.step) & (last < len(ran))
                position = np.maximum(np.searchsorted(starts, last, side="right") - 1, 0)
                self.last_read[read.tensor] = np.where(mine, np.maximum(ends[position], last), last)


def _piece_roots(calls: Sequence[Call]) -> dict[int, int]:
    """For each call that works in pieces the first step of the chain it belongs to."""
    roots: dict[int, int] = {}
    maker = {call.write: call.step for call in calls}
    for call in calls:
        if call.pieces:
            above = [roots[maker[read.tensor]] for read in call.reads if maker.get(read.tensor) in roots]
            roots[call.step] = min([*above, call.step])
    return roots
