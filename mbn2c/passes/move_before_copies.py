"""move_before_copies: a scale_shift or a clamp moves before an operator that only moves values (a crop, say)."""

from __future__ import annotations

from dataclasses import replace

from mbn2c.ir.graph import Graph, Node
from mbn2c.ops import operator_of
from mbn2c.passes.rewrite import constant, sole_consumer, until_stable, with_nodes


def move_before_copies(graph: Graph) -> Graph:
    """Exact: what is done to each value may be done before it is moved."""
    return until_stable(graph, _move_one)


def _move_one(graph: Graph) -> Graph | None:
    for node in graph.nodes:
        operator = operator_of(node)
        before = graph.producer.get(node.inputs[0])
        if before is None or not (operator.is_affine or operator.is_clamp):
            continue
        if operator_of(before).moves_values and sole_consumer(graph, node.inputs[0]) is not None:
            return _swapped(graph, before, node)
    return None


def _swapped(graph: Graph, before: Node, node: Node) -> Graph:
    """`node` on the input of `before`, and that on its result."""
    source = graph.tensors[before.inputs[0]]
    made = replace(source, name=f"{node.outputs[0]}/before_{before.name}")
    tensors = [made]
    for name in node.inputs[1:]:
        values = operator_of(before).of_input(before, graph, graph.constant(name))
        tensors.append(replace(constant(graph, name, values, node), shape=values.shape))
    changes: dict[str, Node | None] = {
        before.name: replace(node, inputs=(source.name, *node.inputs[1:]), outputs=(made.name,)),
        node.name: replace(before, inputs=(made.name, *before.inputs[1:]), outputs=node.outputs),
    }
    return graph.rebuild(tensors=tensors, nodes=with_nodes(graph, changes))
