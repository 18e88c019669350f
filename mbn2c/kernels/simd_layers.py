"""What the rows of cores with SIMD ask of a node, and how they order its constants."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from mbn2c.ir.graph import Graph, Node
from mbn2c.ir.kernel import PixelStride
from mbn2c.kernels.arm_common import (
    accumulator_range,
    channels_in,
    channels_out,
    columns_are_adjacent,
    conv_step,
    has_high_word_form,
    has_int8_weights,
    has_short_rows,
    high_word_multipliers,
    taps_in_order,
    window_of,
)
from mbn2c.ops.base.packing import covers_input, folded_bias, pixel_stride
from mbn2c.ops.base.quants import quant_of
from mbn2c.ops.base.requantize import Requantize

_LARGEST_SCALED = 2.0**30
# What mbn_gather copies at once.
_COPIED_BYTES = 16
Accepts = Callable[[Node, Graph], bool]


@dataclass(frozen=True)
class Epilogue:
    """How the kernels of an ISA bring accumulators to int8.

    accepts  whether it can take a node's, given the axis of output channels of its weights
    factor   what it multiplies with: the name of the array and, of a node, its values, one or [C]
    """

    accepts: Callable[[Node, Graph, int], bool]
    factor: tuple[str, Callable[[Node], np.ndarray]]

    def accepts_conv(self, node: Node, graph: Graph) -> bool:
        """Whether it takes the convolution, and a row of the window has no gaps."""
        return columns_are_adjacent(window_of(node)) and self.accepts(node, graph, 0)

    def accepts_1x1(self, node: Node, graph: Graph) -> bool:
        """Whether it is a 1x1 convolution without a column stride that `accepts_conv` takes."""
        window = window_of(node)
        return window.kernel == (1, 1) and window.stride[1] == 1 and self.accepts_conv(node, graph)

    def accepts_depthwise(self, node: Node, graph: Graph) -> bool:
        """Whether each output channel reads one input channel, and it takes it."""
        return bool(node.attributes.depth_multiplier == 1) and self.accepts(node, graph, 2)

    def constants(
        self, node: Node, graph: Graph, channel_axis: int, fill: Callable[[int], int]
    ) -> dict[str, np.ndarray]:
        """Arrays of the folded bias, int32, and of the factors, filled up with zeros.

        fill  of the number of channels, how many there shall be
        """
        bias, (name, values) = folded_bias(node, graph, channel_axis), self.factor
        more = (0, fill(len(bias)) - len(bias))
        return {"bias": np.pad(bias, more), name: np.pad(np.broadcast_to(values(node), bias.shape), more)}


def to_multiple(of: int) -> Callable[[int], int]:
    """Filled up to a multiple."""
    return lambda channels: -(-channels // of) * of


def _accepts_float(node: Node, graph: Graph, channel_axis: int) -> bool:
    """Whether the layer has int8 weights and a float32 scale that brings no accumulator near the ends of int32."""
    if not isinstance(node.attributes.requantize, Requantize) or not has_int8_weights(node, graph):
        return False
    weights = np.moveaxis(graph.constant(node.inputs[1]), channel_axis, 0)
    low, high = accumulator_range(weights.reshape(len(weights), -1), folded_bias(node, graph, channel_axis))
    largest = np.maximum(np.abs(low), np.abs(high)) * node.attributes.requantize.scale.astype(np.float64)
    return bool(largest.max() < _LARGEST_SCALED)


# As ONNX Runtime does, rint(float32(acc) * scale) + zero_point. That needs no proof; only the conversion back to int32
# must not overflow, which the weights say.
IN_FLOAT = Epilogue(_accepts_float, ("scale", lambda node: node.attributes.requantize.scale.astype(np.float32)))
# The high word of twice a product, rounded by one bit more and narrowed with saturation: the form of SMMLAR.
DOUBLED = Epilogue(
    lambda node, graph, channel_axis: has_high_word_form(node) and has_int8_weights(node, graph),
    ("multiplier", lambda node: high_word_multipliers(node).astype(np.int32)),
)


def is_depthwise_3x3(accepts: Accepts) -> Accepts:
    """Whether it is 3x3, too."""
    return lambda node, graph: window_of(node).kernel == (3, 3) and accepts(node, graph)


def accepts_pool(node: Node, graph: Graph) -> bool:
    """Whether the average is over the whole input, and int16 holds the sum of a row."""
    return isinstance(node.attributes.requantize, Requantize) and (
        has_short_rows(node, graph) and covers_input(node, graph)
    )


def conv_fields(
    node: Node, graph: Graph, column: int | PixelStride, arrays: Iterable[str]
) -> dict[str, int | str | PixelStride]:
    """What the params struct of a convolution says.

    column  bytes from an input pixel, or a gathered column, to the next
    arrays  their names, in the struct's order
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


def gathered_bytes(node: Node, graph: Graph, multiple: int) -> int:
    """From a gathered column to the next: mbn_gather copies the last row of a window in whole vectors, too."""
    step = conv_step(node, graph)
    rows, row = step["kernel_height"], step["row_bytes"]
    whole = (rows - 1) * row + to_multiple(_COPIED_BYTES)(row)
    return to_multiple(multiple)(whole)


def at_least(outputs: int) -> Callable[[int], int]:
    """As many as there are, or a whole group."""
    return lambda channels: max(channels, outputs)


def group_taps(taps: np.ndarray, outputs: int, multiple: int) -> np.ndarray:
    """The taps of whole groups of outputs, [groups, outputs, K], the last group those of the last outputs.

    taps      [O, K]; if there are less than a group, it is filled up with zeros
    multiple  what K is filled up to
    """
    taps = np.pad(taps, ((0, max(0, outputs - len(taps))), (0, -taps.shape[1] % multiple)))
    whole = len(taps) // outputs * outputs
    groups = (taps[:whole], taps[-outputs:] if whole < len(taps) else taps[:0])
    return np.concatenate(groups).reshape(-1, outputs, taps.shape[1])


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
