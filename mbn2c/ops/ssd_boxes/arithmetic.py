"""Candidates of all levels of a detector -> boxes, in integers: the reference of templates/kernels/scalar/ssd_boxes.c.

Lengths on the way have 16 bits behind the point and are pixels of the network's input; corners of boxes have 4. What
grows without bound in real numbers, the exponent of an offset, stops at LONGEST.
"""

from __future__ import annotations

import operator
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from mbn2c.ops.ssd_candidates.records import ONE_SCORE, from_bytes

ONE = 1 << 16
LONGEST = 1 << 29
# Of a rank times its step, where that is a logarithm of odds: int32 holds sums of it.
MOST_LOG_ODDS = 1 << 30
# What the offsets of a box move: its corners, its centre and the logarithms of its sizes, or its centre and its sizes.
CORNERS, CENTRES, SIZES = CODERS = ("corners", "centres", "sizes")
CORNER_BITS = 4
BOX = np.dtype([("corners", "<i2", (4,)), ("label", "<i2"), ("score", "<i2")])
# 2 ** (i / 64), with 15 bits behind the point: between two entries the exponential is taken as a straight line.
POWERS = tuple(round(2 ** (i / 64) * (1 << 15)) for i in range(65))


@dataclass(frozen=True)
class Box:
    """One found object; corners x0, y0, x1, y1 in sixteenths of a pixel, score of ONE_SCORE."""

    corners: tuple[int, int, int, int]
    label: int
    score: int


@dataclass(frozen=True)
class SsdLevel:
    """What places of a level mean, by anchor: ints with 16 bits behind the point.

    height, width  of the level, in pixels
    step_x       from an anchor to that of the next pixel; step_y likewise
    zero_point   of the offsets
    rank_step    a rank times this is the logarithm, to base 2, of the odds of its score; or, with `is_linear`, the
                 score, of ONE_SCORE
    anchors      by anchor of pixel 0: x0, y0, x1, y1; or centre x and y, width and height
    offset_steps by anchor: what an offset of 1 adds to each corner; or to the centre, and to width and height or their
                 logarithms to base 2
    curves       what codes of the first two and of the last two parts stand for, 256 each from -128 on, with 16 bits
                 behind the point: an offset of 1 is then such a 1; (): codes minus the zero point
    """

    height: int
    width: int
    step_x: int
    step_y: int
    zero_point: int
    rank_step: int
    anchors: tuple[tuple[int, ...], ...]
    offset_steps: tuple[tuple[int, ...], ...]
    curves: tuple[tuple[int, ...], ...] = ()


@dataclass(frozen=True)
class SsdBoxesAttributes:
    """How candidates become boxes.

    levels         of each input
    order          which offset belongs to x0, y0, x1 and y1, or to centre x and y, width and height
    coder          CORNERS, CENTRES or SIZES
    height, width  of the network's input, in pixels
    boxes          that are kept
    iou_threshold  of 65,536: what overlaps a better box more is dropped
    per_class      only boxes of the same label drop each other
    is_linear      ranks grow as the scores, not as the logarithms of their odds
    connected      instead of dropping, what lies beside each other in the grid of the only level is one box
    """

    levels: tuple[SsdLevel, ...]
    order: tuple[int, int, int, int]
    coder: str
    height: int
    width: int
    boxes: int
    iou_threshold: int
    per_class: bool
    is_linear: bool = False
    connected: bool = False


def find_boxes(a: SsdBoxesAttributes, lists: Sequence[np.ndarray]) -> list[Box]:
    """The boxes that are kept, the best first; lists: int8 records of each level, the best first."""
    if a.connected:
        return _connected_boxes(a, from_bytes(lists[0]))
    kept: list[Box] = []
    for level, candidate in _in_order(a, [from_bytes(one) for one in lists]):
        if len(kept) == a.boxes:
            break
        box = _box_of(a, level, candidate)
        if box is None:
            continue
        if not any(
            (box.label == other.label or not a.per_class) and overlap(box, other, a.iou_threshold) for other in kept
        ):
            kept.append(box)
    return kept


def _box_of(a: SsdBoxesAttributes, level: SsdLevel, candidate: np.void) -> Box | None:
    """None if it has no area."""
    corners = decode(a, level, int(candidate["place"]), [int(one) for one in candidate["offsets"]])
    if corners[0] >= corners[2] or corners[1] >= corners[3]:
        return None
    grade = int(candidate["rank"]) * level.rank_step
    score = min(max(grade >> 16, 1), ONE_SCORE - 1) if a.is_linear else score_of(grade)
    return Box(corners, int(candidate["label"]), score)


def _connected_boxes(a: SsdBoxesAttributes, candidates: np.ndarray) -> list[Box]:
    """Of each group the box around all its boxes, with the label and score of its best candidate."""
    [level] = a.levels
    y, x = np.divmod(candidates["place"].astype(int), level.width)
    kept = []
    for members in connected(x, y, candidates["label"].astype(int))[: a.boxes]:
        boxes = [box for one in members if (box := _box_of(a, level, candidates[one])) is not None]
        low = [min((box.corners[i] for box in boxes), default=0) for i in (0, 1)]
        high = [max((box.corners[i] for box in boxes), default=0) for i in (2, 3)]
        if boxes:
            kept.append(Box((low[0], low[1], high[0], high[1]), boxes[0].label, boxes[0].score))
    return kept


def connected(x: np.ndarray, y: np.ndarray, labels: np.ndarray) -> list[list[int]]:
    """Groups of places with the same label that hang together, corners are enough; each and all in the given order."""
    group = list(range(len(x)))
    for one in range(len(x)):
        for other in range(one):
            is_beside = abs(x[one] - x[other]) <= 1 and abs(y[one] - y[other]) <= 1
            if is_beside and labels[one] == labels[other] and group[one] != group[other]:
                low, high = sorted((group[one], group[other]))
                group = [low if number == high else number for number in group]
    members: dict[int, list[int]] = {}
    for one, number in enumerate(group):
        members.setdefault(number, []).append(one)
    return list(members.values())


def _in_order(a: SsdBoxesAttributes, lists: Sequence[np.ndarray]) -> Iterator[tuple[SsdLevel, np.void]]:
    """Candidates of all levels, the best first; of equal ones those of the earlier level first."""
    every = [
        (-int(one["rank"]) * a.levels[number].rank_step, number, position)
        for number, found in enumerate(lists)
        for position, one in enumerate(found)
    ]
    for _, number, position in sorted(every):
        yield a.levels[number], lists[number][position]


def decode(a: SsdBoxesAttributes, level: SsdLevel, place: int, offsets: Sequence[int]) -> tuple[int, int, int, int]:
    """The corners of a candidate, clipped to the image."""
    pixel, number = divmod(place, len(level.anchors))
    y, x = divmod(pixel, level.width)
    anchor, steps = level.anchors[number], level.offset_steps[number]
    if level.curves:
        moved = [level.curves[i // 2][offsets[a.order[i]] + 128] * steps[i] >> 16 for i in range(4)]
    else:
        moved = [(offsets[a.order[i]] - level.zero_point) * steps[i] for i in range(4)]
    shift = (x * level.step_x, y * level.step_y)
    if a.coder in (CENTRES, SIZES):
        centres = [anchor[i] + shift[i] + moved[i] for i in range(2)]
        by = times_power_of_2 if a.coder == CENTRES else operator.add
        halves = [by(anchor[i], moved[i]) >> 1 for i in (2, 3)]
        corners = [centres[0] - halves[0], centres[1] - halves[1], centres[0] + halves[0], centres[1] + halves[1]]
    else:
        corners = [anchor[i] + shift[i % 2] + moved[i] for i in range(4)]
    rounded = [(one + (1 << (15 - CORNER_BITS))) >> (16 - CORNER_BITS) for one in corners]
    x0, y0, x1, y1 = (min(max(one, 0), (a.width, a.height)[i % 2] << CORNER_BITS) for i, one in enumerate(rounded))
    return x0, y0, x1, y1


def power_of_2(exponent: int) -> tuple[int, int]:
    """2 ** (exponent / ONE) as (mantissa of 15 bits behind the point, from 1 to 2, and a shift to the left)."""
    fraction = exponent & (ONE - 1)
    low, high = POWERS[fraction >> 10], POWERS[(fraction >> 10) + 1]
    return low + ((high - low) * (fraction & 1023) >> 10), exponent >> 16


def times_power_of_2(length: int, exponent: int) -> int:
    """length * 2 ** (exponent / ONE), rounded down, LONGEST at most."""
    mantissa, left = power_of_2(exponent)
    right = min(15 - left, 62)
    return LONGEST if right <= 0 else min(length * mantissa >> right, LONGEST)


def score_of(odds: int) -> int:
    """1 / (1 + 2 ** -(odds / ONE)) of ONE_SCORE, from 1 to ONE_SCORE - 1."""
    mantissa, left = power_of_2(-abs(odds))
    below = ONE_SCORE + (mantissa >> min(-left, 31))
    score = ((1 << 30) + (below >> 1)) // below
    return min(max(score if odds >= 0 else ONE_SCORE - score, 1), ONE_SCORE - 1)


def overlap(one: Box, other: Box, threshold: int) -> bool:
    """Whether intersection over union is more than threshold / 65,536."""
    (ax0, ay0, ax1, ay1), (bx0, by0, bx1, by1) = one.corners, other.corners
    width, height = min(ax1, bx1) - max(ax0, bx0), min(ay1, by1) - max(ay0, by0)
    if width <= 0 or height <= 0:
        return False
    shared = width * height
    union = (ax1 - ax0) * (ay1 - ay0) + (bx1 - bx0) * (by1 - by0) - shared
    return shared << 16 > threshold * union


def boxes_to_bytes(boxes: Sequence[Box], most: int) -> np.ndarray:
    """int8 [most * 12]; a score of 0 where there is none."""
    records = np.zeros(most, BOX)
    for record, box in zip(records, boxes, strict=False):
        record["corners"], record["label"], record["score"] = box.corners, box.label, box.score
    return records.view(np.int8)


def boxes_from_bytes(values: np.ndarray) -> list[Box]:
    """The inverse of `boxes_to_bytes`."""
    records = np.ascontiguousarray(values).reshape(-1).view(np.int8).view(BOX)
    return [
        Box(tuple(int(corner) for corner in one["corners"]), int(one["label"]), int(one["score"]))  # type: ignore[arg-type]
        for one in records
        if one["score"] > 0
    ]
