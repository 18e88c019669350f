"""YOLO: a folder with a text file for each image, of its name; a line for each box, an empty file or none for no box.

A line is: class number, x and y of the centre, width and height, in parts of the image as it is seen.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from mbn2c.errors import UsageError
from mbn2c.files.user_files import read_text
from mbn2c.tasks.detection.box_files.boxes import Boxes, WrittenBox
from mbn2c.tasks.truths import files_of_images

WORDS = "a folder of YOLO's text files, one for each image: class, centre x and y, width, height"
# Parts of the image that rounded numbers may lie beyond its edges.
_OUTSIDE = 0.01


def read(path: Path, images: Mapping[str, tuple[int, int]], class_names: Sequence[str]) -> Boxes:
    """raises  UsageError naming the file and its line"""
    found: Boxes = {}
    for name, file in files_of_images(path, list(images), ".txt").items():
        if not file.is_file():
            continue
        found[name] = []
        for number, line in enumerate(read_text(file, "labels file", WORDS).splitlines(), 1):
            if not line.strip():
                continue
            try:
                found[name].append(_of_line(line.split(), *images[name]))
            except ValueError as error:
                raise UsageError(f"not YOLO's: {error}", where=f"{file}, line {number}", hint=WORDS) from None
    return found


def _of_line(cells: Sequence[str], columns: int, rows: int) -> WrittenBox:
    if len(cells) != 5:
        what = " of a polygon or key points" if len(cells) > 5 else ""
        raise ValueError(f"{len(cells)} numbers{what}, not 5")
    if not (cells[0].isascii() and cells[0].isdigit()):
        raise ValueError(f"class '{cells[0][:40]}'")
    x, y, width, height = (float(cell) for cell in cells[1:])
    if not all(math.isfinite(one) and -_OUTSIDE <= one <= 1 + _OUTSIDE for one in (x, y, width, height)):
        raise ValueError("a box in pixels, not in parts of the image")
    if width < 0 or height < 0:
        raise ValueError(f"a box of {width:g} x {height:g}")
    corners = (x - width / 2) * columns, (y - height / 2) * rows, (x + width / 2) * columns, (y + height / 2) * rows
    return WrittenBox(str(int(cells[0][:9])), corners)
