"""A CSV with a row for each box; a class is a number or a name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from mbn2c.errors import UsageError
from mbn2c.files.csv_table import has_column, read_csv
from mbn2c.tasks.detection.box_files.boxes import Boxes, WrittenBox

_HEADER = "file,class,x1,y1,x2,y2"
_CORNERS = ("x1", "y1", "x2", "y2")
WORDS = f"CSV of {_HEADER}"


def read(path: Path, images: Mapping[str, tuple[int, int]], class_names: Sequence[str]) -> Boxes:
    """raises  UsageError naming the line"""
    rows = read_csv(path, _HEADER)
    missing = [column for column in ("file", "class", *_CORNERS) if not has_column(rows, column)]
    if missing:
        raise UsageError(f"the header has no '{missing[0]}'", where=str(path), hint=f"first line: {_HEADER}")
    found: Boxes = {}
    for line, row in rows.items():
        try:
            x0, y0, x1, y1 = (float(row[column]) for column in _CORNERS)
        except ValueError:
            raise UsageError("a corner that is no number", where=f"{path}, line {line}", hint=_HEADER) from None
        if not (x0 <= x1 and y0 <= y1):
            what = "a box whose first corner is not the upper left one"
            raise UsageError(what, where=f"{path}, line {line}", hint=_HEADER)
        found.setdefault(row["file"].strip(), []).append(WrittenBox(row["class"].strip(), (x0, y0, x1, y1)))
    return found
