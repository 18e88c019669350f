"""Heads that end in scores, offsets and anchors of all levels, one after the other: no box is decoded in the file.

    scores   Softmax or Sigmoid of all anchors' [1, anchors, classes]
    offsets  [1, anchors, values]
    anchors  an output that does not depend on the image: x0, y0, x1, y1 of each in parts of it; or none, where the user
             has them, and says what the offsets are

source  the ST SSD of STM32's model zoo through tf2onnx, whose boxes are the anchors, each corner moved by parts of the
        anchor's width and height
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from onnx import ModelProto

from mbn2c.frontend.detectors.cut import Ends, HeadCut, Links, Reading
from mbn2c.frontend.detectors.joined import JoinedHeads, head_of, last_extent, maps_of, outputs_of
from mbn2c.tasks.detection.detector import CENTRES, CORNERS, SOFTMAX, HeadLevel


@dataclass(frozen=True)
class HeadsWithAnchors(JoinedHeads):
    """output  the one that holds the anchors"""

    output: str = ""

    def anchors(self, cut: HeadCut, levels: Sequence[HeadLevel]) -> np.ndarray:
        """See JoinedHeads."""
        return outputs_of(cut, [self.output])[self.output]


@dataclass(frozen=True)
class HeadsBesideAnchors(JoinedHeads):
    """What the user says of order, scales and scores goes before what stands here."""

    def read(self, cut: HeadCut) -> Reading:
        """See Ends."""
        assert cut.given is not None
        coder = cut.given.coder
        scores = self.scores if self.scores.score else replace(self.scores, is_applied=False, score=coder.score)
        family = f"scores and offsets of all levels, not decoded, read as {coder.words}"
        said = replace(self, family=family, scores=scores, order=coder.order, scales=coder.scales)
        return super(HeadsBesideAnchors, said).read(cut)

    def anchors(self, cut: HeadCut, levels: Sequence[HeadLevel]) -> np.ndarray:
        """See JoinedHeads."""
        assert cut.given is not None
        return cut.given.corners


def match(model: ModelProto, has_anchors: bool) -> Ends | None:
    """The heads of such a file; None if it is none.

    has_anchors  the user gives them, as a file without them needs
    """
    links = Links(model)
    heads, anchors = [], []
    for port in model.graph.output:
        if links.depends_on_image(port.name):
            heads.append((head_of(links, port.name), last_extent(port)))
        else:
            anchors.append(port.name)
    found = [(head, last) for head, last in heads if head is not None]
    if len(found) != 2 or len(heads) != 2 or len(anchors) != (not has_anchors):
        return None
    # Scores end in a function; where nothing does, offsets are those of four values.
    (scores, _), (offsets, last) = sorted(found, key=lambda one: (not one[0].score, one[1] == 4))
    if offsets.score or len(scores.maps) != len(offsets.maps) or not (scores.score or last == 4):
        return None
    background = 0 if scores.score == SOFTMAX or not scores.score else -1
    if not has_anchors:
        family = "scores, corner offsets and anchors of all levels, not decoded"
        corners, as_they_are = (0, 1, 2, 3), (1.0, 1.0, 1.0, 1.0)
        ends = (maps_of(scores, offsets), family, scores, offsets, CORNERS, corners, as_they_are, background)
        return HeadsWithAnchors(*ends, output=anchors[0])
    order, scales = (0, 1, 2, 3), (1.0, 1.0, 1.0, 1.0)
    return HeadsBesideAnchors(maps_of(scores, offsets), "", scores, offsets, CENTRES, order, scales, background)
