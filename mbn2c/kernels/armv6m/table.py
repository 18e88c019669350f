"""Cortex-M0 and M0+ (Armv6-M): node -> constants of the kernels.

Three convolutions with the same results: `conv2d` unpacks four pixels into scratch; `conv2d_lanes` is faster, with two
pixels to a multiply, but stores a list of groups beside the weights; `conv2d_direct` is slower and needs no scratch.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from mbn2c.ir.graph import Graph, Node
from mbn2c.ir.kernel import Kernel, Packed, Rates
from mbn2c.kernels import lanes
from mbn2c.kernels.staircase import Staircases, long_form, short_form, short_rounding
from mbn2c.ops.base.packing import folded_bias, pixel_stride

INTERLEAVE = 16  # outputs whose weights alternate; equals the bytes of one input's words, so one pointer serves both
UNROLL = 8  # inputs per turn of the loop of `conv2d`
LONGEST = 12  # inputs the unrolled code of a group holds
STEP_BYTES = 20  # of code, per input
NIBBLE_STEP_BYTES = (24, 22)  # with weights of four bits in the lower, in the upper halves of bytes
_HEADERS = ("armv6m/mbn_armv6m.h", "armv6m/mbn_armv6m_asm.h", "arm/mbn_arm_asm.h")
_LANES_HEADERS = (*_HEADERS, "armv6m/mbn_lanes_row.h")
# Scratch that --optimize ram grants: vww_96 takes a fifth fewer instructions for 0.9 KiB of RAM.
_MOST_LEAN_BYTES = 1024

# --- requantization ------------------------------------------------------------------------------

_LONG_BITS = 34
_LOWER_FACTOR = (1 << 10) - 1
# LOW and SPAN in SHAPE.
_LARGEST_UNITS = 1023


@dataclass(frozen=True, eq=False)
class _Words:
    """int64 [C] each: SHAPE, FACTOR, and what n counts from in the long form; see mbn_armv6m.h."""

    holds: np.ndarray
    shape: np.ndarray
    factor: np.ndarray
    low: np.ndarray


def _words(stairs: Staircases) -> _Words:
    short, long = short_form(stairs), long_form(stairs, _LONG_BITS)
    factor = np.where(short.holds, short.factor, np.maximum(long.factor, 1))
    # In the long form n counts from the lowest stair itself, and only the span may be chosen.
    first_low, last_low = (np.where(short.holds, low, 0) for low in (short.first_low, short.last_low))
    first_high = np.where(short.holds, short.first_high, -(-(255 << _LONG_BITS) // factor))
    last_high = np.where(short.holds, short.last_high, ((256 << _LONG_BITS) - 1) // factor)
    # The largest power of two of which both ranges hold a multiple for certain.
    width = np.where(short.holds, np.minimum(last_low - first_low, last_high - first_high), last_high - first_high) + 1
    exponent = np.floor(np.log2(np.maximum(width, 1))).astype(np.int64)
    low_units = last_low >> exponent
    span_units = (last_high - (low_units << exponent)) >> exponent
    fits = (np.abs(low_units) <= _LARGEST_UNITS) & (span_units <= _LARGEST_UNITS) & (span_units >= 0)
    # Both products of the long form must fit 32 bits.
    fits &= short.holds | ((span_units << exponent) * _LOWER_FACTOR < 1 << 32)
    shape = ((low_units & 2047) << 21) | (span_units << 11) | (exponent << 1) | ~short.holds
    return _Words(
        fits & (factor < 1 << 31) & (short.holds | long.holds), shape, factor, np.where(short.holds, 0, long.low)
    )


def _stairs(node: Node, graph: Graph) -> Staircases:
    return lanes.staircases(node, graph, _channel_axis(node))


def _channel_axis(node: Node) -> int:
    return 2 if node.op == "depthwise_conv2d" else 0


def _has_forms(node: Node, graph: Graph) -> bool:
    return bool(_words(_stairs(node, graph)).holds.all())


def _requantize(node: Node, graph: Graph) -> tuple[np.ndarray, int]:
    """(int32 [C, 3]: BASE, SHAPE, FACTOR; rounding) of templates/kernels/armv6m/mbn_armv6m.h."""
    stairs = _stairs(node, graph)
    words = _words(stairs)
    base = folded_bias(node, graph, _channel_axis(node)).astype(np.int64) - words.low
    constants = np.stack([base, words.shape, words.factor], axis=1)
    return lanes.as_int32(constants), short_rounding(stairs.zero_point)


# --- convolution ---------------------------------------------------------------------------------


def accepts_conv2d(node: Node, graph: Graph) -> bool:
    """Whether its fields fit the params and each channel's requantization has a short or a long form."""
    return lanes.has_high_word_form(node) and lanes.fits_fields(node, graph) and _has_forms(node, graph)


def _interleaved(weights: np.ndarray, inputs: int) -> np.ndarray:
    """int8 [O, K] -> int8 [blocks of 16 outputs, inputs, 16], zero where there is none."""
    blocks = -(-weights.shape[0] // INTERLEAVE)
    padded = np.zeros((blocks * INTERLEAVE, inputs), np.int8)
    padded[: weights.shape[0], : weights.shape[1]] = weights
    return padded.reshape(blocks, INTERLEAVE, inputs).transpose(0, 2, 1)


def _rounded(inputs: int) -> int:
    return -(-inputs // UNROLL) * UNROLL


def _pack_weights(node: Node, graph: Graph, weights: np.ndarray, inputs: int) -> Packed:
    requantize, rounding = _requantize(node, graph)
    return Packed(
        {
            "weights": "weights",
            "requantize": "requantize",
            "rounding": rounding,
            **lanes.window_fields(node, graph),
            "inputs": inputs,
            "outputs": len(requantize),
            **pixel_stride(node),
        },
        {"weights": weights.reshape(-1), "requantize": requantize.reshape(-1)},
    )


def pack_conv2d(node: Node, graph: Graph) -> Packed:
    """Weights [blocks of 16 O][K rounded up to 8][16], constants [O][3]."""
    weights = lanes.matrix(node, graph)
    inputs = _rounded(weights.shape[1])
    return _pack_weights(node, graph, _interleaved(weights, inputs), inputs)


def conv2d_scratch_bytes(node: Node, graph: Graph) -> int:
    """Four pixels' windows, a word each."""
    return 16 * _rounded(lanes.matrix(node, graph).shape[1])


def accepts_lean(node: Node, graph: Graph) -> bool:
    """Where the scratch of `conv2d` would weigh more than the instructions it saves."""
    return conv2d_scratch_bytes(node, graph) > _MOST_LEAN_BYTES and accepts_conv2d(node, graph)


def pack_conv2d_direct(node: Node, graph: Graph) -> Packed:
    """Weights [O][K], constants [O][3]."""
    weights = lanes.matrix(node, graph)
    return _pack_weights(node, graph, weights, weights.shape[1])


def _balanced(lengths: list[int]) -> list[int] | None:
    """Lengths of a channel, each at least 2; None if the last input has to stand alone.

    Two inputs always fit: 2 * 127 * 128 < 2^15.
    """
    if lengths[-1] > 1:
        return lengths
    if len(lengths) > 1 and lengths[-2] > 2:
        return [*lengths[:-2], lengths[-2] - 1, 2]
    return None


def _grouped(weights: np.ndarray) -> tuple[np.ndarray, list[list[int]]]:
    """(weights, lengths per channel); a zero input is appended if a channel's last input would stand alone."""
    lengths = [_balanced(channel) for channel in lanes.group_lengths(weights[:, np.newaxis], LONGEST)]
    if None in lengths:
        weights = np.concatenate([weights, np.zeros((weights.shape[0], 1), np.int8)], axis=1)
        lengths = [_balanced(channel) for channel in lanes.group_lengths(weights[:, np.newaxis], LONGEST)]
    known = [one for one in lengths if one is not None]
    assert len(known) == weights.shape[0]
    return weights, known


def pack_conv2d_lanes(node: Node, graph: Graph) -> Packed:
    """Weights [blocks of 16 O][K][16], groups [blocks][most groups][16], constants [O][3].

    A group is stored as the bytes of code that its channel jumps over.
    """
    return _pack_lanes(node, graph, (STEP_BYTES,))


def pack_conv2d_lanes_in_nibbles(node: Node, graph: Graph) -> Packed:
    """The same with weights [blocks of 32 O][K][16], where those of outputs 16 apart share a byte."""
    packed = _pack_lanes(node, graph, NIBBLE_STEP_BYTES)
    return replace(packed, int8_weights=-(-lanes.matrix(node, graph).size // 2))


def _in_halves(blocks: np.ndarray) -> np.ndarray:
    """Every second block in the upper halves of the bytes of the one before."""
    even = np.pad(blocks, ((0, len(blocks) % 2), (0, 0), (0, 0)))
    return np.asarray((even[0::2] & 15) | (even[1::2] << 4))


def _pack_lanes(node: Node, graph: Graph, step_bytes: tuple[int, ...]) -> Packed:
    """step_bytes: of code; two, for weights of four bits in the lower and in the upper halves of bytes."""
    weights, lengths = _grouped(lanes.matrix(node, graph))
    outputs, inputs = weights.shape
    most = max(len(one) for one in lengths)
    groups = np.zeros((-(-outputs // INTERLEAVE), most, INTERLEAVE), np.uint8)
    for channel, one in enumerate(lengths):
        block = channel // INTERLEAVE
        skipped = [step_bytes[block % len(step_bytes)] * (LONGEST - length) for length in one]
        groups[block, : len(one), channel % INTERLEAVE] = skipped
    blocks = _interleaved(weights, inputs)
    requantize, rounding = _requantize(node, graph)
    return Packed(
        {
            "weights": "weights",
            "groups": "groups",
            "requantize": "requantize",
            "rounding": rounding,
            **lanes.window_fields(node, graph),
            "inputs": inputs,
            "outputs": outputs,
            "most_groups": most,
            **pixel_stride(node),
        },
        {
            "weights": (blocks if len(step_bytes) == 1 else _in_halves(blocks)).reshape(-1),
            "groups": groups.reshape(-1),
            "requantize": requantize.reshape(-1),
        },
    )


def _has_rows_of(least: int) -> Callable[[Node, Graph], bool]:
    """The condition: rows of so many pixels or more, of what `accepts_conv2d` takes."""

    def accepts(node: Node, graph: Graph) -> bool:
        return graph.tensors[node.outputs[0]].shape[2] >= least and accepts_conv2d(node, graph)

    return accepts


def conv2d_lanes_scratch_bytes(node: Node, graph: Graph) -> int:
    """Eight pixels' windows, two pixels to a word, and four sums of every group."""
    weights, lengths = _grouped(lanes.matrix(node, graph))
    return 16 * (int(weights.shape[1]) + max(len(one) for one in lengths))


# --- depthwise convolution -----------------------------------------------------------------------


def accepts_depthwise_conv2d(node: Node, graph: Graph) -> bool:
    """Whether each output channel reads one input channel and each requantization has a short or a long form."""
    return lanes.accepts_depthwise(node, graph) and _has_forms(node, graph)


def pack_depthwise_conv2d(node: Node, graph: Graph) -> Packed:
    """Weights [C][kernel_height * kernel_width]; constants [C][3]."""
    weights = lanes.depthwise_weights(node, graph)
    requantize, rounding = _requantize(node, graph)
    return Packed(
        {
            "weights": "weights",
            "requantize": "requantize",
            "rounding": rounding,
            **lanes.depthwise_fields(node),
            "channels": weights.shape[0],
            **pixel_stride(node),
        },
        {"weights": weights.reshape(-1), "requantize": requantize.reshape(-1)},
    )


# --- rows ----------------------------------------------------------------------------------------


# Instructions per byte that leaves a strip.
_MOVED = 3.0
# Pixels of a row from which on eight lanes are faster than four pixels unpacked; of weights of four bits, than plain C.
_FEWEST_LANES, _FEWEST_LANES_IN_NIBBLES = 5, 2
_DIRECT_RATES = Rates(3.6, 63, 820, 0.08, _MOVED)


def _conv2d(
    op: str,
    variant: str,
    params: str,
    pack: Callable[[Node, Graph], Packed],
    scratch_bytes: Callable[[Node, Graph], int],
    rates: Rates,
    accepts: Callable[[Node, Graph], bool] = accepts_conv2d,
    core: str = "",
    weight_bits: int = 8,
    headers: tuple[str, ...] = _HEADERS,
) -> Kernel:
    """core: the C file with its assembly, if it is not its own with _core behind the name."""
    return Kernel(
        op,
        "armv6m",
        f"mbn_conv2d{variant}_s8_armv6m",
        f"mbn_conv2d{params}_armv6m_params",
        f"armv6m/conv2d{variant}.c",
        pack,
        rates,
        accepts=accepts,
        scratch_bytes=scratch_bytes,
        more_sources=(core or f"armv6m/conv2d{variant}_core.c",),
        weight_bits=weight_bits,
        headers=headers,
        reads_slices=lanes.reads_slices,
        writes_slices=True,
    )


def _no_scratch(node: Node, graph: Graph) -> int:
    return 0


DEPTHWISE_CONV2D = Kernel(
    "depthwise_conv2d",
    "armv6m",
    "mbn_depthwise_conv2d_s8_armv6m",
    "mbn_depthwise_conv2d_armv6m_params",
    "armv6m/depthwise_conv2d.c",
    pack_depthwise_conv2d,
    Rates(4.9, 0, 180, 11.5, _MOVED),
    accepts=accepts_depthwise_conv2d,
    more_sources=("armv6m/depthwise_core.c", "armv6m/depthwise_5x5_core.c"),
    headers=_HEADERS,
)
FULLY_CONNECTED = _conv2d("fully_connected", "_direct", "", pack_conv2d_direct, _no_scratch, _DIRECT_RATES)
LANES = (
    _conv2d(
        "conv2d",
        "_lanes",
        "_lanes",
        pack_conv2d_lanes,
        conv2d_lanes_scratch_bytes,
        Rates(1.58, 22.8, 3843, 0, _MOVED, 1.49, 8),
        _has_rows_of(_FEWEST_LANES),
        headers=_LANES_HEADERS,
    ),
    _conv2d(
        "conv2d",
        "_lanes_w4",
        "_lanes",
        pack_conv2d_lanes_in_nibbles,
        conv2d_lanes_scratch_bytes,
        Rates(1.75, 22.8, 3843, 0, _MOVED, 1.6, 8),
        _has_rows_of(_FEWEST_LANES_IN_NIBBLES),
        "armv6m/conv2d_lanes_core.c",
        4,
        _LANES_HEADERS,
    ),
)
DIRECT = (_conv2d("conv2d", "_direct", "", pack_conv2d_direct, _no_scratch, _DIRECT_RATES),)
LEAN = (_conv2d("conv2d", "_direct", "", pack_conv2d_direct, _no_scratch, _DIRECT_RATES, accepts_lean),)
CONV2D = _conv2d("conv2d", "", "", pack_conv2d, conv2d_scratch_bytes, Rates(2.46, 25.5, 1015, 0, _MOVED, 3.2, 4))
# The assembly of the 3x3 windows has no register left for another distance between pixels.
KERNELS = (
    CONV2D,
    FULLY_CONNECTED,
    *(replace(row, writes_slices="_3x3_" not in row.function) for row in lanes.depthwise_rows(DEPTHWISE_CONV2D)),
)
