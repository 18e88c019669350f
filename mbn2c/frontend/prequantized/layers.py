"""Layers of quantized models that ONNX Runtime accumulates in integers, and what float32 layers share with them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from mbn2c.frontend.prequantized.values import GivenQuant, Meaning, QuantizedCall
from mbn2c.ir.axes import CHANNEL, NCHW, LayoutError, Value, labeled
from mbn2c.ir.graph import Node, Quant
from mbn2c.ir.window import Activation, Window
from mbn2c.numerics import INT8_MAX, INT8_MIN, WEIGHT_MAX, onnx_scale, quantize_linear, search_requantize
from mbn2c.ops.base.guarded import guard_staircase
from mbn2c.ops.base.reading import kernel_shape, window_of
from mbn2c.ops.base.requantize import GuardedRequantize, Requantize
from mbn2c.ops.base.weighted import ConvAttributes, acc_bound, prove_requantize
from mbn2c.ops.fully_connected import FullyConnectedAttributes

GIVE_QOPERATOR = "quantize the model in QOperator form, or with uint8 activations: then ONNX Runtime uses integers"


@dataclass(frozen=True, eq=False)
class Layer:
    """The geometry of a convolution or a dense layer, weights in the Graph's order.

    weights  int64 OHWI, HWC or OI, zero point taken off
    order    the weights as [O, K], K in ONNX's order: input channel, row, column
    value    the output, its tensor not yet named
    """

    op: str
    attributes: Any
    weights: np.ndarray
    order: np.ndarray
    extents: tuple[int, int, int, int]
    value: Value

    @property
    def channel_axis(self) -> int:
        return 2 if self.op == "depthwise_conv2d" else 0


def conv_layer(call: QuantizedCall, x: Value, weights: np.ndarray) -> Layer:
    """Of Conv and QLinearConv; weights int64 OIHW."""
    if weights.ndim != 4:
        raise call.refuse(f"{weights.ndim - 2}-D convolution is not supported", "only 2-D image networks compile")
    height, width, channels = call.as_nchw(x)
    out_channels, group_channels, *kernel_extents = weights.shape
    kernel = kernel_shape(call, tuple(kernel_extents))
    group = call.integer("group", 1)
    fits = group >= 1 and group_channels * group == channels and out_channels % group == 0 and 0 not in weights.shape
    if not fits or kernel != tuple(kernel_extents):
        raise call.refuse(
            f"{call.op}: weights of shape {list(weights.shape)} in {group} group(s) for {channels} channels"
        )
    window = window_of(call, kernel, height, width)
    out_height, out_width = window.output_size(height, width)
    shape = (1, out_channels, out_height, out_width)
    value = labeled("", shape, NCHW)
    extents = (1, out_height, out_width, out_channels)
    flat = weights.reshape(out_channels, -1)
    if group == 1:
        return Layer("conv2d", ConvAttributes(window), weights.transpose(0, 2, 3, 1), flat, extents, value)
    if group == channels:
        attributes = ConvAttributes(window, depth_multiplier=out_channels // channels)
        return Layer("depthwise_conv2d", attributes, weights[:, 0].transpose(1, 2, 0), flat, extents, value)
    raise call.refuse(
        f"convolution in {group} groups of {group_channels} channels is not supported",
        "use group = 1 or a depthwise convolution (group = input channels)",
    )


def dense_layer(call: QuantizedCall, x: Value, weights: np.ndarray) -> Layer:
    """Of Gemm, MatMul, QGemm and QLinearMatMul; weights int64 [O, I]."""
    if weights.ndim != 2 or not x.shape or x.shape[-1] != weights.shape[1] or 0 in weights.shape:
        raise call.refuse(f"{call.op}: weights of shape {list(weights.shape)} do not suit {list(x.shape)}")
    outputs = len(weights)
    last, others = x.groups[-1], x.groups[:-1]
    _, height, width, channels = call.extents(x)
    value = Value("", (*x.shape[:-1], outputs), (*others, (CHANNEL,) if outputs > 1 else ()))
    if all(CHANNEL not in group for group in others) and last in ((), (CHANNEL,)) and height * width > 1:
        ordered = weights.reshape(outputs, 1, 1, channels)
        return Layer("conv2d", ConvAttributes(), ordered, weights, (1, height, width, outputs), value)
    if any(others):
        raise LayoutError(f"a product over the last axis of {list(x.shape)} that is not the channel axis")
    ordered = weights.reshape(outputs, *(call.extents(x)[axis] for axis in last))
    ordered = ordered.transpose(0, *(1 + last.index(axis) for axis in sorted(last)))
    if (height, width) == (1, 1):
        flat = ordered.reshape(outputs, channels)
        return Layer("fully_connected", FullyConnectedAttributes(), flat, weights, (1, 1, 1, outputs), value)
    window = ordered.reshape(outputs, height, width, channels)
    attributes = ConvAttributes(Window(kernel=(height, width)))
    return Layer("conv2d", attributes, window, weights, (1, 1, 1, outputs), value)


# --- integer layers ------------------------------------------------------------------------------


def choose_requantize(
    scale: np.ndarray, zero_point: int, bound: np.ndarray, narrow: bool, where: str
) -> Requantize | GuardedRequantize:
    """The cheapest exact requantization for given scales: plain integers where every channel can be proved."""
    found = search_requantize(scale, zero_point, bound) if narrow else None
    if found is None:
        return guard_staircase(scale, bound, INT8_MIN, INT8_MAX, where)
    return prove_requantize(scale, *found, zero_point, bound, where)


def integer_layer(
    call: QuantizedCall,
    layer: Layer,
    x: Value,
    x_given: GivenQuant,
    y_given: GivenQuant,
    w_scale: np.ndarray,
    scale: np.ndarray,
    bias: np.ndarray,
) -> Value:
    """A layer that ONNX Runtime accumulates in integers; `scale` float32 [O] is its multiplier."""
    call.builder.set_quant(call, x.tensor, x_given)
    narrow = fits_int8(layer.weights)
    bound = acc_bound(layer.weights, bias, x_given.quant, layer.channel_axis)
    requantize = choose_requantize(scale, y_given.quant.zero_point, bound, narrow, call.where)
    attributes = replace(layer.attributes, requantize=requantize)
    return emit_layer(call, layer, x, x_given, y_given, w_scale, bias, attributes)


def fits_int8(weights: np.ndarray) -> bool:
    return int(np.abs(weights).max()) <= WEIGHT_MAX


def emit_layer(
    call: QuantizedCall,
    layer: Layer,
    x: Value,
    x_given: GivenQuant,
    y_given: GivenQuant,
    w_scale: np.ndarray,
    bias: np.ndarray,
    attributes: Any,
) -> Value:
    builder = call.builder
    output = builder.activation(call.node.outputs[0], layer.extents, call)
    constants = layer_constants(call, layer, x_given, w_scale, bias)
    builder.nodes.append(Node(call.name, layer.op, (x.tensor, *constants), (output,), attributes))
    builder.set_quant(call, output, y_given)
    return call_done(call, replace(layer.value, tensor=output), y_given)


def layer_constants(
    call: QuantizedCall, layer: Layer, x_given: GivenQuant, w_scale: np.ndarray, bias: np.ndarray
) -> list[str]:
    """Names of the weights and bias tensors; weights are int16 where a zero point makes them leave int8."""
    dtype = np.int8 if fits_int8(layer.weights) else np.int16
    return [
        call.builder.add_given(f"{call.name}.weights", layer.weights.astype(dtype), Quant(w_scale)),
        call.builder.add_given(f"{call.name}.bias", bias.astype(np.int32), Quant(x_given.scale * w_scale)),
    ]


def call_done(call: QuantizedCall, value: Value, given: GivenQuant) -> Value:
    """Note what the node's output means."""
    name = call.node.outputs[0]
    call.builder.meanings[name] = Meaning(is_real=False, unsigned=given.unsigned)
    call.builder.note_probe(name, value, given.unsigned)
    return value


def weights_of(call: QuantizedCall, index: int, channel_axis: int) -> np.ndarray:
    """Weights of input `index` with the zero point of input index + 2 taken off, int64."""
    weights = call.constant(index)
    zero = call.constant(index + 2) if call.has(index + 2) else np.zeros(1, weights.dtype)
    if weights.dtype not in (np.int8, np.uint8):
        raise call.refuse(f"{call.op}: weights of {weights.dtype} are not supported", "use int8 or uint8 weights")
    shape = [1] * weights.ndim
    if zero.size > 1:
        shape[channel_axis] = -1
    return np.asarray(weights.astype(np.int64) - zero.astype(np.int64).reshape(shape))


def bias_of(call: QuantizedCall, index: int, channels: int) -> np.ndarray:
    """The int32 bias of input `index` as int64 [channels]; zeros where there is none."""
    if not call.has(index):
        return np.zeros(channels, np.int64)
    bias = call.constant(index).astype(np.int64).reshape(-1)
    if bias.size != channels:
        raise call.refuse(f"{call.op}: bias of {bias.size} numbers for {channels} channels")
    return bias


def qlinear_conv(call: QuantizedCall) -> Value:
    """source  ONNX operator QLinearConv"""
    if call.integer("channels_last", 0):
        raise call.refuse("QLinearConv with channels last is not supported", "give the model as it was quantized")
    x, _ = call.integers_in(0)
    x_given, y_given = call.given_quant(1, 2), call.given_quant(6, 7)
    layer = conv_layer(call, x, weights_of(call, 3, 0))
    channels = layer.extents[3]
    w_scale = call.weights_scale(4, channels)
    scale = onnx_scale(x_given.scale, w_scale, y_given.scale)
    return integer_layer(call, layer, x, x_given, y_given, w_scale, scale, bias_of(call, 8, channels))


def qgemm(call: QuantizedCall) -> Value:
    """source  ONNX Runtime contrib operators, QGemm: a, b, c, then the result's scale and zero point"""
    if call.integer("transA", 0) or not call.has(7):
        raise call.refuse(
            "QGemm with transA or a float32 output is not supported", "quantize the last layer's output too"
        )
    is_transposed = bool(call.integer("transB", 0))
    return _dense(call, is_transposed, call.number("alpha", 1.0), bias=6, y_scale=7)


def qlinear_matmul(call: QuantizedCall) -> Value:
    """source  ONNX operator QLinearMatMul"""
    return _dense(call, False, 1.0, bias=None, y_scale=6)


def _dense(call: QuantizedCall, is_transposed: bool, alpha: float, bias: int | None, y_scale: int) -> Value:
    x, _ = call.integers_in(0)
    x_given, y_given = call.given_quant(1, 2), call.given_quant(y_scale, y_scale + 1)
    weights = weights_of(call, 3, 0 if is_transposed else 1)
    layer = dense_layer(call, x, weights if is_transposed else weights.T)
    channels = len(layer.order)
    w_scale = call.weights_scale(4, channels)
    scale = onnx_scale(np.float32(np.float32(alpha) * x_given.scale), w_scale, y_given.scale)
    biases = np.zeros(channels, np.int64) if bias is None else bias_of(call, bias, channels)
    return integer_layer(call, layer, x, x_given, y_given, w_scale, scale, biases)


# --- layers that wait for their QuantizeLinear ---


def unfinished(call: QuantizedCall, value: Value, finish: Any) -> Value:
    """A float32 layer whose Graph node is made when its QuantizeLinear comes; its place in the order is kept."""
    call.builder.nodes.append(Node(call.name, "unfinished", (), (value.tensor,)))
    call.builder.unfinished[value.tensor] = finish
    call.builder.meanings[call.node.outputs[0]] = Meaning(is_real=True)
    return value


def limits(given: GivenQuant, activation: Activation | None) -> tuple[int, int]:
    """The int8 values that a clamp before QuantizeLinear leaves: quantization keeps the order of numbers."""
    if activation is None:
        return INT8_MIN, INT8_MAX
    ends = np.clip(np.array([activation.low, activation.high]), -1e30, 1e30).astype(np.float32)
    low, high = quantize_linear(ends, given.scale, given.quant.zero_point)
    return int(low), int(high)
