"""YuNet as it is published, not decoded: of each level four outputs of its pixels, one after the other.

    cls, obj  sigmoids [1, H * W, 1]; the score of a pixel is the root of their product
    bbox      [1, H * W, 4]: centre, in strides from the pixel's corner, and logarithms of the size in strides
    kps       [1, H * W, 10]: five keypoints, which are not returned

source  OpenCV's FaceDetectorYN (modules/objdetect/src/face_detect.cpp) and libfacedetection.train, YuNet_Head
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from onnx import ModelProto

from mbn2c.frontend.detectors.cut import Ends, HeadCut, Links, Reading
from mbn2c.frontend.detectors.joined import Head, check_lying, head_of, last_extent, outputs_of
from mbn2c.frontend.detectors.levels import rows_of
from mbn2c.tasks.detection.detector import (
    CENTRES,
    PRODUCT,
    SIGMOID,
    Detector,
    DetectorFacts,
    DetectorLimits,
    HeadLevel,
)

# OpenCV's own.
_LIMITS = DetectorLimits(score_threshold=0.9, iou_threshold=0.3)
_FAMILY = "sigmoids of a class and an objectness, and numbers of a box and 5 keypoints, of each level, as YuNet's"
# Numbers of a pixel: class, objectness, box and keypoints.
_VALUES = [1, 1, 4, 10]


@dataclass(frozen=True)
class HeadsOfYuNet(Ends):
    """heads  of each level scores, objectness and offsets"""

    heads: tuple[tuple[Head, ...], ...]

    def read(self, cut: HeadCut) -> Reading:
        """See Ends."""
        found = outputs_of(cut, (*self.maps, *(head.output for level in self.heads for head in level)))
        rows = rows_of(cut, [self.maps[kind::3] for kind in range(3)], _VALUES[:3])
        for level in self.heads:
            for head, values in zip(level, _VALUES, strict=False):
                [lying] = rows_of(cut, [head.maps], [values])
                check_lying(head, lying, found)
        facts = DetectorFacts(
            self.family,
            rows[0].levels,
            1,
            -1,
            4,
            PRODUCT,
            CENTRES,
            (0, 1, 2, 3),
            (1.0, 1.0, 1.0, 1.0),
            tuple(name for level in self.heads for head in level for name in head.passed),
            _LIMITS,
            exponents=(0.5, 0.5),
        )
        assumed = " (assumed, as the root of their product, corners of pixels for centres and strides for units)"
        return Reading(Detector(facts, _anchors(rows[0].levels)), assumed)


def match(model: ModelProto, has_anchors: bool) -> Ends | None:
    """The heads of such a file; None if it is none."""
    links = Links(model)
    levels: dict[int, list[tuple[int, str]]] = {}
    for port in model.graph.output:
        dims = port.type.tensor_type.shape.dim
        levels.setdefault(dims[1].dim_value if len(dims) == 3 else 0, []).append((last_extent(port), port.name))
    if has_anchors or not levels or 0 in levels:
        return None
    heads = []
    for level in levels.values():
        if [values for values, _ in sorted(level, key=lambda one: one[0])] != _VALUES:
            return None
        found = [head_of(links, name) for _, name in sorted(level, key=lambda one: one[0])[:3]]
        read = [head for head in found if head is not None and len(head.maps) == 1]
        if [head.score for head in read] != [SIGMOID, SIGMOID, ""]:
            return None
        heads.append(tuple(read))
    return HeadsOfYuNet(tuple(head.maps[0] for level in heads for head in level), _FAMILY, tuple(heads))


def _anchors(levels: Sequence[HeadLevel]) -> np.ndarray:
    """Of each pixel, as large as it is, around its first corner."""
    found = []
    for level in levels:
        y, x = np.mgrid[: level.height, : level.width].reshape(2, -1)
        corners = [x - 0.5, y - 0.5, x + 0.5, y + 0.5]
        found.append(np.stack(corners, axis=1) / np.tile([level.width, level.height], 2))
    return np.concatenate(found)
