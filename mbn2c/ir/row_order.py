"""In which order the rows of a tensor are made, or lie: one after the other, or phase by phase.

A window whose rows are `dilation` apart reads rows of one phase only. Made phase by phase (rows 0, d, 2d ..., then 1,
1 + d ...) they pass through it as rows without dilation do, and their ring keeps no others.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class RowOrder:
    """The order of `rows` rows, padding counted, `top` of them above, in so many phases; 1: one after the other.

    Of whatever is made row by row of each other, equal rows are of equal phases: padding does not count for that.
    """

    rows: int
    phases: int = 1
    top: int = 0

    @property
    def in_order(self) -> list[int]:
        """The rows, the first one first."""
        return sorted(range(self.rows), key=lambda row: ((row - self.top) % self.phases, row))

    @property
    def positions(self) -> list[int]:
        """Of each row, how many come before it."""
        found = [0] * self.rows
        for position, row in enumerate(self.in_order):
            found[row] = position
        return found
