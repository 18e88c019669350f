"""BlazeFace and its kin: scores of one class and offsets of a box and its keypoints, of anchors that no file has.

    scores   logits [1, anchors, 1]
    offsets  [1, anchors, 4 + 2 * keypoints]: centre and size of the box in pixels, from the middle of the map's pixel

The anchors of a pixel are all alike, so a grid says all: two at each pixel of stride 8 and six of stride 16 in the
short range, one of stride 4 in the full range.

source  MediaPipe, ssd_anchors_calculator with fixed_anchor_size, tensors_to_detections_calculator
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from onnx import ModelProto

from mbn2c.frontend.detectors.cut import Ends, HeadCut, Links
from mbn2c.frontend.detectors.joined import JoinedHeads, head_of, last_extent, maps_of
from mbn2c.tasks.detection.detector import SIGMOID, SIZES, DetectorLimits, HeadLevel

# MediaPipe's own for faces.
_LIMITS = DetectorLimits(score_threshold=0.5, iou_threshold=0.3)


@dataclass(frozen=True)
class HeadsOfPixels(JoinedHeads):
    """An offset of 1 is a pixel of the image."""

    def anchors(self, cut: HeadCut, levels: Sequence[HeadLevel]) -> np.ndarray:
        """See JoinedHeads."""
        rows, columns = cut.size
        found = []
        for level in levels:
            y, x = np.mgrid[: level.height, : level.width]
            centres = np.stack([(x + 0.5) / level.width, (y + 0.5) / level.height], axis=-1).reshape(-1, 2)
            half = np.array([0.5 / columns, 0.5 / rows])
            found.append(np.repeat(np.concatenate([centres - half, centres + half], axis=1), level.anchors, axis=0))
        return np.concatenate(found)

    @property
    def assumed(self) -> str:
        """See JoinedHeads."""
        return " (assumed, as the middles of pixels for anchors and pixels for the unit of offsets)"


def match(model: ModelProto, has_anchors: bool) -> Ends | None:
    """The heads of such a file; None if it is none."""
    links = Links(model)
    by_extent = {last_extent(port): head_of(links, port.name) for port in model.graph.output}
    values = max(by_extent, default=0)
    if has_anchors or len(model.graph.output) != 2 or 1 not in by_extent or values < 6 or values % 2:
        return None
    scores, offsets = by_extent[1], by_extent[values]
    if scores is None or offsets is None or offsets.score or len(scores.maps) != len(offsets.maps):
        return None
    if scores.score not in ("", SIGMOID):
        return None
    scores = replace(scores, score=SIGMOID, is_applied=bool(scores.score))
    family = f"scores of one class and offsets of a box and {values // 2 - 2} keypoints in pixels, as BlazeFace's"
    fixed = (SIZES, (0, 1, 2, 3), (1.0, 1.0, 1.0, 1.0), -1, _LIMITS)
    return HeadsOfPixels(maps_of(scores, offsets), family, scores, offsets, *fixed)
