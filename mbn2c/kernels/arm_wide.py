"""What the rows of both Arm tables ask of layers whose input or output is int16: one high word of a product."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mbn2c.ir.graph import Graph, Node
from mbn2c.kernels.arm_common import channels_in, channels_out, columns_are_adjacent, window_of
from mbn2c.numerics import INT32_MAX
from mbn2c.ops.base.packing import folded_bias
from mbn2c.ops.base.quants import quant_of
from mbn2c.ops.base.requantize import WideRequantize
from mbn2c.ops.base.weighted import acc_bound


@dataclass(frozen=True)
class HighWord:
    """The form (((acc << lift) * multiplier + 2^31) >> 32) + zero_point of a layer's requantization.

    multiplier  int64 [C], below 2^31
    """

    multiplier: np.ndarray
    lift: int


def high_word(requantize: WideRequantize) -> HighWord:
    """The same integers as `run_wide`'s, from the high word of one product."""
    missing = 32 - requantize.shift
    lift = max(0, int(requantize.multiplier.max()).bit_length() + missing - 31)
    return HighWord(requantize.multiplier << (missing - lift), lift)


def form_of(node: Node) -> HighWord:
    """Of a node whose input or output is int16."""
    return high_word(node.attributes.requantize)


def _fits_lifted(node: Node, graph: Graph, channel_axis: int) -> bool:
    """Whether every accumulator of raw inputs leaves room for the lift."""
    form, x = form_of(node), quant_of(graph, node.inputs[0])
    weights = graph.constant(node.inputs[1])
    bias = folded_bias(node, graph, channel_axis)
    bound = acc_bound(weights, graph.constant(node.inputs[2]), x, channel_axis)
    raw = np.abs(weights.astype(np.int64)).sum(axis=tuple(a for a in range(weights.ndim) if a != channel_axis))
    reach = np.maximum(bound << form.lift, np.abs(bias.astype(np.int64)) + raw * max(-x.lowest, x.highest))
    return bool((reach <= INT32_MAX).all())


def accepts_conv(node: Node, graph: Graph) -> bool:
    """Whether kernel rows are pieces of memory."""
    return columns_are_adjacent(window_of(node)) and _fits_lifted(node, graph, 0)


def accepts_depthwise(node: Node, graph: Graph) -> bool:
    """One output channel per input channel."""
    return node.attributes.depth_multiplier == 1 and _fits_lifted(node, graph, 2)


def conv_fields(node: Node, graph: Graph, taps: int, is_direct: bool) -> dict[str, int]:
    """What the params struct of a convolution says behind its constants.

    taps       of an output, rounded up as the kernel reads them
    is_direct  the window is a pixel, which is read where it lies
    """
    window, channels = window_of(node), channels_in(node, graph)
    return {
        "taps": taps,
        "out_channels": channels_out(node, graph),
        "kernel_height": window.kernel[0],
        "row_values": window.kernel[1] * channels,
        "step": window.stride[1] * channels,
        "is_direct": int(is_direct),
        **_ending(node, graph),
    }


def depthwise_fields(node: Node, graph: Graph) -> dict[str, int]:
    """Likewise of a depthwise convolution."""
    window = window_of(node)
    return {
        "channels": channels_out(node, graph),
        "kernel_height": window.kernel[0],
        "kernel_width": window.kernel[1],
        "stride": window.stride[1],
        "dilation": window.dilation[1],
        **_ending(node, graph),
    }


def _ending(node: Node, graph: Graph) -> dict[str, int]:
    """What both structs say behind the window."""
    requantize = node.attributes.requantize
    x, y = quant_of(graph, node.inputs[0]), quant_of(graph, node.outputs[0])
    return {
        "lift": form_of(node).lift,
        "zero_point": y.zero_point,
        "low": requantize.low,
        "high": requantize.high,
        "wide_in": int(x.bits == 16),
        "wide_out": int(y.bits == 16),
    }


def channel_pairs(values: np.ndarray, pairs: int) -> np.ndarray:
    """uint32 [pairs, 2] of int32 [C], zeros at its end."""
    padded = np.zeros(2 * pairs, np.int64)
    padded[: len(values)] = values
    return (padded & 0xFFFFFFFF).astype(np.uint32).reshape(pairs, 2)
