"""Values -> places on the axes of a curve."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import ceil, floor

from mbn2c.report.html.drawing import TICKS, Mark, number, round_step

LEFT, TOP, WIDTH, HEIGHT = 78.0, 30.0, 500.0, 250.0
# Where a curve's axes lie, and how large the picture around them is, as the template wants it.
FRAME = {
    "left": LEFT,
    "right": LEFT + WIDTH,
    "top": TOP,
    "bottom": TOP + HEIGHT,
    "all_height": TOP + HEIGHT + 44,
    "all_width": LEFT + WIDTH + 30,
}
# The empty share of the picture on each side.
MARGIN = 0.12


@dataclass(frozen=True)
class LinearAxis:
    """low, high  values at its ends
    start, end    where these are in the picture
    """

    low: float
    high: float
    start: float
    end: float

    @classmethod
    def of(cls, values: Sequence[float], start: float, end: float) -> LinearAxis:
        """Room for all values, and a margin; at least a hundredth of the largest."""
        margin = max(max(values) - min(values), max(abs(value) for value in values) * 0.01, 1e-9) * MARGIN
        return cls(min(values) - margin, max(values) + margin, start, end)

    def at(self, value: float) -> float:
        """The coordinate of a value."""
        return self.start + (self.end - self.start) * (value - self.low) / (self.high - self.low)

    def marks(self, text: Callable[[float], str]) -> list[Mark]:
        """Round values, and what stands there."""
        step = round_step((self.high - self.low) / TICKS, 10)
        values = [index * step for index in range(ceil(self.low / step), floor(self.high / step) + 1)]
        return [Mark(number(self.at(value)), text(value)) for value in values]
