"""Thresholds and numbers of a file -> the limits that a device starts from."""

from __future__ import annotations

from mbn2c.frontend.detectors.cut import MisreadError
from mbn2c.tasks.detection.detector import USUAL_LIMITS, DetectorLimits

# What a file wants more of is no default: each takes RAM.
_MOST_BOXES = 100


def read_limits(boxes: float | None, score: float | None, iou: float | None) -> DetectorLimits:
    """What a file does not say is as usual.

    raises  MisreadError for what is no share; a score below 0 is one of 0: everything counts
    """
    for name, value in (("a score", score), ("an IoU", iou)):
        if value is not None and not -1e30 < value <= 1:
            raise MisreadError(f"{name} of {value:g} is the threshold")
    if iou is not None and iou < 0:
        raise MisreadError(f"an IoU of {iou:g} is the threshold")
    if boxes is not None and not boxes >= 1:
        raise MisreadError(f"it returns {boxes:g} boxes")
    most = USUAL_LIMITS.max_boxes if boxes is None else int(min(boxes, _MOST_BOXES))
    return DetectorLimits(
        most,
        max(USUAL_LIMITS.max_candidates, most),
        USUAL_LIMITS.score_threshold if score is None else max(score, 0.0),
        USUAL_LIMITS.iou_threshold if iou is None else iou,
    )
