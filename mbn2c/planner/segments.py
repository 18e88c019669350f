"""Graph and kernels -> for every segment a network can be cut into: its peak of live bytes, and its cost.

One simulation of everything from node i on serves all segments that start at i, since deeper calls do not change the
order of those above them. Pieces are not simulated here: their reads are taken to last, and their writes to begin,
as if the whole row went through at once, which is never too little.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate

import numpy as np

from mbn2c.ir.graph import Graph
from mbn2c.ir.kernel import Kernel
from mbn2c.ir.plan import Call, Rows
from mbn2c.planner.columns import Extent, Pieces, Strip
from mbn2c.planner.cuts import CutCalls, Cuts
from mbn2c.planner.lifetimes import shared, slots_needed
from mbn2c.planner.schedule import Pad, Schedule, extents_of, inner_tensors, make_call, pads_of
from mbn2c.planner.timeline import CallRuns, Timeline, simulate
from mbn2c.planner.views import Views, views_of


@dataclass(frozen=True, eq=False)
class Segments:
    """Entry [i, j, k]: the segment of nodes i to j - 1 with `pieces[k]`; infinite where i >= j.

    peak_bytes    live bytes at its fullest moment, tensors that only pass by included
    instructions  estimate for its calls
    work          how much was done to measure them
    """

    pieces: tuple[Pieces, ...]
    peak_bytes: np.ndarray
    instructions: np.ndarray
    work: Work


@dataclass(frozen=True)
class Work:
    """How often the expensive steps were done, for tests.

    moments   runs of calls that were played
    cuts      ways to cut calls into pieces that were worked out
    measured  segments whose peak was looked for
    """

    moments: int
    cuts: int
    measured: int


def measure_segments(
    graph: Graph, kernels: Mapping[str, Kernel], scratch: Mapping[str, int], pieces: Sequence[Pieces]
) -> Segments:
    """Peaks and costs of all segments; scratch: `schedule.scratch_sizes`."""
    count = len(graph.nodes)
    peaks = np.full((count, count + 1, len(pieces)), np.inf)
    costs = np.full((count, count + 1, len(pieces)), np.inf)
    network = _network(graph, kernels, scratch)
    moments = measured = 0
    for first in range(count):
        suffix = _Suffix(network, first)
        for option, wanted in enumerate(pieces):
            peaks[first, first + 1 :, option], costs[first, first + 1 :, option] = suffix.measure(wanted)
        moments += len(suffix.ran)
        measured += len(suffix.measured) * (count - first)
    return Segments(tuple(pieces), peaks, costs, Work(moments, network.cuts.made, measured))


@dataclass(frozen=True, eq=False)
class _Network:
    """What is the same for all segments.

    calls        of the input and of all nodes; call i is step i, and runs node i - 1
    maker        by tensor the number of the node that makes it, -1 for the input; of one that others lie in the first
    last_reader  likewise of the last that reads it; the number of nodes if that is the caller
    runs         what the calls do, as far as they were played
    """

    graph: Graph
    kernels: Mapping[str, Kernel]
    scratch: Mapping[str, int]
    views: Views
    pads: Mapping[str, Pad]
    extents: Mapping[str, Extent]
    calls: Sequence[Call]
    cuts: Cuts
    maker: Mapping[str, int]
    last_reader: Mapping[str, int]
    runs: dict[int, CallRuns]


def _network(graph: Graph, kernels: Mapping[str, Kernel], scratch: Mapping[str, int]) -> _Network:
    views = views_of(graph, kernels)
    pads = pads_of(graph, views)
    extents = extents_of(graph, pads)
    calls = [Call(0, "", (), graph.inputs[0].tensor)]
    calls += [make_call(step, node, graph, pads, kernels[node.name], views) for step, node in enumerate(graph.nodes, 1)]
    numbers = {node.name: index for index, node in enumerate(graph.nodes)}
    maker = {name: numbers[graph.producer[name].name] if name in graph.producer else -1 for name in pads}
    last_reader = {name: max((numbers[reader.name] for reader in graph.consumers[name]), default=-1) for name in pads}
    last_reader |= {port.tensor: len(graph.nodes) for port in graph.outputs}
    for host, names in views.sharing().items():
        maker[host] = min(maker[name] for name in names)
        last_reader[host] = max(last_reader[name] for name in names)
    cuts = Cuts(graph, kernels, calls, extents)
    return _Network(graph, kernels, scratch, views, pads, extents, calls, cuts, maker, last_reader, {})


class _Suffix:
    """Everything from node `first` on as one loop over whole rows."""

    def __init__(self, network: _Network, first: int) -> None:
        self.network, self.first = network, first
        self.first_step = first + 1 if first else 0
        self.calls = network.calls[self.first_step :]
        graph, views = network.graph, network.views
        self.inner = inner_tensors(graph, [node.name for node in graph.nodes[first:]], views)
        loops = (Rows(tuple(self.calls)),)
        self.schedule = Schedule(graph, loops, network.pads, network.kernels, network.scratch, views=views)
        timeline = simulate(self.schedule, network.runs)
        self.timeline = shared(timeline, views.sharing())
        self.ran = np.array(timeline.ran)
        self.lives = _Lives(self.timeline, self.ran)
        self.measured: dict[CutCalls, tuple[np.ndarray, np.ndarray]] = {}
        hosts = {views.host(name) for name in network.pads}
        # Tensors made above that are read here, or later: by the node that reads them for the last time.
        self.waiting: dict[int, list[str]] = {}
        for name in hosts if first else ():
            if network.maker[name] < first <= network.last_reader[name]:
                self.waiting.setdefault(network.last_reader[name], []).append(name)

    def measure(self, wanted: Pieces) -> tuple[np.ndarray, np.ndarray]:
        """Peak bytes and instructions of the segments that end after node first, first + 1, ..."""
        # Narrow rows are cut in few ways, however wide the pieces shall be.
        cut = self.network.cuts.cut(self.first_step, wanted, self.inner)
        if cut not in self.measured:
            self.measured[cut] = self._peaks(cut), self._instructions(cut)
        return self.measured[cut]

    def _instructions(self, cut: CutCalls) -> np.ndarray:
        whole = self.network.cuts.whole
        each = [cut.instructions.get(call.step, whole[call.step]) for call in self.calls]
        return np.array(list(accumulate(each))[1 if self.first == 0 else 0 :])

    def _peaks(self, cut: CutCalls) -> np.ndarray:
        network = self.network
        lives = self.lives.within(cut, self.calls)
        # Changes of live bytes by moment; tensors that are still being read later grow, and give nothing back.
        live = np.zeros(len(self.ran) + 2, np.int64)
        growing: dict[str, int] = {}
        ending: dict[int, list[str]] = {}
        working = _Interval()
        constant = sum(self._full_bytes(name) for names in self.waiting.values() for name in names)
        peaks = []
        for call in self.calls:
            host = network.views.host(call.write)
            if host not in growing and network.maker[host] >= self.first - (self.first == 0):
                growing[host] = self.schedule.row_bytes(host)
                np.add.at(live, lives[host].written, growing[host])
                ending.setdefault(max(network.last_reader[host], call.step - 1), []).append(host)
            if not call.node:
                continue
            scratch = network.scratch[call.node]
            if scratch:
                start, end = self.timeline.first_run[call.step], self.timeline.last_run[call.step] + 1
                if call.accumulates:
                    live[start] += scratch
                    live[end] -= scratch
                else:
                    working.include(start, end, scratch)
            number = call.step - 1
            for name in ending.pop(number, ()):
                np.add.at(live, lives[name].written, -growing[name])
                self._add_inner(live, lives[name], name, cut.strips.get(name))
            for name in self.waiting.get(number, ()):
                constant -= self._full_bytes(name)
                live[0] += self._full_bytes(name)
                np.add.at(live, lives[name].last_read + 1, -self.schedule.row_bytes(name))
            alive = np.cumsum(live)
            most = int(alive.max())
            if working.size_bytes:
                most = max(most, int(alive[working.start : working.end].max()) + working.size_bytes)
            peaks.append(constant + most)
        return np.array(peaks, float)

    def _full_bytes(self, name: str) -> int:
        return self.schedule.rows(name) * self.schedule.row_bytes(name)

    def _add_inner(self, live: np.ndarray, life: _Life, name: str, strip: Strip | None) -> None:
        row_bytes = self.schedule.row_bytes(name)
        if strip is None:
            size = life.slots * row_bytes
        else:
            size = strip.slots * row_bytes + strip.columns * self.schedule.pixel_bytes(name)
        live[life.birth] += size
        live[life.death + 1] -= size


@dataclass(eq=False)
class _Interval:
    """The scratch that some calls share: from their first run to one behind their last."""

    start: int = 2**62
    end: int = 0
    size_bytes: int = 0

    def include(self, start: int, end: int, size_bytes: int) -> None:
        """Add a call."""
        self.start, self.end = min(self.start, start), max(self.end, end)
        self.size_bytes = max(self.size_bytes, size_bytes)


class _Life:
    """Moments by row of one tensor."""

    def __init__(self, written: np.ndarray, last_read: np.ndarray) -> None:
        self.written, self.last_read = written, last_read
        self.birth, self.death = int(written.min()), int(last_read.max())
        self.slots = slots_needed(written, last_read)


class _Lives:
    """Written and last read, stretched to whole rounds for calls that work in pieces.

    A piece of a row goes through all pieced calls before the next one starts. So rows they read last until the next
    run of a call at or above the first pieced one, and rows they write begin with its run before.
    """

    def __init__(self, timeline: Timeline, ran: np.ndarray) -> None:
        self.timeline, self.ran = timeline, ran
        self._rounds: dict[int, np.ndarray] = {}
        # By tensor, the root of the call that writes it, and step and root of each that reads it in pieces.
        self._lives: dict[tuple[str, int, tuple[tuple[int, int], ...]], _Life] = {}

    def within(self, cut: CutCalls, calls: Sequence[Call]) -> dict[str, _Life]:
        """Of all tensors, as they live with a cut."""
        writers: dict[str, int] = {}
        readers: dict[str, tuple[tuple[int, int], ...]] = {}
        for call in calls:
            root = cut.roots.get(call.step)
            if root is not None:
                writers[call.write] = root
                for read in call.reads:
                    readers[read.tensor] = (*readers.get(read.tensor, ()), (call.step, root))
        return {name: self._life(name, writers.get(name, -1), readers.get(name, ())) for name in self.timeline.written}

    def _life(self, name: str, writer: int, readers: tuple[tuple[int, int], ...]) -> _Life:
        key = (name, writer, readers)
        if key not in self._lives:
            written, last = self.timeline.written[name], self.timeline.last_read[name]
            if writer >= 0:
                starts = self._starts(writer)
                written = starts[np.maximum(np.searchsorted(starts, written, side="right") - 1, 0)]
            for step, root in readers:
                last = self._until_next_round(last, step, self._starts(root))
            self._lives[key] = _Life(written, last)
        return self._lives[key]

    def _until_next_round(self, last: np.ndarray, step: int, starts: np.ndarray) -> np.ndarray:
        ran = self.ran
        ends = np.append(starts[1:] - 1, len(ran) - 1)
        mine = (ran[np.minimum(last, len(ran) - 1)] == step) & (last < len(ran))
        position = np.maximum(np.searchsorted(starts, last, side="right") - 1, 0)
        return np.where(mine, np.maximum(ends[position], last), last)

    def _starts(self, root: int) -> np.ndarray:
        if root not in self._rounds:
            self._rounds[root] = np.flatnonzero(self.ran <= root)
        return self._rounds[root]
