"""A build's record -> the curve of RAM against instructions as a picture.

RAM is on a logarithmic axis: layer by layer takes many times what a stream does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil, floor, log2

from mbn2c.report.html.drawing import TICKS, Mark, kib, name_parts, number, round_step, text_of_bytes
from mbn2c.report.html.plot import FRAME, HEIGHT, LEFT, MARGIN, TOP, WIDTH, LinearAxis
from mbn2c.report.layers import LayerFacts
from mbn2c.report.record import TradeOffFacts

# What a number above a point needs, in the large letters of a narrow page.
_CHARACTER_WIDTH, _LABEL_HEIGHT = 11.0, 20.0


@dataclass(frozen=True)
class Point:
    """One plan of the trade-off curve.

    label      what stands above it; "" where another's stands
    peak_step  of the layer it is fullest at, None at the input
    """

    x: str
    y: str
    number: int
    label: str
    arena: str
    instructions: str
    loops: int
    words: str
    peak_layer: list[str]
    peak_step: int | None
    chosen: bool


def trade_off_curve(trade_offs: Sequence[TradeOffFacts], layers: Sequence[LayerFacts]) -> dict[str, object]:
    """What the template draws."""
    points = _points(trade_offs, {layer.name: layer.step for layer in layers})
    return {
        **FRAME,
        "points": points,
        "line": " ".join(f"{point.x},{point.y}" for point in points),
        "x_marks": _x_marks(trade_offs),
        "y_marks": _y_marks(trade_offs),
    }


def _points(trade_offs: Sequence[TradeOffFacts], steps: Mapping[str, int]) -> list[Point]:
    labels = _labels(trade_offs)
    return [
        Point(
            number(_x(trade_offs, one.arena_bytes)),
            number(_upward(trade_offs).at(one.instructions)),
            index,
            labels[index - 1],
            text_of_bytes(one.arena_bytes),
            f"{one.instructions / 1e6:,.2f} M",
            one.loops,
            "layer by layer" if one.layerwise else "whole network in one loop" if one.loops == 1 else "streaming",
            name_parts(one.peak_layer),
            steps.get(one.peak_layer),
            one.chosen,
        )
        for index, one in enumerate(trade_offs, start=1)
    ]


def _labels(trade_offs: Sequence[TradeOffFacts]) -> list[str]:
    """Numbers, where they have room beside those before them; the chosen plan's comes first."""
    labels = [f"{number} chosen" if one.chosen else f"{number}" for number, one in enumerate(trade_offs, start=1)]
    taken: list[tuple[float, float, float]] = []
    for index in sorted(range(len(labels)), key=lambda index: not trade_offs[index].chosen):
        left, y = _x(trade_offs, trade_offs[index].arena_bytes), _upward(trade_offs).at(trade_offs[index].instructions)
        right = left + _CHARACTER_WIDTH * len(labels[index])
        if any(
            left < other_right and other_left < right and abs(y - top) < _LABEL_HEIGHT
            for other_left, other_right, top in taken
        ):
            labels[index] = ""
        else:
            taken.append((left, right, y))
    return labels


def _x(trade_offs: Sequence[TradeOffFacts], arena_bytes: float) -> float:
    low, high = _x_range(trade_offs)
    return LEFT + WIDTH * (log2(arena_bytes) - low) / (high - low)


def _x_range(trade_offs: Sequence[TradeOffFacts]) -> tuple[float, float]:
    sizes = [log2(one.arena_bytes) for one in trade_offs]
    margin = max(max(sizes) - min(sizes), 0.5) * MARGIN
    return min(sizes) - margin, max(sizes) + margin


def _x_marks(trade_offs: Sequence[TradeOffFacts]) -> list[Mark]:
    """At powers of two; where those are few, at round shares between them as well."""
    if not trade_offs:
        return []
    low, high = _x_range(trade_offs)
    shares = (1.0,) if high - low >= 3 else (1.0, 1.5) if high - low >= 1.2 else (1.0, 1.25, 1.5, 1.75)
    sizes = [2.0**exponent * share for exponent in range(floor(low), ceil(high)) for share in shares]
    return [Mark(number(_x(trade_offs, size)), kib(size)) for size in sizes if low <= log2(size) <= high]


def _upward(trade_offs: Sequence[TradeOffFacts]) -> LinearAxis:
    """The axis of instructions."""
    return LinearAxis.of([max(1, one.instructions) for one in trade_offs], TOP + HEIGHT, TOP)


def _y_marks(trade_offs: Sequence[TradeOffFacts]) -> list[Mark]:
    if not trade_offs:
        return []
    axis = _upward(trade_offs)
    step = round_step((axis.high - axis.low) / TICKS, 10)
    digits = 0 if step >= 1e6 else 1 if step >= 1e5 else 3
    return axis.marks(lambda value: f"{value / 1e6:,.{digits}f} M")
