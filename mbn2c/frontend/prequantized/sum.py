"""Additions of quantized models that nothing quantizes in between: one float32 sum of int8 tensors and a bias."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from mbn2c.frontend.prequantized.layers import call_done, limits, unfinished
from mbn2c.frontend.prequantized.probe import as_int8, every_value, run_nodes
from mbn2c.frontend.prequantized.values import FOLD_FIRST, GivenQuant, QuantizedBuilder, QuantizedCall, Term
from mbn2c.ir.axes import Value
from mbn2c.ir.graph import Node, Quant
from mbn2c.ir.window import Activation
from mbn2c.numerics import INT8_MAX, INT8_MIN
from mbn2c.ops.base.reading import along_channels, per_channel
from mbn2c.ops.sum import guard_sum, run_sum


def is_number(call: QuantizedCall, index: int) -> bool:
    """Whether input `index` is one constant number, as functions of one tensor have."""
    return call.is_constant(index) and call.constant(index).size == 1


def terms_of(call: QuantizedCall, index: int) -> tuple[Term, ...]:
    """What input `index` is the float32 sum of, in order; () if it is something else."""
    meaning = call.meaning(index)
    if meaning.terms and not meaning.steps:
        return meaning.terms
    is_plain = meaning.is_real and len(meaning.steps) == 1 and meaning.steps[0].op_type == "DequantizeLinear"
    return (call.value(index),) if is_plain else ()


def longer_sum(call: QuantizedCall) -> Value:
    """Add of a sum and one more tensor, or of a number per channel."""
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


def added_constant(call: QuantizedCall) -> Value:
    """QLinearAdd of a tensor and a number per channel, where ONNX Runtime's results are those of the float32 sum.

    raises  ModelError if one of the 256 results of a channel is another
    """
    at, other = (0, 3) if call.is_constant(0) else (3, 0)
    builder = call.builder
    x, meaning = call.integers_in(other)
    x_given, given_constant, given = (call.given_quant(k, k + 1) for k in (other + 1, at + 1, 6))
    builder.set_quant(call, x.tensor, x_given)
    codes = along_channels(call, x, at, call.constant(at).astype(np.float64)).astype(call.constant(at).dtype)
    bias = (codes.astype(np.float32) - np.float32(given_constant.file_zero_point)) * given_constant.scale
    scales = float(x_given.scale), float(given.scale)
    attributes = guard_sum(scales[:1], scales[1], bias, 1, INT8_MIN, INT8_MAX, call.where)
    node = call.node.renamed({other: "x", at: "constant"}, "y")
    every = every_value(meaning.unsigned)
    inputs = {"x": np.repeat(every, len(codes)), "constant": np.tile(codes, len(every))}
    theirs = as_int8(run_nodes([node], inputs, "y", builder.constants, builder.opsets))
    centred = np.repeat(as_int8(every).astype(np.int64) - x_given.quant.zero_point, len(codes)).reshape(-1, len(codes))
    differing = int((run_sum(attributes, [centred], given.quant.zero_point).reshape(-1) != theirs).sum())
    if differing:
        raise call.refuse(
            f"QLinearAdd of a constant is no float32 sum in ONNX Runtime, in {differing} of {theirs.size} results",
            FOLD_FIRST,
        )
    output = builder.activation(call.node.outputs[0], call.extents(x), call)
    builder.nodes.append(Node(call.name, "sum", (x.tensor,), (output,), attributes))
    builder.set_quant(call, output, given)
    return call_done(call, replace(x, tensor=output), given)


def quantize_output(builder: QuantizedBuilder, tensor: str, terms: tuple[Term, ...]) -> None:
    """Finish a sum that the file leaves in float32: the device returns int8, on a scale that holds every sum."""
    low = high = np.zeros(1)
    for term in terms:
        if isinstance(term, Value):
            quant = builder.quants[term.tensor]
            ends = [(code - quant.zero_point) * float(quant.scale[0]) for code in (INT8_MIN, INT8_MAX)]
            low, high = low + ends[0], high + ends[1]
        else:
            low, high = low + term, high + term
    smallest, largest = float(low.min()), float(high.max())
    scale = np.float32((largest - smallest) / (INT8_MAX - INT8_MIN))
    zero_point = int(np.clip(np.rint(INT8_MIN - smallest / float(scale)), INT8_MIN, INT8_MAX))
    given = GivenQuant(Quant(np.array([scale], np.float32), zero_point), unsigned=False)
    position = next(number for number, node in enumerate(builder.nodes) if tensor in node.outputs)
    builder.nodes[position] = builder.unfinished.pop(tensor)(given, None)
    builder.quants[tensor] = given.quant


def _unfinished_sum(call: QuantizedCall, like: Value, terms: tuple[Term, ...]) -> Value:
    builder = call.builder
    output = builder.activation(call.node.outputs[0], call.extents(like), call)
    tensors = [term.tensor for term in terms if isinstance(term, Value)]
    # Of the first two terms either may be said to come first.
    bias_at = next((max(1, number) for number, term in enumerate(terms) if not isinstance(term, Value)), 0)
    bias = next((term for term in terms if not isinstance(term, Value)), None)
    scales = [float(builder.quants[tensor].scale[0]) for tensor in tensors]

    def finish(given: GivenQuant, activation: Activation | None) -> Node:
        builder.float_layers.append(call.name)
        low, high = limits(given, activation)
        attributes = guard_sum(scales, float(given.scale), bias, bias_at, low, high, call.where)
        return Node(call.name, "sum", tuple(tensors), (output,), attributes)

    value = unfinished(call, replace(like, tensor=output), finish)
    builder.meanings[call.node.outputs[0]] = replace(builder.meanings[call.node.outputs[0]], terms=terms)
    return value
