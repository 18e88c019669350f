"""Layers of quantized models that ONNX Runtime leaves in float32, between DequantizeLinear and QuantizeLinear."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from mbn2c.errors import ModelError
from mbn2c.ir.axes import Value
from mbn2c.ir.graph import Node
from mbn2c.ir.window import Activation
from mbn2c.numerics import INT8_MAX, INT8_MIN
from mbn2c.ops.base.call import Declined, OnnxNode
from mbn2c.ops.base.guarded import guard_float_sum
from mbn2c.ops.base.layer import Layer
from mbn2c.ops.base.prequantized.layers import GIVE_QOPERATOR, layer_constants, limits, unfinished
from mbn2c.ops.base.prequantized.orders import sampled, sum_order
from mbn2c.ops.base.prequantized.values import FileQuant, PrequantizedCall
from mbn2c.ops.base.requantize import FloatSum
from mbn2c.ops.base.weighted import ConvAttributes, acc_bound

_NAMED = 4  # layers that a message names


def float_layer(
    call: PrequantizedCall, layer_of: Callable[[Value, np.ndarray], Layer | Declined], is_transposed: bool = True
) -> Value | Declined:
    """A layer that ONNX Runtime leaves in float32, between DequantizeLinear and QuantizeLinear.

    layer_of       what the operator makes of x and int64 weights, outputs first
    is_transposed  the file has outputs first, too
    """
    x, steps = call.real_steps(0)
    weights_name = call.node.inputs[1]
    if weights_name not in call.builder.dequantized_constants:
        raise left_in_float([call.node])
    if len(steps) != 1:
        raise call.refuse(
            f"{call.op} in float32 of something that is not quantized is not supported",
            f"quantize the model again, so that the input of '{call.name}' is quantized too",
        )
    constant = call.builder.dequantized_constants[weights_name]
    weights = constant.values if is_transposed else constant.values.T
    layer = layer_of(x, weights)
    if isinstance(layer, Declined):
        return layer
    channels = len(layer.order)
    w_scale = np.ascontiguousarray(np.broadcast_to(constant.scale.reshape(-1), (channels,)))
    bias = call.floats(2).astype(np.float32).reshape(-1) if call.has(2) else np.zeros(channels, np.float32)
    if bias.size not in (1, channels):
        raise call.refuse(f"{call.op}: bias of {bias.size} numbers for {channels} channels")
    bias = np.ascontiguousarray(np.broadcast_to(bias, (channels,)))
    output = call.builder.activation(call.node.outputs[0], layer.extents, call)
    x_in_file = _dequantized_as(call, x)
    order, block = _find_order(call, x, x_in_file, layer, w_scale, bias)
    call.builder.float_layers.append(call.name)

    def finish(y_in_file: FileQuant, activation: Activation | None) -> Node:
        low, high = limits(y_in_file, activation)
        unit = np.float64(x_in_file.scale) * w_scale.astype(np.float64)
        whole_bias = np.rint(bias.astype(np.float64) / unit).astype(np.int64)
        float_sum = FloatSum(float(x_in_file.scale), float(y_in_file.scale), w_scale, bias, order, block)
        term_bound = acc_bound(
            layer.weights, np.zeros(channels, np.int64), x_in_file.quant, layer.operator.channel_axis
        )
        requantize = guard_float_sum(float_sum, whole_bias, term_bound, layer.order.shape[1], low, high, call.where)
        constants = layer_constants(call, layer, x_in_file, w_scale, whole_bias)
        attributes = replace(layer.attributes, requantize=requantize)
        return Node(call.name, layer.operator.name, (x.tensor, *constants), (output,), attributes)

    return unfinished(call, replace(layer.value, tensor=output), finish)


def left_in_float(nodes: Sequence[OnnxNode]) -> ModelError:
    """The refusal of layers whose weights are float32 between others that are quantized."""
    names = ", ".join(f"'{node.name or node.outputs[0]}'" for node in nodes[:_NAMED])
    more = f" and {len(nodes) - _NAMED} more" if len(nodes) > _NAMED else ""
    kinds = ", ".join(dict.fromkeys(node.op_type.removeprefix("Fused") for node in nodes))
    return ModelError(
        f"{len(nodes)} layer{'s are' if len(nodes) > 1 else ' is'} not quantized in this file: the weights are float32",
        where=f"{kinds}: {names}{more}",
        hint=f"quantize {'them' if len(nodes) > 1 else 'it'} too: with quantize_static, let op_types_to_quantize hold "
        f"{kinds} and nodes_to_exclude none of these; or give mbn2c the float32 model, which it quantizes as a whole",
    )


def _dequantized_as(call: PrequantizedCall, x: Value) -> FileQuant:
    return FileQuant(call.builder.quants[x.tensor], unsigned=False)


def _find_order(
    call: PrequantizedCall, x: Value, x_in_file: FileQuant, layer: Layer, w_scale: np.ndarray, bias: np.ndarray
) -> tuple[str, int]:
    """Ask ONNX Runtime how it sums this layer.

    raises  ModelError if it does so in no order that is known here
    """
    generator = np.random.default_rng(0)
    codes = generator.integers(INT8_MIN, INT8_MAX + 1, math.prod(x.shape)).reshape(x.shape)
    centred = codes - x_in_file.quant.zero_point
    real = centred.astype(np.float32) * x_in_file.scale
    node = call.node
    inputs = {node.inputs[0]: real, node.inputs[1]: call.constant(1).astype(np.float32)}
    if call.has(2):
        inputs[node.inputs[2]] = call.constant(2).astype(np.float32)
    columns, channel = _columns(layer, centred)
    products = (
        columns.astype(np.float32) * x_in_file.scale,
        (layer.order.astype(np.float32) * w_scale[:, None])[channel],
    )
    found = sum_order(call, inputs, products, bias[channel])
    if found is None:
        raise call.refuse(
            f"ONNX Runtime computes this {call.op} in float32, in an order of additions mbn2c does not know",
            GIVE_QOPERATOR,
        )
    return found


def _columns(layer: Layer, centred: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The inputs of the sampled outputs, int64 [N, K] in ONNX's order, and which channel each of them is."""
    if not isinstance(layer.attributes, ConvAttributes) or centred.ndim != 4:
        positions = sampled(math.prod(layer.value.shape))
        pixels, channel = np.divmod(positions, len(layer.order))
        return centred.reshape(-1, layer.order.shape[1])[pixels], channel
    window = layer.attributes.window
    top, left, bottom, right = window.pad
    padded = np.pad(centred, ((0, 0), (0, 0), (top, bottom), (left, right)))[0]
    _, height, width, channels = layer.extents
    positions = sampled(channels * height * width)
    channel, pixel = np.divmod(positions, height * width)
    rows = (pixel // width * window.stride[0])[:, None] + np.arange(window.kernel[0]) * window.dilation[0]
    columns = (pixel % width * window.stride[1])[:, None] + np.arange(window.kernel[1]) * window.dilation[1]
    patches = padded[:, rows[:, :, None], columns[:, None, :]].transpose(1, 0, 2, 3)
    if layer.weights.ndim == 3:  # HWC: each output channel reads one input channel
        patches = patches[np.arange(len(positions)), channel // layer.attributes.depth_multiplier][:, None]
    return patches.reshape(len(positions), -1), channel
