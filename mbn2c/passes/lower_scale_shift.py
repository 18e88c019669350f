"""lower_scale_shift: a scale_shift that nothing could absorb becomes a 1x1 depthwise convolution."""

from __future__ import annotations

from dataclasses import replace

from mbn2c.ir.graph import Graph, Node, Note
from mbn2c.ops.base.weighted import ConvAttributes
from mbn2c.passes.rewrite import constant, with_nodes


def lower_scale_shift(graph: Graph) -> Graph:
    """y = x * scale + shift per channel, as weights [1, 1, C] and bias [C]."""
    tensors, changes, notes = [], dict[str, Node | None](), []
    for node in graph.nodes:
        if node.op == "scale_shift":
            scale = graph.constant(node.inputs[1])
            tensors.append(constant(graph, node.inputs[1], scale.reshape(1, 1, -1), node))
            changes[node.name] = replace(node, op="depthwise_conv2d", attributes=ConvAttributes())
            text = f"{node.attributes.origin} that no layer can absorb runs as a 1x1 depthwise convolution"
            notes.append(Note("scale_shift", node.name, text))
    return graph.rebuild(tensors=tensors, nodes=with_nodes(graph, changes), notes=notes)
