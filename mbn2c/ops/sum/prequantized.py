"""Additions of quantized files with nothing quantized in between, and QLinearAdd of a number per channel."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from mbn2c.ir.axes import Value
from mbn2c.ir.graph import Node
from mbn2c.ir.window import Activation
from mbn2c.numerics import INT8_MAX, INT8_MIN
from mbn2c.ops.base.call import MICROSOFT, Declined, OnnxName
from mbn2c.ops.base.prequantized.layers import call_done, limits, unfinished
from mbn2c.ops.base.prequantized.tables import as_int8, every_value
from mbn2c.ops.base.prequantized.values import (
    FOLD_FIRST,
    FileQuant,
    PrequantizedCall,
    PrequantizedImporter,
    Term,
    terms_of,
)
from mbn2c.ops.base.reading import along_channels, per_channel
from mbn2c.ops.sum.arithmetic import guard_sum, run_sum


def prequantized_imports() -> dict[OnnxName, PrequantizedImporter]:
    """Of Sum."""
    return {("", "Add"): _add_in_float, (MICROSOFT, "QLinearAdd"): _import_qlinear_add}


def _add_in_float(call: PrequantizedCall) -> Value | Declined:
    """Add of a sum and one more tensor, or of a number per channel."""
    constants = [call.constant(index) for index in (0, 1) if call.is_constant(index)]
    if any(constant.size == 1 for constant in constants):
        return Declined()
    if not constants and not call.meaning(0).terms and not call.meaning(1).terms:
        return Declined()
    order = (1, 0) if call.is_constant(0) else (0, 1)
    x = call.value(order[0])
    first = terms_of(call, order[0])
    if call.is_constant(order[1]):
        second: tuple[Term, ...] = (per_channel(call, x, order[1]).astype(np.float32),)
    else:
        other = call.value(order[1])
        if x.shape != other.shape or x.groups != other.groups:
            raise call.refuse(
                f"{call.op} of tensors of shapes {list(x.shape)} and {list(other.shape)} is not supported",
                "only activations of equal shape and axis order can be added",
            )
        second = terms_of(call, order[1])
    if not first or not second:
        raise call.refuse(
            f"{call.op} reads a tensor that is not quantized", "quantize every layer of the model, in QDQ form"
        )
    # Float32 additions may be swapped, but not put together in another way.
    terms = (*first, *second) if len(second) == 1 else (*second, *first)
    tensors = [term for term in terms if isinstance(term, Value)]
    biases = [number for number, term in enumerate(terms) if not isinstance(term, Value)]
    if min(len(first), len(second)) > 1 or len(biases) > 1 or len({one.tensor for one in tensors}) < len(tensors):
        raise call.refuse(
            f"{call.op} of two sums, of two constants, or of a tensor twice, with nothing quantized in between",
            f"quantize the inputs of '{call.name}' too",
        )
    return _unfinished_sum(call, x, terms)


def _import_qlinear_add(call: PrequantizedCall) -> Value | Declined:
    """QLinearAdd of a tensor and a number per channel, where ONNX Runtime's results are those of the float32 sum.

    raises  ModelError if one of the 256 results of a channel is another
    """
    if not call.is_constant(0) and not call.is_constant(3):
        return Declined()
    at, other = (0, 3) if call.is_constant(0) else (3, 0)
    builder = call.builder
    x, meaning = call.integers_in(other)
    x_in_file, constant_in_file, y_in_file = (call.file_quant(k, k + 1) for k in (other + 1, at + 1, 6))
    builder.set_quant(call, x.tensor, x_in_file)
    codes = along_channels(call, x, at, call.constant(at).astype(np.float64)).astype(call.constant(at).dtype)
    bias = (codes.astype(np.float32) - np.float32(constant_in_file.file_zero_point)) * constant_in_file.scale
    scales = float(x_in_file.scale), float(y_in_file.scale)
    attributes = guard_sum(scales[:1], scales[1], bias, 1, INT8_MIN, INT8_MAX, call.where)
    node = call.node.renamed({other: "x", at: "constant"}, "y")
    every = every_value(meaning.unsigned)
    inputs = {"x": np.repeat(every, len(codes)), "constant": np.tile(codes, len(every))}
    theirs = as_int8(call.ask([node], inputs, "y"))
    levels = as_int8(every).astype(np.int64) - x_in_file.quant.zero_point
    centred = np.repeat(levels, len(codes)).reshape(-1, len(codes))
    differing = int((run_sum(attributes, [centred], y_in_file.quant.zero_point).reshape(-1) != theirs).sum())
    if differing:
        raise call.refuse(
            f"QLinearAdd of a constant is no float32 sum in ONNX Runtime, in {differing} of {theirs.size} results",
            FOLD_FIRST,
        )
    output = builder.activation(call.node.outputs[0], call.extents(x), call)
    builder.nodes.append(Node(call.name, "sum", (x.tensor,), (output,), attributes))
    builder.set_quant(call, output, y_in_file)
    return call_done(call, replace(x, tensor=output), y_in_file)


def _unfinished_sum(call: PrequantizedCall, like: Value, terms: tuple[Term, ...]) -> Value:
    builder = call.builder
    output = builder.activation(call.node.outputs[0], call.extents(like), call)
    tensors = [term.tensor for term in terms if isinstance(term, Value)]
    # Of the first two terms either may be said to come first.
    bias_at = next((max(1, number) for number, term in enumerate(terms) if not isinstance(term, Value)), 0)
    bias = next((term for term in terms if not isinstance(term, Value)), None)
    scales = [float(builder.quants[tensor].scale[0]) for tensor in tensors]

    def finish(y_in_file: FileQuant, activation: Activation | None) -> Node:
        builder.float_layers.append(call.name)
        low, high = limits(y_in_file, activation)
        attributes = guard_sum(scales, float(y_in_file.scale), bias, bias_at, low, high, call.where)
        return Node(call.name, "sum", tuple(tensors), (output,), attributes)

    value = unfinished(call, replace(like, tensor=output), finish)
    builder.meanings[call.node.outputs[0]] = replace(builder.meanings[call.node.outputs[0]], terms=terms)
    return value
