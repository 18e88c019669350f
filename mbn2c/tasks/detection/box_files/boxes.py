"""What the readers of true boxes have in common."""

from __future__ import annotations

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


# By the name of the image file, with the folders that are written; an image that is not there is unknown, one without
# boxes is listed.
Boxes = dict[str, list[WrittenBox]]
