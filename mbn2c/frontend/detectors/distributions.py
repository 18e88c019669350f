"""Sides of boxes that are means of distributions over bins: what shows them, since no coder here makes such boxes.

source  Li et al., Generalized Focal Loss (2020), as NanoDet and YOLOv8 have it
"""

from __future__ import annotations

from collections.abc import Sequence

from onnx import ModelProto, NodeProto

from mbn2c.frontend.detectors.cut import Links
from mbn2c.frontend.order import used_names


def distributions(links: Links, boxes: Sequence[str], scores: Sequence[str]) -> list[NodeProto]:
    """The Softmax nodes that boxes are made of and scores are not: scores may be shares, offsets are numbers."""
    of_scores = {node.output[0] for node in _softmaxes(links, scores)}
    return [node for node in _softmaxes(links, boxes) if node.output[0] not in of_scores]


def made_of(model: ModelProto, nodes: Sequence[NodeProto]) -> list[str]:
    """All tensors that are made of what some nodes make, and these."""
    found = {name: None for node in nodes for name in node.output}
    for node in model.graph.node:
        if not found.keys().isdisjoint(used_names(node)):
            found.update(dict.fromkeys(node.output))
    return list(found)


def _softmaxes(links: Links, names: Sequence[str]) -> list[NodeProto]:
    """Those from which some tensors are made."""
    return [node for _, node in links.walk_back(names, lambda name, node: False) if node.op_type == "Softmax"]
