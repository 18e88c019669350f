"""What is true of an image: boxes that a detector should find, and boxes that it may find."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from mbn2c.tasks.detection.decode import FoundBox, iou, overlap

# Boxes that agree overlap by this much.
SAME = 0.5
# A box that should be found; objects that stand too close to be told apart (COCO); an object that is hard to see (VOC).
COUNTED, CROWD, DIFFICULT = "counted", "crowd", "difficult"


class TrueBox(NamedTuple):
    """label counts from 0, corners are in pixels of the network's input; in JSON a list of its fields.

    rule  COUNTED, or what is ignored: a box that lies on it and on no other counts neither as right nor as wrong
    """

    label: int
    x0: float
    y0: float
    x1: float
    y1: float
    rule: str = COUNTED

    @property
    def corners(self) -> tuple[float, float, float, float]:
        """x0, y0, x1, y1"""
        return self.x0, self.y0, self.x1, self.y1

    def covered_by(self, found: FoundBox) -> float:
        """How far they are the same: intersection over union; of a crowd over the found box, as COCO counts it."""
        if self.rule != CROWD:
            return iou(found.corners, self.corners)
        area = (found.x1 - found.x0) * (found.y1 - found.y0)
        return overlap(found.corners, self.corners) / area if area else 0.0


def counted(truths: Sequence[TrueBox]) -> list[TrueBox]:
    """Those that a detector should find."""
    return [one for one in truths if one.rule == COUNTED]


def same_boxes(found: Sequence[FoundBox], others: Sequence[FoundBox | TrueBox]) -> int:
    """How many found boxes have one of the others for themselves: of the same label, and at least half the same."""
    free, same = list(others), 0
    for box in found:
        match = next((one for one in free if one.label == box.label and iou(box.corners, one.corners) >= SAME), None)
        if match is not None:
            free.remove(match)
            same += 1
    return same
