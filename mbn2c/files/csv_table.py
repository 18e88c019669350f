"""A CSV file with a header -> its rows by line number, and the other way."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from mbn2c.errors import UsageError
from mbn2c.files.user_files import read_text


def read_csv(path: Path, header: str) -> dict[int, dict[str, str]]:
    """Line number -> cell by column name; at least one row, each as long as the header.

    header  what a first line may look like, for messages
    raises  UsageError naming the line
    """
    first = f"first line e.g.: {header}"
    try:
        reader = csv.reader(read_text(path, "CSV", first).splitlines())
        table = [(reader.line_num, row) for row in reader if any(cell.strip() for cell in row)]
    except csv.Error as error:
        raise UsageError(f"not a CSV file: {error}", where=str(path), hint=first) from None
    if len(table) < 2:
        raise UsageError("the file has no rows below its header", where=str(path), hint=first)
    columns = [cell.strip() for cell in table[0][1]]
    for line, row in table[1:]:
        if len(row) < len(columns):
            what = f"a row with {len(row)} of {len(columns)} columns"
            raise UsageError(what, where=f"{path}, line {line}", hint="complete it")
    return {line: dict(zip(columns, row, strict=False)) for line, row in table[1:]}


def has_column(rows: dict[int, dict[str, str]], column: str) -> bool:
    """Whether the header of a table that `read_table` returned has `column`; the table has at least one row."""
    return column in next(iter(rows.values()))


def csv_bytes(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> bytes:
    """A header and rows as a file."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    return out.getvalue().encode()
