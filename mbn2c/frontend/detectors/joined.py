"""Heads that the file returns as they are: scores and offsets of all levels, one after the other, of all anchors.

scores   [1, anchors of all levels, classes], offsets [1, anchors, values]: each a Concat of levels, or the only one;
         of each level the Reshape of the Transpose of a map
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from onnx import NodeProto, ValueInfoProto, helper

from mbn2c.frontend.detectors.cut import TOLERANCE, Ends, HeadCut, Links, MisreadError, Reading, ended
from mbn2c.frontend.detectors.levels import MapRows, rows_of
from mbn2c.frontend.runtime import Oracle
from mbn2c.tasks.detection.decode import probabilities
from mbn2c.tasks.detection.detector import (
    SIGMOID,
    SOFTMAX,
    USUAL_LIMITS,
    Detector,
    DetectorFacts,
    DetectorLimits,
    HeadLevel,
    wrong_anchors,
)

_SCORES = {"Softmax": SOFTMAX, "Sigmoid": SIGMOID}
_LOOKS = ("Identity", "Reshape", "Squeeze", "Unsqueeze")
_TO_NHWC = [0, 2, 3, 1]


@dataclass(frozen=True)
class Head:
    """Scores or offsets.

    output  of the file, or of what the family stops at
    maps    NCHW tensors, one for each level
    score   SOFTMAX, SIGMOID or ""; is_applied: the file does it
    passed  names of the nodes between maps and output
    """

    output: str
    maps: tuple[str, ...]
    score: str
    passed: tuple[str, ...]
    is_applied: bool = True


@dataclass(frozen=True)
class JoinedHeads(Ends):
    """What follows `offsets` is as in `tasks.detection.DetectorFacts`.

    background  where there is one: of several classes, or, if the file says how many, of one more than these
    classes     without the background; None if the file does not say
    """

    scores: Head
    offsets: Head
    coder: str
    order: tuple[int, int, int, int]
    scales: tuple[float, float, float, float]
    background: int
    limits: DetectorLimits = USUAL_LIMITS
    per_class: bool = True
    classes: int | None = None

    @abstractmethod
    def anchors(self, cut: HeadCut, levels: Sequence[HeadLevel]) -> np.ndarray:
        """x0, y0, x1, y1 of each, in parts of the image."""

    @property
    def assumed(self) -> str:
        """What of it no number of the file can confirm."""
        first = ", the first being the background" if self.background == 0 else ""
        return "" if self.scores.is_applied else f" (assumed{first})"

    def read(self, cut: HeadCut) -> Reading:
        """See Ends."""
        found = outputs_of(cut, (self.scores.output, self.offsets.output, *self.maps))
        scores, offsets = found[self.scores.output], found[self.offsets.output]
        classes = scores.shape[-1]
        has_background = classes > 1 if self.classes is None else classes == self.classes + 1
        places = scores.size // classes
        if offsets.size % places:
            raise MisreadError(f"{offsets.size} offsets for {places} places")
        heads = (self.scores, self.offsets)
        rows = rows_of(cut, [head.maps for head in heads], [classes, offsets.size // places])
        anchors = self.anchors(cut, rows[0].levels)
        anchors = anchors.reshape(-1, *anchors.shape[-1:]).astype(np.float64)
        if wrong := wrong_anchors(anchors, places):
            raise MisreadError(wrong)
        for head, lying in zip(heads, rows, strict=True):
            check_lying(head, lying, found)
        facts = DetectorFacts(
            self.family,
            rows[0].levels,
            classes,
            self.background if has_background else -1,
            rows[1].values,
            self.scores.score,
            self.coder,
            self.order,
            self.scales,
            self.scores.passed + self.offsets.passed,
            self.limits,
            self.per_class,
        )
        return Reading(Detector(facts, anchors), self.assumed if classes > 1 or self.background < 0 else "")


def check_lying(head: Head, rows: MapRows, found: dict[str, np.ndarray]) -> None:
    """Raises MisreadError if an output is made of its maps in another way; found: both, of a random image."""
    wanted, joined = found[head.output].reshape(-1, rows.values), rows.joined(found)
    if head.score and head.is_applied:
        joined = probabilities(head.score, joined)
    bound = TOLERANCE * max(1, np.abs(wanted).max())
    if joined.shape != wanted.shape or not np.abs(joined - wanted).max() <= bound:
        raise MisreadError(f"output '{head.output}' is not made of its maps as they lie")


def outputs_of(cut: HeadCut, names: Sequence[str]) -> dict[str, np.ndarray]:
    """Some tensors of the file, of a random image."""
    return Oracle(ended(cut.file, names).SerializeToString()).run(cut.random_image())


def maps_of(scores: Head, offsets: Head) -> tuple[str, ...]:
    """As `Ends.maps`."""
    return tuple(name for pair in zip(scores.maps, offsets.maps, strict=True) for name in pair)


def last_extent(port: ValueInfoProto) -> int:
    """0 if the file does not say."""
    dims = port.type.tensor_type.shape.dim
    return dims[-1].dim_value if dims else 0


def head_of(links: Links, output: str) -> Head | None:
    """One output: the maps of its levels, and what is between them and it; None if it is no head."""
    node, score = links.makers.get(output), ""
    passed: list[NodeProto] = []
    while node is not None and (node.op_type in _LOOKS or node.op_type in _SCORES):
        score = _SCORES.get(node.op_type, score)
        passed.append(node)
        node = links.makers.get(node.input[0])
    if node is None or node.op_type not in ("Concat", "Transpose"):
        return None
    if node.op_type == "Transpose" and not any(one.op_type == "Reshape" for one in passed):
        return None  # a map that is returned as it is
    levels = [node.output[0]]
    if node.op_type == "Concat":
        passed.append(node)
        levels = list(node.input)
    maps = [found for name in levels if (found := _map(links, name, passed)) is not None]
    names = tuple(links.name_of(each) for each in passed)
    return Head(output, tuple(maps), score, names) if len(maps) == len(levels) else None


def _map(links: Links, name: str, passed: list[NodeProto]) -> str | None:
    """The NCHW tensor that is looked at as [1, H * W * A, n]; one of a single pixel needs no Transpose."""
    while (node := links.makers.get(name)) is not None and node.op_type in _LOOKS:
        passed.append(node)
        name = node.input[0]
    if node is None or node.op_type != "Transpose":
        return name
    attributes = {one.name: helper.get_attribute_value(one) for one in node.attribute}
    passed.append(node)
    return node.input[0] if list(attributes.get("perm", ())) == _TO_NHWC else None
