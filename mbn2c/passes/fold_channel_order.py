"""fold_channel_order: channels that were put into another order stay where they are, and weights change their order.

A channel shuffle, or red and blue exchanged, before convolutions costs nothing then; channelwise layers between go
with it.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from mbn2c.ir.graph import Graph, Node, Note, Tensor
from mbn2c.ops import operator_of, weighted_of
from mbn2c.passes.rewrite import constant, reading, until_stable, with_nodes


def fold_channel_order(graph: Graph) -> Graph:
    """Bring the channels that a node selects into ascending order wherever only full layers see the difference."""
    return until_stable(graph, _fold_one)


def _fold_one(graph: Graph) -> Graph | None:
    for node in graph.nodes:
        channels = operator_of(node).selected_channels(node)
        if channels is None or len(set(channels)) < len(channels):
            continue
        source = node.inputs[0]
        is_all = len(channels) == graph.tensors[source].shape[3]
        if list(channels) == sorted(channels) and not is_all:
            continue
        readers = list(_stretch(graph, node.outputs[0]))
        if not readers or not _can_follow(graph, node, readers):
            continue
        # The channel at place k comes to place rank[k].
        order = np.argsort(channels)
        tensors: list[Tensor] = []
        for reader in readers:
            tensors += _in_order(graph, reader, order)
        if not is_all:
            changes: dict[str, Node | None] = {node.name: operator_of(node).selecting(node, sorted(channels))}
        else:
            changes = {node.name: None} | {
                one.name: reading(one, node.outputs[0], source) for one in graph.consumers[node.outputs[0]]
            }
        into = ", ".join(one.name for one in readers)
        note = Note(
            "channel_order", node.name, f"the order of {len(channels)} channels is that of the weights of {into}"
        )
        return graph.rebuild(tensors=tensors, nodes=with_nodes(graph, changes), notes=[note])
    return None


def _stretch(graph: Graph, tensor: str) -> Iterator[Node]:
    """The nodes that read `tensor`, and through channelwise ones, what reads theirs."""
    for reader in graph.consumers[tensor]:
        yield reader
        if operator_of(reader).is_channelwise(reader):
            yield from _stretch(graph, reader.outputs[0])


def _can_follow(graph: Graph, node: Node, readers: list[Node]) -> bool:
    """Whether all are channelwise, or full layers whose weights see all channels; nobody outside sees their order."""
    carried = [node.outputs[0]]
    for reader in readers:
        if operator_of(reader).is_channelwise(reader):
            carried.append(reader.outputs[0])
            continue
        operator = weighted_of(reader)
        if operator is None or not operator.mixes_channels:
            return False
        if graph.constant(reader.inputs[1]).shape[-1] != graph.tensors[reader.inputs[0]].shape[3]:
            return False
    constants = [name for reader in readers for name in reader.inputs if graph.tensors[name].data is not None]
    is_shared = any(len(graph.consumers[name]) > 1 for name in constants)
    return not is_shared and not any(map(graph.is_output, carried))


def _in_order(graph: Graph, reader: Node, order: np.ndarray) -> list[Tensor]:
    """Its constants, the last axis of which is that of the input's channels."""
    names = [name for name in reader.inputs if graph.tensors[name].data is not None]
    if not operator_of(reader).is_channelwise(reader):
        names = [reader.inputs[1]]
    return [constant(graph, name, graph.constant(name)[..., order], reader) for name in names]
