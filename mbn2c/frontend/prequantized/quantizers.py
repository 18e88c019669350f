"""QuantizeLinear and DequantizeLinear: where a tensor is int8, and where it stands for real numbers."""

from __future__ import annotations

import numpy as np

from mbn2c.ir.axes import Value
from mbn2c.ir.graph import Quant
from mbn2c.ir.window import Activation
from mbn2c.numerics import INT8_MAX, INT8_MIN
from mbn2c.ops import OPERATORS
from mbn2c.ops.base.call import Declined
from mbn2c.ops.base.prequantized.layers import call_done
from mbn2c.ops.base.prequantized.values import (
    FileQuant,
    Meaning,
    PrequantizedBuilder,
    PrequantizedCall,
    PrequantizedConstant,
    Term,
)


def dequantize_constant(call: PrequantizedCall) -> PrequantizedConstant:
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
    return PrequantizedConstant(values.astype(np.int64) - zero.reshape(shape if zero.size > 1 else 1), scale)


def dequantize(call: PrequantizedCall) -> Value:
    """The same tensor, from here on read as real numbers."""
    x, meaning = call.value(0, after_tail=True), call.meaning(0)
    if meaning.is_real:
        raise call.refuse("DequantizeLinear of float32")
    x_in_file = call.file_quant(1, 2)
    if x_in_file.unsigned != meaning.unsigned:
        raise call.refuse("DequantizeLinear with a zero point of another type than its input")
    if not x.tail:
        call.builder.set_quant(call, x.tensor, x_in_file)
    call.builder.meanings[call.node.outputs[0]] = Meaning(True, meaning.unsigned, (call.node,))
    return x


def quantize(call: PrequantizedCall) -> Value | Declined:
    """The end of real numbers: makes the float32 layer before it, or says what a tensor's int8 values stand for.

    Declines a function between DequantizeLinear and QuantizeLinear.
    """
    builder = call.builder
    x, meaning = call.value(0, after_tail=True), call.meaning(0)
    if not meaning.is_real:
        raise call.refuse("QuantizeLinear of integers")
    y_in_file = call.file_quant(1, 2)
    if x.tail:
        builder.meanings[call.node.outputs[0]] = Meaning(False, y_in_file.unsigned)
        return x
    is_source = not meaning.steps or meaning.steps[0].op_type != "DequantizeLinear"
    if x.tensor in builder.unfinished:
        _finish(builder, x.tensor, _clamps(call, meaning), y_in_file)
    elif is_source and meaning.steps:
        raise call.refuse(
            f"{meaning.steps[0].op_type} before the first QuantizeLinear is not supported",
            "leave preprocessing to the program that feeds the model",
        )
    elif not is_source and not _is_plain(builder.quants[x.tensor], y_in_file, meaning):
        return Declined()
    builder.set_quant(call, x.tensor, y_in_file)
    if call.has(0) and is_source:
        return call_done(call, x, y_in_file)
    builder.meanings[call.node.outputs[0]] = Meaning(False, y_in_file.unsigned)
    builder.note_probe(call.node.outputs[0], x, y_in_file.unsigned)
    return x


def _is_plain(known: Quant, y_in_file: FileQuant, meaning: Meaning) -> bool:
    """DequantizeLinear, then QuantizeLinear back to the same: nothing happens."""
    quant = y_in_file.quant
    same = known.scale[0] == quant.scale[0] and known.zero_point == quant.zero_point
    return same and len(meaning.steps) == 1


def _clamps(call: PrequantizedCall, meaning: Meaning) -> Activation | None:
    """The clamps between a float32 layer and its QuantizeLinear as one."""
    total: Activation | None = None
    for step in meaning.steps:
        known = (operator.clamp_of(step, call.builder.constants) for operator in OPERATORS.values())
        found = next((clamp for clamp in known if clamp is not None), None)
        if found is None:
            raise call.refuse(
                f"{step.op_type} between a layer and its QuantizeLinear is not supported",
                "quantize the model again with each of its layers quantized",
            )
        total = total.then(found) if total else found
    return total


def _finish(builder: PrequantizedBuilder, tensor: str, activation: Activation | None, y_in_file: FileQuant) -> None:
    """Make the node of a float32 layer, at the place that it has kept."""
    position = next(number for number, node in enumerate(builder.nodes) if tensor in node.outputs)
    builder.nodes[position] = builder.unfinished.pop(tensor)(y_in_file, activation)


def quantize_output(builder: PrequantizedBuilder, tensor: str, terms: tuple[Term, ...]) -> None:
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
    y_in_file = FileQuant(Quant(np.array([scale], np.float32), zero_point), unsigned=False)
    _finish(builder, tensor, None, y_in_file)
    builder.quants[tensor] = y_in_file.quant
