"""Rows of cells -> text for people."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from itertools import zip_longest

from mbn2c.printable import printable

# Columns of a terminal that a table keeps to, what stands between two of its own, what one of them keeps at least.
MOST_COLUMNS, _GAP, _LEAST = 100, "  ", 12
_LONGEST_NAME = 50


def shortened(name: str, most: int = _LONGEST_NAME) -> str:
    """A layer's name for people: some exporters join those of all operators a layer was fused from."""
    head = most // 4  # names of layers differ at their ends
    return name if len(name) <= most else f"{name[:head]}...{name[head + 3 - most :]}"


def table(rows: Sequence[Sequence[str]], *, margin: int = 0) -> str:
    """Columns aligned to the left, two spaces apart, in lines of MOST_COLUMNS; what a cell holds stays in it.

    The widest columns give way: words go on below, and what is one word, as a name, loses its middle.

    margin  columns that the caller puts before each line
    """
    rows = [[printable(cell) for cell in row] for row in rows]
    widths = _fitting([max(len(row[column]) for row in rows) for column in range(len(rows[0]))], margin)
    lines = []
    for row in rows:
        pieces = [_pieces(cell, width) for cell, width in zip(row, widths, strict=True)]
        for parts in zip_longest(*pieces, fillvalue=""):
            lines.append(_GAP.join(part.ljust(width) for part, width in zip(parts, widths, strict=True)).rstrip())
    return "\n".join(lines)


def _fitting(widths: list[int], margin: int) -> list[int]:
    """The same, the widest made narrower until a line holds them."""
    excess = sum(widths) + len(_GAP) * (len(widths) - 1) + margin - MOST_COLUMNS
    while excess > 0 and max(widths) > _LEAST:
        widest = widths.index(max(widths))
        second = max([_LEAST, *(width for width in widths if width < widths[widest])])
        step = min(excess, widths[widest] - second) or 1
        widths[widest] -= step
        excess -= step
    return widths


def _pieces(cell: str, width: int) -> list[str]:
    """The lines of a cell."""
    if len(cell) <= width:
        return [cell]
    words = [shortened(word, width) for word in cell.split(" ")]
    return textwrap.wrap(" ".join(words), width, break_long_words=False, break_on_hyphens=False)
