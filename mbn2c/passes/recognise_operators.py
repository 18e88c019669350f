"""recognise_operators: what a file spells in several nodes becomes the one operator it is."""

from __future__ import annotations

from mbn2c.ir.graph import Graph
from mbn2c.ops import OPERATORS
from mbn2c.passes.rewrite import until_stable


def recognise_operators(graph: Graph) -> Graph:
    """Ask every operator at every node, until none finds more of itself; float32 and int8 alike."""
    return until_stable(graph, _recognise_one)


def _recognise_one(graph: Graph) -> Graph | None:
    for node in graph.nodes:
        for operator in OPERATORS.values():
            if (found := operator.recognise(node, graph)) is not None:
                return found
    return None
