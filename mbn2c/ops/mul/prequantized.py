"""Products of two tensors in quantized files: of 65,536 pairs ONNX Runtime says the results."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from mbn2c.ir.axes import Value
from mbn2c.ir.graph import Node, Quant
from mbn2c.ir.window import Activation
from mbn2c.ops.base.call import MICROSOFT, Declined, OnnxName
from mbn2c.ops.base.prequantized.layers import call_done, unfinished
from mbn2c.ops.base.prequantized.tables import float_pairs, qlinear_pairs
from mbn2c.ops.base.prequantized.values import FileQuant, PrequantizedCall, PrequantizedImporter
from mbn2c.ops.base.quants import scale_of
from mbn2c.ops.lookup import LookupAttributes
from mbn2c.ops.mul.arithmetic import RAISED, MulAttributes, line_of, products_of, run_mul
from mbn2c.ops.mul.factors import in_order


def prequantized_imports() -> dict[OnnxName, PrequantizedImporter]:
    """Of Mul."""
    return {("", "Mul"): _mul_in_float, (MICROSOFT, "QLinearMul"): _import_qlinear_mul}


def _import_qlinear_mul(call: PrequantizedCall) -> Value | Declined:
    """source  ONNX Runtime contrib operators, QLinearMul: a, b and the product, each followed by scale, zero point"""
    if call.is_constant(0) or call.is_constant(3):
        return Declined()
    (a, a_meaning), (b, b_meaning) = call.integers_in(0), call.integers_in(3)
    a_in_file, b_in_file, y_in_file = call.file_quant(1, 2), call.file_quant(4, 5), call.file_quant(6, 7)
    for value, found in ((a, a_in_file), (b, b_in_file)):
        call.builder.set_quant(call, value.tensor, found)
    ordered = in_order(call, a, b)
    if isinstance(ordered, Declined):
        return ordered
    table = qlinear_pairs(call, a_meaning, b_meaning)
    if ordered[0] is b:
        table = table.T
    output = call.builder.activation(call.node.outputs[0], call.extents(ordered[0]), call)
    call.builder.nodes.append(_node(call, ordered, output, table, y_in_file))
    call.builder.set_quant(call, output, y_in_file)
    return call_done(call, replace(ordered[0], tensor=output), y_in_file)


def _mul_in_float(call: PrequantizedCall) -> Value | Declined:
    """Mul in float32 between DequantizeLinear and QuantizeLinear; of 65,536 pairs ONNX Runtime says the results."""
    if call.is_constant(0) or call.is_constant(1):
        return Declined()
    (a, _), (b, _) = call.real_steps(0), call.real_steps(1)
    ordered = in_order(call, a, b)
    if isinstance(ordered, Declined):
        return ordered
    output = call.builder.activation(call.node.outputs[0], call.extents(ordered[0]), call)

    def finish(y_in_file: FileQuant, activation: Activation | None) -> Node:
        table = float_pairs(call, y_in_file, activation)
        if a.tensor == b.tensor:
            # Two functions of one tensor, as x * HardSigmoid(x): their product is one.
            results = tuple(int(entry) for entry in np.diagonal(table))
            return Node(call.name, "lookup", (a.tensor,), (output,), LookupAttributes(results, None))
        return _node(call, ordered, output, table.T if ordered[0] is b else table, y_in_file)

    return unfinished(call, replace(ordered[0], tensor=output), finish)


def _node(
    call: PrequantizedCall, factors: tuple[Value, Value], output: str, table: np.ndarray, y_in_file: FileQuant
) -> Node:
    """The integer form of these 65,536 results: a line, or a line and a bit for each pair where it is one too high."""
    a, b = (call.builder.quants[value.tensor] for value in factors)
    ratio, products, zero_point = _factor(a, b, y_in_file), products_of(a, b), y_in_file.quant.zero_point
    multiplier, shift = line_of(ratio)
    plain = MulAttributes(None, multiplier, shift)
    inputs = tuple(value.tensor for value in factors)
    if np.array_equal(run_mul(plain, products, zero_point), table):
        return Node(call.name, "mul", inputs, (output,), plain)
    raised = replace(plain, raised=math.ceil(RAISED * 2.0**shift))
    excess = run_mul(raised, products, zero_point).astype(np.int64) - table
    if excess.min() < 0 or excess.max() > 1:
        raise call.refuse(f"{call.op}: no exact integer form for its scales", "quantize the model again")
    bits = np.packbits(excess.astype(bool).reshape(-1), bitorder="little").view(np.int8)
    corrections = call.builder.add_quantized(f"{call.name}.corrections", bits, y_in_file.quant)
    return Node(call.name, "mul", (*inputs, corrections), (output,), raised)


def _factor(a: Quant, b: Quant, y_in_file: FileQuant) -> float:
    return float(scale_of(a)) * float(scale_of(b)) / float(y_in_file.scale)
