"""A segmenter's map, quantized -> the operator behind it that chooses the class of each pixel on the device."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from mbn2c.errors import ModelError
from mbn2c.ir.graph import Graph, Node, Port, Quant, Tensor
from mbn2c.ops import OPERATORS
from mbn2c.ops.base.quants import quant_of, scale_of
from mbn2c.ops.class_map import ClassMapAttributes
from mbn2c.tasks.segmentation.segmenter import SegmenterFacts

CLASSES = "classes"
# Far beyond what int8 can be: always, or never.
_BEYOND = 512.0


def with_classes(graph: Graph, facts: SegmenterFacts) -> Graph:
    """The int8 Graph whose one output are the classes, row by row, its own output being `heads`.

    raises  ModelError for a map that the device cannot choose from
    """
    [head] = graph.outputs
    quant = quant_of(graph, head.tensor)
    if quant.bits != 8:
        raise ModelError("the map of the classes is int16", where=head.outside, hint="leave its layer out of --int16")
    least = facts.least / float(scale_of(quant)) + quant.zero_point
    attributes = ClassMapAttributes(
        (facts.height, facts.width), facts.transform, float(np.clip(least, -_BEYOND, _BEYOND))
    )
    # Bytes that are no numbers: as int8 with scale 1 they pass through every stage unchanged.
    tensor = Tensor(CLASSES, (1, facts.height, facts.width, 1), "int8", quant=Quant(np.ones(1, np.float32)))
    node = Node(CLASSES, "class_map", (head.tensor,), (CLASSES,), attributes)
    port = Port(CLASSES, CLASSES, tensor.shape, (0, 1, 2, 3), by_rows=facts.height > 1)
    found = graph.rebuild(
        tensors=[tensor],
        nodes=[*graph.nodes, node],
        outputs=(port,),
        heads=graph.outputs,
        decoding=facts.to_decoding(),
    )
    if wrong := OPERATORS[node.op].check_attributes(node, found):
        raise ModelError(f"a map that the device cannot choose from: {wrong}", where=f"'{head.outside}'")
    return found


def with_threshold(facts: SegmenterFacts, threshold: float) -> SegmenterFacts:
    """The same with another threshold."""
    return replace(facts, threshold=threshold)
