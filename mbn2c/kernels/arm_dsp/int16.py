"""Layers whose input or output is int16, on Armv7E-M and Armv8-M with DSP: constants as the C wants them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mbn2c.ir.graph import Graph, Node
from mbn2c.ir.kernel import Kernel, Packed, Rates
from mbn2c.kernels.arm_common import channels_in, channels_out, columns_are_adjacent, taps_in_order, window_of
from mbn2c.numerics import INT32_MAX
from mbn2c.ops.add import S16_PARAMS, pack_wide
from mbn2c.ops.base.operator import quant_of
from mbn2c.ops.base.packing import folded_bias
from mbn2c.ops.base.requantize import WideRequantize
from mbn2c.ops.base.weighted import acc_bound
from mbn2c.ops.base.wide import MULTIPLIER_BITS

_HEADERS = ("arm_dsp/mbn_arm_dsp.h", "arm_dsp/mbn_dsp.h", "arm/mbn_arm_asm.h")
# Multipliers are moved up to 31 bits.
_MULTIPLIER_LIFT = 31 - MULTIPLIER_BITS
_WORD_OF_TAPS = (0, 2, 1, 3)
# Of the last pixel: up to three channels of int16 that are not there.
_READS_PAST_BYTES = 6

_CONV_RATES = Rates(1.1, 24, 200, 0.2, 0.4, 1.1, 2)
_DEPTHWISE_RATES = Rates(3.0, 20, 120, 0, 0.4)
_ADD_RATES = Rates(0, 11, 120, 0, 0.4)


@dataclass(frozen=True)
class HighWord:
    """The form ((acc << lift) * multiplier + (rounding << 32)) >> 32 >> shift of a layer's requantization.

    multiplier  int64 [C], below 2^31
    """

    multiplier: np.ndarray
    lift: int
    shift: int
    rounding: int


def high_word(requantize: WideRequantize, zero_point: int) -> HighWord:
    """The same integers as `run_wide`'s, from the high word of one product."""
    multiplier = requantize.multiplier << _MULTIPLIER_LIFT
    shift = requantize.shift + _MULTIPLIER_LIFT - 32
    lift = max(0, 1 - shift)
    shift += lift
    return HighWord(multiplier, lift, shift, (zero_point << shift) + (1 << (shift - 1)))


def _form(node: Node, graph: Graph) -> HighWord:
    return high_word(node.attributes.requantize, quant_of(graph, node.outputs[0]).zero_point)


def _fits(node: Node, graph: Graph, channel_axis: int) -> bool:
    """Whether every accumulator of raw inputs leaves room for the lift, and the rounding is a word."""
    form, x = _form(node, graph), quant_of(graph, node.inputs[0])
    weights = graph.constant(node.inputs[1])
    bias = folded_bias(node, graph, channel_axis)
    bound = acc_bound(weights, graph.constant(node.inputs[2]), x, channel_axis)
    raw = np.abs(weights.astype(np.int64)).sum(axis=tuple(a for a in range(weights.ndim) if a != channel_axis))
    reach = np.maximum(bound << form.lift, np.abs(bias.astype(np.int64)) + raw * max(-x.lowest, x.highest))
    return bool((reach <= INT32_MAX).all()) and abs(form.rounding) <= INT32_MAX // 2


def _ends(node: Node, graph: Graph) -> dict[str, int]:
    """What both params structs say behind the window."""
    form, requantize = _form(node, graph), node.attributes.requantize
    x, y = quant_of(graph, node.inputs[0]), quant_of(graph, node.outputs[0])
    return {
        "lift": form.lift,
        "shift": form.shift,
        "rounding": form.rounding,
        "low": requantize.low,
        "high": requantize.high,
        "wide_in": int(x.bits == 16),
        "wide_out": int(y.bits == 16),
    }


# --- conv2d, fully_connected ---


def accepts_conv(node: Node, graph: Graph) -> bool:
    """Whether kernel rows are pieces of memory."""
    return columns_are_adjacent(window_of(node)) and _fits(node, graph, 0)


def _is_direct(node: Node, graph: Graph) -> bool:
    return window_of(node).kernel == (1, 1) and quant_of(graph, node.inputs[0]).bits == 16


def _taps(node: Node, graph: Graph) -> int:
    return -(-taps_in_order(node, graph).shape[1] // 4) * 4


def conv_scratch_bytes(node: Node, graph: Graph) -> int:
    """The windows of two pixels as int16."""
    return 0 if _is_direct(node, graph) else 2 * 2 * _taps(node, graph)


def pack_conv(node: Node, graph: Graph) -> Packed:
    """Per channel pair: biases, per four taps a word of each channel, multipliers."""
    weights, taps = taps_in_order(node, graph), _taps(node, graph)
    pairs = -(-len(weights) // 2)
    padded = np.zeros((2 * pairs, taps), np.int8)
    padded[: len(weights), : weights.shape[1]] = weights
    words = padded.reshape(pairs, 2, taps // 4, 4)[..., _WORD_OF_TAPS]
    words = np.ascontiguousarray(words.transpose(0, 2, 1, 3)).view("<u4").reshape(pairs, -1)
    stream = np.concatenate(
        [_pairs(folded_bias(node, graph, 0), pairs), words, _pairs(_form(node, graph).multiplier, pairs)], axis=1
    )
    window, channels = window_of(node), channels_in(node, graph)
    return Packed(
        {
            "weights": "weights",
            "taps": taps,
            "out_channels": len(weights),
            "kernel_height": window.kernel[0],
            "row_values": window.kernel[1] * channels,
            "step": window.stride[1] * channels,
            "is_direct": int(_is_direct(node, graph)),
            **_ends(node, graph),
        },
        {"weights": stream.reshape(-1)},
        graph.constant(node.inputs[1]).size,
    )


def _pairs(values: np.ndarray, pairs: int) -> np.ndarray:
    """uint32 [pairs, 2] of int32 [C], zeros at its end."""
    padded = np.zeros(2 * pairs, np.int64)
    padded[: len(values)] = values
    return (padded & 0xFFFFFFFF).astype(np.uint32).reshape(pairs, 2)


# --- depthwise_conv2d ---


def accepts_depthwise(node: Node, graph: Graph) -> bool:
    """One output channel per input channel."""
    return node.attributes.depth_multiplier == 1 and _fits(node, graph, 2)


def pack_depthwise(node: Node, graph: Graph) -> Packed:
    """Per four channels: biases, per tap two pairs of int16, multipliers."""
    channels, window = channels_out(node, graph), window_of(node)
    groups = -(-channels // 4)
    weights = graph.constant(node.inputs[1]).reshape(-1, channels)
    padded = np.zeros((len(weights), 4 * groups), np.int16)
    padded[:, :channels] = weights
    order = (0, 1, 2, 3) if quant_of(graph, node.inputs[0]).bits == 16 else _WORD_OF_TAPS
    words = padded.reshape(len(weights), groups, 4)[..., order].transpose(1, 0, 2)
    words = np.ascontiguousarray(words).view("<u4").reshape(groups, -1)
    bias = _pairs(folded_bias(node, graph, 2), 2 * groups).reshape(groups, 4)
    multiplier = _pairs(_form(node, graph).multiplier, 2 * groups).reshape(groups, 4)
    return Packed(
        {
            "weights": "weights",
            "channels": channels,
            "kernel_height": window.kernel[0],
            "kernel_width": window.kernel[1],
            "stride": window.stride[1],
            "dilation": window.dilation[1],
            **_ends(node, graph),
        },
        {"weights": np.concatenate([bias, words, multiplier], axis=1).reshape(-1)},
        weights.size,
    )


# --- add ---


def accepts_add(node: Node, graph: Graph) -> bool:
    """Whether both inputs are int16, whose factors are halfwords."""
    return all(quant_of(graph, name).bits == 16 for name in node.inputs)


# --- the rows of the table ---


def _conv_row(op: str) -> Kernel:
    return Kernel(
        op,
        "arm_dsp",
        "mbn_conv2d_s16_arm_dsp",
        "mbn_conv2d_s16_arm_dsp_params",
        "arm_dsp/conv2d_s16.c",
        pack_conv,
        _CONV_RATES,
        accepts=accepts_conv,
        scratch_bytes=conv_scratch_bytes,
        takes_int16=True,
        headers=_HEADERS,
        reads_past_bytes=_READS_PAST_BYTES,
    )


KERNELS = (
    _conv_row("conv2d"),
    _conv_row("fully_connected"),
    Kernel(
        "depthwise_conv2d",
        "arm_dsp",
        "mbn_depthwise_conv2d_s16_arm_dsp",
        "mbn_depthwise_s16_arm_dsp_params",
        "arm_dsp/depthwise_conv2d_s16.c",
        pack_depthwise,
        _DEPTHWISE_RATES,
        accepts=accepts_depthwise,
        takes_int16=True,
        headers=_HEADERS,
        reads_past_bytes=_READS_PAST_BYTES,
    ),
    Kernel(
        "add",
        "arm_dsp",
        "mbn_add_s16_arm_dsp",
        S16_PARAMS.name,
        "arm_dsp/add_s16.c",
        pack_wide,
        _ADD_RATES,
        accepts=accepts_add,
        takes_int16=True,
        headers=_HEADERS,
    ),
)
