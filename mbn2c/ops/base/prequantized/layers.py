"""Layers with weights of quantized models that ONNX Runtime accumulates in integers, and what float32 ones share."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from mbn2c.ir.axes import Value
from mbn2c.ir.graph import Node, Quant
from mbn2c.ir.window import Activation
from mbn2c.numerics import INT8_MAX, INT8_MIN, WEIGHT_MAX, quantize_linear, search_requantize
from mbn2c.ops.base.guarded import guard_staircase
from mbn2c.ops.base.layer import Layer
from mbn2c.ops.base.prequantized.values import FileQuant, Meaning, PrequantizedCall
from mbn2c.ops.base.requantize import GuardedRequantize, Requantize
from mbn2c.ops.base.weighted import acc_bound, prove_requantize

GIVE_QOPERATOR = "quantize the model in QOperator form, or with uint8 activations: then ONNX Runtime uses integers"


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
    call: PrequantizedCall,
    layer: Layer,
    x: Value,
    x_in_file: FileQuant,
    y_in_file: FileQuant,
    w_scale: np.ndarray,
    scale: np.ndarray,
    bias: np.ndarray,
) -> Value:
    """A layer that ONNX Runtime accumulates in integers; `scale` float32 [O] is its multiplier."""
    call.builder.set_quant(call, x.tensor, x_in_file)
    narrow = fits_int8(layer.weights)
    bound = acc_bound(layer.weights, bias, x_in_file.quant, layer.operator.channel_axis)
    requantize = choose_requantize(scale, y_in_file.quant.zero_point, bound, narrow, call.where)
    attributes = replace(layer.attributes, requantize=requantize)
    return emit_layer(call, layer, x, x_in_file, y_in_file, w_scale, bias, attributes)


def fits_int8(weights: np.ndarray) -> bool:
    """Whether weights with their zero point taken off are int8 still."""
    return int(np.abs(weights).max()) <= WEIGHT_MAX


def emit_layer(
    call: PrequantizedCall,
    layer: Layer,
    x: Value,
    x_in_file: FileQuant,
    y_in_file: FileQuant,
    w_scale: np.ndarray,
    bias: np.ndarray,
    attributes: Any,
) -> Value:
    """Add the layer's node and its constants; `attributes` are complete."""
    builder = call.builder
    output = builder.activation(call.node.outputs[0], layer.extents, call)
    constants = layer_constants(call, layer, x_in_file, w_scale, bias)
    builder.nodes.append(Node(call.name, layer.operator.name, (x.tensor, *constants), (output,), attributes))
    builder.set_quant(call, output, y_in_file)
    return call_done(call, replace(layer.value, tensor=output), y_in_file)


def layer_constants(
    call: PrequantizedCall, layer: Layer, x_in_file: FileQuant, w_scale: np.ndarray, bias: np.ndarray
) -> list[str]:
    """Names of the weights and bias tensors; weights are int16 where a zero point makes them leave int8."""
    dtype = np.int8 if fits_int8(layer.weights) else np.int16
    return [
        call.builder.add_quantized(f"{call.name}.weights", layer.weights.astype(dtype), Quant(w_scale)),
        call.builder.add_quantized(f"{call.name}.bias", bias.astype(np.int32), Quant(x_in_file.scale * w_scale)),
    ]


def call_done(call: PrequantizedCall, value: Value, y_in_file: FileQuant) -> Value:
    """Note what the node's output means."""
    name = call.node.outputs[0]
    call.builder.meanings[name] = Meaning(is_real=False, unsigned=y_in_file.unsigned)
    call.builder.note_probe(name, value, y_in_file.unsigned)
    return value


def weights_of(call: PrequantizedCall, index: int, channel_axis: int) -> np.ndarray:
    """Weights of input `index` with the zero point of input index + 2 taken off, int64."""
    weights = call.constant(index)
    zero = call.constant(index + 2) if call.has(index + 2) else np.zeros(1, weights.dtype)
    if weights.dtype not in (np.int8, np.uint8):
        raise call.refuse(f"{call.op}: weights of {weights.dtype} are not supported", "use int8 or uint8 weights")
    shape = [1] * weights.ndim
    if zero.size > 1:
        shape[channel_axis] = -1
    return np.asarray(weights.astype(np.int64) - zero.astype(np.int64).reshape(shape))


def bias_of(call: PrequantizedCall, index: int, channels: int) -> np.ndarray:
    """The int32 bias of input `index` as int64 [channels]; zeros where there is none."""
    if not call.has(index):
        return np.zeros(channels, np.int64)
    bias = call.constant(index).astype(np.int64).reshape(-1)
    if bias.size != channels:
        raise call.refuse(f"{call.op}: bias of {bias.size} numbers for {channels} channels")
    return bias


# --- layers that wait for their QuantizeLinear ---


def unfinished(call: PrequantizedCall, value: Value, finish: Any) -> Value:
    """A float32 layer whose Graph node is made when its QuantizeLinear comes; its place in the order is kept."""
    call.builder.nodes.append(Node(call.name, "", (), (value.tensor,)))
    call.builder.unfinished[value.tensor] = finish
    call.builder.meanings[call.node.outputs[0]] = Meaning(is_real=True)
    return value


def limits(y_in_file: FileQuant, activation: Activation | None) -> tuple[int, int]:
    """The int8 values that a clamp before QuantizeLinear leaves: quantization keeps the order of numbers."""
    if activation is None:
        return INT8_MIN, INT8_MAX
    ends = np.clip(np.array([activation.low, activation.high]), -1e30, 1e30).astype(np.float32)
    low, high = quantize_linear(ends, y_in_file.scale, y_in_file.quant.zero_point)
    return int(low), int(high)
