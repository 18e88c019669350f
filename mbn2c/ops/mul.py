"""mul: y = activation(a * b), of two tensors of equal shape or of a tensor and a number per channel.

inputs   a [1, H, W, C], b [1, H, W, C] or [1, 1, 1, C]
output   [1, H, W, C]
source   ONNX operator Mul between DequantizeLinear and QuantizeLinear; all 65,536 input pairs are compared
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from mbn2c.errors import QuantError
from mbn2c.ir.axes import LayoutError, Value
from mbn2c.ir.graph import Graph, Node, Quant, Tensor
from mbn2c.ir.kernel import Packed, Params, ScalarKernel
from mbn2c.ir.row_map import RowMap
from mbn2c.ir.window import Activation
from mbn2c.numerics import INT8_MAX, INT8_MIN, quantize_linear
from mbn2c.ops.base.call import MICROSOFT, Call, Declined, Importer, OnnxName
from mbn2c.ops.base.case import RELU6, Case
from mbn2c.ops.base.operator import Bounds, OnnxOp, Operator, Shape, quant_of, scale_of
from mbn2c.ops.base.packing import INT8_ARRAY, INT32, integers
from mbn2c.ops.base.prequantized.layers import call_done, unfinished
from mbn2c.ops.base.prequantized.tables import float_pairs, qlinear_pairs
from mbn2c.ops.base.prequantized.values import FileQuant, PrequantizedCall, PrequantizedImporter
from mbn2c.ops.base.spelling import spell_clip, spell_dequantize, spell_quantize
from mbn2c.ops.lookup import LookupAttributes

# Denominators of the ratio (a's scale * b's) / output's: odd ones, so that no product lies nearer to a tie than half of
# one part. float32 evaluates a product within 6e-5 of an output step, whatever the order.
_DENOMINATORS = np.arange(1, 1000, 2)
_LARGEST_DENOMINATOR = 6000
_MOST_PARTS = 2.0**31
# A line that may be one too high is this many output steps above the truth.
_RAISED = 2e-4
_WHOLE_TABLE = (8192,)
_LEVELS = np.arange(INT8_MIN, INT8_MAX + 1)


@dataclass(frozen=True)
class MulAttributes:
    """mul, inputs (a, b), b of a's shape or [1, 1, 1, C]; an imported mul may have a third input, int8 [8192].

    multiplier, shift  int8 form: (p * multiplier + 2^(shift - 1) + raised) >> shift, plus zero point and saturated, of
                       p = (a - its zero point) * (b - its zero point); where bit b % 8 of byte (a * 256 + b) / 8 of the
                       third input is set (a and b counted from -128), one less
    raised             0 without a third input
    """

    activation: Activation | None = None
    multiplier: int = 0
    shift: int = 1
    raised: int = 0


PARAMS = Params(
    "mbn_mul_params",
    (
        *integers("channels"),
        (INT32, "is_vector", "rows[1] is one pixel, for all of rows[0]"),
        *integers("zero_point_a", "zero_point_b", "multiplier"),
        (INT32, "raised", "added to half a step"),
        *integers("shift", "zero_point"),
        (INT8_ARRAY, "lower", "a bit for each pair (a, b): the result is one less; 0: there are none"),
    ),
)


def _pack(node: Node, graph: Graph) -> Packed:
    attributes: MulAttributes = node.attributes
    a, b = (quant_of(graph, name).zero_point for name in node.inputs[:2])
    arrays = {"lower": graph.constant(node.inputs[2])} if len(node.inputs) == 3 else {}
    return Packed(
        {
            "channels": graph.tensors[node.outputs[0]].shape[3],
            "is_vector": int(_is_vector(node, graph)),
            "zero_point_a": a,
            "zero_point_b": b,
            "multiplier": attributes.multiplier,
            "raised": attributes.raised,
            "shift": attributes.shift,
            "zero_point": quant_of(graph, node.outputs[0]).zero_point,
            "lower": "lower" if arrays else 0,
        },
        arrays,
    )


def _is_vector(node: Node, graph: Graph) -> bool:
    a, b = (graph.tensors[name].shape for name in node.inputs[:2])
    return a != b


class Mul(Operator):
    name = "mul"
    in_words = "product"
    attributes = MulAttributes
    carries_activation = True

    def onnx_imports(self) -> Mapping[OnnxName, Importer]:
        return {("", "Mul"): _import_mul}

    def prequantized_imports(self) -> Mapping[OnnxName, PrequantizedImporter]:
        return {("", "Mul"): _mul_in_float, (MICROSOFT, "QLinearMul"): _import_qlinear_mul}

    def output_shape(self, node: Node, shapes: Sequence[Shape]) -> Shape | None:
        fits = len(shapes) == 2 or list(shapes[2:]) == [_WHOLE_TABLE]
        return shapes[0] if fits and shapes[1] in (shapes[0], (1, 1, 1, shapes[0][3])) else None

    def row_maps(self, node: Node, graph: Graph, number: int) -> tuple[RowMap, RowMap]:
        """A vector is one row and one column, the same for all."""
        if number == 1 and _is_vector(node, graph):
            return RowMap(numerator=0), RowMap(numerator=0)
        return RowMap(), RowMap()

    def needs(self, node: Node, graph: Graph, number: int, axis: int, position: int) -> tuple[int, ...]:
        return (0,) if number == 1 and _is_vector(node, graph) else (position,)

    def cases(self) -> Mapping[str, Case]:
        shape, vector = (1, 3, 4, 5), (1, 1, 1, 5)
        return {
            "of two tensors": Case((shape, shape), MulAttributes()),
            "by a vector": Case((shape, vector), MulAttributes()),
            "by a vector, one pixel": Case((vector, vector), MulAttributes()),
            "with ReLU6": Case((shape, shape), MulAttributes(RELU6)),
            "by a vector of one channel": Case(((1, 5, 2, 1), (1, 1, 1, 1)), MulAttributes()),
        }

    # --- float32 ---

    def run_float(self, node: Node, graph: Graph, inputs: Sequence[np.ndarray]) -> np.ndarray:
        return np.asarray(inputs[0] * inputs[1])

    def gradient(
        self, node: Node, graph: Graph, inputs: Sequence[np.ndarray], gradient: np.ndarray
    ) -> Sequence[np.ndarray]:
        a, b = inputs
        by_b = gradient * a
        return [gradient * b, by_b.sum(axis=(1, 2), keepdims=True) if a.shape != b.shape else by_b]

    def bounds(self, node: Node, graph: Graph, inputs: Sequence[Bounds]) -> Bounds:
        with np.errstate(invalid="ignore", over="ignore"):  # 0 * inf is 0: both are numbers in the end
            corners = np.array(
                [np.nan_to_num(a * b, nan=0.0, posinf=np.inf, neginf=-np.inf) for a in inputs[0] for b in inputs[1]]
            )
        return corners.min(axis=0), corners.max(axis=0)

    def spell_float(self, node: Node, graph: Graph) -> list[OnnxOp]:
        output, activation = node.outputs[0], node.attributes.activation
        linear = output if activation is None else f"{output}__linear"
        spelled = [OnnxOp("Mul", node.inputs, (linear,))]
        if activation is not None:
            spelled.append(spell_clip(linear, output, activation.low, activation.high))
        return spelled

    # --- int8 ---

    def tie_quants(
        self, node: Node, graph: Graph, quants: Mapping[str, Quant], with_scale: Callable[[str, np.float32], Quant]
    ) -> Mapping[str, Quant]:
        """The scale of an input that nobody else reads moves up to a ratio of the output's that leaves no ties, so that
        one integer form equals every float evaluation order."""
        free = [name for name in node.inputs if len(graph.consumers[name]) == 1 and name in graph.producer]
        if not free:
            return {}
        name, (a, b) = free[-1], node.inputs
        ratio = _without_ties(_ratio(quants, node))
        others = float(scale_of(quants[node.outputs[0]])) * ratio
        if a == b:
            return {name: with_scale(name, np.float32(math.sqrt(others)))}
        return {name: with_scale(name, np.float32(others / float(scale_of(quants[b if name == a else a]))))}

    def quantize(self, node: Node, graph: Graph, quants: Mapping[str, Quant]) -> tuple[Node, list[Tensor]]:
        a, b, y = (quants[name] for name in (*node.inputs, node.outputs[0]))
        ratio = _ratio(quants, node)
        products = _products(a, b)
        real = (_LEVELS[:, None] - a.zero_point).astype(np.float32) * scale_of(a)
        real = real * ((_LEVELS - b.zero_point).astype(np.float32) * scale_of(b))
        multiplier, shift = _line(ratio)
        attributes = replace(node.attributes, multiplier=multiplier, shift=shift)
        expected = quantize_linear(real, scale_of(y), y.zero_point)
        if not np.array_equal(run_mul(attributes, products, y.zero_point), expected):
            raise QuantError(
                f"no exact integer form for a product with scales {scale_of(a):.9g} * {scale_of(b):.9g} -> "
                f"{scale_of(y):.9g}",
                hint="both of its inputs are read elsewhere; let one of them be a layer of its own",
            )
        return replace(node, attributes=attributes), []

    def run(self, node: Node, graph: Graph, inputs: Sequence[np.ndarray]) -> np.ndarray:
        a, b = (array.astype(np.int64) for array in inputs)
        zero_a, zero_b, zero_y = (quant_of(graph, name).zero_point for name in (*node.inputs[:2], node.outputs[0]))
        result = run_mul(node.attributes, (a - zero_a) * (b - zero_b), zero_y)
        if len(node.inputs) == 2:
            return result
        is_lower = np.unpackbits(graph.constant(node.inputs[2]).view(np.uint8), bitorder="little")
        return result - is_lower[(a - INT8_MIN) * 256 + b - INT8_MIN].astype(np.int8)

    def spell_int8(self, node: Node, graph: Graph) -> list[OnnxOp]:
        output = node.outputs[0]
        read_a, real_a = spell_dequantize(graph, node.inputs[0], f"{node.name}__a")
        read_b, real_b = spell_dequantize(graph, node.inputs[1], f"{node.name}__b")
        real = f"{output}__real"
        mul = OnnxOp("Mul", (real_a, real_b), (real,))
        return [read_a, read_b, mul, spell_quantize(real, output, quant_of(graph, output))]

    def scalar_kernels(self) -> tuple[ScalarKernel, ...]:
        return (ScalarKernel("mul", PARAMS, _pack),)


# --- the integer form ---


def _ratio(quants: Mapping[str, Quant], node: Node) -> float:
    a, b, y = (float(scale_of(quants[name])) for name in (*node.inputs[:2], node.outputs[0]))
    return a * b / y


def _without_ties(ratio: float) -> float:
    """The ratio, or a little more, as a fraction with an odd denominator: p * n = d * (k + 1/2) has no solution."""
    if ratio < 1 / _DENOMINATORS[-1]:
        denominator = min(math.floor(1 / ratio), _LARGEST_DENOMINATOR)
        return 1 / (denominator - 1 + denominator % 2)
    fractions = np.ceil(ratio * _DENOMINATORS) / _DENOMINATORS
    return float(fractions.min())


def _line(ratio: float) -> tuple[int, int]:
    """(multiplier, shift) of the finest integer line; multiplier below 2^31, shift 1 to 32."""
    shift = 32
    while shift > 1 and round(ratio * 2.0**shift) >= _MOST_PARTS:
        shift -= 1
    return min(round(ratio * 2.0**shift), int(_MOST_PARTS) - 1), shift


def _products(a: Quant, b: Quant) -> np.ndarray:
    """Of all pairs, int64 [256, 256]."""
    return np.asarray((_LEVELS[:, None] - a.zero_point) * (_LEVELS - b.zero_point)).astype(np.int64)


def run_mul(attributes: MulAttributes, products: np.ndarray, zero_point: int) -> np.ndarray:
    """int8 results of int64 products of centred values, without corrections."""
    half = (1 << (attributes.shift - 1)) + attributes.raised
    return np.clip(((products * attributes.multiplier + half) >> attributes.shift) + zero_point, -128, 127).astype(
        np.int8
    )


# --- how ONNX files spell it ---


def _in_order(call: Call, a: Value, b: Value) -> tuple[Value, Value] | Declined:
    """The tensor first, then what it is multiplied by: one of its shape, or a number for each of its channels."""
    if a.shape == b.shape and a.groups == b.groups:
        return a, b
    for x, other in ((a, b), (b, a)):
        per_channel = (1, 1, 1, call.extents(x)[3])
        if len(x.shape) != len(other.shape) or call.extents(other) != per_channel:
            continue
        if all(group in ((), own) for group, own in zip(other.groups, x.groups, strict=True)):
            return x, other
    if a.shape == b.shape:
        raise LayoutError(f"both factors in the same axis order; it finds {list(a.groups)} and {list(b.groups)}")
    return Declined(
        f"{call.op} of tensors of shapes {list(a.shape)} and {list(b.shape)} is not supported",
        "only activations of equal shape, or one and a number per channel, can be multiplied",
    )


def _import_mul(call: Call) -> Value | Declined:
    if call.is_constant(0) or call.is_constant(1):
        return Declined()
    ordered = _in_order(call, call.value(0), call.value(1))
    return (
        ordered
        if isinstance(ordered, Declined)
        else call.emit_like(Mul.name, ordered[0], MulAttributes(), more=[ordered[1]])
    )


# --- how quantized ones do ---


def _import_qlinear_mul(call: PrequantizedCall) -> Value | Declined:
    """source  ONNX Runtime contrib operators, QLinearMul: a, b and the product, each followed by scale, zero point"""
    if call.is_constant(0) or call.is_constant(3):
        return Declined()
    (a, a_meaning), (b, b_meaning) = call.integers_in(0), call.integers_in(3)
    a_in_file, b_in_file, y_in_file = call.file_quant(1, 2), call.file_quant(4, 5), call.file_quant(6, 7)
    for value, found in ((a, a_in_file), (b, b_in_file)):
        call.builder.set_quant(call, value.tensor, found)
    ordered = _in_order(call, a, b)
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
    ordered = _in_order(call, a, b)
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
    ratio, products, zero_point = _factor(a, b, y_in_file), _products(a, b), y_in_file.quant.zero_point
    multiplier, shift = _line(ratio)
    plain = MulAttributes(None, multiplier, shift)
    inputs = tuple(value.tensor for value in factors)
    if np.array_equal(run_mul(plain, products, zero_point), table):
        return Node(call.name, Mul.name, inputs, (output,), plain)
    raised = replace(plain, raised=math.ceil(_RAISED * 2.0**shift))
    excess = run_mul(raised, products, zero_point).astype(np.int64) - table
    if excess.min() < 0 or excess.max() > 1:
        raise call.refuse(f"{call.op}: no exact integer form for its scales", "quantize the model again")
    bits = np.packbits(excess.astype(bool).reshape(-1), bitorder="little").view(np.int8)
    corrections = call.builder.add_quantized(f"{call.name}.corrections", bits, y_in_file.quant)
    return Node(call.name, Mul.name, (*inputs, corrections), (output,), raised)


def _factor(a: Quant, b: Quant, y_in_file: FileQuant) -> float:
    return float(scale_of(a)) * float(scale_of(b)) / float(y_in_file.scale)
