"""What `explore` found -> a page: two pictures and a table, which needs no network."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import ceil, floor, log2

from mbn2c.printable import printable
from mbn2c.report.exploration import Exploration, ExplorePoint
from mbn2c.report.html.drawing import TICKS, Mark, kib, number, round_step, text_of_bytes
from mbn2c.report.time_facts import range_text
from mbn2c.resources.render import render

_LEFT, _TOP, _WIDTH, _HEIGHT = 78.0, 20.0, 500.0, 300.0
# The empty share of a picture on each side.
_MARGIN = 0.06


@dataclass(frozen=True)
class _Axis:
    """Values -> coordinates: from `start` on, `length` long (negative where it runs upward)."""

    low: float
    high: float
    start: float
    length: float
    is_logarithmic: bool

    def at(self, value: float) -> float:
        return self.start + self.length * (self._scaled(value) - self.low) / (self.high - self.low)

    def _scaled(self, value: float) -> float:
        return log2(value) if self.is_logarithmic else value

    @classmethod
    def over(cls, values: Sequence[float], start: float, length: float, *, is_logarithmic: bool) -> _Axis:
        """With a margin around the values."""
        scaled = [log2(value) if is_logarithmic else value for value in values]
        margin = max(max(scaled) - min(scaled), 1) * _MARGIN
        return cls(min(scaled) - margin, max(scaled) + margin, start, length, is_logarithmic)

    def marks(self, text: Callable[[float], str]) -> list[Mark]:
        """At powers of two, or at round numbers."""
        if self.is_logarithmic:
            step = max(1, round((self.high - self.low) / TICKS))
            values = [2.0**power for power in range(ceil(self.low), floor(self.high) + 1, step)]
        else:
            wide = round_step((self.high - self.low) / TICKS, 10)
            values = [index * wide for index in range(ceil(self.low / wide), floor(self.high / wide) + 1)]
        return [Mark(number(self.at(value)), text(value)) for value in values]


@dataclass(frozen=True)
class _Height:
    """What goes upward in a picture, and what it is called."""

    of: Callable[[ExplorePoint], float]
    words: str
    text: Callable[[float], str]
    is_logarithmic: bool


def explore_page(found: Exploration) -> str:
    """The page; equal findings give equal pages."""
    families = list(dict.fromkeys(one.family for one in found.points))
    known = [one for one in found.points if one.accuracy is not None]
    work = _Height(_instructions, "instructions", _millions, is_logarithmic=True)
    merit = _Height(_accuracy, "accuracy, %", _plain, is_logarithmic=False)
    pictures = [_picture("RAM and instructions", found.points, families, work)]
    pictures += [_picture("RAM and published accuracy", known, families, merit)] if known else []
    values = {
        "found": found,
        "families": [printable(family) for family in families],
        "pictures": [one for one in pictures if one["points"]],
        "rows": [_row(one) for one in found.points],
        "impossible": [printable(one) for one in found.impossible],
        "sources": sorted({one.time.source for one in found.points if one.time.source}),
    }
    return render("report/explore.html.j2", values)


def _instructions(point: ExplorePoint) -> float:
    return float(point.time.instructions)


def _accuracy(point: ExplorePoint) -> float:
    return point.accuracy or 0.0


def _millions(value: float) -> str:
    return f"{value / 1e6:,.1f} M"


def _plain(value: float) -> str:
    return f"{value:g}"


def _picture(title: str, points: Sequence[ExplorePoint], families: Sequence[str], height: _Height) -> dict[str, object]:
    """RAM to the right, on a logarithmic axis; `height` upward."""
    drawn: list[dict[str, object]] = []
    marks: tuple[list[Mark], list[Mark]] = [], []
    if points:
        x = _Axis.over([one.ram_bytes for one in points], _LEFT, _WIDTH, is_logarithmic=True)
        values = [height.of(one) for one in points]
        y = _Axis.over(values, _TOP + _HEIGHT, -_HEIGHT, is_logarithmic=height.is_logarithmic)
        marks = x.marks(kib), y.marks(height.text)
        drawn = [
            {
                "x": number(x.at(one.ram_bytes)),
                "y": number(y.at(height.of(one))),
                "family": families.index(one.family),
                "is_best": one.is_best,
                "title": f"{_name(one)}: {text_of_bytes(one.ram_bytes)}, {height.text(height.of(one))}",
            }
            for one in points
        ]
    return {
        "title": title,
        "words": height.words,
        "left": _LEFT,
        "right": _LEFT + _WIDTH,
        "top": _TOP,
        "bottom": _TOP + _HEIGHT,
        "all_width": _LEFT + _WIDTH + 30,
        "all_height": _TOP + _HEIGHT + 44,
        "x_marks": marks[0],
        "y_marks": marks[1],
        "points": drawn,
    }


def _name(point: ExplorePoint) -> str:
    return f"{printable(point.family)} {point.width:g} {point.size}"


def _row(point: ExplorePoint) -> dict[str, object]:
    time = point.time
    return {
        "name": _name(point),
        "macs": f"{point.macs / 1e6:,.1f}",
        "parameters": f"{point.parameters / 1e3:,.0f}",
        "ram": f"{point.ram_bytes:,}",
        "flash": f"{point.flash_bytes:,}",
        "instructions": f"{time.instructions / 1e6:,.1f}",
        "cycles": "" if time.cycles is None else range_text((time.cycles[0] / 1e6, time.cycles[1] / 1e6)),
        "ms": "" if time.ms is None else range_text(time.ms),
        "accuracy": "" if point.accuracy is None else f"{point.accuracy:.1f}",
        "is_best": point.is_best,
    }
