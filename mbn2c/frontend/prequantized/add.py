"""Sums of two activations in quantized models: of 65,536 pairs ONNX Runtime says the results."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from mbn2c.frontend.prequantized.elementwise import pointwise
from mbn2c.frontend.prequantized.layers import call_done, limits, unfinished
from mbn2c.frontend.prequantized.probe import as_int8, chained, pairs, quantize_node, run_nodes
from mbn2c.frontend.prequantized.sum import added_constant, is_number, longer_sum, terms_of
from mbn2c.frontend.prequantized.values import GivenQuant, QuantizedCall
from mbn2c.ir.axes import Value
from mbn2c.ir.graph import Node
from mbn2c.ir.window import Activation
from mbn2c.numerics import INT8_MIN, fit_add, fit_add_with_corrections
from mbn2c.ops.add import AddAttributes


def qlinear_add(call: QuantizedCall) -> Value:
    """source  ONNX Runtime contrib operators, QLinearAdd: a, b and the sum, each followed by scale, zero point"""
    if call.is_constant(0) or call.is_constant(3):
        return added_constant(call)
    (a, a_meaning), (b, b_meaning) = call.integers_in(0), call.integers_in(3)
    given_a, given_b, given = call.given_quant(1, 2), call.given_quant(4, 5), call.given_quant(6, 7)
    for value, found in ((a, given_a), (b, given_b)):
        call.builder.set_quant(call, value.tensor, found)
    node = call.node.renamed({0: "a", 3: "b"}, "y")
    values_a, values_b = pairs(a_meaning.unsigned, b_meaning.unsigned)
    inputs = {"a": values_a, "b": values_b}
    table = as_int8(run_nodes([node], inputs, "y", call.builder.constants, call.builder.opsets))
    _check_addends(call, a, b)
    output = call.builder.activation(call.node.outputs[0], call.extents(a), call)
    call.builder.nodes.append(_add_node(call, a, b, output, table, (given_a, given_b, given)))
    call.builder.set_quant(call, output, given)
    return call_done(call, replace(a, tensor=output), given)


def float_add(call: QuantizedCall) -> Value:
    """Add in float32 between DequantizeLinear and QuantizeLinear; of 65,536 pairs ONNX Runtime says the results."""
    if is_number(call, 0) or is_number(call, 1):
        return pointwise(call)
    if call.is_constant(0) or call.is_constant(1) or call.meaning(0).terms or call.meaning(1).terms:
        return longer_sum(call)
    terms = (*terms_of(call, 0), *terms_of(call, 1))
    (a, steps_a), (b, steps_b) = call.real_steps(0), call.real_steps(1)
    meanings = call.meaning(0), call.meaning(1)
    _check_addends(call, a, b)
    output = call.builder.activation(call.node.outputs[0], call.extents(a), call)
    given_a, given_b = (GivenQuant(call.builder.quants[value.tensor], False) for value in (a, b))

    def finish(given: GivenQuant, activation: Activation | None) -> Node:
        nodes_a, last_a = chained(steps_a, "a", "left")
        nodes_b, last_b = chained(steps_b, "b", "right")
        add = call.node.renamed({0: last_a, 1: last_b}, "sum")
        quantize_sum, constants = quantize_node(given, "sum", "y")
        values_a, values_b = pairs(meanings[0].unsigned, meanings[1].unsigned)
        nodes = [*nodes_a, *nodes_b, add, quantize_sum]
        known = {**call.builder.constants, **constants}
        found = run_nodes(nodes, {"a": values_a, "b": values_b}, "y", known, call.builder.opsets)
        table = np.clip(as_int8(found), *limits(given, activation))
        return _add_node(call, a, b, output, table, (given_a, given_b, given))

    value = unfinished(call, replace(a, tensor=output), finish)
    if len(terms) == 2:
        meaning = call.builder.meanings[call.node.outputs[0]]
        call.builder.meanings[call.node.outputs[0]] = replace(meaning, terms=terms)
    return value


def _check_addends(call: QuantizedCall, a: Value, b: Value) -> None:
    if a.shape != b.shape or a.groups != b.groups:
        raise call.refuse(
            f"{call.op} of tensors of shapes {list(a.shape)} and {list(b.shape)} is not supported",
            "only activations of equal shape and axis order can be added",
        )


def _add_node(
    call: QuantizedCall, a: Value, b: Value, output: str, table: np.ndarray, given: tuple[GivenQuant, ...]
) -> Node:
    """The integer form of these 65,536 results: a line, or a line and a bit for each pair where it is one too high."""
    results = table.astype(np.int64).reshape(256, 256)
    ratios = (float(given[0].scale) / float(given[2].scale), float(given[1].scale) / float(given[2].scale))
    fitted = fit_add(results, ratios)
    inputs: tuple[str, ...] = (a.tensor, b.tensor)
    if fitted is None:
        fitted = fit_add_with_corrections(results, ratios)
        levels = np.arange(256) + INT8_MIN
        line = (levels[:, None] * fitted[0][0] + levels * fitted[0][1] + fitted[1]) >> fitted[2]
        is_lower = np.clip(line, -128, 127) != results
        bits = np.packbits(is_lower.reshape(-1), bitorder="little").view(np.int8)
        inputs += (call.builder.add_given(f"{call.name}.corrections", bits, given[2].quant),)
    multipliers, offset, shift = fitted
    attributes = AddAttributes(multipliers=multipliers, offset=offset, shift=shift)
    return Node(call.name, "add", inputs, (output,), attributes)
