"""Depthwise convolutions of arm_dsp: node -> constants as the depthwise cores read them, and which parts a row needs.

The cores stand in templates/kernels/arm_dsp/depthwise_core.c (planar rows) and depthwise_interleaved_core.c.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from mbn2c.ir.graph import Graph, Node
from mbn2c.ir.kernel import ChannelStride, Packed
from mbn2c.kernels.arm_common import (
    channels_out,
    has_high_word_form,
    has_int8_weights,
    high_word_multipliers,
    is_plain_depthwise_3x3,
    window_of,
)
from mbn2c.ops.base.operator import quant_of
from mbn2c.ops.base.packing import folded_bias

_LARGEST_BLOCK = 8
# Three bytes with sign.
_BIAS_LIMIT = 2**23


def accepts_depthwise(node: Node, graph: Graph) -> bool:
    return is_plain_depthwise_3x3(node) and has_high_word_form(node) and has_int8_weights(node, graph)


def pack_depthwise(node: Node, graph: Graph) -> Packed:
    """Per channel: nine weights, row by row, the bias in three bytes, the multiplier."""
    weights = graph.constant(node.inputs[1]).transpose(2, 0, 1)
    channels = len(weights)
    bias = folded_bias(node, graph, 2).astype("<i4").reshape(channels, 1).view(np.int8)[:, :3]
    multipliers = high_word_multipliers(node).astype("<i4").reshape(channels, 1).view(np.int8)
    stream = np.concatenate([weights.reshape(channels, 9), bias, multipliers], axis=1)
    return Packed(
        {
            "weights": "weights",
            "channels": channels,
            "zero_point": quant_of(graph, node.outputs[0]).zero_point,
            "channel_stride": ChannelStride(node.inputs[0]),
            "block": best_block(graph.tensors[node.outputs[0]].shape[2]),
        },
        {"weights": np.ascontiguousarray(stream).view("<u4").reshape(-1)},
        weights.size,
    )


def best_block(count: int) -> int:
    """Outputs per block that make a row of `count` cheapest: 16 instructions an output, 16 a block, 60 for a rest."""

    def instructions(block: int) -> int:
        rest = count % block
        return (16 * block + 16) * (count // block) + (16 * rest + 60 if rest else 0)

    return min(range(1, _LARGEST_BLOCK + 1), key=instructions)


def variants_depthwise(node: Node, graph: Graph, counts: Sequence[int], writes_planar: bool) -> frozenset[str]:
    stride = window_of(node).stride[1]
    block = best_block(graph.tensors[node.outputs[0]].shape[2])
    found = {f"s{stride}"}
    for count in counts:
        if count // block > 1:
            found.add(f"depthwise_block{block}_s{stride}")
        elif count // block == 1:
            found.add(f"depthwise_block{block}_once_s{stride}")
        if count % block:
            found.add(f"depthwise_block{count % block}_once_s{stride}")
    return frozenset(found)


def accepts_planar(stride: int) -> Callable[[Node, Graph], bool]:
    def accepts(node: Node, graph: Graph) -> bool:
        if window_of(node).stride[1] != stride or not accepts_depthwise(node, graph):
            return False
        return bool(np.abs(folded_bias(node, graph, 2)).max() < _BIAS_LIMIT)

    return accepts


def pack_depthwise_interleaved(node: Node, graph: Graph) -> Packed:
    """Per 4 channels: biases, 9 taps of channels (0, 2) and (1, 3) as int16, multipliers."""
    weights = graph.constant(node.inputs[1])
    groups = weights.shape[2] // 4
    taps = weights.reshape(9, groups, 4).transpose(1, 0, 2).astype(np.int64)
    words = (taps[..., :2] & 0xFFFF) | ((taps[..., 2:] & 0xFFFF) << 16)
    bias = folded_bias(node, graph, 2).astype(np.int64).reshape(groups, 4)
    multipliers = high_word_multipliers(node).reshape(groups, 4)
    stream = np.concatenate([bias, words.reshape(groups, -1), multipliers], axis=1) & 0xFFFFFFFF
    return Packed(
        {
            "weights": "weights",
            "channels": weights.shape[2],
            "zero_point": quant_of(graph, node.outputs[0]).zero_point,
        },
        {"weights": stream.reshape(-1).astype(np.uint32)},
        weights.size,
    )


def variants_depthwise_interleaved(
    node: Node, graph: Graph, counts: Sequence[int], writes_planar: bool
) -> frozenset[str]:
    stride = window_of(node).stride[1]
    found = {f"s{stride}"}
    if any(count % 2 for count in counts):
        found.add(f"depthwise_one_s{stride}")
    if any(count > 1 for count in counts):
        found.add(f"depthwise_two_s{stride}")
    return frozenset(found)


# The kernel for interleaved rows works on so many channels at a time.
INTERLEAVED_CHANNELS = 4


def accepts_interleaved(stride: int) -> Callable[[Node, Graph], bool]:
    def accepts(node: Node, graph: Graph) -> bool:
        fits = channels_out(node, graph) % INTERLEAVED_CHANNELS == 0 and window_of(node).stride[1] == stride
        return fits and accepts_depthwise(node, graph)

    return accepts
