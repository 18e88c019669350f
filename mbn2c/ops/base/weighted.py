"""What conv2d, depthwise_conv2d and fully_connected share: per-channel weights, bias, requantization.

Source: ONNX operators Conv and QLinearConv; design.md, section 3.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from mbn2c.errors import QuantError
from mbn2c.ir.graph import Graph, Node, Quant, Tensor
from mbn2c.ir.kernel import Packed
from mbn2c.ir.window import Activation, Window
from mbn2c.numerics import (
    INT8_MAX,
    INT8_MIN,
    INT32_MAX,
    ProvedScales,
    equal_staircases,
    fits_mul32,
    fits_mulhi,
    prove_scales,
    requantize_integer,
    weight_range,
)
from mbn2c.ops.base.guarded import Terms, run_guarded
from mbn2c.ops.base.operator import OnnxOp, Operator
from mbn2c.ops.base.packing import pack_conv
from mbn2c.ops.base.quants import quant_of, scale_of
from mbn2c.ops.base.requantize import AnyRequantize, GuardedRequantize, Requantize, WideRequantize
from mbn2c.ops.base.spelling import spell_clip, spell_qlinear_conv
from mbn2c.ops.base.wide import as_codes, choose_wide_scales, is_wide, run_wide, spell_wide_conv, wide_requantize
from mbn2c.ops.base.windows import Bounds, Shape, onnx_window, with_padding

# A larger one would leave less than 24 bits to bias and products together, which the kernels that multiply for two
# channels at once need. Where that coarsens the weights, they are so small beside the bias that rounding one of them
# moves the output by less than a hundredth of a step.
LARGEST_BIAS = 2**22
# Of layers that read int16, whose sums are that much larger.
LARGEST_WIDE_BIAS = 2**29
_EIGHT_BITS = Quant(np.ones(1, np.float32))


@dataclass(frozen=True)
class ConvAttributes:
    """conv2d and grouped_conv2d, inputs (x, weights OHWI, bias O); depthwise_conv2d, inputs (x, weights HWC, bias C).

    depth_multiplier  output channels per input channel; output channel c reads input channel
                      c // depth_multiplier; always 1 but for depthwise_conv2d
    groups            of channels that see only each other; always 1 but for grouped_conv2d
    """

    window: Window = Window()
    depth_multiplier: int = 1
    activation: Activation | None = None
    requantize: AnyRequantize | None = None
    groups: int = 1


class Weighted(Operator):
    """An operator with inputs (x, weights, bias) whose accumulators are requantized per output channel.

    Weights are [O, ..., I] where it mixes channels (I: of one group), else [..., C], `depth_multiplier` output channels
    per input one.

    channel_axis  of the weights, which is that of the output channels; 0 where it mixes channels, all or within groups
    """

    channel_axis: int
    has_weights = True
    carries_activation = True

    # --- what the operator says itself ---

    def linear(self, node: Node, x: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """The layer without bias and activation.

        x        float32 [N, H, W, I]; 0 is what padding reads
        weights  float32
        returns  float32 [N, H_out, W_out, C]
        """
        raise AssertionError

    def transposed(self, node: Node, gradient: np.ndarray, weights: np.ndarray, shape: Shape) -> np.ndarray:
        """The gradient by x, float32 [N, H, W, I], of a gradient by the output; shape: of x."""
        raise AssertionError

    def onnx_weights(self, weights: np.ndarray) -> np.ndarray:
        """Weights as ONNX Conv wants them, OIHW."""
        raise AssertionError

    def accumulate(self, node: Node, x: np.ndarray, weights: np.ndarray, zero_point: int) -> np.ndarray:
        """sum((x - zero_point) * w), int64 [1, H, W, C], of int8 x [1, H, W, I]."""
        raise AssertionError

    def products(self, node: Node, x: np.ndarray, weights: np.ndarray, zero_point: int) -> Terms:
        """Which x - zero_point and w were multiplied for each output, in ONNX's order: input channel, row, column."""
        raise AssertionError

    def group(self, node: Node, graph: Graph) -> int:
        """Groups of channels that see only each other, as ONNX's Conv counts them."""
        return 1

    def takes_int16(self, node: Node) -> bool:
        """But for groups."""
        return int(getattr(node.attributes, "groups", 1)) == 1

    def takes_four_bits(self, node: Node, graph: Graph) -> bool:
        """Where a pixel reads one pixel, all its channels, and nothing is int16."""
        touched = (graph.tensors[name].dtype for name in (node.inputs[0], node.outputs[0]))
        sees_a_pixel = self.mixes_channels and self.groups(node) == 1 and self.window(node).is_pointwise
        return sees_a_pixel and "int16" not in touched

    # --- structure and counts ---

    def constants(self, node: Node) -> tuple[str, ...]:
        return node.inputs[1:]

    def is_channelwise(self, node: Node) -> bool:
        return not self.mixes_channels and self.depth_multiplier(node) == 1

    def groups(self, node: Node) -> int:
        """Groups of channels that mix with each other only; 1 where all mix, or none."""
        return 1

    def depth_multiplier(self, node: Node) -> int:
        """Output channels per input channel where channels do not mix; else 1."""
        return int(getattr(node.attributes, "depth_multiplier", 1))

    def parameters(self, node: Node, graph: Graph) -> int:
        return sum(int(np.prod(graph.tensors[name].shape)) for name in node.inputs[1:])

    def pack(self, node: Node, graph: Graph) -> Packed:
        """The constants of the scalar kernel."""
        return pack_conv(node, graph, self.channel_axis)

    # --- weights as a matrix ---

    def rows(self, weights: np.ndarray) -> np.ndarray:
        """The weights of each output channel, [C, K]."""
        if self.channel_axis == 0:
            return weights.reshape(len(weights), -1)
        return weights.reshape(-1, weights.shape[-1]).T

    def from_rows(self, rows: np.ndarray, shape: Shape) -> np.ndarray:
        """Weights of a shape from such rows."""
        return (rows if self.channel_axis == 0 else rows.T).reshape(shape)

    def scale_outputs(self, weights: np.ndarray, factors: np.ndarray) -> np.ndarray:
        """Weights whose output channel c is `factors[c]` as large."""
        shape = [1] * weights.ndim
        shape[self.channel_axis] = -1
        return np.asarray(weights * factors.reshape(shape))

    def scale_inputs(self, node: Node, weights: np.ndarray, factors: np.ndarray) -> np.ndarray:
        """Weights that make of x what the given ones make of x * factors [I]."""
        return np.asarray(weights * self.by_input(node, factors, weights))

    def contribution(
        self, node: Node, weights: np.ndarray, values: np.ndarray, inside: np.ndarray | None = None
    ) -> np.ndarray:
        """What an input that is `values` [I] at each pixel adds to the output channels, [C].

        inside  [KH, KW], the share of each tap that reads the input and not padding; None: all of them
        """
        spread = self.by_input(node, values, weights)
        if inside is not None and weights.ndim > 2:
            spread = spread * inside[:, :, None]
        return np.asarray(self.rows(weights * spread).sum(axis=1))

    def by_input(self, node: Node, values: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """values [I] as they lie along the weights' last axis, broadcast to the weights."""
        return values if self.mixes_channels else np.repeat(values, self.depth_multiplier(node))

    def keep_outputs(self, node: Node, graph: Graph, keep: np.ndarray) -> dict[str, np.ndarray]:
        _, weights, bias = node.inputs
        kept = np.compress(keep, graph.constant(weights), axis=self.channel_axis)
        return {weights: kept, bias: graph.constant(bias)[keep]}

    # --- float32 ---

    def run_float(self, node: Node, graph: Graph, inputs: Sequence[np.ndarray]) -> np.ndarray:
        _, weights, bias = node.inputs
        result = self.linear(node, inputs[0], graph.constant(weights))
        result += graph.constant(bias)
        return result

    def gradient(
        self, node: Node, graph: Graph, inputs: Sequence[np.ndarray], gradient: np.ndarray
    ) -> Sequence[np.ndarray]:
        return [self.transposed(node, gradient, graph.constant(node.inputs[1]), inputs[0].shape)]

    def bounds(self, node: Node, graph: Graph, inputs: Sequence[Bounds]) -> Bounds:
        low, high = with_padding(inputs[0], self.window(node))
        weights, bias = (graph.constant(name).astype(np.float64) for name in node.inputs[1:])
        low, high = self.by_input(node, low, weights), self.by_input(node, high, weights)
        # 0 * inf, which `where` does not take; and beyond float64 a range has no end, which is true
        with np.errstate(invalid="ignore", over="ignore"):
            lowest = np.where(weights > 0, weights * low, np.where(weights < 0, weights * high, 0.0))
            highest = np.where(weights > 0, weights * high, np.where(weights < 0, weights * low, 0.0))
            return self.rows(lowest).sum(axis=1) + bias, self.rows(highest).sum(axis=1) + bias

    def spell_float(self, node: Node, graph: Graph) -> list[OnnxOp]:
        x, weights, bias = node.inputs
        output = node.outputs[0]
        activation = node.attributes.activation
        linear = output if activation is None else f"{output}__linear"
        conv = OnnxOp(
            "Conv",
            (x, weights, bias),
            (linear,),
            self._conv_attributes(node, graph),
            {weights: self.onnx_weights(graph.constant(weights)), bias: graph.constant(bias)},
        )
        if activation is None:
            return [conv]
        return [conv, spell_clip(linear, output, activation.low, activation.high)]

    def spell_int8(self, node: Node, graph: Graph) -> list[OnnxOp]:
        x, weights, bias = node.inputs
        requantize = node.attributes.requantize
        if isinstance(requantize, WideRequantize):
            values = self.onnx_weights(graph.constant(weights))
            names, attributes = (x, node.outputs[0]), self._conv_attributes(node, graph)
            return spell_wide_conv(graph, names, (weights, values), graph.constant(bias), attributes, requantize)
        onnx_weights = (weights, self.onnx_weights(graph.constant(weights)), quant_of(graph, weights).scale)
        onnx_bias = (bias, graph.constant(bias))
        attributes = self._conv_attributes(node, graph)
        return [spell_qlinear_conv(graph, x, node.outputs[0], onnx_weights, onnx_bias, attributes)]

    def _conv_attributes(self, node: Node, graph: Graph) -> dict[str, Any]:
        return {**onnx_window(self.window(node)), "group": self.group(node, graph)}

    def quantize(self, node: Node, graph: Graph, quants: Mapping[str, Quant]) -> tuple[Node, list[Tensor]]:
        proved = self.choose_scales(node, graph, quants)
        weights, bias = (graph.constant(name) for name in node.inputs[1:])
        x_scale, bits = scale_of(quants[node.inputs[0]]), wanted_weights(node, quants).bits
        rounded = self.round_nearest(weights, bias, proved.w_scale, x_scale, bits)
        return self.quantize_with(node, quants, proved, *rounded)

    def choose_scales(
        self, node: Node, graph: Graph, quants: Mapping[str, Quant], clip: np.ndarray | None = None
    ) -> ProvedScales:
        """Proved weight scales for the layer, before any weight is rounded.

        quants  of its activations; of its weights, if they shall be other than 8 bits with scales of their own
        clip  float64 [C], the largest weight each channel must hold; larger ones saturate. None: all of them
        """
        weights, bias = (graph.constant(name).astype(np.float64) for name in node.inputs[1:])
        others = tuple(axis for axis in range(weights.ndim) if axis != self.channel_axis)
        largest = np.abs(weights).max(axis=others) if clip is None else clip
        x_quant, y_quant = quants[node.inputs[0]], quants[node.outputs[0]]
        x_scale, y_scale = scale_of(x_quant), scale_of(y_quant)
        largest_bias = LARGEST_BIAS if x_quant.bits == 8 else LARGEST_WIDE_BIAS
        bits = wanted_weights(node, quants).bits
        wanted = np.maximum(largest / weight_range(bits)[1], np.abs(bias) / (float(x_scale) * largest_bias))
        wanted = np.maximum(wanted, 1e-30)
        bound = acc_bound(*self.round_nearest(weights, bias, wanted, x_scale, bits), x_quant, self.channel_axis)
        if is_wide((x_quant, y_quant)):
            return choose_wide_scales(x_quant, wanted, y_quant, bound)
        shares = wanted_weights(node, quants).shares_multipliers
        return prove_scales(x_scale, wanted, y_scale, y_quant.zero_point, bound, shares)

    def quantize_with(
        self, node: Node, quants: Mapping[str, Quant], proved: ProvedScales, weights: np.ndarray, bias: np.ndarray
    ) -> tuple[Node, list[Tensor]]:
        """The int8 node with these int8 weights and int32 biases.

        raises  QuantError if they reach accumulators for which the scales are not proved
        """
        x, weights_name, bias_name = node.inputs
        y_quant, bound = quants[node.outputs[0]], acc_bound(weights, bias, quants[x], self.channel_axis)
        requantize: AnyRequantize
        if is_wide((quants[x], y_quant)):
            requantize = wide_requantize(proved, y_quant, node.attributes.activation, bound, node.name)
        else:
            requantize = prove_requantize(
                proved.scale, proved.multiplier, proved.shift, y_quant.zero_point, bound, node.name
            )
        bits = wanted_weights(node, quants).bits
        w_quant = Quant(proved.w_scale, bits=bits, shares_multipliers=proved.shares_multipliers)
        tensors = [
            Tensor(weights_name, weights.shape, "int8", weights, w_quant),
            Tensor(bias_name, bias.shape, "int32", bias, Quant(scale_of(quants[x]) * proved.w_scale)),
        ]
        return replace(node, attributes=replace(node.attributes, requantize=requantize)), tensors

    def round_nearest(
        self, weights: np.ndarray, bias: np.ndarray, w_scale: np.ndarray, x_scale: np.float32, bits: int = 8
    ) -> tuple[np.ndarray, np.ndarray]:
        """(int8 weights, int32 bias), each rounded to the nearest step of its channel's scale."""
        shape = [1] * weights.ndim
        shape[self.channel_axis] = -1
        quantized_weights = np.clip(np.rint(weights.astype(np.float64) / w_scale.reshape(shape)), *weight_range(bits))
        quantized_bias = np.rint(bias.astype(np.float64) / (np.float64(x_scale) * w_scale))
        return quantized_weights.astype(np.int8), quantized_bias.astype(np.int32)

    def run(self, node: Node, graph: Graph, inputs: Sequence[np.ndarray]) -> np.ndarray:
        x_name, weights, bias = node.inputs
        zero_point = quant_of(graph, x_name).zero_point
        weight_values = graph.constant(weights)
        accumulated = self.accumulate(node, inputs[0], weight_values, zero_point) + graph.constant(bias)
        terms = self.products(node, inputs[0], weight_values, zero_point)
        return run_requantize(node.attributes.requantize, accumulated, quant_of(graph, node.outputs[0]), terms)

    def run_fast(self, node: Node, graph: Graph, inputs: Sequence[np.ndarray]) -> np.ndarray:
        x_quant, y_quant = quant_of(graph, node.inputs[0]), quant_of(graph, node.outputs[0])
        weights = graph.constant(node.inputs[1]).astype(np.float32)
        scale = node.attributes.requantize.scale
        # Bias and zero point after the scale: float32 keeps more of them there than in a large sum.
        offset = (graph.constant(node.inputs[2]) * scale.astype(np.float64) + y_quant.zero_point).astype(np.float32)
        result = self.linear(node, inputs[0].astype(np.float32) - np.float32(x_quant.zero_point), weights)
        result *= scale
        result += offset
        np.rint(result, out=result)
        requantize = node.attributes.requantize
        if isinstance(requantize, WideRequantize):
            return as_codes(result, requantize.low, requantize.high, y_quant)
        np.clip(result, INT8_MIN, INT8_MAX, out=result)
        return result.astype(np.int8)


def wanted_weights(node: Node, quants: Mapping[str, Quant]) -> Quant:
    """How a layer's weights are quantized, or shall be (then with any scale): in 8 bits if nothing is said of them."""
    return quants.get(node.inputs[1], _EIGHT_BITS)


def acc_bound(weights: np.ndarray, bias: np.ndarray, x_quant: Quant, channel_axis: int) -> np.ndarray:
    """The largest magnitude an accumulator can have, whatever the input; int64 [C]."""
    others = tuple(axis for axis in range(weights.ndim) if axis != channel_axis)
    reach = max(x_quant.highest - x_quant.zero_point, x_quant.zero_point - x_quant.lowest)
    return np.asarray(np.abs(weights.astype(np.int64)).sum(axis=others) * reach + np.abs(bias.astype(np.int64)))


def prove_requantize(
    scale: np.ndarray, multiplier: np.ndarray, shift: int, zero_point: int, bound: np.ndarray, where: str
) -> Requantize:
    """The Requantize of a layer, proved for every reachable accumulator of every channel.

    raises  QuantError naming the layer if the proof fails for a channel
    """
    if (bound > INT32_MAX).any():
        raise QuantError("accumulators of this layer can overflow 32 bits", where=where, hint="use a smaller kernel")
    proved = equal_staircases(scale, multiplier, shift, zero_point, bound)
    if not proved.all():
        raise QuantError(f"requantization of {int((~proved).sum())} channels is not proved exact", where=where)
    forms = []
    if fits_mul32(multiplier, shift, zero_point, bound).all():
        forms.append("mul32")
    if fits_mulhi(multiplier, shift).all():
        forms.append("mulhi")
    return Requantize(scale, multiplier, shift, tuple(forms) or ("mul64",))


def run_requantize(
    requantize: AnyRequantize, accumulated: np.ndarray, y_quant: Quant, terms: Terms | None = None
) -> np.ndarray:
    """Accumulators to the output's values in the proved form; `terms` as in `run_guarded`."""
    if isinstance(requantize, WideRequantize):
        return run_wide(requantize, accumulated, y_quant)
    zero_point = y_quant.zero_point
    if isinstance(requantize, GuardedRequantize):
        return run_guarded(requantize, accumulated, zero_point, terms)
    return requantize_integer(accumulated, requantize.multiplier, requantize.shift, zero_point)
