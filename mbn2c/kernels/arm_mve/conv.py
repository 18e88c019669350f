"""Constants and conditions of the Helium convolution kernels.

Constants are packed as the assembly reads them: see templates/kernels/arm_mve/mbn_arm_mve.h.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from mbn2c.ir.graph import Graph, Node
from mbn2c.ir.kernel import Packed, Parts
from mbn2c.kernels.arm_common import (
    channels_in,
    channels_out,
    columns_are_adjacent,
    conv_packed,
    conv_step,
    fields_1x1,
    fits_times_16,
    has_high_word_form,
    has_int8_weights,
    high_word_multipliers,
    padded_width,
    pixel_blocks,
    taps_in_order,
    window_of,
)
from mbn2c.ops.base.packing import folded_bias

VECTOR_BYTES = 16
# Scatter stores have offsets of 16 bits.
LARGEST_OFFSET = 65535


def _block(pixels: int) -> str:
    return f"mbn_conv_block{pixels}_arm_mve"


def _four_bit_block(pixels: int) -> str:
    return f"mbn_conv_w4_block{pixels}_arm_mve"


def _short_block(pixels: int) -> str:
    return f"mbn_conv_block{pixels}_short_arm_mve"


CONV_PARTS = Parts(
    "conv_parts_arm_mve",
    "mbn_conv_parts_arm_mve",
    (tuple(_block(pixels) for pixels in (1, 2, 3, 4)), (_short_block(3), _short_block(4))),
)


FOUR_BIT_PARTS = Parts(
    "conv_w4_parts_arm_mve",
    "mbn_conv_parts_arm_mve",
    (tuple(_four_bit_block(pixels) for pixels in (1, 2, 3, 4)), ("", "")),
)


def pack_taps(taps: np.ndarray, bias: np.ndarray, multipliers: np.ndarray) -> np.ndarray:
    """The stream of the convolution core; int32.

    taps         int8 [O, K] in the order of the inputs
    bias         int32 [O], input zero point folded in
    multipliers  int64 [O], of the high word form
    returns      per channel pair: 4 times bias_even, 4 times bias_odd, per 16 taps their bytes of the even and of
                 the odd channel, twice each multiplier; a last odd channel gets a partner of zeros
    """
    taps = np.pad(taps, ((0, len(taps) % 2), (0, -taps.shape[1] % VECTOR_BYTES)))
    if len(bias) % 2:
        bias, multipliers = np.append(bias, 0), np.append(multipliers, 1)
    pairs, vectors = len(taps) // 2, taps.shape[1] // VECTOR_BYTES
    by_vector = taps.reshape(pairs, 2, vectors, VECTOR_BYTES).transpose(0, 2, 1, 3)
    return _pairs_stream(by_vector.reshape(pairs, -1), bias.astype(np.int64).reshape(pairs, 2), multipliers)


def pack_taps_in_nibbles(taps: np.ndarray, bias: np.ndarray, multipliers: np.ndarray) -> np.ndarray:
    """The same for weights of four bits.

    returns      per channel pair: 4 times 16 * bias_even, 4 times 16 * bias_odd, per tap a byte of w_odd in its upper
                 half and w_even in its lower one, in whole vectors filled up with 0, twice each multiplier
    """
    taps = np.pad(taps, ((0, len(taps) % 2), (0, -taps.shape[1] % VECTOR_BYTES))).astype(np.int64)
    if len(bias) % 2:
        bias, multipliers = np.append(bias, 0), np.append(multipliers, 1)
    nibbles = (taps[1::2] << 4 | taps[0::2] & 15) & 0xFF
    biases = 16 * bias.astype(np.int64).reshape(-1, 2)
    return _pairs_stream(nibbles.astype(np.uint8).view(np.int8), biases, multipliers)


def _pairs_stream(weights: np.ndarray, biases: np.ndarray, multipliers: np.ndarray) -> np.ndarray:
    words = np.ascontiguousarray(weights).view("<i4")
    scales = np.repeat(multipliers.reshape(-1, 2), 2, axis=1)
    stream = np.concatenate([np.repeat(biases, 4, axis=1), words, scales], axis=1)
    return np.asarray(stream.reshape(-1).astype(np.int32))


def accepts_conv(node: Node, graph: Graph) -> bool:
    """Whether it has the high word form, int8 weights, adjacent columns, and pixels in reach of scatter stores."""
    is_near = 4 * channels_out(node, graph) <= LARGEST_OFFSET
    is_plain = has_high_word_form(node) and has_int8_weights(node, graph)
    return is_near and is_plain and columns_are_adjacent(window_of(node))


def writes_planar(node: Node, graph: Graph) -> bool:
    """Whether the channels of a planar output row are within the reach of scatter stores."""
    return channels_out(node, graph) * padded_width(node.outputs[0], graph) <= LARGEST_OFFSET


def _stream(node: Node, graph: Graph) -> np.ndarray:
    return pack_taps(taps_in_order(node, graph), folded_bias(node, graph, 0), high_word_multipliers(node))


def pack_conv_1x1(node: Node, graph: Graph) -> Packed:
    """The stream of `pack_taps`, without a gather."""
    return conv_packed(node, graph, _stream(node, graph), CONV_PARTS, fields_1x1(node, graph))


def accepts_four_bits(node: Node, graph: Graph) -> bool:
    """Whether `accepts_1x1` takes it, and sums of the odd channel of a pair can be accumulated times 16."""
    return accepts_1x1(node, graph) and fits_times_16(node, graph)


def pack_four_bits(node: Node, graph: Graph) -> Packed:
    """The stream of `pack_taps_in_nibbles`."""
    taps, bias = taps_in_order(node, graph), folded_bias(node, graph, 0)
    stream = pack_taps_in_nibbles(taps, bias, high_word_multipliers(node))
    packed = conv_packed(node, graph, stream, FOUR_BIT_PARTS, fields_1x1(node, graph))
    return replace(packed, int8_weights=-(-taps.size // 2))


def parts_four_bits(node: Node, graph: Graph, counts: Sequence[int], writes_planar: bool) -> frozenset[str]:
    """As `parts_conv`."""
    if channels_out(node, graph) == 1:
        return frozenset()
    return frozenset(_four_bit_block(pixels) for count in counts for pixels in pixel_blocks(count))


def accepts_1x1(node: Node, graph: Graph) -> bool:
    """Whether it is a 1x1 convolution without a column stride that `accepts_conv` takes."""
    window = window_of(node)
    return window.kernel == (1, 1) and window.stride[1] == 1 and accepts_conv(node, graph)


def pack_conv(node: Node, graph: Graph) -> Packed:
    """Any window."""
    before = {"taps": _taps(node, graph), "out_channels": channels_out(node, graph)}
    return conv_packed(node, graph, _stream(node, graph), CONV_PARTS, before, conv_step(node, graph))


def scratch_conv(node: Node, graph: Graph) -> int:
    """Four columns of taps, and what vectors read and write behind them."""
    return 4 * _taps(node, graph) + 2 * VECTOR_BYTES


def accepts_3rows(node: Node, graph: Graph) -> bool:
    """Three kernel rows of a vector at most."""
    window = window_of(node)
    is_short = window.kernel[0] == 3 and window.kernel[1] * channels_in(node, graph) <= VECTOR_BYTES
    return is_short and channels_out(node, graph) % 2 == 0 and accepts_conv(node, graph)


def scratch_3rows(node: Node, graph: Graph) -> int:
    """Four windows in whole vectors, and what the last store writes behind them."""
    vectors = -(-_taps(node, graph) // VECTOR_BYTES)
    return 4 * vectors * VECTOR_BYTES + 2 * VECTOR_BYTES


def _taps(node: Node, graph: Graph) -> int:
    return taps_in_order(node, graph).shape[1]


def parts_conv(node: Node, graph: Graph, counts: Sequence[int], writes_planar: bool) -> frozenset[str]:
    """Of the core's functions those that rows of `counts` pixels need."""
    is_short, channels = _taps(node, graph) <= VECTOR_BYTES, channels_out(node, graph)
    found = set()
    for pixels in {pixels for count in counts for pixels in pixel_blocks(count)}:
        if channels > 1:
            found.add(_short_block(pixels) if is_short and pixels >= 3 else _block(pixels))
    return frozenset(found)
