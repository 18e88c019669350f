"""What the passes share: rewriting a frozen Graph one small step at a time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from mbn2c.errors import ModelError
from mbn2c.ir.graph import Graph, Node, Tensor
from mbn2c.ir.limits import is_usable


def until_stable(graph: Graph, step: Callable[[Graph], Graph | None]) -> Graph:
    """Apply `step` until it finds nothing more to do and returns None."""
    while (changed := step(graph)) is not None:
        graph = changed
    return graph


def with_nodes(graph: Graph, changes: Mapping[str, Node | None]) -> list[Node]:
    """The Graph's nodes, those named in `changes` replaced, or removed where it says None."""
    nodes = (changes.get(node.name, node) for node in graph.nodes)
    return [node for node in nodes if node is not None]


def sole_consumer(graph: Graph, tensor: str) -> Node | None:
    """The only node that reads `tensor`, if nobody else and no output of the network does."""
    readers = graph.consumers[tensor]
    return readers[0] if len(readers) == 1 and not graph.is_output(tensor) else None


def reading(node: Node, old: str, new: str) -> Node:
    """The node with input `old` replaced by `new`."""
    return replace(node, inputs=tuple(new if name == old else name for name in node.inputs))


def constant(graph: Graph, name: str, data: np.ndarray, node: Node) -> Tensor:
    """The constant `name` with new data, in float32.

    raises  ModelError if a value is larger than a weight may be
    """
    with np.errstate(over="ignore"):
        array = np.ascontiguousarray(data, dtype=np.float32)
    if not is_usable(array):
        raise ModelError(
            f"folding a batch norm or a constant makes weights of up to {np.abs(array).max():.3g}",
            where=f"node '{node.name}'",
            hint="a variance of the batch norm is near zero; check the training",
        )
    return replace(graph.tensors[name], shape=array.shape, data=array)
