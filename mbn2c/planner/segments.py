"""Graph and kernels -> for every segment a network can be cut into: its peak of live bytes, and its cost.

One simulation of everything from node i on serves all segments that start at i, since deeper calls do not change the
order of those above them. Pieces are not simulated here: their reads are taken to last, and their writes to begin,
as if the whole row went through at once, which is never too little.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, replace
from itertools import accumulate

import numpy as np

from mbn2c.errors import InternalError
from mbn2c.ir.graph import Graph
from mbn2c.ir.kernel import Kernel
from mbn2c.planner.columns import Pieces, Strip
from mbn2c.planner.cost import Surroundings, call_instructions
from mbn2c.planner.cuts import CutCalls
from mbn2c.planner.geometry import Geometries, Geometry, Life, Suffix


@dataclass(frozen=True, eq=False)
class Segments:
    """Entry [i, j, k]: nodes i to j - 1 as a segment with `options[k]`; infinite where i >= j or that is no choice.

    options       how rows are cut, and whether calls run on demand
    peak_bytes    live bytes at its fullest moment, tensors that only pass by included
    instructions  estimate for its calls
    work          how much was done to measure them
    """

    options: tuple[tuple[Pieces, bool], ...]
    peak_bytes: np.ndarray
    instructions: np.ndarray
    work: Work


@dataclass(frozen=True)
class Work:
    """How often the expensive steps were done, for tests; nothing that was known before counts.

    moments   runs of calls that were played
    cuts      ways to cut calls into pieces that were worked out
    measured  segments whose peak was looked for
    """

    moments: int
    cuts: int
    measured: int


def measure_segments(
    graph: Graph,
    kernels: Mapping[str, Kernel],
    scratch: Mapping[str, int],
    pieces: Sequence[Pieces],
    known: Geometries | None = None,
    phases: Mapping[str, int] | None = None,
) -> Segments:
    """Peaks and costs of all segments.

    scratch  `schedule.scratch_sizes`
    known    what other kernels for this Graph were measured with
    phases   as in Schedule
    """
    count = len(graph.nodes)
    if known is not None and known.graph is not graph:
        raise InternalError("what is known is of another Graph", where=graph.name)
    geometry = (known or Geometries(graph)).of(kernels, phases or {})
    planar = {name for node in graph.nodes if kernels[node.name].reads_planar for name in node.inputs}
    played, cuts, measured = geometry.moments, geometry.cuts.made, 0
    prices = _Prices(geometry, kernels)
    suffixes = [geometry.suffixes(first) for first in range(count)]
    options = tuple((one, bool(waits)) for waits in range(max(map(len, suffixes))) for one in pieces)
    peaks = np.full((count, count + 1, len(options)), np.inf)
    costs = np.full((count, count + 1, len(options)), np.inf)
    for first, ways in enumerate(suffixes):
        for waits, suffix in enumerate(ways):
            # Narrow rows are cut in few ways, however wide the pieces shall be.
            found: dict[CutCalls, np.ndarray] = {}
            for option, wanted in enumerate(pieces, waits * len(pieces)):
                cut = geometry.cuts.cut(suffix.calls[0].step, wanted, suffix.inner)
                if cut not in found:
                    figures = _peaks(geometry, suffix, cut, scratch, planar), prices.instructions(suffix, cut)
                    is_choice = _ends_that_wait(geometry, suffix, cut) if suffix.joins else np.True_
                    found[cut] = np.where(is_choice, figures, np.inf)
                peaks[first, first + 1 :, option], costs[first, first + 1 :, option] = found[cut]
            measured += len(found) * (count - first)
    work = Work(geometry.moments - played, geometry.cuts.made - cuts, measured)
    return Segments(options, peaks, costs, work)


class _Prices:
    """What calls cost with some kernels, in whole rows and in pieces."""

    def __init__(self, geometry: Geometry, kernels: Mapping[str, Kernel]) -> None:
        self.geometry = geometry
        self.whole = Surroundings(geometry.graph, kernels, geometry.extents, {})
        self.of_whole = [call_instructions(call, self.whole) for call in geometry.calls]
        self._of_cuts: dict[CutCalls, dict[int, float]] = {}

    def instructions(self, suffix: Suffix, cut: CutCalls) -> np.ndarray:
        """Of the segments that end after each node of the suffix."""
        if cut not in self._of_cuts:
            around = replace(self.whole, strips=cut.strips)
            self._of_cuts[cut] = {call.step: call_instructions(call, around) for call in cut.touched}
        of_cut = self._of_cuts[cut]
        each = [of_cut.get(call.step, self.of_whole[call.step]) for call in suffix.calls]
        return np.array(list(accumulate(each))[1 if suffix.first == 0 else 0 :])


def _ends_that_wait(geometry: Geometry, suffix: Suffix, cut: CutCalls) -> np.ndarray:
    """Bool [nodes of the suffix]: whether the segment that ends there has the calls on demand that the suffix has."""
    joins = geometry.joins(suffix.calls, cut.strips)
    ends, latest, is_alike = [], 0, True
    for call in suffix.calls:
        if call.step in suffix.joins:
            is_alike &= call.step in joins
            latest = max(latest, suffix.joins[call.step])
        if call.node:
            ends.append(is_alike and 0 < latest <= call.step)
    return np.array(ends)


def _peaks(
    geometry: Geometry, suffix: Suffix, cut: CutCalls, scratch: Mapping[str, int], planar: Set[str]
) -> np.ndarray:
    """Peak bytes of the segments that end after each node of the suffix; planar: tensors that may have planar rows."""
    lives, timeline = suffix.lives.within(cut, suffix.calls), suffix.timeline
    # Changes of live bytes by moment; tensors that are still being read later grow, and give nothing back.
    live = np.zeros(len(timeline.ran) + 2, np.int64)
    growing: dict[str, int] = {}
    ending: dict[int, list[str]] = {}
    working = _Interval()
    constant = sum(geometry.full_bytes[name] for names in suffix.waiting.values() for name in names)
    peaks = []
    for call in suffix.calls:
        host = geometry.views.host(call.write)
        if host not in growing and geometry.maker[host] >= suffix.first - (suffix.first == 0):
            growing[host] = geometry.row_bytes[host]
            np.add.at(live, lives[host].written, growing[host])
            ending.setdefault(max(geometry.last_reader[host], call.step - 1), []).append(host)
        if not call.node:
            continue
        if scratch[call.node]:
            start, end = timeline.first_run[call.step], timeline.last_run[call.step] + 1
            if call.accumulates:
                live[start] += scratch[call.node]
                live[end] -= scratch[call.node]
            else:
                working.include(start, end, scratch[call.node])
        number = call.step - 1
        for name in ending.pop(number, ()):
            life, strip = lives[name], cut.strips.get(name)
            if strip is None and life.slots == 1 and name not in planar:
                # The slot is free between two rows.
                np.add.at(live, life.last_read + 1, -growing[name])
                continue
            size_bytes = _inner_bytes(geometry, life, name, strip)
            np.add.at(live, life.written, -growing[name])
            live[life.birth] += size_bytes
            live[life.death + 1] -= size_bytes
        for name in suffix.waiting.get(number, ()):
            constant -= geometry.full_bytes[name]
            live[0] += geometry.full_bytes[name]
            np.add.at(live, lives[name].last_read + 1, -geometry.row_bytes[name])
        alive = live.cumsum()
        most = int(np.maximum.reduce(alive))
        if working.size_bytes:
            most = max(most, int(np.maximum.reduce(alive[working.start : working.end])) + working.size_bytes)
        peaks.append(constant + most)
    return np.array(peaks, float)


def _inner_bytes(geometry: Geometry, life: Life, name: str, strip: Strip | None) -> int:
    """Of a tensor that is made and read for the last time in one segment."""
    if strip is None:
        return life.slots * geometry.row_bytes[name]
    return strip.slots * geometry.row_bytes[name] + strip.columns * geometry.schedule.pixel_bytes(name)


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
