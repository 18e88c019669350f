"""Rows of a C table as aligned text, in types as narrow as they may be, and what rows of tensors need in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass

from mbn2c.errors import InternalError
from mbn2c.ir.plan import Buffer

_LINE_CHARS = 132

Row = Mapping[str, int | str]
"""The members of a struct by name, in C order."""


# Types of columns, the widest first, so that a struct has no padding between them.
_TYPES = {
    "int32_t": range(-(2**31), 2**31),
    "int16_t": range(-(2**15), 2**15),
    "uint16_t": range(2**16),
    "int8_t": range(-(2**7), 2**7),
    "uint8_t": range(2**8),
}


@dataclass(frozen=True)
class ColumnTable:
    """A C array of structs, and what makes of a row of it the struct that `mbn_rows.h` declares.

    count         rows
    member_lines  members of the array's struct: the columns in which rows differ, in types that just hold them
    lines         the rows; none if all are the same
    value_lines   initializers of the declared struct: of each member its column, or the value that all rows have
    """

    count: int
    member_lines: list[str]
    lines: list[str]
    value_lines: list[str]


def column_table(row_text: str, rows: Mapping[str, Row], signed: Set[str] = frozenset()) -> ColumnTable:
    """The table of these rows, which stand by what a comment calls them.

    row_text  a row in C, as `steps[number]`
    signed    members that are int8_t or int16_t in the struct: a column of an unsigned type would be converted
    """
    columns = {
        member: (member in signed, tuple(row[member] for row in rows.values()))
        for member in next(iter(rows.values()), {})
    }
    # Of columns that are the same the first one stands in the table.
    kept = {column: member for member, column in reversed(columns.items()) if len(set(column[1])) > 1}
    by_type: dict[str, list[str]] = {c_type: [] for c_type in _TYPES}
    for column, member in reversed(kept.items()):
        by_type[_narrowest(*column)].append(member)
    members = [member for of_type in by_type.values() for member in of_type]
    values = [
        f".{member} = {f'{row_text}.{kept[column]}' if column in kept else column[1][0]}"
        for member, column in columns.items()
    ]
    return ColumnTable(
        len(rows),
        wrapped([f"{c_type} {', '.join(of_type)};" for c_type, of_type in by_type.items() if of_type]),
        table_lines({label: {member: row[member] for member in members} for label, row in rows.items() if members}),
        wrapped([f"{value}," for value in values]),
    )


def _narrowest(is_signed: bool, column: Sequence[int | str]) -> str:
    able = [c_type for c_type, numbers in _TYPES.items() if all(value in numbers for value in column)]
    return [c_type for c_type in able if not (is_signed and c_type.startswith("u"))][-1]


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
    lines = list(words[:1])
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
