"""fuse_activation: a clamp (ReLU, ReLU6, Clip) becomes the activation of the layer before it."""

from __future__ import annotations

from dataclasses import replace

from mbn2c.ir.graph import Graph, Node, Note
from mbn2c.ops import operator_of
from mbn2c.passes.rewrite import sole_consumer, until_stable, with_nodes


def fuse_activation(graph: Graph) -> Graph:
    """Fuse each clamp whose unclamped input nobody else needs; clamps in a row become one."""
    return until_stable(graph, _fuse_one)


def _fuse_one(graph: Graph) -> Graph | None:
    for node in graph.nodes:
        later = operator_of(node).activation(node)
        if not operator_of(node).is_clamp or later is None:
            continue
        before = graph.producer.get(node.inputs[0])
        if before is None or sole_consumer(graph, node.inputs[0]) is None:
            continue
        own = operator_of(before).activation(before)
        if operator_of(before).is_clamp and own is not None:
            both = replace(node.attributes, activation=own.then(later))
            changes: dict[str, Node | None] = {
                before.name: None,
                node.name: replace(node, inputs=before.inputs, attributes=both),
            }
            return graph.rebuild(nodes=with_nodes(graph, changes))
        if operator_of(before).carries_activation:
            fused = own.then(later) if own else later
            if not fused.low <= 0 <= fused.high:
                continue  # A quantization range always holds 0, so saturation cannot do this clamp; a lookup can.
            attributes = replace(before.attributes, activation=fused)
            changes = {before.name: replace(before, outputs=node.outputs, attributes=attributes), node.name: None}
            note = Note("activation", node.name, f"{later.name} fused into {before.name}")
            return graph.rebuild(nodes=with_nodes(graph, changes), notes=[note])
    return None
