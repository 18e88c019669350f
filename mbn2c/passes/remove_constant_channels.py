"""remove_constant_channels: channels that are provably the same for every image leave the network, exactly.

A batch norm with gamma 0, or weights that drive a clamp into saturation whatever comes in, make a channel constant.
Its value times the next layer's weights is a constant too and goes into that layer's bias.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from mbn2c.ir.graph import Graph, Node, Note, Tensor
from mbn2c.ops import operator_of, weighted_of
from mbn2c.ops.base.windows import Bounds
from mbn2c.passes.rewrite import constant, with_nodes


def remove_constant_channels(graph: Graph) -> Graph:
    """Shrink every stretch from a full layer over channelwise ones (depthwise, clamp, pool) to full layers again."""
    ranges = channel_ranges(graph)
    for head in graph.nodes:
        if operator_of(head).mixes_channels:
            graph = _shrink(graph, graph.producer[head.outputs[0]], ranges)
    return graph


# --- what values a channel can take --------------------------------------------------------------


def channel_ranges(graph: Graph) -> dict[str, Bounds]:
    """For each activation the (lowest, highest) value of each channel, float64 [C], by interval arithmetic."""
    ranges: dict[str, Bounds] = {}
    for port in graph.inputs:
        channels = graph.tensors[port.tensor].shape[3]
        ranges[port.tensor] = (np.full(channels, -np.inf), np.full(channels, np.inf))
    for node in graph.nodes:
        low, high = operator_of(node).bounds(node, graph, [ranges[name] for name in node.inputs if name in ranges])
        activation = operator_of(node).activation(node)
        if activation is not None:
            low, high = (np.clip(bound, activation.low, activation.high) for bound in (low, high))
        ranges[node.outputs[0]] = (low, high)
    return ranges


# --- removal -------------------------------------------------------------------------------------


def _stretch(graph: Graph, tensor: str) -> Iterator[Node]:
    """The nodes that read `tensor`, and through channelwise ones, what reads theirs."""
    for reader in graph.consumers[tensor]:
        yield reader
        if operator_of(reader).is_channelwise(reader):
            yield from _stretch(graph, reader.outputs[0])


def _shrink(graph: Graph, head: Node, ranges: dict[str, Bounds]) -> Graph:
    """Remove the channels of `head` that are constant wherever the next full layers read them, from `ranges` too."""
    inside = [node for node in _stretch(graph, head.outputs[0]) if operator_of(node).is_channelwise(node)]
    exits = [node for node in _stretch(graph, head.outputs[0]) if not operator_of(node).is_channelwise(node)]
    carried = [head.outputs[0], *(node.outputs[0] for node in inside)]
    if any(map(graph.is_output, carried)) or not exits:
        return graph
    operators = [operator for node in exits if (operator := weighted_of(node)) is not None and operator.mixes_channels]
    if len(operators) < len(exits):
        return graph
    removable = np.ones(graph.tensors[head.outputs[0]].shape[3], dtype=bool)
    for node in exits:
        low, high = ranges[node.inputs[0]]
        removable &= low == high
        if any(operator_of(node).window(node).pad):
            removable &= low == 0  # padding is 0 too; another constant would end at the border
    if removable.all():
        removable[0] = False  # a tensor needs a channel
    if not removable.any():
        return graph
    keep = ~removable
    tensors: dict[str, Tensor] = {}
    for name in carried:
        tensor = graph.tensors[name]
        tensors[name] = replace(tensor, shape=(*tensor.shape[:3], int(keep.sum())))
    for node in [head, *inside]:
        for name, kept in operator_of(node).keep_outputs(node, graph, keep).items():
            tensors[name] = constant(graph, name, kept, node)
    for node, operator in dict(zip(exits, operators, strict=True)).items():
        weights, bias = (graph.constant(name).astype(np.float64) for name in node.inputs[1:])
        value = np.where(removable, ranges[node.inputs[0]][0], 0.0)
        contribution = operator.contribution(node, weights, value)
        tensors[node.inputs[1]] = constant(graph, node.inputs[1], weights[..., keep], node)
        tensors[node.inputs[2]] = constant(graph, node.inputs[2], bias + contribution, node)
    into = ", ".join(dict.fromkeys(node.name for node in exits))
    for name in carried:
        ranges[name] = (ranges[name][0][keep], ranges[name][1][keep])
    removed = f"{int(removable.sum())} of {removable.size} channels constant, removed"
    text = f"{removed}; their value is in the bias of {into}"
    last = inside[-1].name if inside else head.name
    return graph.rebuild(tensors=tensors.values(), nodes=with_nodes(graph, {}), notes=[Note("channel", last, text)])
