"""Rows of a C table as aligned text, and what rows of tensors need in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mbn2c.errors import InternalError
from mbn2c.ir.plan import Buffer

_LINE_CHARS = 132

Row = Mapping[str, int | str]
"""The members of a struct by name, in C order."""


def table_lines(rows: Mapping[str, Row]) -> list[str]:
    """Lines for between the braces of an array of structs: the members' names as a comment, then a line a row.

    rows  by what a comment calls them; no lines if there are none
    """
    if not rows:
        return []
    texts = {label: [str(value) for value in row.values()] for label, row in rows.items()}
    names = list(next(iter(rows.values())))
    widths = [max(map(len, column)) for column in zip(names, *texts.values(), strict=True)]
    margin = max(map(len, rows))
    header = "  ".join(name.rjust(width) for name, width in zip(names, widths, strict=True))
    lines = [f"/* {'':{margin + 4}} {header} */"]
    for label, row in texts.items():
        cells = ", ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True))
        lines.append(f"/* {label:>{margin}} */ {{{cells}}},")
    return lines


def run_lines(rows: Mapping[str, Sequence[Row]]) -> list[str]:
    """The same where many short rows belong to one label, whose lines they fill; members are named without columns."""
    every = [row for labelled in rows.values() for row in labelled]
    if not every:
        return []
    names = list(every[0])
    widths = [max(len(str(row[name])) for row in every) for name in names]
    margin = max(map(len, rows))
    lines = [f"/* {'':{margin}}    {', '.join(names)} */"]
    for label, labelled in rows.items():
        cells = [
            ", ".join(str(row[name]).rjust(width) for name, width in zip(names, widths, strict=True))
            for row in labelled
        ]
        head = f"/* {label:>{margin}} */"
        for line in wrapped([f"{{{cell}}}," for cell in cells], _LINE_CHARS - len(head) - 1) if cells else []:
            lines.append(f"{head} {line}")
            head = " " * len(head)
    return lines


def wrapped(words: Sequence[str], most_chars: int = _LINE_CHARS) -> list[str]:
    """Words in as few lines as may be."""
    lines = [words[0]]
    for word in words[1:]:
        if len(lines[-1]) + 1 + len(word) > most_chars:
            lines.append(word)
        else:
            lines[-1] += f" {word}"
    return lines


def reciprocal(buffer: Buffer) -> int:
    """65536 / slots, rounded up: row % slots without a division, which Cortex-M0 lacks. 0 if no row shares its slot."""
    slots = buffer.slots
    if slots >= buffer.rows or slots == 0:
        return 0
    value = -(-65536 // slots)
    if any(number - (number * value >> 16) * slots != number % slots for number in range(buffer.rows)):
        raise InternalError("the reciprocal of a ring's size is not exact", where=buffer.tensor)
    return value
