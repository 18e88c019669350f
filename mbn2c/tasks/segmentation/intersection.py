"""Maps of classes and true ones -> mean intersection over union and pixel accuracy, with their intervals.

Counts are kept image by image, so that images can be drawn again for the intervals.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

# Pixels of a true map that count for nothing, as in PASCAL VOC.
IGNORED = 255
_RESAMPLES = 1000

Counts = np.ndarray
"""int64 [images, 3, classes]: pixels that are both, found and true of each class, ignored ones left out."""


def count(found: Sequence[np.ndarray], truths: Sequence[np.ndarray], classes: int) -> Counts:
    """found, truths: uint8 [height, width] of each image."""
    counts = np.zeros((len(found), 3, classes), np.int64)
    for one, got, true in zip(counts, found, truths, strict=True):
        counted = true != IGNORED
        got, true = got[counted], true[counted]
        one[0] = np.bincount(got[got == true], minlength=classes)[:classes]
        one[1] = np.bincount(got, minlength=classes)[:classes]
        one[2] = np.bincount(true, minlength=classes)[:classes]
    return counts


def mean_iou(counts: Counts) -> float:
    """Over the classes that are true or found anywhere, pixels of all images together; nan without one."""
    both, found, true = counts.sum(axis=0)
    union = found + true - both
    known = union > 0
    return float((both[known] / union[known]).mean()) if known.any() else float("nan")


def accuracy(counts: Counts) -> float:
    """The share of pixels whose class is right; nan without one."""
    both, _, true = counts.sum(axis=(0, 2))
    return float(both / true) if true else float("nan")


def with_interval(metric: Callable[[Counts], float], counts: Counts) -> tuple[float, tuple[float, float]]:
    """A metric, and its 95 % interval by drawing images again."""
    drawn = [metric(counts[draw]) for draw in _draws(len(counts))]
    return metric(counts), (float(np.nanpercentile(drawn, 2.5)), float(np.nanpercentile(drawn, 97.5)))


def drop_with_bound(metric: Callable[[Counts], float], before: Counts, after: Counts) -> tuple[float, float]:
    """How much a metric loses on the same images, and the upper 95 % bound of that."""
    drawn = [metric(before[draw]) - metric(after[draw]) for draw in _draws(len(before))]
    return metric(before) - metric(after), float(np.nanpercentile(drawn, 97.5))


def _draws(images: int) -> list[np.ndarray]:
    generator = np.random.default_rng(0)
    return [generator.integers(0, images, images) for _ in range(_RESAMPLES)]
