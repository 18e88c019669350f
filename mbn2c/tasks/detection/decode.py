"""Real numbers of a detector's heads -> boxes, as the file's own program would make them: in floating point.

What a device finds is compared with this; it has no bound of candidates, and rounds nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mbn2c.files.typed_json import Count, Real
from mbn2c.ops.ssd_boxes.arithmetic import CORNER_BITS, boxes_from_bytes, connected
from mbn2c.ops.ssd_candidates.records import ONE_SCORE
from mbn2c.tasks.detection.detector import (
    CENTRES,
    DISTANCES,
    PLAIN,
    PRODUCTS,
    SHARE_PRODUCT,
    SIGMOID,
    SIZES,
    SOFTMAX,
    TANH,
    Detector,
)


@dataclass(frozen=True)
class FoundBox:
    """Corners in pixels of the network's input, score from 0 to 1."""

    x0: Real
    y0: Real
    x1: Real
    y1: Real
    label: Count
    score: Real

    @property
    def corners(self) -> tuple[float, float, float, float]:
        """x0, y0, x1, y1"""
        return self.x0, self.y0, self.x1, self.y1


def found_box(corners: Sequence[float], label: int, score: float) -> FoundBox:
    """corners: x0, y0, x1, y1"""
    x0, y0, x1, y1 = corners
    return FoundBox(x0, y0, x1, y1, label, score)


def from_device(values: np.ndarray) -> list[FoundBox]:
    """What a device returns: bytes, as whole numbers of any type."""
    unit = 1 << CORNER_BITS
    return [
        found_box([corner / unit for corner in box.corners], box.label, box.score / ONE_SCORE)
        for box in boxes_from_bytes(values.astype(np.int8))
    ]


def decode_heads(detector: Detector, heads: Sequence[np.ndarray], height: int, width: int) -> list[FoundBox]:
    """heads: of each level the maps of `DetectorFacts.kinds`, [1, H, W, C]; the boxes that remain, the best first."""
    facts, limits = detector.facts, detector.facts.limits
    step = len(facts.kinds)
    counts = np.concatenate([_peaks(one).reshape(-1, facts.classes) for one in heads[::step]]) if facts.peaks else True
    scores = np.concatenate([one.reshape(-1, facts.classes) for one in heads[::step]])
    if facts.values:
        offsets = np.concatenate([one.reshape(-1, facts.values) for one in heads[step - 1 :: step]])
    else:
        offsets = np.zeros((len(scores), 4))
    corners = corners_of(detector, curved(facts.curves, offsets[:, list(facts.order)])) * [width, height, width, height]
    corners = np.clip(corners, 0, [width, height, width, height])
    objectness = np.concatenate([one.reshape(-1, 1) for one in heads[1::step]]) if facts.score in PRODUCTS else None
    shares = _shares(detector, scores, objectness)
    places, labels = np.nonzero((shares >= limits.score_threshold) & counts)
    has_area = (corners[places, 2:] > corners[places, :2]).all(axis=1)
    places, labels = places[has_area], labels[has_area]
    order = np.argsort(-shares[places, labels], kind="stable")
    places, labels = places[order], labels[order]
    kept: list[FoundBox] = []
    if facts.connected:
        y, x = np.divmod(places, facts.levels[0].width)
        for group in connected(x, y, labels)[: limits.max_boxes]:
            around = np.concatenate([corners[places[group], :2].min(axis=0), corners[places[group], 2:].max(axis=0)])
            place, label = places[group[0]], labels[group[0]]
            kept.append(found_box(around.tolist(), int(label), float(shares[place, label])))
        return kept
    for place, label in zip(places, labels, strict=True):
        box = found_box(corners[place].tolist(), int(label), float(shares[place, label]))
        rivals = [one for one in kept if one.label == box.label or not facts.per_class]
        if all(iou(box.corners, one.corners) <= limits.iou_threshold for one in rivals):
            kept.append(box)
        if len(kept) == limits.max_boxes:
            break
    return kept


def _peaks(scores: np.ndarray) -> np.ndarray:
    """Whether no neighbour exceeds a score, [1, H, W, C]."""
    _, height, width, _ = scores.shape
    around = np.pad(scores, ((0, 0), (1, 1), (1, 1), (0, 0)), constant_values=-np.inf)
    shifted = [around[:, y : y + height, x : x + width] for y in range(3) for x in range(3)]
    return np.asarray(scores >= np.maximum.reduce(shifted))


def probabilities(score: str, values: np.ndarray) -> np.ndarray:
    """Of scores [N, classes]; score: SOFTMAX over the classes, SIGMOID of each, or PLAIN."""
    if score == PLAIN:
        return values
    if score == SIGMOID:
        return np.asarray(np.exp(-np.logaddexp(0, -values)))
    powers = np.exp(values - values.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def curved(curves: Sequence[str], offsets: np.ndarray) -> np.ndarray:
    """What offsets [N, 4] are taken as, the first two and the last two."""
    return np.concatenate([curve_of(name, offsets[:, 2 * n :][:, :2]) for n, name in enumerate(curves)], axis=1)


def curve_of(name: str, values: np.ndarray) -> np.ndarray:
    """name: of detector.CURVES"""
    if not name:
        return values
    return np.tanh(values) if name == TANH else probabilities(SIGMOID, values)


def offsets_of(curves: Sequence[str], made: np.ndarray) -> np.ndarray:
    """The inverse of `curved`, as far as there is one: of the ends of tanh and sigmoid what float32 makes them of."""
    found = made.astype(np.float64)
    for pair, name in enumerate(curves):
        part = found[:, 2 * pair : 2 * pair + 2]
        if name:
            share = np.clip((part + 1) / 2 if name == TANH else part, 1e-13, 1 - 1e-13)
            found[:, 2 * pair : 2 * pair + 2] = np.log(share / (1 - share)) / (2 if name == TANH else 1)
    return found


def product(score: str, values: np.ndarray, objectness: np.ndarray, exponents: Sequence[float]) -> np.ndarray:
    """Scores of classes [N, classes] and of anchors [N, 1]: the product of both factors, raised to these powers.

    score  one of PRODUCTS
    """
    of_class = probabilities(SOFTMAX if score == SHARE_PRODUCT else SIGMOID, values)
    return np.asarray(of_class ** exponents[0] * probabilities(SIGMOID, objectness) ** exponents[1])


def _shares(detector: Detector, scores: np.ndarray, objectness: np.ndarray | None) -> np.ndarray:
    """Probabilities of the classes, without the background."""
    facts = detector.facts
    if objectness is not None:
        shares = product(facts.score, scores, objectness, facts.exponents)
    else:
        shares = probabilities(facts.score, scores)
    return shares if facts.background < 0 else np.delete(shares, facts.background, axis=1)


def corners_of(detector: Detector, offsets: np.ndarray) -> np.ndarray:
    """x0, y0, x1, y1 of each anchor, in parts of the image, of its four offsets in the order of the coder."""
    anchors, sizes = detector.anchors, detector.anchors[:, 2:] - detector.anchors[:, :2]
    moved = offsets / np.array(detector.facts.scales)
    centres = (anchors[:, :2] + anchors[:, 2:]) / 2
    if detector.facts.coder == DISTANCES:
        return np.concatenate([centres - moved[:, :2] * sizes, centres + moved[:, 2:] * sizes], axis=1)
    if detector.facts.coder in (CENTRES, SIZES):
        centres = centres + moved[:, :2] * sizes
        by = np.exp(np.minimum(moved[:, 2:], 50)) if detector.facts.coder == CENTRES else moved[:, 2:]
        halves = sizes * by / 2
        return np.concatenate([centres - halves, centres + halves], axis=1)
    return np.asarray(anchors + moved * np.tile(sizes, 2))


def overlap(one: Sequence[float], other: Sequence[float]) -> float:
    """The area that two boxes share; corners x0, y0, x1, y1."""
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    return width * height if width > 0 and height > 0 else 0.0


def iou(one: Sequence[float], other: Sequence[float]) -> float:
    """Intersection over union of two boxes with an area; corners x0, y0, x1, y1."""
    shared = overlap(one, other)
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (one, other)]
    return shared / (sum(areas) - shared) if shared else 0.0
