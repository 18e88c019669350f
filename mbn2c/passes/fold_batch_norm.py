"""fold_batch_norm: a scale_shift (batch norm, or Mul and Add by constants) goes into weights where that is exact."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from mbn2c.ir.graph import Graph, Node, Note, Tensor
from mbn2c.ops import operator_of, weighted_of
from mbn2c.passes.rewrite import constant, reading, sole_consumer, until_stable, with_nodes


def fold_batch_norm(graph: Graph) -> Graph:
    """Fold into the layer before; else into all layers after it, if none of them pads a shifted value.

    Two in a row become one, and one before an unpadded average pool moves behind it, where a dense layer may
    take it. What then remains stays a scale_shift.
    """
    return until_stable(graph, _fold_one)


def _fold_one(graph: Graph) -> Graph | None:
    for fold in (_merge, _into_producer, _behind_pool, _into_consumers):
        for node in graph.nodes:
            if operator_of(node).is_affine and (folded := fold(graph, node)) is not None:
                return folded
    return None


def _parameters(graph: Graph, node: Node) -> tuple[np.ndarray, np.ndarray]:
    scale, shift = (graph.constant(name).astype(np.float64) for name in node.inputs[1:])
    return scale, shift


def _note(node: Node, into: str) -> Note:
    return Note("batch_norm", node.name, f"{node.attributes.origin} folded into {into}")


def _merge(graph: Graph, node: Node) -> Graph | None:
    """Two in a row: (x * s1 + t1) * s2 + t2 = x * (s1 * s2) + (t1 * s2 + t2)."""
    after = sole_consumer(graph, node.outputs[0])
    if after is None or not operator_of(after).is_affine:
        return None
    scale, shift = _parameters(graph, node)
    scale_after, shift_after = _parameters(graph, after)
    origins = (node.attributes.origin, after.attributes.origin)
    merged = replace(
        after,
        inputs=(node.inputs[0], *after.inputs[1:]),
        attributes=replace(after.attributes, origin="+".join(dict.fromkeys("+".join(origins).split("+")))),
    )
    tensors = [
        constant(graph, after.inputs[1], scale * scale_after, after),
        constant(graph, after.inputs[2], shift * scale_after + shift_after, after),
    ]
    return graph.rebuild(tensors=tensors, nodes=with_nodes(graph, {node.name: None, after.name: merged}))


def _into_producer(graph: Graph, node: Node) -> Graph | None:
    """conv(x) * s + t: output channel c of the weights times s[c]."""
    layer = graph.producer.get(node.inputs[0])
    operator = weighted_of(layer)
    if layer is None or operator is None or operator.activation(layer) is not None:
        return None
    if sole_consumer(graph, layer.outputs[0]) is None:
        return None
    scale, shift = _parameters(graph, node)
    weights, bias = (graph.constant(name).astype(np.float64) for name in layer.inputs[1:])
    tensors = [
        constant(graph, layer.inputs[1], operator.scale_outputs(weights, scale), layer),
        constant(graph, layer.inputs[2], bias * scale + shift, layer),
    ]
    changes = {layer.name: replace(layer, outputs=node.outputs), node.name: None}
    return graph.rebuild(tensors=tensors, nodes=with_nodes(graph, changes), notes=[_note(node, layer.name)])


def _behind_pool(graph: Graph, node: Node) -> Graph | None:
    """The average of x * s + t is the average of x, times s, plus t; padding would break that."""
    pool = sole_consumer(graph, node.outputs[0])
    if pool is None or any(operator_of(pool).window(pool).pad):
        return None
    if not operator_of(pool).sums_channels or len(operator_of(pool).activations(pool, graph)) != 1:
        return None
    pooled = Tensor(f"{pool.outputs[0]}/before_{node.name}", graph.tensors[pool.outputs[0]].shape)
    changes: dict[str, Node | None] = {
        node.name: replace(pool, inputs=(node.inputs[0],), outputs=(pooled.name,)),
        pool.name: replace(node, inputs=(pooled.name, *node.inputs[1:]), outputs=pool.outputs),
    }
    return graph.rebuild(tensors=[pooled], nodes=with_nodes(graph, changes))


def _into_consumers(graph: Graph, node: Node) -> Graph | None:
    """conv(x * s + t): input channel i of the weights times s[i], the bias takes what t contributes."""
    made = node.outputs[0]
    scale, shift = _parameters(graph, node)
    readers = graph.consumers[made]
    if not readers or graph.is_output(made):
        return None
    for layer in readers:
        operator = weighted_of(layer)
        if operator is None or (any(operator.window(layer).pad) and shift.any()):
            return None
    tensors: list[Tensor] = []
    changes: dict[str, Node | None] = {node.name: None}
    for layer in readers:
        operator = weighted_of(layer)
        assert operator is not None
        weights, bias = (graph.constant(name).astype(np.float64) for name in layer.inputs[1:])
        contribution = operator.contribution(layer, weights, shift)
        tensors.append(constant(graph, layer.inputs[1], operator.scale_inputs(layer, weights, scale), layer))
        tensors.append(constant(graph, layer.inputs[2], bias + contribution, layer))
        changes[layer.name] = reading(layer, made, node.inputs[0])
    into = ", ".join(layer.name for layer in readers)
    return graph.rebuild(tensors=tensors, nodes=with_nodes(graph, changes), notes=[_note(node, into)])
