"""Constants and conditions of the Helium depthwise kernels: 3x3 and 5x5.

Constants are packed as the assembly reads them: see templates/kernels/arm_mve/mbn_arm_mve.h.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from mbn2c.ir.graph import Graph, Node
from mbn2c.ir.kernel import ChannelStride, Packed, Parts
from mbn2c.kernels.arm_common import (
    channels_out,
    has_high_word_form,
    has_int8_weights,
    high_word_multipliers,
    is_plain_depthwise,
    window_of,
)
from mbn2c.kernels.arm_mve.conv import LARGEST_OFFSET, VECTOR_BYTES
from mbn2c.numerics import INT8_MIN
from mbn2c.ops.base.packing import folded_bias, pixel_stride
from mbn2c.ops.base.quants import quant_of

_LONG_BLOCKS_S1 = (14, 12, 10, 8)
_FEWEST_OUTPUTS = 5


def _block(outputs: int, stride: int) -> str:
    return f"mbn_depthwise_block{outputs}_s{stride}_arm_mve"


_SHORT_BLOCKS = range(1, 8)


def _blocks(stride: int) -> tuple[str, ...]:
    """In the order of the table; stride 2 has no long ones."""
    longer = (_block(n, 1) if stride == 1 else "" for n in sorted(_LONG_BLOCKS_S1))
    return (*(_block(n, stride) for n in _SHORT_BLOCKS), *longer)


_PARTS = {
    stride: Parts(
        f"depthwise_s{stride}_parts_arm_mve",
        "mbn_depthwise_parts_arm_mve",
        (_blocks(stride),),
    )
    for stride in (1, 2)
}


def pack_depthwise(node: Node, graph: Graph) -> Packed:
    """Per channel 28 bytes: 0 0 0 0, three columns of w_0j w_1j w_2j 0, 0 0 0 0, bias, multiplier."""
    weights = graph.constant(node.inputs[1])
    columns = np.pad(weights.transpose(2, 1, 0), ((0, 0), (1, 1), (0, 1))).astype(np.int8)
    numbers = np.stack([folded_bias(node, graph, 2).astype(np.int64), high_word_multipliers(node)], axis=1)
    tail = numbers.astype("<i4").view(np.int8)
    channels = len(columns)
    stream = np.concatenate([columns.reshape(channels, -1), tail], axis=1)
    return Packed(
        {
            "weights": "weights",
            "parts": _PARTS[window_of(node).stride[1]],
            "channels": channels,
            "stride": window_of(node).stride[1],
            "zero_point": quant_of(graph, node.outputs[0]).zero_point,
            "channel_stride": ChannelStride(node.inputs[0]),
            "block": best_block(graph.tensors[node.outputs[0]].shape[2], window_of(node).stride[1]),
            **pixel_stride(node),
        },
        {"weights": np.ascontiguousarray(stream).view("<i4").reshape(-1).astype(np.int32)},
        weights.size,
    )


def best_block(count: int, stride: int) -> int:
    """Outputs per block of a row of `count`: one block if it fits, or a size that leaves no rest."""
    if stride == 2:
        return 6 if count % 7 and count % 6 == 0 else 7
    for block in (*_LONG_BLOCKS_S1, 7, 6):
        if count % block == 0:
            return block
    return min(count, _LONG_BLOCKS_S1[0])


def block_sizes(count: int, block: int) -> list[int]:
    """How a row of `count` is split: as in depthwise_conv2d_3x3.c."""
    sizes = []
    while count > 0:
        size = min(count, block)
        if size > 7:
            size = min(size, _LONG_BLOCKS_S1[0]) // 2 * 2
        sizes.append(size)
        count -= size
    return sizes


def parts_depthwise(node: Node, graph: Graph, counts: Sequence[int], writes_planar: bool) -> frozenset[str]:
    """Of the core's functions those that planar rows of `counts` pixels need: one for each size of block."""
    stride = window_of(node).stride[1]
    block = best_block(graph.tensors[node.outputs[0]].shape[2], stride)
    sizes = {size for count in counts for size in block_sizes(count, block)}
    return frozenset(_block(size, stride) for size in sizes)


def accepts_depthwise(node: Node, graph: Graph) -> bool:
    """Rows of a few outputs are cheaper with interleaved rows: 8 instructions per output, not 13."""
    is_near = 8 * channels_out(node, graph) <= LARGEST_OFFSET
    if graph.tensors[node.outputs[0]].shape[2] < _FEWEST_OUTPUTS:
        return False
    is_plain = is_plain_depthwise(node, 3) and has_high_word_form(node) and has_int8_weights(node, graph)
    return is_near and is_plain


# Biases and multipliers of 16 channels in the order in which sums of two taps lie in four vectors.
_LANES = (0, 4, 8, 12, 2, 6, 10, 14, 1, 5, 9, 13, 3, 7, 11, 15)


def pack_depthwise_interleaved(node: Node, graph: Graph) -> Packed:
    """Per 16 channels: biases, 9 or 25 taps of 16 bytes, multipliers; the last group is filled up with zeros."""
    weights = graph.constant(node.inputs[1])
    channels = weights.shape[2]
    fill = -channels % VECTOR_BYTES
    taps = np.pad(weights.reshape(-1, channels), ((0, 0), (0, fill))).reshape(
        weights.size // channels, -1, VECTOR_BYTES
    )
    words = np.ascontiguousarray(taps.transpose(1, 0, 2)).view("<i4").reshape(taps.shape[1], -1)
    bias, multipliers = (
        np.pad(numbers.astype(np.int64), (0, fill)).reshape(-1, VECTOR_BYTES)[:, _LANES]
        for numbers in (folded_bias(node, graph, 2), high_word_multipliers(node))
    )
    stream = np.concatenate([bias, words, multipliers], axis=1)
    return Packed(
        {
            "weights": "weights",
            "channels": channels,
            "stride": window_of(node).stride[1],
            "zero_point": quant_of(graph, node.outputs[0]).zero_point,
            **pixel_stride(node),
        },
        {"weights": stream.reshape(-1).astype(np.int32)},
        weights.size,
    )


def accepts_depthwise_interleaved(node: Node, graph: Graph, size: int = 3) -> bool:
    """Two products must fit 16 bits."""
    is_plain = is_plain_depthwise(node, size) and has_high_word_form(node) and has_int8_weights(node, graph)
    return is_plain and int(graph.constant(node.inputs[1]).min()) > INT8_MIN


def accepts_interleaved_5x5(node: Node, graph: Graph) -> bool:
    """The same for 5x5."""
    return accepts_depthwise_interleaved(node, graph, 5)


def accepts_any_window(node: Node, graph: Graph) -> bool:
    """One output per input channel, and two products fit 16 bits."""
    is_plain = node.attributes.depth_multiplier == 1 and has_high_word_form(node) and has_int8_weights(node, graph)
    return is_plain and int(graph.constant(node.inputs[1]).min()) > INT8_MIN


def pack_any_window(node: Node, graph: Graph) -> Packed:
    """As `pack_depthwise_interleaved`, and the window."""
    packed, window = pack_depthwise_interleaved(node, graph), window_of(node)
    shape = {
        "kernel_height": window.kernel[0],
        "kernel_width": window.kernel[1],
        "column_bytes": window.dilation[1] * channels_out(node, graph),
    }
    return replace(packed, fields={**packed.fields, **shape})


def scratch_depthwise(node: Node, graph: Graph) -> int:
    """16 columns of three rows and one without meaning."""
    return 4 * VECTOR_BYTES
