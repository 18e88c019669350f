"""Boxes that the user says are in the images -> corners in pixels of the network's input."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mbn2c.errors import UsageError
from mbn2c.tasks.detection.box_files import BoxForm
from mbn2c.tasks.detection.true_box import TrueBox, counted
from mbn2c.tasks.images import covering, upright_size
from mbn2c.tasks.truths import same_images

_MOST_NAMED = 5


@dataclass(frozen=True)
class Placement:
    """Where the pixels of an image file, of so many columns and rows, go in the network's input: x * scale + shift."""

    columns: int
    rows: int
    scale: tuple[float, float]
    shift: tuple[float, float]
    height: int
    width: int

    def corners(self, box: Sequence[float]) -> tuple[float, float, float, float] | None:
        """x0, y0, x1, y1, clipped to the input; None if nothing of the box is in it."""
        moved = [one * self.scale[i % 2] + self.shift[i % 2] for i, one in enumerate(box)]
        x0, y0, x1, y1 = (min(max(one, 0.0), float((self.width, self.height)[i % 2])) for i, one in enumerate(moved))
        return (x0, y0, x1, y1) if x0 < x1 and y0 < y1 else None

    def in_file(self, corners: Sequence[float]) -> tuple[float, float, float, float]:
        """Corners in the network's input, in pixels of the file."""
        x0, y0, x1, y1 = ((one - self.shift[i % 2]) / self.scale[i % 2] for i, one in enumerate(corners))
        return x0, y0, x1, y1


@dataclass(frozen=True)
class ReadBoxes:
    """of_images  true boxes of each image
    left_out   how many boxes of these images are of each class that the network does not know
    """

    of_images: list[list[TrueBox]]
    left_out: Mapping[str, int]

    def words(self) -> str:
        """How many there are, and what is not judged."""
        boxes = [box for image in self.of_images for box in image]
        ignored, left_out = len(boxes) - len(counted(boxes)), sum(self.left_out.values())
        words = f"{len(boxes) - ignored} true boxes" + (
            f", {ignored} crowds or difficult ones ignored" if ignored else ""
        )
        if not left_out:
            return words
        names = ", ".join(
            repr(one[:40]) for one in sorted(self.left_out, key=lambda one: -self.left_out[one])[:_MOST_NAMED]
        )
        return f"{words}; {left_out} of classes that the network does not know left out: {names}"


def placement(file: Path, height: int, width: int, resize: str) -> Placement:
    """As `tasks.images` resizes the file. Raises OSError if it cannot be read."""
    columns, rows = upright_size(file)
    if (columns, rows) == (width, height) or resize == "stretch":
        return Placement(columns, rows, (width / columns, height / rows), (0.0, 0.0), height, width)
    scaled, (left, top) = covering((columns, rows), height, width)
    return Placement(columns, rows, (scaled[0] / columns, scaled[1] / rows), (-left, -top), height, width)


def read_truths(
    form: BoxForm,
    path: Path,
    names: Sequence[str],
    placements: Mapping[str, Placement],
    labels: int,
    class_names: Sequence[str],
) -> ReadBoxes:
    """Of each image its boxes, but those of classes that the network does not know.

    raises  UsageError for a file that is not of its form, says nothing of an image, or has boxes of which none is of a
            class that the network knows, or one whose corners are no numbers
    """
    sizes = {name: (placements[name].columns, placements[name].rows) for name in names}
    found = form.read(path, sizes, class_names)
    written_as = same_images(names, found, path)
    label_of = {str(number): number for number in range(labels)}
    label_of |= {name: number for number, name in enumerate(class_names)}
    if not written_as:
        raise UsageError("it names none of the images", where=str(path), hint=form.words)
    unknown = [name for name in names if form.names_all and name not in written_as]
    if unknown:
        some = ", ".join(repr(one) for one in unknown[:_MOST_NAMED])
        what = f"it says nothing of {len(unknown)} of the {len(names)} images: {some}"
        raise UsageError(what, where=str(path), hint="add them, without boxes if they have none, or leave them out")
    for name, written_boxes in found.items():
        if not all(math.isfinite(corner) for box in written_boxes for corner in box.corners):
            raise UsageError(f"a box of '{name}' whose corners are no numbers", where=str(path), hint=form.words)
    written = {box.what for boxes in found.values() for box in boxes}
    if written and label_of.keys().isdisjoint(written):
        some = ", ".join(repr(one[:40]) for one in sorted(written)[:_MOST_NAMED])
        hint = f"numbers from 0 to {labels - 1}, or names that build's --labels has"
        raise UsageError(f"of its classes the network knows none: {some}", where=str(path), hint=hint)
    truths, left_out = [], Counter[str]()
    for name in names:
        boxes = []
        for box in found[written_as[name]] if name in written_as else []:
            if box.what not in label_of:
                left_out[box.what] += 1
            elif (corners := placements[name].corners(box.corners)) is not None:
                boxes.append(TrueBox(label_of[box.what], *corners, box.rule))
        truths.append(boxes)
    return ReadBoxes(truths, left_out)
