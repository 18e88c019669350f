"""A detector's heads: what their numbers mean, as the importer found it in the file."""

from __future__ import annotations

import json
from dataclasses import dataclass

import numpy as np

from mbn2c.files.typed_json import read_json, to_plain
from mbn2c.ir.graph import Decoding
from mbn2c.ops.ssd_boxes.arithmetic import CODERS

NAME = "detection"
# Parts of the image that an anchor's centre may lie outside of it: grids may go on beyond an edge by half a step.
_OUTSIDE = 0.5
SOFTMAX, SIGMOID, PLAIN = "softmax", "sigmoid", "plain"
PRODUCT, SHARE_PRODUCT = PRODUCTS = "product", "product of a softmax"
# What an offset stands for: itself, or a function of it.
ITSELF, TANH, SIGMOID_OF_OFFSET = CURVES = "", "tanh", "sigmoid"
CORNERS, CENTRES, SIZES = CODERS
DISTANCES = "distances"


@dataclass(frozen=True)
class HeadLevel:
    """Rows, columns, and anchors of each pixel."""

    height: int
    width: int
    anchors: int

    @property
    def places(self) -> int:
        """Anchors in all."""
        return self.height * self.width * self.anchors


# Boxes or candidates: the board keeps them all in RAM.
MOST_KEPT = 1000


@dataclass(frozen=True)
class DetectorLimits:
    """What is looked for, and how much of it.

    max_boxes        that an image can have
    max_candidates   anchors of each level that may become one
    score_threshold  from 0 to 1: what counts as a candidate
    iou_threshold    from 0 to 1: what overlaps a better box of its class more is dropped
    """

    max_boxes: int = 32
    max_candidates: int = 64
    score_threshold: float = 0.1
    iou_threshold: float = 0.5


USUAL_LIMITS = DetectorLimits()


@dataclass(frozen=True)
class DetectorFacts:
    """What the heads' numbers mean.

    family      how the head was recognised, in words
    levels      in the order of the anchors; each has outputs of the network, as `kinds` says
    classes     scores of an anchor, the background among them
    background  the class that is none, of sigmoids the first; -1: there is none
    values      offsets of an anchor, the four of its box first; 0: its box is the anchor
    score       SOFTMAX over the classes, SIGMOID of each, PLAIN: the map's numbers are the scores, PRODUCT of the
                sigmoids of class and anchor, or SHARE_PRODUCT of the class's share of a softmax and that
    coder       CORNERS: by which parts of the anchor's width and height its corners move; DISTANCES: how far they lie
                from its centre; CENTRES: by which parts its centre moves, and logarithms of its size; SIZES: the
                centre, and the size itself in such parts
    order       which offset is of x0, y0, x1 and y1, or of centre x and y, width and height
    scales      that the offsets are divided by, in that order
    cut         the nodes of the file that this says in other words
    per_class   only boxes of the same label drop each other; else an anchor has one box at most, too
    peaks       of scores, only those count that no neighbour's of the same class exceeds
    exponents   of a product: the powers of both factors
    curves      what the first two and the last two offsets are taken as, of CURVES
    connected   anchors of the same label that are neighbours in the map are one box; else what overlaps is dropped
    """

    family: str
    levels: tuple[HeadLevel, ...]
    classes: int
    background: int
    values: int
    score: str
    coder: str
    order: tuple[int, int, int, int]
    scales: tuple[float, float, float, float]
    cut: tuple[str, ...]
    limits: DetectorLimits = USUAL_LIMITS
    per_class: bool = True
    peaks: bool = False
    exponents: tuple[float, float] = (1.0, 1.0)
    connected: bool = False
    curves: tuple[str, str] = (ITSELF, ITSELF)

    @property
    def kinds(self) -> tuple[str, ...]:
        """What the outputs of a level are: classes of each anchor; how sure it is an object; four numbers and more."""
        if not self.values:
            return ("scores",)
        return ("scores", "objectness", "offsets") if self.score in PRODUCTS else ("scores", "offsets")

    @property
    def labels(self) -> int:
        """Classes without the background."""
        return self.classes - (self.background >= 0)


@dataclass(frozen=True, eq=False)
class Detector:
    """facts    see there
    anchors  float64 [A, 4]: x0, y0, x1, y1 of each, in parts of the image
    """

    facts: DetectorFacts
    anchors: np.ndarray

    def to_decoding(self) -> Decoding:
        """As the Graph carries it."""
        return Decoding(NAME, json.dumps(to_plain(self.facts)), {"anchors": self.anchors})

    @classmethod
    def from_decoding(cls, decoding: Decoding) -> Detector:
        """The inverse of `to_decoding`. Raises ValueError for what that has not made."""
        facts = read_json(decoding.facts, DetectorFacts)
        anchors = decoding.arrays["anchors"]
        if wrong := wrong_anchors(anchors, sum(level.places for level in facts.levels)):
            raise ValueError(wrong)
        return cls(facts, anchors.astype(np.float64))


def wrong_anchors(anchors: np.ndarray, count: int) -> str:
    """Why these are not the corners of so many anchors, in parts of the image; "" if they are."""
    if anchors.shape != (count, 4) or not count:
        return f"anchors of shape {anchors.shape} for {count} places"
    if not np.isfinite(anchors).all():
        return f"anchor {int(np.argmin(np.isfinite(anchors).all(axis=1)))} is not a number"
    empty = (anchors[:, 2:] <= anchors[:, :2]).any(axis=1)
    if empty.any():
        return f"anchor {int(np.argmax(empty))} has no area, read as x0, y0, x1, y1"
    centres = (anchors[:, :2] + anchors[:, 2:]) / 2
    if np.abs(centres - 0.5).max() > 0.5 + _OUTSIDE:
        return f"anchors with centres from {centres.min():g} to {centres.max():g}, in parts of the image"
    return ""
