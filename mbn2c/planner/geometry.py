"""Graph and kernels -> what all segments have in common that no price depends on: calls, cuts, and who runs when.

Kernels matter to it only in which of them sum up rows and which tensors lie in others. So most cores have it in
common, and what is worked out for one is there for the next.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from itertools import combinations

import numpy as np

from mbn2c.ir.graph import Graph
from mbn2c.ir.kernel import Kernel
from mbn2c.ir.plan import Call, Rows
from mbn2c.planner.cuts import CutCalls, Cuts
from mbn2c.planner.demand import joins_of
from mbn2c.planner.lifetimes import shared, slots_needed
from mbn2c.planner.schedule import Schedule, extents_of, inner_tensors, make_call, pads_of
from mbn2c.planner.timeline import CallRuns, Timeline, simulate
from mbn2c.planner.views import Views, views_of


class Geometries:
    """Those of one Graph, each made once.

    like  of a Graph that may differ in nothing but channels: what no channel changes is taken from there
    """

    def __init__(self, graph: Graph, like: Geometries | None = None) -> None:
        self.graph = graph
        self.made: list[Geometry] = []
        self._like = [] if like is None else like.made

    def of(self, kernels: Mapping[str, Kernel], phases: Mapping[str, int]) -> Geometry:
        """The one that these kernels (by node name) have; phases: as in Schedule."""
        views = views_of(self.graph, kernels)
        accumulating = {node.name for node in self.graph.nodes if kernels[node.name].accumulates}
        for known in self.made:
            if known.views == views and known.accumulating == accumulating and known.phases == phases:
                return known
        made = Geometry(self.graph, kernels, views, accumulating, phases)
        made.take_from(self._like)
        self.made.append(made)
        return made


class Geometry:
    """Of one network.

    calls        of the input and of all nodes in whole rows; call i is step i, and runs node i - 1
    maker        by tensor the number of the node that makes it, -1 for the input; of one that others lie in the first
    last_reader  likewise of the last that reads it; the number of nodes if that is the caller
    row_bytes    by tensor, padding included; `full_bytes` of all rows
    moments      runs of calls that were played
    """

    def __init__(
        self,
        graph: Graph,
        kernels: Mapping[str, Kernel],
        views: Views,
        accumulating: set[str],
        phases: Mapping[str, int],
    ) -> None:
        self.graph, self.views, self.accumulating, self.phases = graph, views, accumulating, phases
        self.pads = pads_of(graph, views)
        self.extents = extents_of(graph, self.pads)
        self.calls = [Call(0, "", (), graph.inputs[0].tensor)]
        self.calls += [
            make_call(step, node, graph, self.pads, kernels[node.name], views)
            for step, node in enumerate(graph.nodes, 1)
        ]
        self.schedule = Schedule(graph, (), self.pads, kernels, {}, views=views, phases=phases)
        self.row_bytes = {name: self.schedule.row_bytes(name) for name in self.pads}
        self.full_bytes = {name: self.schedule.rows(name) * size for name, size in self.row_bytes.items()}
        self.cuts = Cuts(self.calls, self.extents, phases)
        self.maker, self.last_reader = self._makers_and_readers()
        self.moments = 0
        self._runs: dict[int, CallRuns] = {}
        self._suffixes: dict[int, tuple[Suffix, ...]] = {}

    def take_from(self, others: Sequence[Geometry]) -> None:
        """Cuts of the first that has the same calls and columns, read and shared alike; suffixes if they wait alike."""
        for other in others:
            mine, theirs = ((one.calls, one.extents, one.views, one.accumulating, one.phases) for one in (self, other))
            if mine == theirs:
                self.cuts = other.cuts
                if self._smaller() == other._smaller():
                    self._runs, self._suffixes = other._runs, other._suffixes
                return

    def _smaller(self) -> list[tuple[bool, ...]]:
        """By call whether it makes less than some of its reads together: all that `joins_of` asks of sizes."""
        size = {name: tensor.size_bytes for name, tensor in self.graph.tensors.items()}
        return [
            tuple(
                size[call.write] < sum(size[read.tensor] for read in some)
                for count in range(1, len(call.reads) + 1)
                for some in combinations(call.reads, count)
            )
            for call in self.calls
        ]

    def suffixes(self, first: int) -> tuple[Suffix, ...]:
        """Everything from node `first` on: run with no call that waits and, if any can, with all of those."""
        if first not in self._suffixes:
            joins = self.joins(self.calls[first + 1 :])
            self._suffixes[first] = tuple(Suffix(self, first, found) for found in ({}, joins)[: 1 + bool(joins)])
        return self._suffixes[first]

    def joins(self, calls: Sequence[Call], strips: Collection[str] = ()) -> dict[int, int]:
        """Which of these can run on demand, as `joins_of`."""
        return joins_of(calls, self.graph, strips, self.cuts.ancestors)

    def played(self, calls: Sequence[Call]) -> Timeline:
        """These calls as one loop over whole rows; tensors that share rows live as long as any of them."""
        schedule = replace(self.schedule, loops=(Rows(tuple(calls)),))
        timeline = simulate(schedule, self._runs)
        self.moments += len(timeline.ran)
        return shared(timeline, self.views.sharing())

    def _makers_and_readers(self) -> tuple[dict[str, int], dict[str, int]]:
        graph = self.graph
        numbers = {node.name: index for index, node in enumerate(graph.nodes)}
        maker = {name: numbers[graph.producer[name].name] if name in graph.producer else -1 for name in self.pads}
        last_reader = {
            name: max((numbers[reader.name] for reader in graph.consumers[name]), default=-1) for name in self.pads
        }
        last_reader |= dict.fromkeys(graph.kept_outputs, len(graph.nodes))
        for host, names in self.views.sharing().items():
            maker[host] = min(maker[name] for name in names)
            last_reader[host] = max(last_reader[name] for name in names)
        return maker, last_reader


class Suffix:
    """Everything from node `first` on as one loop over whole rows.

    calls    the input's among them if it starts there
    joins    of those that run on demand, as `joins_of`
    inner    tensors that are read here only
    waiting  tensors made above that are read here, or later: by the node that reads them for the last time
    """

    def __init__(self, geometry: Geometry, first: int, joins: Mapping[int, int]) -> None:
        graph, views = geometry.graph, geometry.views
        self.first, self.joins = first, joins
        self.calls = geometry.calls[first + 1 if first else 0 :]
        self.inner = inner_tensors(graph, [node.name for node in graph.nodes[first:]], views)
        self.timeline = geometry.played([replace(call, on_demand=call.step in self.joins) for call in self.calls])
        self.lives = Lives(self.timeline)
        self.waiting: dict[int, list[str]] = {}
        for name in {views.host(name) for name in geometry.pads} if first else ():
            if geometry.maker[name] < first <= geometry.last_reader[name]:
                self.waiting.setdefault(geometry.last_reader[name], []).append(name)


class Life:
    """Moments by row of one tensor."""

    def __init__(self, written: np.ndarray, last_read: np.ndarray) -> None:
        self.written, self.last_read = written, last_read
        self.birth, self.death = int(written.min()), int(last_read.max())

    @cached_property
    def slots(self) -> int:
        """Rows its ring must keep."""
        return slots_needed(self.written, self.last_read)


class Lives:
    """Written and last read, stretched to whole rounds for calls that work in pieces.

    A piece of a row goes through all pieced calls before the next one starts. So rows they read last until the next
    run of a call at or above the first pieced one, and rows they write begin with its run before.
    """

    def __init__(self, timeline: Timeline) -> None:
        self.timeline, self.ran = timeline, np.array(timeline.ran)
        self._rounds: dict[int, np.ndarray] = {}
        # By tensor, the root of the call that writes it, and step and root of each that reads it in pieces.
        self._lives: dict[tuple[str, int, tuple[tuple[int, int], ...]], Life] = {}

    def within(self, cut: CutCalls, calls: Sequence[Call]) -> dict[str, Life]:
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

    def _life(self, name: str, writer: int, readers: tuple[tuple[int, int], ...]) -> Life:
        key = (name, writer, readers)
        if key not in self._lives:
            written, last = self.timeline.written[name], self.timeline.last_read[name]
            if writer >= 0:
                starts = self._starts(writer)
                written = starts[np.maximum(np.searchsorted(starts, written, side="right") - 1, 0)]
            for step, root in readers:
                last = self._until_next_round(last, step, self._starts(root))
            self._lives[key] = Life(written, last)
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
