"""QuantizeLinear, DequantizeLinear, pads and elementwise functions of quantized models."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from mbn2c.frontend.prequantized.layers import call_done
from mbn2c.frontend.prequantized.probe import (
    as_int8,
    chained,
    lookup_table,
    pairs,
    run_nodes,
)
from mbn2c.frontend.prequantized.values import (
    FOLD_FIRST,
    UNSIGNED_SHIFT,
    GivenQuant,
    Meaning,
    QuantizedCall,
    QuantizedConstant,
)
from mbn2c.ir.axes import CHANNEL, Value
from mbn2c.ir.graph import Node, Quant
from mbn2c.ir.window import Activation
from mbn2c.ops.base.call import OnnxNode
from mbn2c.ops.base.reading import FLOAT_MAX
from mbn2c.ops.base.reading import scalar as one_number
from mbn2c.ops.lookup import LookupAttributes
from mbn2c.ops.pad import import_pad

# --- between real and int8 -----------------------------------------------------------------------


def dequantize_constant(call: QuantizedCall) -> QuantizedConstant:
    """Weights or a bias behind DequantizeLinear."""
    values = call.constant(0)
    scale = call.floats(1).astype(np.float32)
    zero = call.constant(2).astype(np.int64) if call.has(2) else np.zeros(1, np.int64)
    shape = [1] * values.ndim
    if scale.size > 1:
        axis = call.axis(values.ndim, 1)
        if values.shape[axis] != scale.size:
            raise call.refuse(f"DequantizeLinear: {scale.size} scales for an axis of {values.shape[axis]}")
        shape[axis] = -1
    return QuantizedConstant(values.astype(np.int64) - zero.reshape(shape if zero.size > 1 else 1), scale)


def dequantize(call: QuantizedCall) -> Value:
    x, meaning = call.value(0, after_tail=True), call.meaning(0)
    if meaning.is_real:
        raise call.refuse("DequantizeLinear of float32")
    given = call.given_quant(1, 2)
    if given.unsigned != meaning.unsigned:
        raise call.refuse("DequantizeLinear with a zero point of another type than its input")
    if not x.tail:
        call.builder.set_quant(call, x.tensor, given)
    call.builder.meanings[call.node.outputs[0]] = Meaning(True, meaning.unsigned, (call.node,))
    return x


def quantize(call: QuantizedCall) -> Value:
    builder = call.builder
    x, meaning = call.value(0, after_tail=True), call.meaning(0)
    if not meaning.is_real:
        raise call.refuse("QuantizeLinear of integers")
    given = call.given_quant(1, 2)
    if x.tail:
        builder.meanings[call.node.outputs[0]] = Meaning(False, given.unsigned)
        return x
    is_source = not meaning.steps or meaning.steps[0].op_type != "DequantizeLinear"
    if x.tensor in builder.unfinished:
        _finish(call, x.tensor, _clamps(call, meaning), given)
    elif is_source and meaning.steps:
        raise call.refuse(
            f"{meaning.steps[0].op_type} before the first QuantizeLinear is not supported",
            "leave preprocessing to the program that feeds the model",
        )
    elif not is_source and not _is_plain(builder.quants[x.tensor], given, meaning):
        return _lookup(call, x, meaning, given)
    builder.set_quant(call, x.tensor, given)
    if call.has(0) and is_source:
        return call_done(call, x, given)
    builder.meanings[call.node.outputs[0]] = Meaning(False, given.unsigned)
    return x


def _is_plain(known: Quant, given: GivenQuant, meaning: Meaning) -> bool:
    """DequantizeLinear, then QuantizeLinear back to the same: nothing happens."""
    quant = given.quant
    same = known.scale[0] == quant.scale[0] and known.zero_point == quant.zero_point
    return same and len(meaning.steps) == 1


def _finish(call: QuantizedCall, tensor: str, activation: Activation | None, given: GivenQuant) -> None:
    """Make the node of a float32 layer."""
    nodes = call.builder.nodes
    position = next(number for number, node in enumerate(nodes) if tensor in node.outputs)
    nodes[position] = call.builder.unfinished.pop(tensor)(given, activation)


def _clamps(call: QuantizedCall, meaning: Meaning) -> Activation | None:
    """The clamps between a float32 layer and its QuantizeLinear as one."""
    total: Activation | None = None
    for step in meaning.steps:
        found = _clamp_of(call, step)
        if found is None:
            raise call.refuse(
                f"{step.op_type} between a layer and its QuantizeLinear is not supported",
                "quantize the model again with each of its layers quantized",
            )
        total = total.then(found) if total else found
    return total


def _clamp_of(call: QuantizedCall, step: OnnxNode) -> Activation | None:
    if step.op_type == "Relu":
        return Activation(0.0, math.inf)
    if step.op_type in ("Max", "Min") and len(step.inputs) == 2:
        end = float(call.builder.constants[step.inputs[1]].reshape(-1)[0])
        return Activation(end, math.inf) if step.op_type == "Max" else Activation(-math.inf, end)
    if step.op_type != "Clip":
        return None
    if len(step.inputs) == 1:
        low, high = step.attributes.get("min", -FLOAT_MAX), step.attributes.get("max", FLOAT_MAX)
        return Activation(low, high)
    ends = [-math.inf, math.inf]
    for index in (1, 2):
        if len(step.inputs) > index and step.inputs[index]:
            bound = call.builder.constants.get(step.inputs[index])
            if bound is None or bound.size != 1:
                return None
            ends[index - 1] = float(bound.reshape(-1)[0])
    return Activation(ends[0], ends[1])


def _lookup(call: QuantizedCall, x: Value, meaning: Meaning, given: GivenQuant) -> Value:
    """Elementwise nodes between DequantizeLinear and QuantizeLinear: a table of ONNX Runtime's own results."""
    table = lookup_table(meaning.steps, meaning.unsigned, given, call.builder.constants, call.builder.opsets)
    return _emit_lookup(call, x, table, given)


def _emit_lookup(call: QuantizedCall, x: Value, table: np.ndarray, given: GivenQuant) -> Value:
    output = call.builder.activation(call.node.outputs[0], call.extents(x), call)
    attributes = LookupAttributes(tuple(int(value) for value in table), None)
    call.builder.nodes.append(Node(call.name, "lookup", (x.tensor,), (output,), attributes))
    call.builder.set_quant(call, output, given)
    return call_done(call, replace(x, tensor=output), given)


def pointwise(call: QuantizedCall) -> Value:
    """An elementwise float32 function of one tensor and constants; it waits for its QuantizeLinear."""
    data = [index for index in range(len(call.node.inputs)) if call.has(index) and not call.is_constant(index)]
    if data == [1] and len(call.node.inputs) == 2 and call.op in ("Add", "Max", "Min", "Mul"):
        call = replace(call, node=replace(call.node, inputs=call.node.inputs[::-1]))
        data = [0]
    if len(data) > 1:
        raise call.refuse(f"{call.op} of two activations is not supported", "only additions of two activations compile")
    if data != [0]:
        raise call.refuse(f"{call.op} of a constant and an activation is not supported", FOLD_FIRST)
    for index in range(1, len(call.node.inputs)):
        if call.has(index) and call.constant(index).size != 1:
            raise call.refuse(f"{call.op} with one number per channel is not supported", FOLD_FIRST)
        if call.has(index):
            one_number(call, index)
    meaning = call.meaning(0)
    call.builder.meanings[call.node.outputs[0]] = replace(meaning, steps=(*meaning.steps, call.node))
    return call.value(0)


def qlinear_softmax(call: QuantizedCall) -> Value:
    """A softmax over the classes, split off; source  ONNX Runtime contrib operators, QLinearSoftmax"""
    x, _ = call.integers_in(0)
    x_given, given = call.given_quant(1, 2), call.given_quant(3, 4)
    call.builder.set_quant(call, x.tensor, x_given)
    axes = x.groups[call.axis(len(x.shape), -1) :] if call.integer("opset", 13) < 13 else None
    normalised = x.groups[call.axis(len(x.shape), -1)] if axes is None else tuple(a for group in axes for a in group)
    _, height, width, channels = call.extents(x)
    if normalised != ((CHANNEL,) if channels > 1 else ()) or height * width > 1:
        raise call.refuse("QLinearSoftmax that does not run over the classes is not supported")
    call.builder.meanings[call.node.outputs[0]] = Meaning(False, given.unsigned)
    return replace(x, tail="softmax")


def qlinear_pointwise(call: QuantizedCall) -> Value:
    """QLinearLeakyRelu, QLinearSigmoid: x, scale, zero point, y scale, zero point."""
    x, meaning = call.integers_in(0)
    x_given, given = call.given_quant(1, 2), call.given_quant(3, 4)
    call.builder.set_quant(call, x.tensor, x_given)
    if call.op == "QLinearSigmoid" and call.node.outputs[0] in call.builder.ends:
        call.builder.meanings[call.node.outputs[0]] = Meaning(False, given.unsigned)
        return replace(x, tail="sigmoid")
    nodes, last = chained([call.node], "x", "step")
    values = pairs(meaning.unsigned, meaning.unsigned)[0][::256]
    table = as_int8(run_nodes(nodes, {"x": values}, last, call.builder.constants, call.builder.opsets))
    return _emit_lookup(call, x, table, given)


def pad(call: QuantizedCall) -> Value:
    """A border of real 0, which the window behind it takes over (`passes.fold_pad`)."""
    builder = call.builder
    x, meaning = call.value(0), call.meaning(0)
    if x.tensor not in builder.quants or (meaning.is_real and len(meaning.steps) != 1):
        raise call.refuse("Pad of something that is not quantized is not supported", FOLD_FIRST)
    padded = import_pad(call)
    if padded.tensor == x.tensor:
        builder.meanings[call.node.outputs[0]] = meaning
        return x
    node, quant = builder.nodes[-1], builder.quants[x.tensor]
    zero = 0 if meaning.is_real else quant.zero_point + (UNSIGNED_SHIFT if meaning.unsigned else 0)
    if node.attributes.value != zero:
        raise call.refuse(f"Pad with {node.attributes.value:g}, which does not stand for 0, is not supported")
    builder.nodes[-1] = replace(node, attributes=replace(node.attributes, value=0.0))
    builder.quants[padded.tensor] = quant
    builder.meanings[call.node.outputs[0]] = meaning
    return padded
