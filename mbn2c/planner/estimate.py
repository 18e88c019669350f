"""int8 Graph and several cores -> about what each one's Plan takes, in a fraction of the time.

One core gets the whole search. For the others only those ways to cut rows into pieces are looked at that came up there,
and a few plans are made instead of a curve of them.
"""

from __future__ import annotations

from mbn2c.ir.graph import Graph
from mbn2c.kernels import isas_for, kernels_of_plan, select
from mbn2c.planner.choice import Choice
from mbn2c.planner.columns import Pieces
from mbn2c.planner.geometry import Geometries
from mbn2c.planner.phases import phases_of
from mbn2c.planner.streaming import MOST_EXTRA, PIECES, Search, Way
from mbn2c.planner.views import views_of
from mbn2c.targets import Core

_GOAL = "balanced"
# Plans that are made: blocks may lie with gaps, so that the least peak is not always the least arena.
_MOST_PLANS = 2


class Estimates:
    """Of one Graph, for the goal "balanced"."""

    def __init__(self, graph: Graph) -> None:
        self._graph, self._known = graph, Geometries(graph)
        self._pieces: tuple[Pieces, ...] = PIECES

    def of(self, core: Core, isas: tuple[str, ...] = ()) -> Choice:
        """A Plan that a build could have, near the one that it will choose; without a curve.

        isas  kernel tables; (): those of the goal
        """
        graph, isas = self._graph, isas or isas_for(core.isas, _GOAL)
        kernels = {node.name: select(node, graph, isas) for node in graph.nodes}
        phased = phases_of(graph, views_of(graph, kernels))
        found: list[tuple[float, Search, Way]] = []
        for phases in ({}, phased)[: 1 + bool(phased)]:
            search = Search(graph, kernels, self._pieces, self._known, phases)
            front = search.front()
            most = min(way.instructions for way in front) * (1 + MOST_EXTRA[_GOAL])
            able = [way for way in front if way.instructions <= most]
            found += [(one.peak_bytes * one.instructions, search, one) for one in able]
            if self._pieces is PIECES:
                used = {Pieces(), *(cut.pieces for one in able for cut in one.cuts)}
                self._pieces = tuple(one for one in PIECES if one in used)
        best = sorted(found, key=lambda one: one[0])[:_MOST_PLANS]
        plans = [(search.sketch(way).trade_off.plan, way) for _, search, way in best]
        plan, _ = min(plans, key=lambda one: one[0].arena_bytes * one[1].instructions)
        return Choice(plan, kernels_of_plan(plan, isas), isas=isas)
