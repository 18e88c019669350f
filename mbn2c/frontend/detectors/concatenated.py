"""Heads that end in scores, offsets and anchors of all levels, one after the other: no box is decoded in the file.

    scores   Softmax or Sigmoid of a Concat of [1, H * W * A, classes] of each level: Reshape of Transpose of a map
    offsets  Concat of [1, H * W * A, values] of each level, likewise
    anchors  an output that does not depend on the image: x0, y0, x1, y1 of each in parts of it; or none, where the user
             has them: then offsets are those of TensorFlow's box coder

source  the ST SSD of STM32's model zoo through tf2onnx, whose boxes are the anchors, each corner moved by parts of the
        anchor's width and height
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from onnx import ModelProto, NodeProto, ValueInfoProto, helper

from mbn2c.frontend.detectors.cut import TOLERANCE, Cut, Ends, Head, Links, MisreadError
from mbn2c.frontend.detectors.levels import rows_of
from mbn2c.frontend.runtime import Oracle
from mbn2c.tasks.detection.decode import probabilities
from mbn2c.tasks.detection.detector import (
    CENTRES,
    CORNERS,
    SIGMOID,
    SOFTMAX,
    Detector,
    DetectorFacts,
    wrong_anchors,
)

_SCORES = {"Softmax": SOFTMAX, "Sigmoid": SIGMOID}
_LOOKS = ("Identity", "Reshape", "Squeeze", "Unsqueeze")
_TO_NHWC = [0, 2, 3, 1]


@dataclass(frozen=True)
class JoinedHeads(Ends):
    """anchors  the output that holds them; "": the user gives them

    Coder, order and scales are those of `tasks.detection.DetectorFacts`.
    """

    scores: Head
    offsets: Head
    anchors: str
    coder: str
    order: tuple[int, int, int, int]
    scales: tuple[float, float, float, float]

    def read(self, cut: Cut) -> tuple[Detector, str]:
        """See Ends."""
        found = _outputs(cut, self.maps)
        anchors = found[self.anchors] if cut.given is None else cut.given
        anchors = anchors.reshape(-1, *anchors.shape[-1:]).astype(np.float64)
        scores, offsets = found[self.scores.output], found[self.offsets.output]
        classes = scores.shape[-1]
        places = scores.size // classes
        if offsets.size % places:
            raise MisreadError(f"{offsets.size} offsets for {places} places")
        heads = (self.scores, self.offsets)
        rows = rows_of(cut, [head.maps for head in heads], [classes, offsets.size // places])
        if wrong := wrong_anchors(anchors, places):
            raise MisreadError(wrong)
        for head, lying in zip(heads, rows, strict=True):
            wanted, joined = found[head.output].reshape(-1, lying.values), lying.joined(found)
            if head.score and head.is_applied:
                joined = probabilities(head.score, joined)
            bound = TOLERANCE * max(1, np.abs(wanted).max())
            if joined.shape != wanted.shape or not np.abs(joined - wanted).max() <= bound:
                raise MisreadError(f"output '{head.output}' is not made of its maps as they lie")
        has_background = classes > 1 and (self.scores.score == SOFTMAX or not self.scores.is_applied)
        facts = DetectorFacts(
            self.family,
            rows[0].levels,
            classes,
            0 if has_background else -1,
            rows[1].values,
            self.scores.score,
            self.coder,
            self.order,
            self.scales,
            self.scores.passed + self.offsets.passed,
        )
        first = ", the first being the background" if classes > 1 else ""
        return Detector(facts, anchors), "" if self.scores.is_applied else f" (assumed{first})"


def _outputs(cut: Cut, maps: tuple[str, ...]) -> dict[str, np.ndarray]:
    """The file's outputs and the heads' maps, of a random image."""
    whole = ModelProto()
    whole.CopyFrom(cut.file)
    for name in maps:
        whole.graph.output.append(helper.make_empty_tensor_value_info(name))
    return Oracle(whole.SerializeToString()).run(cut.random_image())


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
    maps = tuple(name for pair in zip(scores.maps, offsets.maps, strict=True) for name in pair)
    if not has_anchors:
        family = "scores, corner offsets and anchors of all levels, not decoded"
        return JoinedHeads(maps, family, scores, offsets, anchors[0], CORNERS, (0, 1, 2, 3), (1.0, 1.0, 1.0, 1.0))
    if not scores.score:
        scores = replace(scores, is_applied=False, score=SIGMOID)
    family = "scores and offsets (y, x, height, width, divided by 10, 10, 5, 5) of all levels, not decoded"
    return JoinedHeads(maps, family, scores, offsets, "", CENTRES, (1, 0, 3, 2), (10.0, 10.0, 5.0, 5.0))


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
