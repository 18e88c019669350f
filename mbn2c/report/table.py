"""Rows of cells -> text for people."""

from __future__ import annotations

from collections.abc import Sequence

from mbn2c.printable import printable

_LONGEST_NAME = 50


def shortened(name: str) -> str:
    """A layer's name for people: some exporters join those of all operators a layer was fused from."""
    return name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME // 2 - 3]}...{name[-_LONGEST_NAME // 2 :]}"


def table(rows: Sequence[Sequence[str]]) -> str:
    """Columns aligned to the left, two spaces apart; what a cell holds, names of any kind, stays in it."""
    rows = [[printable(cell) for cell in row] for row in rows]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )
