"""limit_outputs: an output whose values beyond some bounds say nothing more ends in a clamp to them.

In a lowered Graph the clamp moves into the layer that makes the output, as any other does. int8 steps, what noise costs
and what ranges hold are then about the values that a choice depends on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from mbn2c.ir.graph import Graph
from mbn2c.ops import clamp_to
from mbn2c.passes.fuse_activation import fuse_activation
from mbn2c.passes.move_before_copies import move_before_copies

_LIMITED = "{}__limited"


def limit_outputs(graph: Graph, limits: Sequence[tuple[float, float]]) -> Graph:
    """The Graph with its outputs clamped.

    limits  lowest and highest value of each output that tells anything, infinite where all do
    """
    nodes, tensors, outputs = list(graph.nodes), [], list(graph.outputs)
    for number, (low, high) in enumerate(limits):
        port = outputs[number]
        if not np.isfinite([low, high]).all() or graph.consumers[port.tensor]:
            continue
        name = _LIMITED.format(port.tensor)
        nodes.append(clamp_to(low, high, port.tensor, name))
        tensors.append(replace(graph.tensors[port.tensor], name=name))
        outputs[number] = replace(port, tensor=name)
    if not tensors:
        return graph
    limited = graph.rebuild(tensors=tensors, nodes=nodes, outputs=tuple(outputs))
    return fuse_activation(move_before_copies(limited))
