"""Convolutions of arm_dsp: node -> constants as the core reads them, and which functions of it a row needs.

The core stands in templates/kernels/arm_dsp/conv_core.c.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

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
    fields_1x1,
    fits_times_16,
    has_high_word_form,
    has_int8_weights,
    high_word_multipliers,
    pixel_blocks,
    taps_in_order,
    window_of,
)
from mbn2c.kernels.arm_dsp.shared import functions_with, indices, parts_with, shared_numbers
from mbn2c.ops.base.packing import folded_bias

# The odd channel of a pair is accumulated times 256 and shifted back.
_ODD_LIMIT = 2**23
_FOUR_BITS_GROUP = 8

_PIXELS = (1, 2, 3, 4)


def _block(pixels: int, writes_planar: bool, core: str = "conv") -> str:
    return f"mbn_{core}_block{pixels}_{'planar' if writes_planar else 'interleaved'}_arm_dsp"


def _quad(pixels: int, writes_planar: bool) -> str:
    return f"mbn_conv_quad{pixels}_{'planar' if writes_planar else 'interleaved'}_arm_dsp"


def widen_function(pixels: int) -> str:
    """What makes int16 pairs of so many int8 pixels."""
    return f"mbn_widen{pixels}_arm_dsp"


def _gather(pixels: int, channels: int) -> str:
    return f"mbn_gather{pixels}_3x3x{channels}_arm_dsp"


_FOUR_BITS = "conv_w4"
_BLOCKS = tuple(tuple(_block(pixels, planar) for pixels in _PIXELS) for planar in (True, False))
_QUADS = tuple((_quad(1, planar), _quad(2, planar), "", "") for planar in (True, False))
CONV_PARTS = Parts(
    "conv_parts_arm_dsp", "mbn_conv_parts_arm_dsp", (*_BLOCKS, tuple(widen_function(pixels) for pixels in _PIXELS)), ()
)
FOUR_BIT_PARTS = Parts(
    "conv_w4_parts_arm_dsp",
    "mbn_conv_parts_arm_dsp",
    (
        *(tuple(_block(pixels, planar, _FOUR_BITS) for pixels in _PIXELS) for planar in (True, False)),
        tuple(widen_function(pixels) for pixels in _PIXELS),
    ),
    (),
)
QUAD_PARTS = Parts(
    "quad_parts_arm_dsp", "mbn_conv_parts_arm_dsp", (*_QUADS, (widen_function(1), widen_function(2), "", "")), ()
)
GATHER_PARTS = {
    channels: Parts(
        f"conv_3x3x{channels}_parts_arm_dsp",
        "mbn_conv_3x3_parts_arm_dsp",
        (*_BLOCKS, tuple(_gather(pixels, channels) for pixels in _PIXELS)),
        (),
    )
    for channels in (1, 3)
}


def pack_taps(taps: np.ndarray, bias: np.ndarray, multipliers: np.ndarray, numbers: tuple[int, ...] = ()) -> np.ndarray:
    """The stream of the convolution core; uint32.

    taps         int8 [O, K] in the order of the inputs, K a multiple of 4
    bias         int32 [O], input zero point folded in
    multipliers  int64 [O], of the high word form
    numbers      those that the network's layers share: see `_shared_stream`; (): each channel has its own
    returns      per channel pair: bias_even, 256 * bias_odd + bias_even, per 4 taps words of (0, 2) and (1, 3), each
                 half 256 * w_odd + w_even, then both multipliers; a last odd channel gets a partner of zeros
    """
    taps, bias, multipliers = _in_pairs(taps, bias, multipliers)
    halves = (256 * taps[1::2].astype(np.int64) + taps[0::2]).reshape(len(taps) // 2, -1, 4)
    words = (halves[..., :2] & 0xFFFF) | ((halves[..., 2:] & 0xFFFF) << 16)
    return _pairs_stream(words, bias, 256, multipliers, numbers)


def pack_taps_in_nibbles(
    taps: np.ndarray, bias: np.ndarray, multipliers: np.ndarray, numbers: tuple[int, ...] = ()
) -> np.ndarray:
    """The same for weights of four bits, K a multiple of 8.

    returns      per channel pair: bias_even, 16 * bias_odd + bias_even, per 4 taps a word of bytes
                 16 * w_odd + w_even + 8, then both multipliers
    """
    taps, bias, multipliers = _in_pairs(taps, bias, multipliers)
    nibbles = (16 * taps[1::2].astype(np.int64) + taps[0::2] + 8 & 0xFF).reshape(len(taps) // 2, -1, 4)
    return _pairs_stream((nibbles << np.arange(0, 32, 8)).sum(axis=-1), bias, 16, multipliers, numbers)


def _in_pairs(taps: np.ndarray, bias: np.ndarray, multipliers: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """With a channel of zeros if there is an odd one."""
    if len(taps) % 2 == 0:
        return taps, bias, multipliers
    return np.pad(taps, ((0, 1), (0, 0))), np.append(bias, 0), np.append(multipliers, 1)


def _pairs_stream(
    words: np.ndarray, bias: np.ndarray, odd_unit: int, multipliers: np.ndarray, numbers: tuple[int, ...]
) -> np.ndarray:
    flat = words.reshape(len(words), -1)
    if numbers:
        return _shared_stream(flat, bias, indices(multipliers, numbers))
    even, odd = bias[0::2].astype(np.int64), bias[1::2].astype(np.int64)
    columns = [even, odd_unit * odd + even, *flat.T, multipliers[0::2], multipliers[1::2]]
    return np.asarray(np.stack(columns, axis=1).reshape(-1) & 0xFFFFFFFF).astype(np.uint32)


def _shared_stream(words: np.ndarray, bias: np.ndarray, which: np.ndarray) -> np.ndarray:
    """Per channel pair two words, of even and odd, and those of the weights; two words at the end.

    words    int64 [O / 2, N]
    returns  uint32; of the two words the upper three bytes are the biases, and the lowest says which multiplier the
             channel of the pair before has
    """
    upper = np.append(bias.astype(np.int64).reshape(-1, 2) << 8, [[0, 0]], axis=0)
    upper[1:] |= which.reshape(-1, 2)
    stream = np.append(np.hstack([upper[:-1], words]).reshape(-1), upper[-1])
    return np.asarray(stream & 0xFFFFFFFF).astype(np.uint32)


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


def _packed(
    node: Node,
    graph: Graph,
    taps: np.ndarray,
    parts: Parts,
    before: dict[str, int | PixelStride],
    after: dict[str, int] | None = None,
    pack: Callable[..., np.ndarray] = pack_taps,
) -> Packed:
    """With multipliers of its own or shared ones."""
    numbers = shared_numbers(node, graph, 0)
    stream = pack(taps, folded_bias(node, graph, 0), high_word_multipliers(node), numbers)
    return conv_packed(node, graph, stream, parts_with(parts, numbers), before, after)


def _own_stream(node: Node, graph: Graph, taps: np.ndarray) -> np.ndarray:
    return pack_taps(taps, folded_bias(node, graph, 0), high_word_multipliers(node))


def _with_whole_groups(taps: np.ndarray, group: int = 4) -> np.ndarray:
    return np.pad(taps, ((0, 0), (0, -taps.shape[1] % group)))


def pack_conv_1x1(node: Node, graph: Graph) -> Packed:
    """The stream of `pack_taps`, inputs padded with zeros to a multiple of 4."""
    taps = _with_whole_groups(taps_in_order(node, graph))
    return _packed(node, graph, taps, CONV_PARTS, fields_1x1(node, graph))


def accepts_four_bits(node: Node, graph: Graph) -> bool:
    """Whether sums of the odd channel of a pair can be accumulated times 16."""
    return has_high_word_form(node) and fits_times_16(node, graph)


def pack_four_bits(node: Node, graph: Graph) -> Packed:
    """The stream of `pack_taps_in_nibbles`, inputs padded with zeros to a multiple of 8."""
    taps = _with_whole_groups(taps_in_order(node, graph), _FOUR_BITS_GROUP)
    packed = _packed(node, graph, taps, FOUR_BIT_PARTS, fields_1x1(node, graph), pack=pack_taps_in_nibbles)
    return replace(packed, int8_weights=-(-taps_in_order(node, graph).size // 2))


def scratch_four_bits(node: Node, graph: Graph) -> int:
    """Four pixels as int16, and a word for each."""
    return 8 * _taps(node, graph, _FOUR_BITS_GROUP) + 16


def parts_four_bits(node: Node, graph: Graph, counts: Sequence[int], writes_planar: bool) -> frozenset[str]:
    """As `parts_1x1`."""
    groups = _taps(node, graph, _FOUR_BITS_GROUP) // 4
    found = {pixels for count in counts for pixels in pixel_blocks(count, groups)}
    blocks = {_block(pixels, writes_planar, _FOUR_BITS) for pixels in found if channels_out(node, graph) > 1}
    return functions_with(blocks | {widen_function(pixels) for pixels in found}, shared_numbers(node, graph, 0))


def accepts_1x1(node: Node, graph: Graph) -> bool:
    """Whether it is a 1x1 convolution without a column stride that `accepts_conv` takes."""
    window = window_of(node)
    return window.kernel == (1, 1) and window.stride[1] == 1 and accepts_conv(node, graph)


def scratch_1x1(node: Node, graph: Graph) -> int:
    """Four pixels as int16."""
    return 8 * _taps(node, graph)


def parts_1x1(node: Node, graph: Graph, counts: Sequence[int], writes_planar: bool) -> frozenset[str]:
    """Of the core's functions those that rows of `counts` pixels need."""
    return functions_with(_own_parts(node, graph, counts, writes_planar), shared_numbers(node, graph, 0))


def _own_parts(node: Node, graph: Graph, counts: Sequence[int], writes_planar: bool) -> set[str]:
    groups, channels = _taps(node, graph) // 4, channels_out(node, graph)
    found = set()
    for pixels in {pixels for count in counts for pixels in pixel_blocks(count, groups)}:
        found.add(widen_function(pixels))
        if channels > 1:
            found.add(_block(pixels, writes_planar))
    return found


def _taps(node: Node, graph: Graph, group: int = 4) -> int:
    """Rounded up to whole groups."""
    return -(-taps_in_order(node, graph).shape[1] // group) * group


def accepts_quads(node: Node, graph: Graph) -> bool:
    """Where pairs would take three pixels at a time: quads take fewer cycles, more code, and read half as many weights
    again. Not where layers share their multipliers, since flash is short there."""
    channels, width = channels_out(node, graph), graph.tensors[node.outputs[0]].shape[2]
    is_whole = channels % 4 == 0 and channels_in(node, graph) % 4 == 0 and width % 2 == 0
    in_threes = set(pixel_blocks(width, _taps(node, graph) // 4)) == {3}
    return is_whole and in_threes and accepts_1x1(node, graph) and not shared_numbers(node, graph, 0)


def pack_quads(node: Node, graph: Graph) -> Packed:
    """As `pack_conv_1x1`, but the words of two channel pairs alternate."""
    stream = _own_stream(node, graph, taps_in_order(node, graph))
    pairs = stream.reshape(channels_out(node, graph) // 4, 2, -1)
    biases, multipliers = pairs[:, :, :2].reshape(len(pairs), 4), pairs[:, :, -2:].reshape(len(pairs), 4)
    words = pairs[:, :, 2:-2].transpose(0, 2, 1).reshape(len(pairs), -1)
    stream = np.concatenate([biases, words, multipliers], axis=1).reshape(-1)
    return conv_packed(node, graph, stream, QUAD_PARTS, fields_1x1(node, graph))


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
    fields: dict[str, int | PixelStride] = {"taps": taps.shape[1], "out_channels": channels_out(node, graph)}
    return _packed(node, graph, taps, CONV_PARTS, fields, conv_step(node, graph))


def scratch_conv(node: Node, graph: Graph) -> int:
    """Four columns of taps as they are, and as int16."""
    return 12 * _taps(node, graph)


def parts_conv(node: Node, graph: Graph, counts: Sequence[int], writes_planar: bool) -> frozenset[str]:
    """Four pixels at a time, whatever is left at the end."""
    return parts_1x1(node, graph, _in_fours(counts), writes_planar)


def parts_grouped(node: Node, graph: Graph, counts: Sequence[int], writes_planar: bool) -> frozenset[str]:
    """The same, of those whose pairs have their own multipliers."""
    return frozenset(_own_parts(node, graph, _in_fours(counts), writes_planar))


def _in_fours(counts: Sequence[int]) -> list[int]:
    return sorted({min(4, count - done) for count in counts for done in range(0, count, 4)})


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
    return conv_packed(node, graph, _own_stream(node, graph, taps), CONV_PARTS, before, after)


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
    fields: dict[str, int | PixelStride] = {
        "pairs": taps.shape[1] // 2,
        "out_channels": len(rows),
        "step": window_of(node).stride[1] * channels,
    }
    return _packed(node, graph, taps, GATHER_PARTS[channels], fields)


def scratch_3x3(node: Node, graph: Graph) -> int:
    """Four windows as pairs of int16."""
    return 4 * 4 * (14 if channels_in(node, graph) == 3 else 6)


def parts_3x3(node: Node, graph: Graph, counts: Sequence[int], writes_planar: bool) -> frozenset[str]:
    """Of the core's functions those that rows of `counts` pixels need: blocks, and the gathers that fill them."""
    found = set()
    for pixels in {pixels for count in counts for pixels in pixel_blocks(count)}:
        found |= {_block(pixels, writes_planar), _gather(pixels, channels_in(node, graph))}
    return functions_with(found, shared_numbers(node, graph, 0))
