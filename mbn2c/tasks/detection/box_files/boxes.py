"""What the readers of true boxes have in common."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from mbn2c.tasks.detection.true_box import COUNTED


class WrittenBox(NamedTuple):
    """A box as a file has it.

    what     its class: a name, or a number from 0 without the background
    corners  x0, y0, x1, y1 in pixels of the image file
    rule     as of TrueBox
    """

    what: str
    corners: tuple[float, float, float, float]
    rule: str = COUNTED


# By the name of the image file, without folders; an image that is not there is unknown, one without boxes is listed.
Boxes = dict[str, list[WrittenBox]]


def files_of_images(folder: Path, suffix: str, images: Mapping[str, tuple[int, int]]) -> Iterator[tuple[str, Path]]:
    """Names of images, and the files in the folder that have their name with another suffix."""
    for name in images:
        file = folder / f"{Path(name).stem}{suffix}"
        if file.is_file():
            yield name, file
