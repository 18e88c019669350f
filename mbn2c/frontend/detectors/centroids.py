"""A map of classes, of which neighbouring cells of a class are one object: no numbers of a box are in the file.

    output  a softmax over a background and classes, or a sigmoid of each, of every cell of the map

The box of an object is that around its cells, whose middle is the centroid. A segmenter can end in the same way, so the
user says that it is a detector.

source  FOMO (Edge Impulse): MobileNetV2 up to 1 / 8 of the image; ei_fill_result_struct, where neighbours are joined
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from onnx import ModelProto

from mbn2c.frontend.detectors.cut import TOLERANCE, Ends, HeadCut, Links, MisreadError, Reading
from mbn2c.frontend.detectors.joined import outputs_of
from mbn2c.frontend.detectors.levels import rows_of
from mbn2c.tasks.detection.decode import probabilities
from mbn2c.tasks.detection.detector import (
    CORNERS,
    SIGMOID,
    SOFTMAX,
    Detector,
    DetectorFacts,
    DetectorLimits,
)

_FUNCTIONS = {"Softmax": SOFTMAX, "Sigmoid": SIGMOID}
_LOOKS = ("Identity", "Transpose", "Reshape", "Squeeze", "Unsqueeze")
_FAMILY = "a map of classes, of which connected cells are objects"
# Cells that can be part of an object by default, where there are more.
_MOST_CELLS = 256


@dataclass(frozen=True)
class Centroids(Ends):
    """output  of the file; score: what it is of the map; passed: names of the nodes between them"""

    output: str
    score: str
    passed: tuple[str, ...]

    def read(self, cut: HeadCut) -> Reading:
        """See Ends."""
        shape = cut.shapes[self.maps[0]]
        if len(shape) != 4 or min(shape[2:]) < 2 or (self.score == SOFTMAX and shape[1] < 2):
            raise MisreadError(f"'{self.maps[0]}' of shape {shape} is no map of classes")
        [rows] = rows_of(cut, [self.maps], [shape[1]])
        [level] = rows.levels
        found = outputs_of(cut, (self.output, *self.maps))
        shares = probabilities(self.score, rows.joined(found).astype(np.float64)).reshape(1, *shape[2:], shape[1])
        orders = [shares, shares.transpose(0, 3, 1, 2)]
        if not any(self._is_same(found[self.output], one) for one in orders):
            raise MisreadError(f"output '{self.output}' is no {self.score} of the classes of each cell of its map")
        y, x = np.mgrid[: level.height, : level.width].reshape(2, -1)
        anchors = np.stack([x, y, x + 1, y + 1], axis=1) / np.tile([level.width, level.height], 2)
        facts = DetectorFacts(
            self.family,
            rows.levels,
            shape[1],
            0 if self.score == SOFTMAX else -1,
            0,
            self.score,
            CORNERS,
            (0, 1, 2, 3),
            (1.0, 1.0, 1.0, 1.0),
            self.passed,
            DetectorLimits(max_candidates=min(level.places, _MOST_CELLS), score_threshold=0.5),
            connected=True,
        )
        return Reading(Detector(facts, anchors), " (assumed, the first being the background)" * (facts.background == 0))

    def _is_same(self, output: np.ndarray, shares: np.ndarray) -> bool:
        return output.size == shares.size and bool(np.abs(output.reshape(shares.shape) - shares).max() <= TOLERANCE)


def match(model: ModelProto, has_anchors: bool) -> Ends | None:
    """The head of such a file; None if it is none."""
    if has_anchors or len(model.graph.output) != 1:
        return None
    links, output = Links(model), model.graph.output[0].name
    name, score, passed = output, "", []
    while (node := links.makers.get(name)) is not None and (node.op_type in _LOOKS or node.op_type in _FUNCTIONS):
        if node.op_type in _FUNCTIONS and score:
            return None
        score = _FUNCTIONS.get(node.op_type, score)
        passed.append(links.name_of(node))
        name = node.input[0]
    return Centroids((name,), _FAMILY, output, score, tuple(passed[::-1])) if node is not None and score else None
