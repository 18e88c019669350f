"""A segmenter's map: what its numbers mean, as the importer found it in the file, and the classes in real numbers."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mbn2c.files.typed_json import read_json, to_plain
from mbn2c.ir.graph import Decoding
from mbn2c.ops.class_map import MOST_CHANNELS
from mbn2c.ops.resize2d.attributes import LARGEST_DENOMINATOR, LINEAR, TRANSFORMS, Axis
from mbn2c.tasks.tails import LARGEST_LOGIT

NAME = "segmentation"
SIGMOID, SOFTMAX = "sigmoid", "softmax"
# A class is a byte.
MOST_CLASSES = MOST_CHANNELS
# Values nearer to each other than this part of the largest are equal as far as float32 knows.
_EQUAL = 1e-6


@dataclass(frozen=True)
class SegmenterFacts:
    """What a file makes of its last map, whose channels are the classes; of one channel it is yes or no.

    ending     how the file ends, in words
    height     of the classes' map, whose rows and columns may be more than the channels' have: then they lie between
    width      those by `transform`, ONNX's coordinate_transformation_mode
    tail       SIGMOID, SOFTMAX or "": what the file applies last, which changes no choice
    cut        the nodes of the file that this says in other words
    threshold  of one channel: the least value of "yes", of what the file says
    """

    ending: str
    height: int
    width: int
    transform: str
    tail: str
    cut: tuple[str, ...]
    threshold: float = 0.5

    @property
    def least(self) -> float:
        """The threshold before the tail."""
        if self.tail != SIGMOID:
            return self.threshold
        if not 0 < self.threshold < 1:
            return math.copysign(math.inf, self.threshold - 0.5)
        return math.log(self.threshold / (1 - self.threshold))

    def telling(self, shape: Sequence[int]) -> tuple[float, float]:
        """Between which values of the map [1, h, w, C] one tells more than another.

        Where each is a pixel's yes or no, a float32 sigmoid hardly tells those apart that are far from the threshold.
        """
        is_choice = self.tail == SIGMOID and tuple(shape[1:]) == (self.height, self.width, 1)
        if not is_choice or abs(self.least) >= LARGEST_LOGIT:
            return -math.inf, math.inf
        return self.least - LARGEST_LOGIT, self.least + LARGEST_LOGIT

    def to_decoding(self) -> Decoding:
        """As the Graph carries it."""
        return Decoding(NAME, json.dumps(to_plain(self)), {})

    @classmethod
    def from_decoding(cls, decoding: Decoding) -> SegmenterFacts:
        """The inverse of `to_decoding`. Raises ValueError for what that has not made."""
        facts = read_json(decoding.facts, cls)
        if facts.transform not in TRANSFORMS or min(facts.height, facts.width) < 1:
            raise ValueError(f"a map of {facts.height}x{facts.width} by {facts.transform}")
        return facts

    def axes(self, height: int, width: int) -> tuple[Axis, Axis]:
        """Where the rows and columns of the classes lie in a map of that size."""
        return (
            Axis(height, self.height, LINEAR, self.transform, ""),
            Axis(width, self.width, LINEAR, self.transform, ""),
        )

    def resized(self, values: np.ndarray) -> np.ndarray:
        """The channels' map [1, h, w, C] -> float64 [1, height, width, C], as the file has it before its tail."""
        rows, columns = (_matrix(axis) for axis in self.axes(*values.shape[1:3]))
        if values.shape[1:3] == (self.height, self.width):
            return values.astype(np.float64)
        return np.asarray(np.einsum("yh,nhwc,xw->nyxc", rows, values.astype(np.float64), columns, optimize=True))

    def classes(self, values: np.ndarray) -> np.ndarray:
        """The channels' map in real numbers [1, h, w, C] -> uint8 [height, width]."""
        large = self.resized(values)
        if large.shape[3] == 1:
            return (large[0, :, :, 0] >= self.least).astype(np.uint8)
        return np.asarray(large[0].argmax(axis=2).astype(np.uint8))

    def differing(self, found: np.ndarray, values: np.ndarray) -> int:
        """Pixels of the classes `found` [height, width] that are not those of a map; what float32 cannot tell apart
        counts as equal."""
        large = self.resized(values)[0]
        bound = _EQUAL * max(1e-9, float(np.abs(large).max()))
        if large.shape[2] == 1:
            off = large[:, :, 0] - self.least
            return int(np.where(found > 0, off < -bound, off > bound).sum())
        known = np.minimum(found, large.shape[2] - 1).astype(np.intp)[:, :, None]
        chosen = np.take_along_axis(large, known, axis=2)[:, :, 0]
        return int(((chosen < large.max(axis=2) - bound) | (found >= large.shape[2])).sum())

    def is_exact(self, height: int, width: int) -> bool:
        """Whether weights between the pixels of a map of that size are powers of two, which float32 holds exactly."""
        parts = [math.lcm(*(place.denominator for place in axis.places)) for axis in self.axes(height, width)]
        return all(part & (part - 1) == 0 and part <= LARGEST_DENOMINATOR for part in parts)


def _matrix(axis: Axis) -> np.ndarray:
    """What each output position is made of: float64 [after, before], with its exact weights."""
    matrix = np.zeros((axis.after, axis.before))
    for y, place in enumerate(axis.places):
        lower = int(place)
        matrix[y, lower] += float(1 - (place - lower))
        matrix[y, min(lower + 1, axis.before - 1)] += float(place - lower)
    return matrix
