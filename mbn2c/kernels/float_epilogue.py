"""What the rows of cores with float32 SIMD ask of a node, and how they order its constants.

They requantize as ONNX Runtime does, in float32: rint(float32(acc) * scale) + zero_point. That needs no proof. Only the
conversion back to int32 must not overflow, which the weights say.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from mbn2c.ir.graph import Graph, Node
from mbn2c.ir.kernel import PixelStride
from mbn2c.kernels.arm_common import (
    accumulator_range,
    channels_in,
    channels_out,
    columns_are_adjacent,
    conv_step,
    has_int8_weights,
    has_short_rows,
    taps_in_order,
    window_of,
)
from mbn2c.ops.base.operator import quant_of
from mbn2c.ops.base.packing import covers_input, folded_bias, pixel_stride
from mbn2c.ops.base.requantize import Requantize

_LARGEST_SCALED = 2.0**30


def accepts_float(node: Node, graph: Graph, channel_axis: int) -> bool:
    """Whether the layer has int8 weights and a float32 scale that brings no accumulator near the ends of int32."""
    if not isinstance(node.attributes.requantize, Requantize) or not has_int8_weights(node, graph):
        return False
    weights = np.moveaxis(graph.constant(node.inputs[1]), channel_axis, 0)
    low, high = accumulator_range(weights.reshape(len(weights), -1), folded_bias(node, graph, channel_axis))
    largest = np.maximum(np.abs(low), np.abs(high)) * node.attributes.requantize.scale.astype(np.float64)
    return bool(largest.max() < _LARGEST_SCALED)


def accepts_conv(node: Node, graph: Graph) -> bool:
    """Whether `accepts_float`, and a row of the window has no gaps."""
    return columns_are_adjacent(window_of(node)) and accepts_float(node, graph, 0)


def accepts_1x1(node: Node, graph: Graph) -> bool:
    """Whether it is a 1x1 convolution without a column stride that `accepts_conv` takes."""
    window = window_of(node)
    return window.kernel == (1, 1) and window.stride[1] == 1 and accepts_conv(node, graph)


def accepts_depthwise(node: Node, graph: Graph) -> bool:
    """Whether each output channel reads one input channel, and `accepts_float`."""
    return bool(node.attributes.depth_multiplier == 1) and accepts_float(node, graph, 2)


def accepts_depthwise_3x3(node: Node, graph: Graph) -> bool:
    """The same for 3x3."""
    return window_of(node).kernel == (3, 3) and accepts_depthwise(node, graph)


def accepts_pool(node: Node, graph: Graph) -> bool:
    """Whether the average is over the whole input, and int16 holds the sum of a row."""
    return isinstance(node.attributes.requantize, Requantize) and (
        has_short_rows(node, graph) and covers_input(node, graph)
    )


def conv_fields(
    node: Node, graph: Graph, column: int | PixelStride, arrays: Mapping[str, np.ndarray]
) -> dict[str, int | str | PixelStride]:
    """What the params struct of a convolution says first.

    column  bytes from an input pixel, or a gathered column, to the next
    """
    return {
        **{name: name for name in arrays},
        "taps": taps_in_order(node, graph).shape[1],
        "in_bytes": column,
        "out_channels": channels_out(node, graph),
        **pixel_stride(node),
        "zero_point": quant_of(graph, node.outputs[0]).zero_point,
        **conv_step(node, graph),
    }


def bias_and_scale(node: Node, graph: Graph, channel_axis: int, multiple: int) -> dict[str, np.ndarray]:
    """Arrays of the folded bias, int32, and of the scale, float32, both filled up to a multiple of channels."""
    bias = folded_bias(node, graph, channel_axis)
    fill = (0, -len(bias) % multiple)
    scale = node.attributes.requantize.scale.astype(np.float32)
    return {"bias": np.pad(bias, fill), "scale": np.pad(np.broadcast_to(scale, bias.shape), fill)}


def depthwise_taps(node: Node, graph: Graph, lanes: int) -> np.ndarray:
    """Weights HWC as int8, flat: per `lanes` channels the bytes of each tap; the last group is filled up with zeros."""
    weights = graph.constant(node.inputs[1])
    taps = weights.reshape(-1, weights.shape[2])
    groups = np.pad(taps, ((0, 0), (0, -taps.shape[1] % lanes))).reshape(len(taps), -1, lanes)
    return np.ascontiguousarray(groups.transpose(1, 0, 2)).reshape(-1)


def column_bytes(node: Node, graph: Graph) -> dict[str, int]:
    """Fields of a params struct: how the columns of a depthwise window lie in their row."""
    window, channels = window_of(node), channels_in(node, graph)
    return {
        "kernel_height": window.kernel[0],
        "kernel_width": window.kernel[1],
        "step": window.stride[1] * channels,
        "column": window.dilation[1] * channels,
    }
