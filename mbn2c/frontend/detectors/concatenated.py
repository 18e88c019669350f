"""Heads that end in scores, offsets and anchors of all levels, one after the other: no box is decoded in the file.

    scores   Softmax or Sigmoid of a Concat of [1, H * W * A, classes] of each level: Reshape of Transpose of a map
    offsets  Concat of [1, H * W * A, values] of each level, likewise
    anchors  an output that does not depend on the image: x0, y0, x1, y1 of each in parts of it; or none, where the user
             has them: then offsets are those of TensorFlow's box coder

source  the ST SSD of STM32's model zoo through tf2onnx, whose boxes are the anchors, each corner moved by parts of the
        anchor's width and height
"""

from __future__ import annotations

from dataclasses import replace

from onnx import ModelProto, NodeProto, ValueInfoProto, helper

from mbn2c.frontend.detectors.cut import Ends, Head, Links
from mbn2c.tasks.detection.detector import CENTRES, CORNERS, SIGMOID, SOFTMAX

_SCORES = {"Softmax": SOFTMAX, "Sigmoid": SIGMOID}
_LOOKS = ("Identity", "Reshape", "Squeeze", "Unsqueeze")
_TO_NHWC = [0, 2, 3, 1]


def match(model: ModelProto, has_anchors: bool) -> Ends | None:
    """The heads of such a file; None if it is none.

    has_anchors  the user gives them, as a file without them needs
    """
    links = Links(model)
    heads, anchors = [], []
    for port in model.graph.output:
        if links.depends_on_image(port.name):
            heads.append((_head(links, port.name), _last_extent(port)))
        else:
            anchors.append(port.name)
    found = [(head, last) for head, last in heads if head is not None]
    if len(found) != 2 or len(heads) != 2 or len(anchors) != (not has_anchors):
        return None
    # Scores end in a function; where nothing does, offsets are those of four values.
    (scores, _), (offsets, last) = sorted(found, key=lambda one: (not one[0].score, one[1] == 4))
    if offsets.score or len(scores.maps) != len(offsets.maps) or not (scores.score or last == 4):
        return None
    if not has_anchors:
        family = "scores, corner offsets and anchors of all levels, not decoded"
        return Ends(family, scores, offsets, anchors[0], CORNERS, (0, 1, 2, 3), (1.0, 1.0, 1.0, 1.0))
    if not scores.score:
        scores = replace(scores, is_applied=False, score=SIGMOID)
    family = "scores and offsets (y, x, height, width, divided by 10, 10, 5, 5) of all levels, not decoded"
    return Ends(family, scores, offsets, "", CENTRES, (1, 0, 3, 2), (10.0, 10.0, 5.0, 5.0))


def _last_extent(port: ValueInfoProto) -> int:
    dims = port.type.tensor_type.shape.dim
    return dims[-1].dim_value if dims else 0


def _head(links: Links, output: str) -> Head | None:
    """One output: the maps of its levels, and what is between them and it."""
    node, score, passed = links.makers.get(output), "", []
    while node is not None and (node.op_type in _LOOKS or node.op_type in _SCORES):
        score = _SCORES.get(node.op_type, score)
        passed.append(node)
        node = links.makers.get(node.input[0])
    if node is None or node.op_type != "Concat":
        return None
    passed.append(node)
    maps = []
    for name in node.input:
        one = _map(links, name, passed)
        if one is None:
            return None
        maps.append(one)
    return Head(output, tuple(maps), score, tuple(links.name_of(each) for each in passed))


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
