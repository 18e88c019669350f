"""Boxes that the user says are in the images: a CSV, or COCO's JSON -> corners in pixels of the network's input."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mbn2c.errors import UsageError
from mbn2c.files.csv_table import has_column, read_csv
from mbn2c.files.typed_json import parse
from mbn2c.files.user_files import read_text
from mbn2c.tasks.images import covering, upright_size

CSV_HEADER = "file,class,x1,y1,x2,y2"
_CORNERS = ("x1", "y1", "x2", "y2")
_MOST_NAMED = 5


@dataclass(frozen=True)
class Placement:
    """Where the pixels of an image file go in the network's input: x * scale + shift."""

    scale: tuple[float, float]
    shift: tuple[float, float]
    height: int
    width: int

    def corners(self, box: Sequence[float]) -> list[float] | None:
        """x0, y0, x1, y1, clipped to the input; None if nothing of the box is in it."""
        moved = [one * self.scale[i % 2] + self.shift[i % 2] for i, one in enumerate(box)]
        clipped = [min(max(one, 0.0), float((self.width, self.height)[i % 2])) for i, one in enumerate(moved)]
        return clipped if clipped[0] < clipped[2] and clipped[1] < clipped[3] else None


def placement(file: Path, height: int, width: int, resize: str) -> Placement:
    """As `tasks.images` resizes the file. Raises OSError if it cannot be read."""
    columns, rows = upright_size(file)
    if (columns, rows) == (width, height) or resize == "stretch":
        return Placement((width / columns, height / rows), (0.0, 0.0), height, width)
    scaled, (left, top) = covering((columns, rows), height, width)
    return Placement((scaled[0] / columns, scaled[1] / rows), (-left, -top), height, width)


def read_truths(
    file: Path, names: Sequence[str], placements: Mapping[str, Placement], labels: int, class_names: Sequence[str]
) -> list[list[list[float]]]:
    """Of each image its boxes: label, x0, y0, x1, y1. Boxes of classes that the network does not know are left out.

    raises  UsageError for a file that is neither, says nothing of any of the images, or has boxes of which none is of
            a class that the network knows
    """
    found = _from_json(file) if file.suffix.lower() == ".json" else _from_csv(file)
    label_of = {str(number): number for number in range(labels)}
    label_of |= {name: number for number, name in enumerate(class_names)}
    if not set(found).intersection(Path(name).name for name in names):
        raise UsageError("the file names none of the images", where=str(file), hint=f"first line: {CSV_HEADER}")
    named = {what for boxes in found.values() for what, _ in boxes}
    if named and not label_of.keys() & named:
        what = (
            f"of its classes the network knows none: {', '.join(repr(one[:40]) for one in sorted(named)[:_MOST_NAMED])}"
        )
        hint = f"numbers from 0 to {labels - 1}, or names that build's --labels has"
        raise UsageError(what, where=str(file), hint=hint)
    truths = []
    for name in names:
        boxes = []
        for what, box in found.get(Path(name).name, []):
            corners = placements[name].corners(box) if what in label_of else None
            if corners is not None:
                boxes.append([float(label_of[what]), *corners])
        truths.append(boxes)
    return truths


_Boxes = dict[str, list[tuple[str, list[float]]]]


def _from_csv(file: Path) -> _Boxes:
    """A row for each box; a class is a number or a name."""
    rows = read_csv(file, CSV_HEADER)
    missing = [column for column in ("file", "class", *_CORNERS) if not has_column(rows, column)]
    if missing:
        raise UsageError(f"the header has no '{missing[0]}'", where=str(file), hint=f"first line: {CSV_HEADER}")
    found: _Boxes = {}
    for line, row in rows.items():
        try:
            box = [float(row[column]) for column in _CORNERS]
        except ValueError:
            raise UsageError("a corner that is no number", where=f"{file}, line {line}", hint=CSV_HEADER) from None
        if not (box[0] <= box[2] and box[1] <= box[3]):
            what = "a box whose first corner is not the upper left one"
            raise UsageError(what, where=f"{file}, line {line}", hint=CSV_HEADER)
        found.setdefault(Path(row["file"].strip()).name, []).append((row["class"].strip(), box))
    return found


def _from_json(file: Path) -> _Boxes:
    """COCO: images, annotations with bbox (x, y, width, height) and categories, numbered in the order of their ids."""
    hint = "COCO's JSON: images, annotations, categories"
    try:
        plain: Any = parse(read_text(file, "labels file", hint))
        files = {image["id"]: str(image["file_name"]) for image in plain["images"]}
        order = {one["id"]: n for n, one in enumerate(sorted(plain["categories"], key=lambda one: int(one["id"])))}
        found: _Boxes = {Path(name).name: [] for name in files.values()}
        for one in plain["annotations"]:
            x, y, width, height = (float(number) for number in one["bbox"])
            if width < 0 or height < 0:
                raise ValueError(f"a bbox of {width:g} x {height:g}")
            label = str(order[one["category_id"]])
            found[Path(files[one["image_id"]]).name].append((label, [x, y, x + width, y + height]))
    except (ValueError, KeyError, TypeError, OverflowError) as error:
        raise UsageError(f"not COCO's JSON: {type(error).__name__}: {error}", where=str(file), hint=hint) from None
    return found
