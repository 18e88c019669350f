"""arrange_channels: channels that one layer takes of a concatenation lie side by side in it, and are not copied.

A unit of ShuffleNetV2 hands one half of its shuffled channels to a convolution and lets the other half pass. Where
both tensors that are put together are made by layers whose output channels may stand in any order, the first ends with
the channels that the convolution takes, and the second begins with them.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from mbn2c.ir.graph import Graph, Node, Note, Tensor
from mbn2c.ops import operator_of, weighted_of
from mbn2c.passes.rewrite import constant, sole_consumer, until_stable, with_nodes


def arrange_channels(graph: Graph) -> Graph:
    """Arrange every concatenation of two tensors of which only selections of channels are read."""
    return until_stable(graph, _arrange_one)


def _arrange_one(graph: Graph) -> Graph | None:
    for node in graph.nodes:
        slices = operator_of(node).slices(node, graph)
        if len(slices) != 2 or not all(_may_change(graph, node.inputs[one.number]) for one in slices):
            continue
        output = node.outputs[0]
        readers = [(reader, operator_of(reader).selected_channels(reader)) for reader in graph.consumers[output]]
        if graph.is_output(output) or any(channels is None for _, channels in readers):
            continue
        taken = next((set(channels or ()) for reader, channels in readers if _is_for_layers(graph, reader)), set())
        if not taken or max(taken) - min(taken) + 1 == len(taken):
            continue
        count = slices[0].count
        first = sorted(range(count), key=lambda channel: channel in taken)
        second = sorted(range(slices[1].count), key=lambda channel: channel + count not in taken)
        place = np.argsort([*first, *(count + channel for channel in second)])
        changes: dict[str, Node | None] = {
            reader.name: operator_of(reader).selecting(reader, [int(place[channel]) for channel in channels or ()])
            for reader, channels in readers
        }
        tensors: list[Tensor] = []
        for one, order in zip(slices, (first, second), strict=True):
            maker = graph.producer[node.inputs[one.number]]
            changed, constants = _with_outputs(graph, maker, order)
            changes[maker.name] = changed
            tensors += constants
        note = Note("channel_order", node.name, f"{len(taken)} channels that are read together lie side by side")
        return graph.rebuild(tensors=tensors, nodes=with_nodes(graph, changes), notes=[note])
    return None


def _may_change(graph: Graph, tensor: str) -> bool:
    """Whether the channels of a tensor may stand in any order, for the one reader that it has."""
    maker = graph.producer.get(tensor)
    if maker is None or sole_consumer(graph, tensor) is None:
        return False
    if operator_of(maker).selected_channels(maker) is not None:
        return True
    operator = weighted_of(maker)
    constants = [name for name in maker.inputs if graph.tensors[name].data is not None]
    is_shared = any(len(graph.consumers[name]) > 1 for name in constants)
    return operator is not None and operator.mixes_channels and not is_shared


def _is_for_layers(graph: Graph, reader: Node) -> bool:
    """Whether what it selects goes to full layers only, whose weights may stand in any order."""
    after = graph.consumers[reader.outputs[0]]
    layers = [operator for node in after if (operator := weighted_of(node)) is not None and operator.mixes_channels]
    return bool(after) and len(layers) == len(after) and not graph.is_output(reader.outputs[0])


def _with_outputs(graph: Graph, maker: Node, order: list[int]) -> tuple[Node, list[Tensor]]:
    """The node with its output channels in another order, and its constants that change."""
    channels = operator_of(maker).selected_channels(maker)
    if channels is not None:
        return operator_of(maker).selecting(maker, [channels[channel] for channel in order]), []
    operator = weighted_of(maker)
    assert operator is not None
    axes = {maker.inputs[1]: operator.channel_axis, maker.inputs[2]: 0}
    return replace(maker), [
        constant(graph, name, np.take(graph.constant(name), order, axis=axis), maker) for name, axis in axes.items()
    ]
