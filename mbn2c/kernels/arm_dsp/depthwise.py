"""Depthwise convolutions of arm_dsp: node -> constants as the cores read them, and which functions of theirs it needs.

The cores stand in templates/kernels/arm_dsp/depthwise_core.c (planar rows) and depthwise_interleaved_core.c.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

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
from mbn2c.kernels.arm_dsp.shared import functions_with, has_short_biases, indices, parts_with, shared_numbers
from mbn2c.ops.base.packing import folded_bias, in_bytes, pixel_stride
from mbn2c.ops.base.quants import quant_of

_LARGEST_BLOCK = 8
_LARGEST_BLOCK_5X5 = 7


def _several(outputs: int, stride: int, size: int = 3) -> str:
    return f"mbn_depthwise_{_of_size(size)}block{outputs}_s{stride}_arm_dsp"


def _once(outputs: int, stride: int, size: int = 3) -> str:
    return f"mbn_depthwise_{_of_size(size)}block{outputs}_once_s{stride}_arm_dsp"


def _of_size(size: int) -> str:
    return "" if size == 3 else f"{size}x{size}_"


_ONE = "mbn_depthwise_one_arm_dsp"
_TWO = {stride: f"mbn_depthwise_two_s{stride}_arm_dsp" for stride in (1, 2)}
_OUTPUTS = range(1, _LARGEST_BLOCK + 1)
PLANAR_PARTS = {
    stride: Parts(
        f"depthwise_s{stride}_parts_arm_dsp",
        "mbn_depthwise_parts_arm_dsp",
        (tuple(_several(n, stride) for n in _OUTPUTS), tuple(_once(n, stride) for n in _OUTPUTS)),
        (),
    )
    for stride in (1, 2)
}
_OUTPUTS_5X5 = range(1, _LARGEST_BLOCK_5X5 + 1)
PLANAR_5X5_PARTS = {
    stride: Parts(
        f"depthwise_5x5_s{stride}_parts_arm_dsp",
        "mbn_depthwise_5x5_parts_arm_dsp",
        (tuple(_several(n, stride, 5) for n in _OUTPUTS_5X5), tuple(_once(n, stride, 5) for n in _OUTPUTS_5X5)),
    )
    for stride in (1, 2)
}
INTERLEAVED_PARTS = {
    stride: Parts(
        f"depthwise_interleaved_s{stride}_parts_arm_dsp",
        "mbn_depthwise_interleaved_parts_arm_dsp",
        (_ONE, _TWO[stride]),
    )
    for stride in (1, 2)
}


def _pixels_5x5(count: int, stride: int) -> str:
    return f"mbn_depthwise_5x5_pixels{count}_s{1 if count == 1 else stride}_arm_dsp"


INTERLEAVED_5X5_PARTS = {
    stride: Parts(
        f"depthwise_5x5_interleaved_s{stride}_parts_arm_dsp",
        "mbn_depthwise_5x5_interleaved_parts_arm_dsp",
        (tuple(_pixels_5x5(count, stride) for count in (1, 2, 3)),),
    )
    for stride in (1, 2)
}


def accepts_depthwise(node: Node, graph: Graph, size: int = 3) -> bool:
    """Whether it is a plain 3x3 (or 5x5) depthwise convolution with int8 weights in the high word form."""
    return is_plain_depthwise(node, size) and has_high_word_form(node) and has_int8_weights(node, graph)


def pack_depthwise(node: Node, graph: Graph) -> Packed:
    """Per channel: 9 or 25 weights, row by row, the bias in three bytes, the multiplier; or, of nine weights, the byte
    that says which of the shared ones it is."""
    weights = graph.constant(node.inputs[1]).transpose(2, 0, 1)
    channels = len(weights)
    bias = folded_bias(node, graph, 2).astype("<i4").reshape(channels, 1).view(np.int8)[:, :3]
    numbers = _shared_numbers(node, graph)
    multipliers = high_word_multipliers(node).astype("<i4").reshape(channels, 1).view(np.int8)
    if numbers:
        multipliers = indices(high_word_multipliers(node), numbers).astype(np.uint8).reshape(channels, 1).view(np.int8)
    stream = np.concatenate([weights.reshape(channels, -1), bias, multipliers], axis=1).reshape(-1)
    stride, count = window_of(node).stride[1], graph.tensors[node.outputs[0]].shape[2]
    is_small = window_of(node).kernel == (3, 3)
    return Packed(
        {
            "weights": "weights",
            "parts": parts_with((PLANAR_PARTS if is_small else PLANAR_5X5_PARTS)[stride], numbers),
            "channels": channels,
            "stride": stride,
            "zero_point": quant_of(graph, node.outputs[0]).zero_point,
            "channel_stride": ChannelStride(node.inputs[0]),
            "block": best_block(count) if is_small else best_block_5x5(count, stride),
            **pixel_stride(node),
        },
        {"weights": np.pad(stream, (0, -len(stream) % 4)).view("<u4")},
        weights.size,
    )


def _shared_numbers(node: Node, graph: Graph) -> tuple[int, ...]:
    """Those that the core for nine weights reads."""
    return shared_numbers(node, graph, 2) if window_of(node).kernel == (3, 3) else ()


def best_block(count: int) -> int:
    """Outputs per block that make a row of `count` cheapest: 16 instructions an output, 16 a block, 60 for a rest."""
    return _cheapest(count, _LARGEST_BLOCK, 16)


def best_block_5x5(count: int, stride: int) -> int:
    """The same for 5x5: 28 or 34 instructions an output."""
    return _cheapest(count, _LARGEST_BLOCK_5X5, 28 if stride == 1 else 34, 50)


def _cheapest(count: int, largest: int, output: int, block: int = 16) -> int:
    def instructions(size: int) -> int:
        rest = count % size
        return (output * size + block) * (count // size) + (output * rest + 44 + block if rest else 0)

    return min(range(1, largest + 1), key=instructions)


def parts_depthwise(node: Node, graph: Graph, counts: Sequence[int], writes_planar: bool) -> frozenset[str]:
    """Of the core's functions those that planar rows of `counts` pixels need: several blocks, one block, the rest."""
    window, width = window_of(node), graph.tensors[node.outputs[0]].shape[2]
    stride, size = window.stride[1], window.kernel[0]
    block = best_block(width) if size == 3 else best_block_5x5(width, stride)
    found = set()
    for count in counts:
        if count // block > 1:
            found.add(_several(block, stride, size))
        elif count // block == 1:
            found.add(_once(block, stride, size))
        if count % block:
            found.add(_once(count % block, stride, size))
    return functions_with(found, _shared_numbers(node, graph))


def accepts_planar(node: Node, graph: Graph) -> bool:
    """As `accepts_depthwise`, if the folded biases fit the three bytes that `pack_depthwise` has for them."""
    return accepts_depthwise(node, graph) and has_short_biases(node, graph, 2)


def accepts_planar_5x5(node: Node, graph: Graph) -> bool:
    """The same for 5x5."""
    return accepts_depthwise(node, graph, 5) and has_short_biases(node, graph, 2)


def pack_depthwise_interleaved(node: Node, graph: Graph) -> Packed:
    """The stream of `_fours`, for 3x3."""
    stride = window_of(node).stride[1]
    return Packed(
        {
            "weights": "weights",
            "parts": INTERLEAVED_PARTS[stride],
            "channels": channels_out(node, graph),
            **in_bytes(node),
            "stride": stride,
            "zero_point": quant_of(graph, node.outputs[0]).zero_point,
            **pixel_stride(node),
        },
        {"weights": _fours(node, graph)},
        graph.constant(node.inputs[1]).size,
    )


def pack_any_window(node: Node, graph: Graph) -> Packed:
    """The stream of `_fours`, and the window."""
    window = window_of(node)
    return Packed(
        {
            "weights": "weights",
            "channels": channels_out(node, graph),
            **in_bytes(node),
            "kernel_height": window.kernel[0],
            "kernel_width": window.kernel[1],
            "stride": window.stride[1],
            "dilation": window.dilation[1],
            "zero_point": quant_of(graph, node.outputs[0]).zero_point,
            **pixel_stride(node),
        },
        {"weights": _fours(node, graph)},
        graph.constant(node.inputs[1]).size,
    )


def _fours(node: Node, graph: Graph) -> np.ndarray:
    """Per 4 channels: biases, taps of channels (0, 2) and (1, 3) as int16, multipliers; uint32."""
    weights = graph.constant(node.inputs[1])
    groups = weights.shape[2] // INTERLEAVED_CHANNELS
    taps = weights.reshape(-1, groups, INTERLEAVED_CHANNELS).transpose(1, 0, 2).astype(np.int64)
    words = (taps[..., :2] & 0xFFFF) | ((taps[..., 2:] & 0xFFFF) << 16)
    bias = folded_bias(node, graph, 2).astype(np.int64).reshape(groups, INTERLEAVED_CHANNELS)
    multipliers = high_word_multipliers(node).reshape(groups, INTERLEAVED_CHANNELS)
    stream = np.concatenate([bias, words.reshape(groups, -1), multipliers], axis=1) & 0xFFFFFFFF
    return np.asarray(stream.reshape(-1).astype(np.uint32))


def parts_depthwise_interleaved(node: Node, graph: Graph, counts: Sequence[int], writes_planar: bool) -> frozenset[str]:
    """Of the core's functions those that interleaved rows of `counts` pixels need: one pixel, two pixels."""
    stride = window_of(node).stride[1]
    found = {_ONE} if any(count % 2 for count in counts) else set()
    return frozenset(found | ({_TWO[stride]} if any(count > 1 for count in counts) else set()))


# The kernel for interleaved rows works on so many channels at a time.
INTERLEAVED_CHANNELS = 4


def accepts_interleaved(node: Node, graph: Graph) -> bool:
    """As `accepts_depthwise`, for channels in whole groups of INTERLEAVED_CHANNELS."""
    return channels_out(node, graph) % INTERLEAVED_CHANNELS == 0 and accepts_depthwise(node, graph)


def accepts_interleaved_5x5(node: Node, graph: Graph) -> bool:
    """The same for 5x5."""
    return channels_out(node, graph) % INTERLEAVED_CHANNELS == 0 and accepts_depthwise(node, graph, 5)


def pack_interleaved_5x5(node: Node, graph: Graph) -> Packed:
    """Per channels (0, 2) and (1, 3) of four: biases, 25 taps of both as int16, multipliers."""
    weights = graph.constant(node.inputs[1])
    channels = weights.shape[2]
    # [group, pair of the group, member of the pair]: channel 4 * group + pair + 2 * member.
    taps = weights.reshape(25, channels // 4, 2, 2).astype(np.int64).transpose(1, 3, 2, 0)
    words = (taps[:, :, 0] & 0xFFFF) | ((taps[:, :, 1] & 0xFFFF) << 16)
    bias, multipliers = (
        values.astype(np.int64).reshape(-1, 2, 2).transpose(0, 2, 1)
        for values in (folded_bias(node, graph, 2), high_word_multipliers(node))
    )
    stream = np.concatenate([bias, words, multipliers], axis=2) & 0xFFFFFFFF
    return Packed(
        {
            "weights": "weights",
            "parts": INTERLEAVED_5X5_PARTS[window_of(node).stride[1]],
            "channels": channels,
            **in_bytes(node),
            "stride": window_of(node).stride[1],
            "zero_point": quant_of(graph, node.outputs[0]).zero_point,
            **pixel_stride(node),
        },
        {"weights": stream.reshape(-1).astype(np.uint32)},
        weights.size,
    )


def pixel_counts_5x5(count: int) -> Iterator[int]:
    """How the kernel for interleaved rows splits `count` pixels: as depthwise_conv2d_5x5_interleaved.c."""
    while count > 0:
        pixels = 2 if count == 4 else min(count, 3)
        yield pixels
        count -= pixels


def parts_interleaved_5x5(node: Node, graph: Graph, counts: Sequence[int], writes_planar: bool) -> frozenset[str]:
    """Of the core's functions those that rows of `counts` pixels need."""
    stride = window_of(node).stride[1]
    return frozenset(_pixels_5x5(pixels, stride) for count in counts for pixels in pixel_counts_5x5(count))


def accepts_any_window(node: Node, graph: Graph) -> bool:
    """Channels in fours, one output for each, int8 weights in the high word form; any stride and dilation."""
    is_plain = node.attributes.depth_multiplier == 1 and channels_out(node, graph) % INTERLEAVED_CHANNELS == 0
    return is_plain and has_high_word_form(node) and has_int8_weights(node, graph)
