"""add: the residual sum of two tensors of equal shape.

inputs   a, b [1, H, W, C]
output   [1, H, W, C]
source   ONNX operator Add between DequantizeLinear and QuantizeLinear; all 65,536 input pairs are compared
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from mbn2c.errors import QuantError
from mbn2c.ir.axes import LayoutError, Value
from mbn2c.ir.graph import Graph, Node, Quant, Tensor
from mbn2c.ir.kernel import Packed, Params, ScalarKernel
from mbn2c.ir.window import Activation
from mbn2c.numerics import (
    INT8_MAX,
    INT8_MIN,
    INT16_MAX,
    INT32_MAX,
    add_denominator,
    add_integer,
    fit_add,
    fit_add_with_corrections,
    prove_add,
    snap_add_scale,
)
from mbn2c.ops.base.call import MICROSOFT, Declined, Importer, OnnxCall, OnnxName
from mbn2c.ops.base.case import RELU, Case
from mbn2c.ops.base.operator import OnnxOp, Operator
from mbn2c.ops.base.packing import PIXEL_STRIDE, integers, pixel_stride
from mbn2c.ops.base.prequantized.layers import call_done, unfinished
from mbn2c.ops.base.prequantized.tables import float_pairs, qlinear_pairs
from mbn2c.ops.base.prequantized.values import FileQuant, PrequantizedCall, PrequantizedImporter, terms_of
from mbn2c.ops.base.quants import quant_of, scale_of
from mbn2c.ops.base.spelling import spell_clip, spell_dequantize, spell_quantize
from mbn2c.ops.base.wide import as_codes, clamp_codes, is_wide, spell_by, spell_cast, spell_floored
from mbn2c.ops.base.windows import Bounds, Shape


@dataclass(frozen=True)
class AddAttributes:
    """add, inputs (a, b) of equal shape; an imported add may have a third input, int8 [8192].

    multipliers  integer form: out = (a * multipliers[0] + b * multipliers[1] + offset) >> shift, clamped; where bit
                 b % 8 of byte (a * 256 + b) / 8 of the third input is set (a and b counted from -128), one less
    low, high    of the output's type, or, of int16, where its activation lies
    """

    activation: Activation | None = None
    multipliers: tuple[int, int] = (0, 0)
    offset: int = 0
    shift: int = 0
    low: int = INT8_MIN
    high: int = INT8_MAX


PARAMS = Params(
    "mbn_add_params",
    (*integers("channels"), PIXEL_STRIDE, *integers("multiplier_a", "multiplier_b", "offset", "shift")),
)


_FORM = ("multiplier_a", "multiplier_b", "offset", "shift")
S16_PARAMS = Params("mbn_add_s16_params", integers("channels", *_FORM, "low", "high", "wide_a", "wide_b", "wide_out"))


def pack_add(node: Node, graph: Graph) -> Packed:
    """Params of a linear add, in the order of PARAMS; no arrays."""
    attributes = node.attributes
    return Packed(
        {
            "channels": graph.tensors[node.outputs[0]].shape[3],
            **pixel_stride(node),
            "multiplier_a": attributes.multipliers[0],
            "multiplier_b": attributes.multipliers[1],
            "offset": attributes.offset,
            "shift": attributes.shift,
        }
    )


def pack_wide(node: Node, graph: Graph) -> Packed:
    """Params of an add with int16, in the order of S16_PARAMS; no arrays."""
    attributes, linear = node.attributes, pack_add(node, graph).fields
    touched = zip(("wide_a", "wide_b", "wide_out"), (*node.inputs, *node.outputs), strict=True)
    wide = {word: int(quant_of(graph, name).bits == 16) for word, name in touched}
    form = {name: linear[name] for name in ("channels", *_FORM)}
    return Packed({**form, "low": attributes.low, "high": attributes.high, **wide})


class Add(Operator):
    """The sum of two tensors."""

    name = "add"
    in_words = "add"
    attributes = AddAttributes
    carries_activation = True
    sums_channels = True
    spelling = "Add"
    sign = 1  # of b

    def onnx_imports(self) -> Mapping[OnnxName, Importer]:
        return {("", "Add"): _import_add, ("", "Sum"): _import_sum}

    def prequantized_imports(self) -> Mapping[OnnxName, PrequantizedImporter]:
        return {
            ("", "Add"): _add_in_float,
            (MICROSOFT, "QLinearAdd"): _import_qlinear_add,
        }

    def output_shape(self, node: Node, shapes: Sequence[Shape]) -> Shape | None:
        """An imported add may have a third input: one bit for each pair of int8 values."""
        fits = len(shapes) == 2 or list(shapes[2:]) == [(8192,)]
        return shapes[0] if fits and shapes[0] == shapes[1] else None

    def takes_int16(self, node: Node) -> bool:
        return len(node.inputs) == 2

    def run_float(self, node: Node, graph: Graph, inputs: Sequence[np.ndarray]) -> np.ndarray:
        return np.asarray(inputs[0] + self.sign * inputs[1])

    def gradient(
        self, node: Node, graph: Graph, inputs: Sequence[np.ndarray], gradient: np.ndarray
    ) -> Sequence[np.ndarray]:
        return [gradient, self.sign * gradient]

    def bounds(self, node: Node, graph: Graph, inputs: Sequence[Bounds]) -> Bounds:
        (low_a, high_a), (low_b, high_b) = inputs
        return low_a + low_b, high_a + high_b

    def cases(self) -> Mapping[str, Case]:
        shape = (1, 3, 4, 5)
        return {
            "of two tensors": Case((shape, shape), AddAttributes()),
            "to itself": Case((shape, shape), AddAttributes(), repeats=True),
            "with ReLU": Case((shape, shape), AddAttributes(RELU)),
        }

    def scalar_kernels(self) -> tuple[ScalarKernel, ...]:
        """Those with a third input have a kernel of their own in `kernels/guarded`."""
        wide = ScalarKernel("add", S16_PARAMS, pack_wide, takes_int16=True)
        return (ScalarKernel("add", PARAMS, pack_add, writes_slices=True), wide)

    def tie_quants(
        self, node: Node, graph: Graph, quants: Mapping[str, Quant], with_scale: Callable[[str, np.float32], Quant]
    ) -> Mapping[str, Quant]:
        """The scales of the two inputs move up to a ratio of the output's scale that leaves no ties, so that one
        integer form equals every float evaluation order. With int16 the exported model leaves no order to chance.

        An input that a later sum has tied keeps its scale: then the output's moves, unless that is tied itself."""
        if is_wide(quants[name] for name in (*node.inputs, *node.outputs)):
            return {}
        output = node.outputs[0]
        output_scale = scale_of(quants[output])
        scales = {name: float(scale_of(quants[name])) for name in node.inputs}
        denominator = add_denominator(scales.values(), output_scale)
        found = {}
        fixed = next((name for name in node.inputs if _is_tied_behind(node, graph, name)), "")
        if fixed and not _sums(graph, output):
            numerator = max(1, int(scales.pop(fixed) / float(output_scale) * denominator + 1e-4))
            output_scale = np.float32(float(scale_of(quants[fixed])) * denominator / numerator)
            found[output] = with_scale(output, output_scale)
        for name, scale in scales.items():
            found[name] = with_scale(name, snap_add_scale(scale, output_scale, denominator)[0])
        return found

    def other_spellings(self, node: Node, graph: Graph) -> Mapping[str, list[OnnxOp]]:
        return {"Sum": [OnnxOp("Sum", node.inputs, node.outputs)]} if node.attributes.activation is None else {}

    def spell_float(self, node: Node, graph: Graph) -> list[OnnxOp]:
        output, activation = node.outputs[0], node.attributes.activation
        linear = output if activation is None else f"{output}__linear"
        spelled = [OnnxOp(self.spelling, node.inputs, (linear,))]
        if activation is not None:
            spelled.append(spell_clip(linear, output, activation.low, activation.high))
        return spelled

    def spell_int8(self, node: Node, graph: Graph) -> list[OnnxOp]:
        output = node.outputs[0]
        if is_wide(quant_of(graph, name) for name in (*node.inputs, output)):
            return _spell_wide(node, graph)
        read_a, real_a = spell_dequantize(graph, node.inputs[0], f"{node.name}__a")
        read_b, real_b = spell_dequantize(graph, node.inputs[1], f"{node.name}__b")
        real = f"{output}__real"
        add = OnnxOp(self.spelling, (real_a, real_b), (real,))
        return [read_a, read_b, add, spell_quantize(real, output, quant_of(graph, output))]

    def quantize(self, node: Node, graph: Graph, quants: Mapping[str, Quant]) -> tuple[Node, list[Tensor]]:
        involved = [quants[name] for name in (*node.inputs, node.outputs[0])]
        if is_wide(involved):
            return replace(node, attributes=_wide_form(node.attributes, involved, self.sign)), []
        multipliers, offset, shift = prove_add(
            tuple(scale_of(quant) for quant in involved), tuple(quant.zero_point for quant in involved), self.sign
        )
        attributes = replace(node.attributes, multipliers=multipliers, offset=offset, shift=shift)
        return replace(node, attributes=attributes), []

    def run(self, node: Node, graph: Graph, inputs: Sequence[np.ndarray]) -> np.ndarray:
        a, b = inputs
        attributes, y_quant = node.attributes, quant_of(graph, node.outputs[0])
        if is_wide(quant_of(graph, name) for name in (*node.inputs, *node.outputs)):
            terms = (x.astype(np.int64) * m for x, m in zip(inputs, attributes.multipliers, strict=True))
            total = (sum(terms) + attributes.offset) >> attributes.shift
            return as_codes(total, attributes.low, attributes.high, y_quant)
        total = add_integer(a, b, attributes.multipliers, attributes.offset, attributes.shift)
        if len(node.inputs) == 2:
            return total
        is_lower = np.unpackbits(graph.constant(node.inputs[2]).view(np.uint8), bitorder="little")
        return total - is_lower[(a.astype(np.int64) - INT8_MIN) * 256 + b - INT8_MIN].astype(np.int8)


def _sums(graph: Graph, tensor: str) -> list[Node]:
    """The sums that read a tensor."""
    return [reader for reader in graph.consumers[tensor] if isinstance(reader.attributes, AddAttributes)]


def _is_tied_behind(node: Node, graph: Graph, tensor: str) -> bool:
    """Whether a sum behind `node` reads the tensor, too."""
    readers = [reader.name for reader in _sums(graph, tensor)]
    return readers[-1:] != [node.name] and node.name in readers


# --- with int16 ---


def _wide_form(attributes: AddAttributes, quants: Sequence[Quant], sign: int) -> AddAttributes:
    """The finest integer form whose terms fit 32 bits together, and whose factors of int16 fit a halfword.

    quants  of a, b and the output
    sign    of b
    """
    *inputs, y = quants
    ratios = [of_term * float(scale_of(x)) / float(scale_of(y)) for of_term, x in zip((1, sign), inputs, strict=True)]
    for shift in range(30, 0, -1):
        factors = [round(ratio * (1 << shift)) for ratio in ratios]
        offset = (y.zero_point << shift) + (1 << (shift - 1))
        offset -= sum(x.zero_point * factor for x, factor in zip(inputs, factors, strict=True))
        reach = sum(max(-x.lowest, x.highest) * abs(factor) for x, factor in zip(inputs, factors, strict=True))
        fits_halfword = all(x.bits == 8 or abs(factor) <= INT16_MAX for x, factor in zip(inputs, factors, strict=True))
        if fits_halfword and reach + abs(offset) <= INT32_MAX:
            low, high = clamp_codes(y, attributes.activation)
            multipliers = (factors[0], factors[1])
            return replace(attributes, multipliers=multipliers, offset=offset, shift=shift, low=low, high=high)
    raise QuantError(
        f"the scales of a sum, {ratios[0]:.3g} and {abs(ratios[1]):.3g} of its output's, are too far apart for int16",
        hint="leave it in int8",
    )


def _spell_wide(node: Node, graph: Graph) -> list[OnnxOp]:
    """The integer form in float64, which holds each of its numbers."""
    output, attributes = node.outputs[0], node.attributes
    spelled = []
    for x, letter, factor in zip(node.inputs, "ab", attributes.multipliers, strict=True):
        term = f"{output}__{letter}"
        spelled.append(spell_cast(x, f"{term}__whole", np.float64))
        spelled.append(spell_by(f"{term}__whole", term, "Mul", np.float64(factor)))
    spelled.append(OnnxOp("Add", (f"{output}__a", f"{output}__b"), (f"{output}__sum",)))
    spelled.append(spell_by(f"{output}__sum", f"{output}__moved", "Add", np.float64(attributes.offset)))
    spelled.append(spell_by(f"{output}__moved", f"{output}__scaled", "Mul", np.ldexp(1.0, -attributes.shift)))
    return spelled + spell_floored(graph, f"{output}__scaled", output, (attributes.low, attributes.high))


# --- how ONNX files spell it ---


def add_values(call: OnnxCall, a: Value, b: Value, part: str = "", op: str = Add.name) -> Value:
    """The node for a + b, or that of sub for a - b; `part` as in `OnnxCall.emit`.

    raises  ModelError, LayoutError if they differ in shape or axis order
    """
    if a.shape != b.shape:
        raise call.refuse(
            f"{call.op} of tensors of shapes {list(a.shape)} and {list(b.shape)} is not supported",
            f"only activations of equal shape can be {'added' if op == Add.name else 'subtracted'}",
        )
    if a.groups != b.groups:
        raise LayoutError(f"both operands in the same axis order; it finds {list(a.groups)} and {list(b.groups)}")
    return call.emit_like(op, a, AddAttributes(), part=part, more=[b])


def _import_add(call: OnnxCall) -> Value | Declined:
    if call.is_constant(0) or call.is_constant(1):
        return Declined()
    return add_values(call, call.value(0), call.value(1))


def _import_sum(call: OnnxCall) -> Value | Declined:
    count = len(call.node.inputs)
    if count == 1:
        return call.value(0)
    if count != 2:
        return Declined("Sum of more than two tensors is not supported", "write it as a chain of Add")
    return _import_add(call)


# --- how quantized ones do ---


def _import_qlinear_add(call: PrequantizedCall) -> Value | Declined:
    """source  ONNX Runtime contrib operators, QLinearAdd: a, b and the sum, each followed by scale, zero point"""
    if call.is_constant(0) or call.is_constant(3):
        return Declined()
    (a, a_meaning), (b, b_meaning) = call.integers_in(0), call.integers_in(3)
    a_in_file, b_in_file, y_in_file = call.file_quant(1, 2), call.file_quant(4, 5), call.file_quant(6, 7)
    for value, found in ((a, a_in_file), (b, b_in_file)):
        call.builder.set_quant(call, value.tensor, found)
    table = qlinear_pairs(call, a_meaning, b_meaning)
    _check_addends(call, a, b)
    output = call.builder.activation(call.node.outputs[0], call.extents(a), call)
    call.builder.nodes.append(_add_node(call, a, b, output, table, (a_in_file, b_in_file, y_in_file)))
    call.builder.set_quant(call, output, y_in_file)
    return call_done(call, replace(a, tensor=output), y_in_file)


def _add_in_float(call: PrequantizedCall) -> Value | Declined:
    """Add in float32 between DequantizeLinear and QuantizeLinear; of 65,536 pairs ONNX Runtime says the results."""
    if call.is_constant(0) or call.is_constant(1):
        return Declined()
    if call.meaning(0).terms or call.meaning(1).terms:
        return Declined()
    terms = (*terms_of(call, 0), *terms_of(call, 1))
    value = add_pairs(call, Add.name)
    if len(terms) == 2:
        meaning = call.builder.meanings[call.node.outputs[0]]
        call.builder.meanings[call.node.outputs[0]] = replace(meaning, terms=terms)
    return value


def add_pairs(call: PrequantizedCall, op: str, sign: int = 1) -> Value:
    """The node for two activations that are added, or subtracted, in float32; it waits for its QuantizeLinear."""
    (a, _), (b, _) = call.real_steps(0), call.real_steps(1)
    _check_addends(call, a, b)
    output = call.builder.activation(call.node.outputs[0], call.extents(a), call)
    a_in_file, b_in_file = (FileQuant(call.builder.quants[value.tensor], False) for value in (a, b))

    def finish(y_in_file: FileQuant, activation: Activation | None) -> Node:
        table = float_pairs(call, y_in_file, activation)
        return replace(_add_node(call, a, b, output, table, (a_in_file, b_in_file, y_in_file), sign), op=op)

    return unfinished(call, replace(a, tensor=output), finish)


def _check_addends(call: PrequantizedCall, a: Value, b: Value) -> None:
    if a.shape != b.shape or a.groups != b.groups:
        raise call.refuse(
            f"{call.op} of tensors of shapes {list(a.shape)} and {list(b.shape)} is not supported",
            "only activations of equal shape and axis order can be added",
        )


def _add_node(
    call: PrequantizedCall,
    a: Value,
    b: Value,
    output: str,
    table: np.ndarray,
    in_file: tuple[FileQuant, ...],
    sign: int = 1,
) -> Node:
    """The integer form of these 65,536 results: a line, or a line and a bit for each pair where it is one too high."""
    results = table.astype(np.int64)
    a_scale, b_scale, y_scale = (float(one.scale) for one in in_file)
    ratios = (a_scale / y_scale, sign * b_scale / y_scale)
    fitted = fit_add(results, ratios)
    inputs: tuple[str, ...] = (a.tensor, b.tensor)
    if fitted is None:
        fitted = fit_add_with_corrections(results, ratios)
        levels = np.arange(256) + INT8_MIN
        line = (levels[:, None] * fitted[0][0] + levels * fitted[0][1] + fitted[1]) >> fitted[2]
        is_lower = np.clip(line, -128, 127) != results
        bits = np.packbits(is_lower.reshape(-1), bitorder="little").view(np.int8)
        inputs += (call.builder.add_quantized(f"{call.name}.corrections", bits, in_file[2].quant),)
    multipliers, offset, shift = fitted
    attributes = AddAttributes(multipliers=multipliers, offset=offset, shift=shift)
    return Node(call.name, Add.name, inputs, (output,), attributes)
