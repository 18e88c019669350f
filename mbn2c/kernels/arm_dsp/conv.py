"""Convolutions of arm_dsp: node -> constants as the core reads them, and which functions of it a row needs.

The core stands in templates/kernels/arm_dsp/conv_core.c.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from mbn2c.ir.graph import Graph, Node
from mbn2c.ir.kernel import Packed, Parts, PixelStride
from mbn2c.kernels.arm_common import (
    accumulator_range,
    channels_in,
    channels_out,
    columns_are_adjacent,
    conv_packed,
    conv_step,
    has_high_word_form,
    has_int8_weights,
    high_word_multipliers,
    pixel_blocks,
    taps_in_order,
    window_of,
)
from mbn2c.ops.base.packing import folded_bias, in_bytes

# The odd channel of a pair is accumulated times 256 and shifted back.
_ODD_LIMIT = 2**23

_PIXELS = (1, 2, 3, 4)


def _block(pixels: int, writes_planar: bool) -> str:
    return f"mbn_conv_block{pixels}_{'planar' if writes_planar else 'interleaved'}_arm_dsp"


def _quad(pixels: int, writes_planar: bool) -> str:
    return f"mbn_conv_quad{pixels}_{'planar' if writes_planar else 'interleaved'}_arm_dsp"


def widen_function(pixels: int) -> str:
    """What makes int16 pairs of so many int8 pixels."""
    return f"mbn_widen{pixels}_arm_dsp"


def _gather(pixels: int, channels: int) -> str:
    return f"mbn_gather{pixels}_3x3x{channels}_arm_dsp"


_BLOCKS = tuple(tuple(_block(pixels, planar) for pixels in _PIXELS) for planar in (True, False))
_QUADS = tuple((_quad(1, planar), _quad(2, planar), "", "") for planar in (True, False))
CONV_PARTS = Parts(
    "conv_parts_arm_dsp", "mbn_conv_parts_arm_dsp", (*_BLOCKS, tuple(widen_function(pixels) for pixels in _PIXELS))
)
QUAD_PARTS = Parts(
    "quad_parts_arm_dsp", "mbn_conv_parts_arm_dsp", (*_QUADS, (widen_function(1), widen_function(2), "", ""))
)
GATHER_PARTS = {
    channels: Parts(
        f"conv_3x3x{channels}_parts_arm_dsp",
        "mbn_conv_3x3_parts_arm_dsp",
        (*_BLOCKS, tuple(_gather(pixels, channels) for pixels in _PIXELS)),
    )
    for channels in (1, 3)
}


def pack_taps(taps: np.ndarray, bias: np.ndarray, multipliers: np.ndarray) -> np.ndarray:
    """The stream of the convolution core; uint32.

    taps         int8 [O, K] in the order of the inputs, K a multiple of 4
    bias         int32 [O], input zero point folded in
    multipliers  int64 [O], of the high word form
    returns      per channel pair: bias_even, 256 * bias_odd + bias_even, per 4 taps words of (0, 2) and (1, 3), each
                 half 256 * w_odd + w_even, then both multipliers; a last odd channel gets a partner of zeros
    """
    if len(taps) % 2:
        taps = np.concatenate([taps, np.zeros((1, taps.shape[1]), np.int8)])
        bias, multipliers = np.append(bias, 0), np.append(multipliers, 1)
    pairs, groups = len(taps) // 2, taps.shape[1] // 4
    halves = (256 * taps[1::2].astype(np.int64) + taps[0::2]).reshape(pairs, groups, 4)
    words = (halves[..., :2] & 0xFFFF) | ((halves[..., 2:] & 0xFFFF) << 16)
    even, odd = bias[0::2].astype(np.int64), bias[1::2].astype(np.int64)
    columns = [even, 256 * odd + even, *words.reshape(pairs, -1).T, multipliers[0::2], multipliers[1::2]]
    return np.asarray(np.stack(columns, axis=1).reshape(-1) & 0xFFFFFFFF).astype(np.uint32)


def accepts_conv(node: Node, graph: Graph) -> bool:
    """Whether two channels can share their multiplications: see conv_core.c."""
    is_plain = has_high_word_form(node) and has_int8_weights(node, graph)
    return is_plain and columns_are_adjacent(window_of(node)) and _fits_core(node, graph)


def _fits_core(node: Node, graph: Graph) -> bool:
    taps = taps_in_order(node, graph)
    low, high = accumulator_range(taps, folded_bias(node, graph, 0))
    is_small = bool((low[1::2] > -_ODD_LIMIT).all() and (high[1::2] < _ODD_LIMIT).all())
    halves = 256 * taps[1::2].astype(np.int64) + taps[0 : len(taps) // 2 * 2 : 2]
    return is_small and bool((np.abs(halves) < 2**15).all())


def _stream(node: Node, graph: Graph, taps: np.ndarray) -> np.ndarray:
    return pack_taps(taps, folded_bias(node, graph, 0), high_word_multipliers(node))


def _with_whole_groups(taps: np.ndarray) -> np.ndarray:
    return np.pad(taps, ((0, 0), (0, -taps.shape[1] % 4)))


def pack_conv_1x1(node: Node, graph: Graph) -> Packed:
    """The stream of `pack_taps`, inputs padded with zeros to a multiple of 4."""
    fields: dict[str, int | PixelStride] = {
        "in_channels": channels_in(node, graph),
        **in_bytes(node),
        "out_channels": channels_out(node, graph),
    }
    return conv_packed(
        node, graph, _stream(node, graph, _with_whole_groups(taps_in_order(node, graph))), CONV_PARTS, fields
    )


def accepts_1x1(node: Node, graph: Graph) -> bool:
    """Whether it is a 1x1 convolution without a column stride that `accepts_conv` takes."""
    window = window_of(node)
    return window.kernel == (1, 1) and window.stride[1] == 1 and accepts_conv(node, graph)


def scratch_1x1(node: Node, graph: Graph) -> int:
    """Four pixels as int16."""
    return 8 * _taps(node, graph)


def parts_1x1(node: Node, graph: Graph, counts: Sequence[int], writes_planar: bool) -> frozenset[str]:
    """Of the core's functions those that rows of `counts` pixels need."""
    groups, channels = _taps(node, graph) // 4, channels_out(node, graph)
    found = set()
    for pixels in {pixels for count in counts for pixels in pixel_blocks(count, groups)}:
        found.add(widen_function(pixels))
        if channels > 1:
            found.add(_block(pixels, writes_planar))
    return frozenset(found)


def _taps(node: Node, graph: Graph) -> int:
    """Rounded up to whole groups of 4."""
    return -(-taps_in_order(node, graph).shape[1] // 4) * 4


def accepts_quads(node: Node, graph: Graph) -> bool:
    """Where pairs would take three pixels at a time: quads take fewer cycles, and read half as many weights again."""
    channels, width = channels_out(node, graph), graph.tensors[node.outputs[0]].shape[2]
    is_whole = channels % 4 == 0 and channels_in(node, graph) % 4 == 0 and width % 2 == 0
    in_threes = set(pixel_blocks(width, _taps(node, graph) // 4)) == {3}
    return is_whole and in_threes and accepts_1x1(node, graph)


def pack_quads(node: Node, graph: Graph) -> Packed:
    """As `pack_conv_1x1`, but the words of two channel pairs alternate."""
    packed = pack_conv_1x1(node, graph)
    pairs = packed.arrays["weights"].reshape(channels_out(node, graph) // 4, 2, -1)
    biases, multipliers = pairs[:, :, :2].reshape(len(pairs), 4), pairs[:, :, -2:].reshape(len(pairs), 4)
    words = pairs[:, :, 2:-2].transpose(0, 2, 1).reshape(len(pairs), -1)
    stream = np.concatenate([biases, words, multipliers], axis=1).reshape(-1)
    return Packed({**packed.fields, "parts": QUAD_PARTS}, {"weights": stream}, packed.int8_weights)


def scratch_quads(node: Node, graph: Graph) -> int:
    """Two pixels as int16."""
    return 4 * channels_in(node, graph)


def parts_quads(node: Node, graph: Graph, counts: Sequence[int], writes_planar: bool) -> frozenset[str]:
    """Two pixels at a time, and one at the end of odd rows."""
    pixels = {2 for count in counts if count > 1} | {1 for count in counts if count % 2}
    return frozenset({widen_function(n) for n in pixels} | {_quad(n, writes_planar) for n in pixels})


def pack_conv(node: Node, graph: Graph) -> Packed:
    """Any window."""
    taps = _with_whole_groups(taps_in_order(node, graph))
    fields = {"taps": taps.shape[1], "out_channels": channels_out(node, graph)}
    return conv_packed(node, graph, _stream(node, graph, taps), CONV_PARTS, fields, conv_step(node, graph))


def scratch_conv(node: Node, graph: Graph) -> int:
    """Four columns of taps as they are, and as int16."""
    return 12 * _taps(node, graph)


def parts_conv(node: Node, graph: Graph, counts: Sequence[int], writes_planar: bool) -> frozenset[str]:
    """Four pixels at a time, whatever is left at the end."""
    pixels = {min(4, count - done) for count in counts for done in range(0, count, 4)}
    return parts_1x1(node, graph, sorted(pixels), writes_planar)


def accepts_grouped(node: Node, graph: Graph) -> bool:
    """Whether each group has an even number of outputs, in pairs that can share their multiplications."""
    is_even = channels_out(node, graph) // node.attributes.groups % 2 == 0
    return is_even and has_high_word_form(node) and has_int8_weights(node, graph) and _fits_core(node, graph)


def pack_grouped(node: Node, graph: Graph) -> Packed:
    """Any window, in groups: their streams behind each other."""
    window, groups, channels = window_of(node), node.attributes.groups, channels_in(node, graph)
    taps = _with_whole_groups(taps_in_order(node, graph))
    before = {
        "taps": taps.shape[1],
        "groups": groups,
        "group_inputs": channels // groups,
        "group_outputs": channels_out(node, graph) // groups,
    }
    after = {
        "kernel_height": window.kernel[0],
        "kernel_width": window.kernel[1],
        "column_bytes": window.dilation[1] * channels,
        "step": window.stride[1] * channels,
    }
    return conv_packed(node, graph, _stream(node, graph, taps), CONV_PARTS, before, after)


def accepts_3x3(channels: int) -> Callable[[Node, Graph], bool]:
    """The condition: a 3x3 convolution of `channels` inputs, an even number of outputs, that `accepts_conv` takes."""

    def accepts(node: Node, graph: Graph) -> bool:
        is_even = channels_out(node, graph) % 2 == 0
        fits = window_of(node).kernel == (3, 3) and channels_in(node, graph) == channels and is_even
        return fits and accepts_conv(node, graph)

    return accepts


def pack_conv_3x3(node: Node, graph: Graph) -> Packed:
    """Taps in the order in which mbn_gather of the core leaves them."""
    channels = channels_in(node, graph)
    rows = graph.constant(node.inputs[1]).reshape(channels_out(node, graph), 3, 3 * channels)
    if channels == 1:
        taps = np.pad(rows, ((0, 0), (0, 0), (0, 1))).reshape(len(rows), -1)
    else:
        # Bytes 0 to 7 of each row, then byte 8 of rows 0, 2 and 1: pairs are (0, 2) and (1, 3) of four taps.
        ninth = np.pad(rows[:, (0, 2, 1), 8], ((0, 0), (0, 1)))
        taps = np.concatenate([rows[:, :, :8].reshape(len(rows), -1), ninth], axis=1)
    fields = {
        "pairs": taps.shape[1] // 2,
        "out_channels": len(rows),
        "step": window_of(node).stride[1] * channels,
    }
    return conv_packed(node, graph, _stream(node, graph, taps), GATHER_PARTS[channels], fields)


def scratch_3x3(node: Node, graph: Graph) -> int:
    """Four windows as pairs of int16."""
    return 4 * 4 * (14 if channels_in(node, graph) == 3 else 6)


def parts_3x3(node: Node, graph: Graph, counts: Sequence[int], writes_planar: bool) -> frozenset[str]:
    """Of the core's functions those that rows of `counts` pixels need: blocks, and the gathers that fill them."""
    found = set()
    for pixels in {pixels for count in counts for pixels in pixel_blocks(count)}:
        found |= {_block(pixels, writes_planar), _gather(pixels, channels_in(node, graph))}
    return frozenset(found)
