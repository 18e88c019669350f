"""Found and true boxes of many images -> average precision, as COCO counts it, and its interval.

source  COCO's detection evaluation: boxes in the order of their scores take the free true box that they overlap most,
        if by at least the threshold; else they may lie on one that is ignored, and are then left out themselves;
        precision at 101 recalls, each the best at that recall or more; of an image and label the 100 best boxes count
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mbn2c.tasks.detection.decode import FoundBox
from mbn2c.tasks.detection.true_box import COUNTED, TrueBox, counted

AP50 = (0.5,)
COCO = tuple(0.5 + 0.05 * step for step in range(10))
_RECALLS = np.linspace(0, 1, 101)
_RESAMPLES = 300
_MOST_BOXES = 100


def average_precision(
    found: Sequence[Sequence[FoundBox]], truths: Sequence[Sequence[TrueBox]], thresholds: Sequence[float] = AP50
) -> float | None:
    """The mean over thresholds and labels that are there; None if no box is."""
    return _mean(_marked(found, truths, thresholds), range(len(found)))


def with_interval(
    found: Sequence[Sequence[FoundBox]], truths: Sequence[Sequence[TrueBox]], thresholds: Sequence[float] = AP50
) -> tuple[float, tuple[float, float]] | None:
    """Average precision, and where 95 % of resamples of the images lie (bootstrap); None if no box is there."""
    marked = _marked(found, truths, thresholds)
    whole = _mean(marked, range(len(found)))
    if whole is None:
        return None
    resampled = [one for one in _resampled([marked], len(found)) if one[0] is not None]
    low, high = np.percentile([one[0] for one in resampled], [2.5, 97.5]) if resampled else (whole, whole)
    return whole, (float(low), float(high))


def drop_with_bound(
    before: Sequence[Sequence[FoundBox]], after: Sequence[Sequence[FoundBox]], truths: Sequence[Sequence[TrueBox]]
) -> tuple[float, float] | None:
    """How much AP50 is lost on the same images, and the upper end of its 95 % interval (paired bootstrap)."""
    sides = [_marked(found, truths, AP50) for found in (before, after)]
    whole = [_mean(side, range(len(truths))) for side in sides]
    if whole[0] is None or whole[1] is None:
        return None
    losses = [one[0] - one[1] for one in _resampled(sides, len(truths)) if one[0] is not None and one[1] is not None]
    return whole[0] - whole[1], float(np.percentile(losses, 97.5)) if losses else whole[0] - whole[1]


# Of each (label, threshold) and image: scores and whether each box is right, and how many boxes should be found.
_Marks = dict[tuple[int, float], list[tuple[np.ndarray, np.ndarray, int]]]


def _marked(
    found: Sequence[Sequence[FoundBox]], truths: Sequence[Sequence[TrueBox]], thresholds: Sequence[float]
) -> _Marks:
    labels = sorted({truth.label for image in truths for truth in image})
    return {
        (label, threshold): [
            _marked_image(
                [box for box in boxes if box.label == label], [t for t in image if t.label == label], threshold
            )
            for boxes, image in zip(found, truths, strict=True)
        ]
        for label in labels
        for threshold in thresholds
    }


def _marked_image(
    boxes: Sequence[FoundBox], truths: Sequence[TrueBox], threshold: float
) -> tuple[np.ndarray, np.ndarray, int]:
    ordered = sorted(boxes, key=lambda box: -box.score)[:_MOST_BOXES]
    free, ignored = counted(truths), [truth for truth in truths if truth.rule != COUNTED]
    scores, right = [], []
    for box in ordered:
        best = max(free, key=lambda truth: truth.covered_by(box), default=None)
        is_right = best is not None and best.covered_by(box) >= threshold
        if best is not None and is_right:
            free.remove(best)
        elif any(truth.covered_by(box) >= threshold for truth in ignored):
            continue
        scores.append(box.score)
        right.append(is_right)
    return np.array(scores), np.array(right, bool), len(counted(truths))


def _mean(marks: _Marks, images: Sequence[int]) -> float | None:
    precisions = []
    for one in marks.values():
        chosen = [one[image] for image in images]
        total = sum(count for _, _, count in chosen)
        if total:
            scores, right = (np.concatenate([image[side] for image in chosen]) for side in (0, 1))
            precisions.append(_area(right[np.argsort(-scores, kind="stable")], total))
    return float(np.mean(precisions)) if precisions else None


def _area(right: np.ndarray, total: int) -> float:
    """right: of all boxes, the best score first."""
    if not right.size:
        return 0.0
    hits = np.cumsum(right)
    precision = np.maximum.accumulate((hits / np.arange(1, right.size + 1))[::-1])[::-1]
    at = np.searchsorted(hits / total, _RECALLS)
    return float(np.where(at < right.size, precision[np.minimum(at, right.size - 1)], 0).mean())


def _resampled(sides: Sequence[_Marks], images: int) -> list[tuple[float | None, ...]]:
    generator = np.random.default_rng(0)
    draws = [generator.integers(0, images, images).tolist() for _ in range(_RESAMPLES)]
    return [tuple(_mean(side, draw) for side in sides) for draw in draws]
