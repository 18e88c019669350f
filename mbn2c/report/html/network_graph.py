"""A record's layers -> the network as a graph beside their table: a strip for each row, one above the other.

Every layer is a dot on the first lane, below the one before it. An edge to the next row runs straight down; one that
passes rows, as a shortcut does, runs down a lane of its own. A strip is as high as its row, so its lengths are shares.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mbn2c.report.layers import LayerFacts

# Pixels: from the left edge to the first lane, from a lane to the next.
_MARGIN, _LANE = 10, 11


@dataclass(frozen=True)
class Edge:
    """A part of a path in one row; kind: of the buffer that its tensor lies in."""

    kind: str
    path: str


@dataclass(frozen=True)
class _Way:
    """A tensor that layers beyond the next row read: from the row that makes it to its last reader, in a lane."""

    source: int
    last: int
    lane: int


def network_graph(layers: Sequence[LayerFacts], kinds: Mapping[int, str]) -> tuple[int, list[list[Edge]]]:
    """The width in pixels, and the edges that each layer's row shows; kinds: of what each step makes."""
    ways = _ways(layers)
    width = 2 * _MARGIN + _LANE * max((way.lane for way in ways), default=0)
    return width, [_edges(layers, number, ways, kinds) for number in range(len(layers))]


def _ways(layers: Sequence[LayerFacts]) -> list[_Way]:
    """Each in the first lane that is free from its row on."""
    last_reader: dict[int, int] = {}
    for number, layer in enumerate(layers):
        for source in layer.reads:
            if source < _step_above(layers, number):
                last_reader[source] = number
    numbers = {layer.step: number for number, layer in enumerate(layers)}
    ways: list[_Way] = []
    for source in sorted(last_reader):
        start = numbers.get(source, -1)
        taken = {way.lane for way in ways if way.last > start}
        lane = next(lane for lane in range(1, len(taken) + 2) if lane not in taken)
        ways.append(_Way(source, last_reader[source], lane))
    return ways


def _step_above(layers: Sequence[LayerFacts], number: int) -> int:
    """Of the row above; that of the input above the first."""
    return layers[number - 1].step if number else 0


def _edges(layers: Sequence[LayerFacts], number: int, ways: Sequence[_Way], kinds: Mapping[int, str]) -> list[Edge]:
    layer, first = layers[number], _x(0)
    above = _step_above(layers, number)
    edges = [Edge(kinds.get(above, ""), f"M{first},0V50")] if above in layer.reads else []
    if number + 1 < len(layers) and layer.step in layers[number + 1].reads:
        edges.append(Edge(kinds.get(layer.step, ""), f"M{first},50V100"))
    for way in ways:
        kind, x = kinds.get(way.source, ""), _x(way.lane)
        if way.source == layer.step:
            edges.append(Edge(kind, f"M{first},50C{first},80 {x},70 {x},100"))
        elif way.source < layer.step and number <= way.last:
            if way.source in layer.reads and way.source != above:
                edges.append(Edge(kind, f"M{x},0C{x},30 {first},20 {first},50"))
            if number < way.last:
                edges.append(Edge(kind, f"M{x},0V100"))
    return edges


def _x(lane: int) -> int:
    return _MARGIN + _LANE * lane
