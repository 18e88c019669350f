"""Heads before a TFLite_Detection_PostProcess, whose attributes say everything but the file cannot be run.

    inputs      offsets [1, anchors, values], scores [1, anchors, classes], anchors [anchors, 4]: centre y and x, height
                and width, in parts of the image
    attributes  y_scale, x_scale, h_scale, w_scale, num_classes, nms_score_threshold, nms_iou_threshold, max_detections,
                use_regular_nms: else boxes drop those of other labels, too

source  tensorflow/lite/kernels/detection_postprocess.cc; a file of a converter that keeps it as a custom operator
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from onnx import ModelProto, helper

from mbn2c.frontend.detectors.cut import Ends, HeadCut, Links, MisreadError, UnreadHeads
from mbn2c.frontend.detectors.joined import JoinedHeads, head_of, maps_of, outputs_of
from mbn2c.frontend.detectors.limits import read_limits
from mbn2c.tasks.detection.anchors import tensorflow_corners
from mbn2c.tasks.detection.detector import CENTRES, PLAIN, HeadLevel

_NAMES = ("TFLite_Detection_PostProcess", "TFL_TFLite_Detection_PostProcess")


@dataclass(frozen=True)
class HeadsBeforePostprocess(JoinedHeads):
    """tensor  the one that holds the anchors"""

    tensor: str = ""

    @property
    def stops(self) -> tuple[str, ...]:
        """See Ends."""
        return (self.offsets.output, self.scores.output, self.tensor)

    def anchors(self, cut: HeadCut, levels: Sequence[HeadLevel]) -> np.ndarray:
        """See JoinedHeads."""
        found = outputs_of(cut, [self.tensor])[self.tensor]
        if found.ndim < 2 or found.shape[-1] != 4:
            raise MisreadError(f"anchors of shape {found.shape}")
        return tensorflow_corners(found.reshape(-1, 4))


def match(model: ModelProto, has_anchors: bool) -> Ends | None:
    """The heads of such a file; None if it is none."""
    nodes = [node for node in model.graph.node if node.op_type in _NAMES and len(node.input) == 3]
    if has_anchors or len(nodes) != 1:
        return None
    [node], links = nodes, Links(model)
    offsets, scores = head_of(links, node.input[0]), head_of(links, node.input[1])
    if offsets is None or scores is None or offsets.score or len(offsets.maps) != len(scores.maps):
        return None
    facts = {one.name: helper.get_attribute_value(one) for one in node.attribute}
    scales = tuple(float(facts.get(f"{name}_scale", usual)) for name, usual in zip("xywh", (10, 10, 5, 5), strict=True))
    names = ("max_detections", "nms_score_threshold", "nms_iou_threshold")
    # Rounded as float32 numbers are meant.
    numbers = [float(f"{facts[name]:.6g}") if name in facts else None for name in names]
    try:
        limits = read_limits(*numbers)
    except MisreadError as misread:
        return UnreadHeads(maps_of(scores, offsets), f"heads before {node.op_type}", str(misread))
    return HeadsBeforePostprocess(
        maps_of(scores, offsets),
        f"heads before {node.op_type}",
        replace(scores, score=scores.score or PLAIN),
        replace(offsets, passed=(*offsets.passed, links.name_of(node))),
        CENTRES,
        (1, 0, 3, 2),
        scales,  # type: ignore[arg-type]
        0,
        limits,
        bool(facts.get("use_regular_nms", 0)),
        tensor=node.input[2],
        classes=int(facts.get("num_classes", 0)),
    )
