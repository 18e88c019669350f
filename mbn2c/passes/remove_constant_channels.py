"""remove_constant_channels: channels that are provably the same for every image leave the network, exactly.

A batch norm with gamma 0, or weights that drive a clamp into saturation whatever comes in, make a channel constant.
Its value times the next layer's weights is a constant too and goes into that layer's bias.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from mbn2c.ir.graph import Graph, Node, Note, Tensor
from mbn2c.passes.rewrite import constant, with_nodes

Range = tuple[np.ndarray, np.ndarray]


def remove_constant_channels(graph: Graph) -> Graph:
    """Shrink every stretch from a full layer over channelwise ones (depthwise, clamp, pool) to full layers again."""
    ranges = channel_ranges(graph)
    for head in graph.nodes:
        if head.op in ("conv2d", "fully_connected"):
            graph = _shrink(graph, graph.producer[head.outputs[0]], ranges)
    return graph


# --- what values a channel can take --------------------------------------------------------------


def channel_ranges(graph: Graph) -> dict[str, Range]:
    """For each activation the (lowest, highest) value of each channel, float64 [C], by interval arithmetic."""
    ranges: dict[str, Range] = {}
    for port in graph.inputs:
        channels = graph.tensors[port.tensor].shape[3]
        ranges[port.tensor] = (np.full(channels, -np.inf), np.full(channels, np.inf))
    for node in graph.nodes:
        low, high = _range_of(graph, node, [ranges[name] for name in node.inputs if name in ranges])
        activation = getattr(node.attributes, "activation", None)
        if activation is not None:
            low, high = (np.clip(bound, activation.low, activation.high) for bound in (low, high))
        ranges[node.outputs[0]] = (low, high)
    return ranges


def _range_of(graph: Graph, node: Node, inputs: list[Range]) -> Range:
    low, high = inputs[0]
    if node.op == "add":
        return low + inputs[1][0], high + inputs[1][1]
    if node.op != "clamp" and node.op != "fully_connected" and any(node.attributes.window.pad):
        low, high = np.minimum(low, 0), np.maximum(high, 0)
    if node.op in ("clamp", "average_pool2d"):
        return low, high
    weights, bias = (graph.constant(name).astype(np.float64) for name in node.inputs[1:])
    if node.op == "depthwise_conv2d":
        low, high = (np.repeat(bound, node.attributes.depth_multiplier) for bound in (low, high))
        axes: tuple[int, ...] = (0, 1)
    else:
        axes = tuple(range(1, weights.ndim))
    # 0 * inf, which `where` does not take; and beyond float64 a range has no end, which is true
    with np.errstate(invalid="ignore", over="ignore"):
        lowest = np.where(weights > 0, weights * low, np.where(weights < 0, weights * high, 0.0)).sum(axis=axes)
        highest = np.where(weights > 0, weights * high, np.where(weights < 0, weights * low, 0.0)).sum(axis=axes)
    return lowest + bias, highest + bias


# --- removal -------------------------------------------------------------------------------------


def _channelwise(node: Node) -> bool:
    return node.op in ("clamp", "average_pool2d") or (
        node.op == "depthwise_conv2d" and node.attributes.depth_multiplier == 1
    )


def _stretch(graph: Graph, tensor: str) -> Iterator[Node]:
    """The nodes that read `tensor`, and through channelwise ones, what reads theirs."""
    for reader in graph.consumers[tensor]:
        yield reader
        if _channelwise(reader):
            yield from _stretch(graph, reader.outputs[0])


def _shrink(graph: Graph, head: Node, ranges: dict[str, Range]) -> Graph:
    """Remove the channels of `head` that are constant wherever the next full layers read them, from `ranges` too."""
    inside = [node for node in _stretch(graph, head.outputs[0]) if _channelwise(node)]
    exits = [node for node in _stretch(graph, head.outputs[0]) if not _channelwise(node)]
    carried = [head.outputs[0], *(node.outputs[0] for node in inside)]
    if any(node.op not in ("conv2d", "fully_connected") for node in exits) or any(map(graph.is_output, carried)):
        return graph
    if not exits:
        return graph
    removable = np.ones(graph.tensors[head.outputs[0]].shape[3], dtype=bool)
    for node in exits:
        low, high = ranges[node.inputs[0]]
        removable &= low == high
        if node.op == "conv2d" and any(node.attributes.window.pad):
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
        if len(node.inputs) == 3:
            weights, bias = (graph.constant(name) for name in node.inputs[1:])
            kept = weights[..., keep] if node.op == "depthwise_conv2d" else weights[keep]
            tensors[node.inputs[1]] = constant(graph, node.inputs[1], kept, node)
            tensors[node.inputs[2]] = constant(graph, node.inputs[2], bias[keep], node)
    for node in dict.fromkeys(exits):
        weights, bias = (graph.constant(name).astype(np.float64) for name in node.inputs[1:])
        value = np.where(removable, ranges[node.inputs[0]][0], 0.0)
        contribution = (weights * value).reshape(len(bias), -1).sum(axis=1)
        tensors[node.inputs[1]] = constant(graph, node.inputs[1], weights[..., keep], node)
        tensors[node.inputs[2]] = constant(graph, node.inputs[2], bias + contribution, node)
    into = ", ".join(dict.fromkeys(node.name for node in exits))
    for name in carried:
        ranges[name] = (ranges[name][0][keep], ranges[name][1][keep])
    removed = f"{int(removable.sum())} of {removable.size} channels constant, removed"
    text = f"{removed}; their value is in the bias of {into}"
    last = inside[-1].name if inside else head.name
    return graph.rebuild(tensors=tensors.values(), nodes=with_nodes(graph, {}), notes=[Note("channel", last, text)])
