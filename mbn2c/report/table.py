"""Rows of cells -> text for people."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest

from mbn2c.printable import printable

# Columns of a terminal that a table keeps to, what stands between two of its own, what one of them keeps at least.
MOST_COLUMNS, _GAP, _LEAST = 100, "  ", 12
_LONGEST_NAME = 50
_COMMAND = "mbn2c "


def shortened(name: str, most: int = _LONGEST_NAME) -> str:
    """A layer's name for people: some exporters join those of all operators a layer was fused from."""
    head = most // 4  # names of layers differ at their ends
    return name if len(name) <= most else f"{name[:head]}...{name[head + 3 - most :]}"


def table(rows: Sequence[Sequence[str]]) -> str:
    """Columns aligned to the left, two spaces apart, in lines of MOST_COLUMNS; what a cell holds stays in it.

    The widest columns give way: words go on below, and what is one word, as a name, loses its middle. In the last
    column commands of ours and words, as a path, stay whole: they are there to be copied.
    """
    rows = [[printable(cell) for cell in row] for row in rows]
    widths = _fitting([max(len(row[column]) for row in rows) for column in range(len(rows[0]))])
    lines = []
    for row in rows:
        cells = list(zip(row, widths, strict=True))
        pieces = [*(_lines([shortened(word, width) for word in cell.split(" ")], width) for cell, width in cells[:-1])]
        pieces.append(_lines([row[-1]] if row[-1].startswith(_COMMAND) else row[-1].split(" "), widths[-1]))
        for parts in zip_longest(*pieces, fillvalue=""):
            lines.append(_GAP.join(part.ljust(width) for part, width in zip(parts, widths, strict=True)).rstrip())
    return "\n".join(lines)


def _fitting(widths: list[int]) -> list[int]:
    """The same, the widest made narrower until a line holds them."""
    excess = sum(widths) + len(_GAP) * (len(widths) - 1) - MOST_COLUMNS
    while excess > 0 and max(widths) > _LEAST:
        widest = widths.index(max(widths))
        second = max([_LEAST, *(width for width in widths if width < widths[widest])])
        step = min(excess, widths[widest] - second) or 1
        widths[widest] -= step
        excess -= step
    return widths


def _lines(words: Sequence[str], width: int) -> list[str]:
    """Words in lines of at most `width`, each word whole; several spaces between two stay where a line holds them."""
    lines = [words[0]]
    for word in words[1:]:
        if len(lines[-1]) + 1 + len(word) <= width:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return lines
