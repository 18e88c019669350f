"""The nodes of an ONNX graph in execution order, and those among them that its outputs need."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterator

from onnx import AttributeProto, GraphProto, NodeProto

from mbn2c.errors import ModelError
from mbn2c.frontend.nodes import describe
from mbn2c.ops.base.call import EXPORT_AGAIN


def subgraphs(attribute: AttributeProto) -> Iterator[GraphProto]:
    """The graphs that an attribute holds: branches of If, bodies of Loop."""
    yield from attribute.graphs
    if attribute.HasField("g"):
        yield attribute.g


def used_names(node: NodeProto) -> Iterator[str]:
    """What a node reads, its subgraphs' outer names included."""
    yield from (name for name in node.input if name)
    for attribute in node.attribute:
        for graph in subgraphs(attribute):
            own = {tensor.name for tensor in graph.initializer} | {port.name for port in graph.input}
            own |= {name for inner in graph.node for name in inner.output}
            yield from (name for inner in graph.node for name in used_names(inner) if name not in own)


def sort_nodes(graph: GraphProto, where: str) -> None:
    """Put the nodes in execution order; refuse doubled outputs, inputs that nothing makes, and cycles."""
    known = {port.name for port in graph.input} | {tensor.name for tensor in graph.initializer}
    made: set[str] = set()
    for node in graph.node:
        for name in node.output:
            if name and (name in made or name in known):
                raise ModelError(f"two nodes make the tensor '{name}'", where=describe(node), hint=EXPORT_AGAIN)
            made.add(name)
    for node in graph.node:
        for name in used_names(node):
            if name not in known and name not in made:
                raise ModelError(
                    f"input '{name}' is made by no node and is no weight", where=describe(node), hint=EXPORT_AGAIN
                )
    for ports, what in ((graph.input, "input"), (graph.output, "output")):
        twice = [name for name, count in Counter(port.name for port in ports).items() if count > 1]
        if twice:
            raise ModelError(f"the {what} '{twice[0]}' is named twice", where=where, hint=EXPORT_AGAIN)
    for port in graph.output:
        if port.name not in known and port.name not in made:
            raise ModelError(f"the output '{port.name}' is made by no node", where=where, hint=EXPORT_AGAIN)
    ordered = _in_order(list(graph.node), known)
    _replace_nodes(graph, ordered)


def _in_order(nodes: list[NodeProto], known: set[str]) -> list[NodeProto]:
    """The nodes, each behind those that make what it reads, else as they stand; `known` is made by none of them.

    raises  ModelError for a cycle
    """
    readers: dict[str, list[int]] = {}
    missing: list[int] = []
    for position, node in enumerate(nodes):
        needed = set(used_names(node)) - known
        missing.append(len(needed))
        for name in needed:
            readers.setdefault(name, []).append(position)
    ready = [position for position, count in enumerate(missing) if count == 0]
    ordered: list[NodeProto] = []
    while ready:
        node = nodes[heapq.heappop(ready)]
        ordered.append(node)
        for name in set(node.output):
            for reader in readers.get(name, ()):
                missing[reader] -= 1
                if missing[reader] == 0:
                    heapq.heappush(ready, reader)
    if len(ordered) < len(nodes):
        blocked = next(node for node, count in zip(nodes, missing, strict=True) if count > 0)
        raise ModelError(
            "the layers form a cycle: a node needs its own output", where=describe(blocked), hint=EXPORT_AGAIN
        )
    return ordered


def drop_dead_nodes(graph: GraphProto) -> None:
    """Without the nodes that no output needs: ONNX Runtime would compute those of constants all the same."""
    wanted = {port.name for port in graph.output}
    live: list[NodeProto] = []
    for node in reversed(graph.node):
        if wanted.intersection(node.output):
            live.append(node)
            wanted.update(used_names(node))
    if len(live) < len(graph.node):
        _replace_nodes(graph, live[::-1])


def _replace_nodes(graph: GraphProto, nodes: list[NodeProto]) -> None:
    copies = [NodeProto.FromString(node.SerializeToString()) for node in nodes]
    del graph.node[:]
    graph.node.extend(copies)
