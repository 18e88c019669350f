"""Buffer and row -> where in the arena the row starts, as C text."""

from __future__ import annotations

from mbn2c.errors import InternalError
from mbn2c.ir.plan import Buffer


def row_text(buffer: Buffer, row: str, first_byte: int = 0) -> str:
    """Index into the arena of byte `first_byte` of a row; `row` is a C expression, never negative."""
    return f"{buffer.offset + first_byte}{_times(_slot(buffer, row), buffer.row_bytes)}"


def _slot(buffer: Buffer, row: str) -> str:
    """row % slots without a division: Cortex-M0 has none."""
    slots = buffer.slots
    if slots >= buffer.rows:
        return row
    if slots == 1:
        return "0"
    if slots & (slots - 1) == 0:
        return f"({row if row.isalnum() else f'({row})'} & {slots - 1})"
    reciprocal = -(-65536 // slots)
    if any(number - (number * reciprocal >> 16) * slots != number % slots for number in range(buffer.rows)):
        raise InternalError("the reciprocal of a ring's size is not exact", where=buffer.tensor)
    return f"mbn_slot({row}, {slots}, {reciprocal})"


def _times(text: str, factor: int) -> str:
    """` + text * factor`, or what is left of it."""
    if text == "0":
        return ""
    if text.isdigit():
        return f" + {int(text) * factor}"
    needs_brackets = " " in text and not text.startswith(("(", "mbn_"))
    return f" + {'(' if needs_brackets else ''}{text}{')' if needs_brackets else ''} * {factor}"


def times_bytes(size: int) -> str:
    """` * size` behind a count of pixels."""
    return "" if size == 1 else f" * {size}"
