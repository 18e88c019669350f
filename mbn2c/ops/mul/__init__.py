"""mul: y = activation(a * b), of two tensors of equal shape or of a tensor and a number per channel.

inputs   a [1, H, W, C], b [1, H, W, C] or [1, 1, 1, C]
output   [1, H, W, C]
source   ONNX operator Mul between DequantizeLinear and QuantizeLinear; all 65,536 input pairs are compared. With int16
         the product is a whole number that is requantized, see `base.wide`

`arithmetic` has the integer form, `vector` that for a number per channel, `prequantized` how quantized files spell it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from mbn2c.errors import QuantError
from mbn2c.ir.axes import Value
from mbn2c.ir.graph import Graph, Node, Quant, Tensor
from mbn2c.ir.kernel import Packed, Params, ScalarKernel
from mbn2c.ir.row_map import RowMap
from mbn2c.numerics import INT8_MIN, quantize_linear
from mbn2c.ops.base.call import Declined, Importer, OnnxCall, OnnxName
from mbn2c.ops.base.case import RELU6, Case
from mbn2c.ops.base.levels import real_levels
from mbn2c.ops.base.operator import OnnxOp, Operator
from mbn2c.ops.base.packing import INT8_ARRAY, INT32, LINE_FIELDS, PIXEL_STRIDE, integers, line_fields, pixel_stride
from mbn2c.ops.base.prequantized.values import PrequantizedImporter
from mbn2c.ops.base.quants import quant_of, scale_of
from mbn2c.ops.base.spelling import spell_clip, spell_dequantize, spell_quantize
from mbn2c.ops.base.wide import centred, is_wide, run_wide, spell_requantize, spell_whole, wide_line, wide_reach
from mbn2c.ops.base.windows import Bounds, Shape
from mbn2c.ops.mul.arithmetic import WHOLE_TABLE, MulAttributes, line_of, products_of, run_mul, without_ties
from mbn2c.ops.mul.factors import in_order
from mbn2c.ops.mul.prequantized import prequantized_imports
from mbn2c.ops.mul.vector import VectorForm, ZeroPoints, vector_form

PARAMS = Params(
    "mbn_mul_params",
    (
        *integers("channels"),
        PIXEL_STRIDE,
        (INT32, "is_vector", "rows[1] is one pixel, for all of rows[0]"),
        *integers("zero_point_a", "zero_point_b", "multiplier"),
        (INT32, "raised", "added to half a step"),
        *integers("shift", "zero_point"),
        (INT8_ARRAY, "lower", "a bit for each pair (a, b): the result is one less; 0: there are none"),
    ),
)
VECTOR_PARAMS = Params(
    "mbn_mul_vector_params",
    (
        *integers("channels"),
        PIXEL_STRIDE,
        *integers("zero_point_a", "zero_point_b"),
        (INT32, "multiplier", "of a channel's number, below 2^23"),
        (INT32, "narrow", "bits that the product loses"),
        (INT32, "fraction", "bits behind the point of what is left, a channel's factor"),
        *integers("zero_point"),
    ),
)
S16_PARAMS = Params(
    "mbn_mul_s16_params",
    (
        *integers("channels"),
        (INT32, "is_vector", "rows[1] is one pixel, for all of rows[0]"),
        *integers("zero_point_a", "zero_point_b", "multiplier"),
        *LINE_FIELDS,
        *integers("wide_a", "wide_b", "wide_out"),
    ),
)


def _pack(node: Node, graph: Graph) -> Packed:
    attributes: MulAttributes = node.attributes
    a, b = (quant_of(graph, name).zero_point for name in node.inputs[:2])
    arrays = {"lower": graph.constant(node.inputs[2])} if len(node.inputs) == 3 else {}
    return Packed(
        {
            "channels": graph.tensors[node.outputs[0]].shape[3],
            **pixel_stride(node),
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


def _pack_wide(node: Node, graph: Graph) -> Packed:
    """The fields of `S16_PARAMS`; no arrays."""
    a, b, y = (quant_of(graph, name) for name in (*node.inputs, *node.outputs))
    return Packed(
        {
            "channels": graph.tensors[node.outputs[0]].shape[3],
            "is_vector": int(_is_vector(node, graph)),
            "zero_point_a": a.zero_point,
            "zero_point_b": b.zero_point,
            "multiplier": int(node.attributes.requantize.multiplier[0]),
            **line_fields(node.attributes.requantize, y),
            **{f"wide_{word}": int(quant.bits == 16) for word, quant in zip(("a", "b", "out"), (a, b, y), strict=True)},
        }
    )


def _is_vector(node: Node, graph: Graph) -> bool:
    a, b = (graph.tensors[name].shape for name in node.inputs[:2])
    return a != b


def zero_points(node: Node, graph: Graph) -> ZeroPoints:
    """Of an int8 node's tensors."""
    a, b, y = (quant_of(graph, name).zero_point for name in (*node.inputs[:2], node.outputs[0]))
    return ZeroPoints(a, b, y)


def is_line_by_vector(node: Node, graph: Graph) -> bool:
    """Whether it is by a number per channel, and no pair of values is an exception."""
    return _is_vector(node, graph) and len(node.inputs) == 2


def pack_vector(node: Node, graph: Graph, form: VectorForm | None) -> Packed:
    """The fields of `VECTOR_PARAMS`; no arrays."""
    assert form is not None
    zero = zero_points(node, graph)
    return Packed(
        {
            "channels": graph.tensors[node.outputs[0]].shape[3],
            **pixel_stride(node),
            "zero_point_a": zero.a,
            "zero_point_b": zero.b,
            "multiplier": form.multiplier,
            "narrow": form.narrow,
            "fraction": form.fraction,
            "zero_point": zero.y,
        }
    )


def _pack_vector(node: Node, graph: Graph) -> Packed:
    return pack_vector(node, graph, vector_form(node.attributes, zero_points(node, graph)))


def _has_vector_form(node: Node, graph: Graph) -> bool:
    return is_line_by_vector(node, graph) and vector_form(node.attributes, zero_points(node, graph)) is not None


class Mul(Operator):
    """The product of two tensors, or of a tensor and a number per channel."""

    name = "mul"
    in_words = "product"
    attributes = MulAttributes
    carries_activation = True

    def onnx_imports(self) -> Mapping[OnnxName, Importer]:
        return {("", "Mul"): _import_mul}

    def prequantized_imports(self) -> Mapping[OnnxName, PrequantizedImporter]:
        return prequantized_imports()

    def output_shape(self, node: Node, shapes: Sequence[Shape]) -> Shape | None:
        fits = len(shapes) == 2 or list(shapes[2:]) == [WHOLE_TABLE]
        return shapes[0] if fits and shapes[1] in (shapes[0], (1, 1, 1, shapes[0][3])) else None

    def row_maps(self, node: Node, graph: Graph, number: int) -> tuple[RowMap, RowMap]:
        """A vector is one row and one column, the same for all."""
        if number == 1 and _is_vector(node, graph):
            return RowMap(numerator=0), RowMap(numerator=0)
        return RowMap(), RowMap()

    def needs(self, node: Node, graph: Graph, number: int, axis: int, position: int) -> tuple[int, ...]:
        return (0,) if number == 1 and _is_vector(node, graph) else (position,)

    def scaled_alike(self, node: Node, graph: Graph) -> tuple[str, ...]:
        """What a vector multiplies: behind a gate the channels stay as they are scaled before it."""
        return node.inputs[:1] if _is_vector(node, graph) else ()

    def takes_int16(self, node: Node) -> bool:
        return len(node.inputs) == 2

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
        one integer form equals every float evaluation order. With int16 the exported model leaves none to chance."""
        if is_wide(quants[name] for name in (*node.inputs, *node.outputs)):
            return {}
        free = [name for name in node.inputs if len(graph.consumers[name]) == 1 and name in graph.producer]
        if not free:
            return {}
        name, (a, b) = free[-1], node.inputs
        ratio = without_ties(_ratio(quants, node))
        others = float(scale_of(quants[node.outputs[0]])) * ratio
        if a == b:
            return {name: with_scale(name, np.float32(math.sqrt(others)))}
        return {name: with_scale(name, np.float32(others / float(scale_of(quants[b if name == a else a]))))}

    def quantize(self, node: Node, graph: Graph, quants: Mapping[str, Quant]) -> tuple[Node, list[Tensor]]:
        a, b, y = (quants[name] for name in (*node.inputs, node.outputs[0]))
        ratio = _ratio(quants, node)
        if is_wide((a, b, y)):
            line = wide_line(ratio, wide_reach(a) * wide_reach(b), y, node.attributes.activation)
            return replace(node, attributes=replace(node.attributes, requantize=line)), []
        products = products_of(a, b)
        real = real_levels(a)[:, None] * real_levels(b)
        multiplier, shift = line_of(ratio)
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
        if node.attributes.requantize is not None:
            a, b = (centred(quant_of(graph, name), x) for name, x in zip(node.inputs, inputs, strict=True))
            return run_wide(node.attributes.requantize, a * b, quant_of(graph, node.outputs[0]))
        a, b = (array.astype(np.int64) for array in inputs)
        zero_a, zero_b, zero_y = (quant_of(graph, name).zero_point for name in (*node.inputs[:2], node.outputs[0]))
        result = run_mul(node.attributes, (a - zero_a) * (b - zero_b), zero_y)
        if len(node.inputs) == 2:
            return result
        is_lower = np.unpackbits(graph.constant(node.inputs[2]).view(np.uint8), bitorder="little")
        return result - is_lower[(a - INT8_MIN) * 256 + b - INT8_MIN].astype(np.int8)

    def spell_int8(self, node: Node, graph: Graph) -> list[OnnxOp]:
        output = node.outputs[0]
        if node.attributes.requantize is not None:
            factors, product = (f"{output}__a", f"{output}__b"), f"{output}__product"
            spelled = [
                one
                for x, factor in zip(node.inputs, factors, strict=True)
                for one in spell_whole(graph, x, factor, np.float64)
            ]
            spelled.append(OnnxOp("Mul", factors, (product,)))
            return spelled + spell_requantize(graph, product, output, node.attributes.requantize)
        read_a, real_a = spell_dequantize(graph, node.inputs[0], f"{node.name}__a")
        read_b, real_b = spell_dequantize(graph, node.inputs[1], f"{node.name}__b")
        real = f"{output}__real"
        mul = OnnxOp("Mul", (real_a, real_b), (real,))
        return [read_a, read_b, mul, spell_quantize(real, output, quant_of(graph, output))]

    def scalar_kernels(self) -> tuple[ScalarKernel, ...]:
        vector = ScalarKernel("mul_vector", VECTOR_PARAMS, _pack_vector, _has_vector_form, writes_slices=True)
        wide = ScalarKernel("mul", S16_PARAMS, _pack_wide, takes_int16=True)
        return (vector, ScalarKernel("mul", PARAMS, _pack, writes_slices=True), wide)


def _ratio(quants: Mapping[str, Quant], node: Node) -> float:
    a, b, y = (float(scale_of(quants[name])) for name in (*node.inputs[:2], node.outputs[0]))
    return a * b / y


# --- how ONNX files spell it ---


def _import_mul(call: OnnxCall) -> Value | Declined:
    if call.is_constant(0) or call.is_constant(1):
        return Declined()
    ordered = in_order(call, call.value(0), call.value(1))
    if isinstance(ordered, Declined):
        return ordered
    return call.emit_like(Mul.name, ordered[0], MulAttributes(), more=[ordered[1]])
