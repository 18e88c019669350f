"""Heat maps: a score for each pixel of a map and class, of which those that no neighbour exceeds are objects.

    peaks    Equal of the scores and their MaxPool of 3x3; TopK of what is left
    boxes    four numbers at each pixel, gathered at the best ones

TopK chooses before boxes are made, so the file is asked for the boxes of some pixels that stand out. They must be
linear in row, column and the four numbers: distances of the sides, or centre and size.

source  CenterNet (Zhou et al., 2019), of a TensorFlow file through tf2onnx
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from onnx import ModelProto, NodeProto

from mbn2c.frontend.detectors.behind import Behind
from mbn2c.frontend.detectors.coders import FORMS, in_corners
from mbn2c.frontend.detectors.cut import Ends, HeadCut, Links, MisreadError, Reading, UnreadHeads
from mbn2c.frontend.detectors.decoded import maps_behind
from mbn2c.frontend.detectors.levels import MapRows, rows_of
from mbn2c.frontend.detectors.limits import read_limits
from mbn2c.frontend.detectors.survivors import boxes_and_scores
from mbn2c.tasks.detection.decode import corners_of
from mbn2c.tasks.detection.detector import (
    DISTANCES,
    SIGMOID,
    SIZES,
    Detector,
    DetectorFacts,
)

_LOOKS = ("Identity", "Reshape", "Transpose")
# Of pixels.
_NEAR = 0.02
_SAMPLES = 60


def match(model: ModelProto, has_anchors: bool) -> Ends | None:
    """The heads of such a file; None if it is none."""
    if has_anchors or not any(node.op_type == "TopK" for node in model.graph.node):
        return None
    links = Links(model)
    for node in model.graph.node:
        pool = _pool_beside(links, node) if node.op_type == "Equal" else None
        if pool is not None:
            scores = maps_behind(links, [pool.input[0]])
            every = maps_behind(links, links.outputs, through=(pool.output[0],))
            offsets = [name for name in every if name not in scores]
            family = "heat maps whose peaks are objects"
            if len(scores) == len(offsets) == 1:
                return HeatMaps((scores[0], offsets[0]), family)
            if scores:
                what = f"{len(scores)} maps of scores and {len(offsets)} of boxes, not one each"
                return UnreadHeads((*scores, *offsets), family, what)
    return None


def _pool_beside(links: Links, equal: NodeProto) -> NodeProto | None:
    """The MaxPool of what it is compared with."""
    sources = [_looked_through(links, name) for name in equal.input]
    for pooled, compared in (sources, sources[::-1]):
        node = links.makers.get(pooled)
        if node is not None and node.op_type == "MaxPool" and _looked_through(links, node.input[0]) == compared:
            return node
    return None


def _looked_through(links: Links, name: str) -> str:
    while (node := links.makers.get(name)) is not None and node.op_type in _LOOKS:
        name = node.input[0]
    return name


@dataclass(frozen=True)
class HeatMaps(Ends):
    """One level, an anchor at each pixel."""

    def read(self, cut: HeadCut) -> Reading:
        """See Ends."""
        if len(cut.shapes[self.maps[1]]) != 4 or cut.shapes[self.maps[1]][1] < 4:
            raise MisreadError(f"'{self.maps[1]}' of shape {cut.shapes[self.maps[1]]} does not hold four numbers")
        classes, values = (cut.shapes[name][1] for name in self.maps)
        scores, offsets = rows_of(cut, ([self.maps[0]], [self.maps[1]]), [classes, values])
        behind = Behind(cut, self.maps)
        file = _File(behind, scores, offsets)
        form, of_place, of_value = file.linear(cut.size)
        detector = _detector(self.family, scores, offsets, of_place, of_value, cut.size, behind)
        file.check(detector, form, cut.size)
        return Reading(detector)


class _File:
    """What a file returns of pixels that stand out, the best first: boxes as they are, scores and labels."""

    def __init__(self, behind: Behind, scores: MapRows, offsets: MapRows) -> None:
        self._run = behind.function(behind.outputs, (*scores.maps, *offsets.maps)).run
        self._maps = (*scores.maps, *offsets.maps)
        self._scores, self._offsets, self._generator = scores, offsets, np.random.default_rng(5)
        [level] = scores.levels
        y, x = np.mgrid[1 : level.height - 1 : 3, 1 : level.width - 1 : 3].reshape(2, -1)
        if y.size < 12:
            raise MisreadError(f"a map of {level.height}x{level.width} is too small to tell what it means")
        self._count = int(min(len(y), _SAMPLES, behind.number_of_best() or _SAMPLES))
        self._lattice, self._size = np.stack([y, x], axis=1), (level.height, level.width)

    def draw(self, spread: float) -> tuple[np.ndarray, ...]:
        """Places (row, column), offsets, boxes, logits, scores and labels of what stands out."""
        count = self._count
        places = self._lattice[self._generator.permutation(len(self._lattice))[:count]]
        rows = places[:, 0] * self._size[1] + places[:, 1]
        logits = np.sort(self._generator.uniform(0.5, 4, count))[::-1]
        labels = self._generator.integers(0, self._scores.values, count)
        scores = np.full((self._size[0] * self._size[1], self._scores.values), -9.0)
        # Around a peak, and less: no objects.
        for step in (np.mgrid[-1:2, -1:2].reshape(2, -1).T @ [self._size[1], 1]).tolist():
            scores[rows + step, labels] = logits - 0.1 * (step != 0)
        offsets = self._generator.uniform(1, 2, (len(scores), self._offsets.values)) * spread
        found = self._run({**self._scores.split(scores), **self._offsets.split(offsets)})
        # What goes on as it is says nothing of boxes.
        boxes, shares, names = boxes_and_scores({name: one for name, one in found.items() if one.size < len(scores)})
        order = np.argsort(-shares, kind="stable")[:count]
        if len(order) < count:
            raise MisreadError(f"the file keeps {len(order)} of {count} peaks")
        return places, offsets[rows], boxes[order], logits, shares[order], labels - names[order]

    def linear(self, size: tuple[int, int]) -> tuple[tuple[tuple[int, ...], bool], np.ndarray, np.ndarray]:
        """The form of boxes, and corners in pixels: [3, 4] of 1, column and row, and [values, 4] of the offsets."""
        draws = [self.draw(spread) for spread in (1, 2, 5)]
        known = np.concatenate([np.concatenate([np.ones((len(d[0]), 1)), d[0][:, ::-1], d[1]], axis=1) for d in draws])
        for form in FORMS:
            corners = np.concatenate([in_corners(form, d[2]) for d in draws])
            unit = np.tile(size[::-1], 2) if np.abs(corners).max() < 8 else np.ones(4)
            solved = np.linalg.lstsq(known, corners * unit, rcond=None)[0]
            is_close = np.abs(known @ solved - corners * unit).max() <= _NEAR
            if is_close and (solved[1, ::2] > 0.5).all() and np.abs(solved[1, 1::2]).max() < 1e-3:
                return form, solved[:3], solved[3:]
        raise MisreadError("boxes are not linear in row, column and four numbers of a pixel")

    def check(self, detector: Detector, form: tuple[tuple[int, ...], bool], size: tuple[int, int]) -> None:
        """Raises MisreadError if other peaks have other boxes, scores or labels."""
        places, offsets, boxes, logits, shares, shifted = self.draw(3)
        rows = places[:, 0] * self._size[1] + places[:, 1]
        part = Detector(detector.facts, detector.anchors[rows])
        unit = np.tile(size[::-1], 2)
        corners = in_corners(form, boxes) * (unit if np.abs(boxes).max() < 8 else 1)
        far = np.abs(corners_of(part, offsets[:, list(detector.facts.order)]) * unit - corners).max()
        off = np.abs(1 / (1 + np.exp(-logits)) - shares).max()
        if far > _NEAR or off > 1e-3 or shifted.min() != shifted.max():
            raise MisreadError(f"peaks have other boxes, by {far:.3g} pixels, {off:.3g} of a score, or other labels")


def _detector(
    family: str,
    scores: MapRows,
    offsets: MapRows,
    of_place: np.ndarray,
    of_value: np.ndarray,
    size: tuple[int, int],
    behind: Behind,
) -> Detector:
    [level] = scores.levels
    reach = 1e-3
    moved = np.abs(of_value) > reach
    if not moved[:4].any(axis=1).all() or moved[4:].any():
        raise MisreadError("other than the first four numbers of a pixel move its box")
    one_each = moved[:4].sum() == 4 and (moved[:4].sum(axis=0) == 1).all()
    centre, extent = (of_value[:4, :2] + of_value[:4, 2:]) / 2, of_value[:4, 2:] - of_value[:4, :2]
    if one_each:
        order = [int(np.flatnonzero(moved[:4, corner])[0]) for corner in range(4)]
        steps = [-of_value[order[0], 0], -of_value[order[1], 1], of_value[order[2], 2], of_value[order[3], 3]]
        coder = DISTANCES
    else:
        order = [int(np.argsort(-np.abs(part[:, axis]))[0]) for part in (centre, extent) for axis in (0, 1)]
        steps = [part[order[2 * n + axis], axis] for n, part in enumerate((centre, extent)) for axis in (0, 1)]
        coder = SIZES
    if sorted(order) != [0, 1, 2, 3] or min(np.abs(steps)) < reach:
        raise MisreadError("the four numbers of a pixel move several parts of its box")
    y, x = np.mgrid[: level.height, : level.width]
    grid = np.stack([np.ones(y.size), x.reshape(-1), y.reshape(-1)], axis=1) @ of_place
    middle = (grid[:, :2] + grid[:, 2:]) / 2
    # An offset of 1 is a pixel of the image, times a scale.
    anchors = np.concatenate([middle - 0.5, middle + 0.5], axis=1) / np.tile(size[::-1], 2)
    facts = DetectorFacts(
        family,
        scores.levels,
        scores.values,
        -1,
        offsets.values,
        SIGMOID,
        coder,
        (order[0], order[1], order[2], order[3]),
        tuple(float(f"{1 / step:.5g}") for step in steps),  # type: ignore[arg-type]
        behind.names,
        read_limits(behind.number_of_best(), None, 1.0),
        peaks=True,
    )
    return Detector(facts, anchors)
