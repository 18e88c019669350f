"""lower_operators: what exists in imported Graphs only, and nothing could absorb, is said in other operators."""

from __future__ import annotations

from mbn2c.ir.graph import Graph, Node, Note, Tensor
from mbn2c.ops import operator_of
from mbn2c.passes.rewrite import with_nodes


def lower_operators(graph: Graph) -> Graph:
    """Each node that has a lowered form becomes it."""
    tensors: list[Tensor] = []
    changes: dict[str, Node | None] = {}
    notes: list[Note] = []
    for node in graph.nodes:
        if (lowered := operator_of(node).lower(node, graph)) is not None:
            changes[node.name], constants, note = lowered
            tensors += constants
            notes.append(note)
    return graph.rebuild(tensors=tensors, nodes=with_nodes(graph, changes), notes=notes)
