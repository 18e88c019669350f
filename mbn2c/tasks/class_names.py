"""A file of class names -> the names in index order; a word -> the index of a class."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mbn2c.errors import UsageError
from mbn2c.files.csv_table import has_column, read_csv
from mbn2c.files.user_files import read_text

# Python refuses to read numbers of thousands of digits; no network has a billion classes.
_MAX_INDEX_DIGITS = 9


def read_class_names(path: Path) -> tuple[str, ...]:
    """Class names in index order: a text file with one name a line, or a CSV with `index` and `name` (or `label`).

    raises  UsageError if a name is missing
    """
    if path.suffix.lower() != ".csv":
        names = [line.strip() for line in read_text(path, "class names", "one class name a line").splitlines()]
        while names and not names[-1]:
            names.pop()
        if not names or "" in names:
            line = names.index("") + 1 if names else 1
            raise UsageError("a class name is empty", where=f"{path}, line {line}", hint="one class name a line")
        return tuple(names)
    rows = read_csv(path, "file,index")
    column = "name" if has_column(rows, "name") else "label"
    if not has_column(rows, "index") or not has_column(rows, column):
        raise UsageError("the header has no 'index' and 'name'", where=str(path), hint="first line: index,name")
    by_index: dict[int, str] = {}
    for line, row in rows.items():
        index = class_index(row["index"].strip(), ())
        if index is None or by_index.setdefault(index, row[column].strip()) != row[column].strip():
            raise UsageError(
                f"index '{row['index'][:80]}' is no number, or has two names",
                where=f"{path}, line {line}",
                hint="correct it",
            )
    if sorted(by_index) != list(range(len(by_index))):
        raise UsageError("the indices do not run from 0 without a gap", where=str(path), hint="list every class once")
    return tuple(by_index[index] for index in range(len(by_index)))


def class_index(text: str, class_names: Sequence[str]) -> int | None:
    """A class index in digits, or one of the names; None for anything else."""
    if text.isascii() and text.isdigit() and len(text) <= _MAX_INDEX_DIGITS:
        return int(text)
    return list(class_names).index(text) if text in class_names else None
