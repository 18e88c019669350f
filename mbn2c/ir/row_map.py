"""Which rows of an input an output row needs, at any rate: the one place that says it.

Planner, emitter and C ask it, for rows and for columns alike. `planner/replay`, `planner/overlap` and
`reference/run_plan` do not: they go by what the operator means, row by row, and so find a map that is wrong.
"""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class RowMap:
    """Output row y needs `count` rows, each `dilation` behind the one before, the first of them at

        floor((y * numerator + phase) / denominator)

    A convolution of stride s has numerator s and phase -pad; an upsampling by 2 has denominator 2. Numerator 0 means
    the same rows for every y: all of them, or the one row of a vector per channel. Columns have a map of the same kind.

    lowest, highest  rows outside of these are replaced by the nearest inside, as a resize does at its border; None:
                     there are none outside, for the padding is counted
    """

    count: int = 1
    numerator: int = 1
    denominator: int = 1
    phase: int = 0
    dilation: int = 1
    lowest: int | None = None
    highest: int | None = None

    @property
    def extent(self) -> int:
        """From the first row to the last, both counted."""
        return (self.count - 1) * self.dilation + 1

    @property
    def is_window(self) -> bool:
        """Whether each output row takes the map a whole number of rows further, and nothing is replaced."""
        return self.denominator == 1 and self.numerator > 0 and self.lowest is None and self.highest is None

    def first(self, y: int) -> int:
        """The first row that output row y needs; at a border the one that stands for it."""
        return self._inside(self._start(y))

    def rows(self, y: int) -> tuple[int, ...]:
        """All rows of the window, from the first on; at a border some may be the same."""
        start = self._start(y)
        return tuple(self._inside(start + k * self.dilation) for k in range(self.count))

    def needed(self, y: int) -> int:
        """How many rows must have been made before output row y can be."""
        return self._inside(self._start(y) + self.extent - 1) + 1

    def possible(self, made: int, height: int) -> int:
        """How many of `height` output rows can be made when `made` rows are."""
        if made < self._inside(self._start(0) + self.extent - 1) + 1:
            return 0
        if self.numerator == 0 or (self.highest is not None and made > self.highest):
            return height
        # The largest y whose start is at most made - extent.
        most = ((made - self.extent + 1) * self.denominator - 1 - self.phase) // self.numerator
        if self.lowest is not None and made > self.lowest:
            # Windows that end below the lowest row need no more than that.
            most = max(most, ((self.lowest - self.extent + 2) * self.denominator - 1 - self.phase) // self.numerator)
        return min(max(most + 1, 0), height)

    def behind(self, padding: int) -> RowMap:
        """The map for rows that are counted from `padding` rows further up."""
        return replace(
            self,
            phase=self.phase + padding * self.denominator,
            lowest=None if self.lowest is None else self.lowest + padding,
            highest=None if self.highest is None else self.highest + padding,
        )

    def _start(self, y: int) -> int:
        return (y * self.numerator + self.phase) // self.denominator

    def _inside(self, row: int) -> int:
        if self.highest is not None:
            row = min(row, self.highest)
        return row if self.lowest is None else max(row, self.lowest)


# Output row y needs input row y.
ONE_TO_ONE = RowMap()
