"""concat: the channels of several tensors behind each other.

inputs   any number of tensors [1, H, W, C_i]
output   [1, H, W, sum of C_i]
source   ONNX operator Concat over the channels, between DequantizeLinear and QuantizeLinear; in int8 a copy of the
         inputs that have the output's scale and zero point, a table of 256 results for the others; with int16 each
         input is requantized, see `base.wide`
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from mbn2c.ir.axes import CHANNEL, NCHW, NHWC, Value, labels_of
from mbn2c.ir.graph import Graph, Node, Quant, Tensor
from mbn2c.ir.kernel import Packed, Params, ScalarKernel
from mbn2c.ir.window import Activation
from mbn2c.numerics import INT8_MAX, INT8_MIN
from mbn2c.ops.base.call import MICROSOFT, Declined, Importer, OnnxCall, OnnxName
from mbn2c.ops.base.case import Case
from mbn2c.ops.base.levels import INT8_LEVELS, tabulated
from mbn2c.ops.base.operator import ChannelSlice, OnnxOp, Operator
from mbn2c.ops.base.packing import INT8_ARRAY, INT32_ARRAY, PIXEL_STRIDE, integers, pixel_stride
from mbn2c.ops.base.prequantized.layers import call_done, limits, unfinished
from mbn2c.ops.base.prequantized.values import FileQuant, PrequantizedCall, PrequantizedImporter
from mbn2c.ops.base.quants import quant_of, scale_of
from mbn2c.ops.base.requantize import WideRequantize
from mbn2c.ops.base.spelling import spell_dequantize, spell_quantize
from mbn2c.ops.base.wide import (
    centred,
    is_wide,
    run_wide,
    spell_by,
    spell_rounded,
    spell_whole,
    steps_per_unit,
    wide_line,
    wide_reach,
)
from mbn2c.ops.base.windows import Bounds, Shape

Table = tuple[int, ...]


@dataclass(frozen=True)
class ConcatAttributes:
    """concat, inputs (a, b, ...).

    tables  int8 form: for each input what each of its values becomes, for -128 first; None where it stays itself
    lines   with int16: for each input how its values less its zero point are requantized; else empty
    """

    tables: tuple[Table | None, ...] = ()
    lines: tuple[WideRequantize, ...] = ()


PARAMS = Params(
    "mbn_concat_params",
    (
        *integers("inputs"),
        PIXEL_STRIDE,
        (INT32_ARRAY, "channels", "of each input"),
        (INT32_ARRAY, "starts", "where in tables the results for each input lie; -1 where it is copied"),
        (INT8_ARRAY, "tables", "256 results each, for -128 first; 0: there are none"),
    ),
)
S16_PARAMS = Params(
    "mbn_concat_s16_params",
    (
        *integers("inputs", "zero_point", "low", "high", "wide_out"),
        (INT32_ARRAY, "channels", "of each input"),
        (INT32_ARRAY, "wide", "whether it is int16"),
        (INT32_ARRAY, "zero_points", ""),
        (INT32_ARRAY, "multipliers", ""),
        (INT32_ARRAY, "shifts", ""),
    ),
)


def _pack(node: Node, graph: Graph) -> Packed:
    tables = [table for table in node.attributes.tables if table is not None]
    starts, used = [], 0
    for table in node.attributes.tables:
        starts.append(-1 if table is None else 256 * used)
        used += table is not None
    arrays: dict[str, np.ndarray] = {
        "channels": np.array([graph.tensors[name].shape[3] for name in node.inputs], np.int32),
        "starts": np.array(starts, np.int32),
    }
    if tables:
        arrays["tables"] = np.array(tables, np.int8).reshape(-1)
    return Packed(
        {
            "inputs": len(node.inputs),
            **pixel_stride(node),
            "channels": "channels",
            "starts": "starts",
            "tables": "tables" if tables else 0,
        },
        arrays,
    )


def _pack_wide(node: Node, graph: Graph) -> Packed:
    """The fields of S16_PARAMS."""
    inputs, y = [quant_of(graph, name) for name in node.inputs], quant_of(graph, node.outputs[0])
    lines = node.attributes.lines
    arrays = {
        "channels": [graph.tensors[name].shape[3] for name in node.inputs],
        "wide": [int(x.bits == 16) for x in inputs],
        "zero_points": [x.zero_point for x in inputs],
        "multipliers": [int(line.multiplier[0]) for line in lines],
        "shifts": [line.shift for line in lines],
    }
    ends = {"low": lines[0].low, "high": lines[0].high}
    fields = {"inputs": len(inputs), "zero_point": y.zero_point, **ends, "wide_out": int(y.bits == 16)}
    return Packed(
        {**fields, **{name: name for name in arrays}},
        {name: np.array(numbers, np.int32) for name, numbers in arrays.items()},
    )


class Concat(Operator):
    """Channels of several tensors behind each other."""

    name = "concat"
    in_words = "concatenation of channels"
    attributes = ConcatAttributes

    def onnx_imports(self) -> Mapping[OnnxName, Importer]:
        return {("", "Concat"): _import_concat}

    def prequantized_imports(self) -> Mapping[OnnxName, PrequantizedImporter]:
        return {("", "Concat"): _concat_in_float, (MICROSOFT, "QLinearConcat"): _import_qlinear_concat}

    def output_shape(self, node: Node, shapes: Sequence[Shape]) -> Shape | None:
        fits = shapes and all(len(shape) == 4 and shape[:3] == shapes[0][:3] for shape in shapes)
        return (*shapes[0][:3], sum(shape[3] for shape in shapes)) if fits else None

    def slices(self, node: Node, graph: Graph) -> tuple[ChannelSlice, ...]:
        """All inputs as they are, unless the values of one change."""
        if node.attributes.lines or any(table is not None for table in node.attributes.tables):
            return ()
        counts = [graph.tensors[name].shape[3] for name in node.inputs]
        return tuple(ChannelSlice(n, 0, count, sum(counts[:n])) for n, count in enumerate(counts))

    def check_attributes(self, node: Node, graph: Graph) -> str:
        tables, lines = node.attributes.tables, node.attributes.lines
        if is_wide(_quants(node, graph)):
            fits = not tables and len(lines) == len(node.inputs)
            return "" if fits else f"{len(lines)} requantizations of {len(node.inputs)} inputs"
        fits = len(tables) == len(node.inputs) and all(
            table is None or (len(table) == 256 and all(INT8_MIN <= entry <= INT8_MAX for entry in table))
            for table in tables
        )
        return "" if fits else "a table does not map int8 to int8"

    def takes_int16(self, node: Node) -> bool:
        return True

    def cases(self) -> Mapping[str, Case]:
        def case(*channels: int, repeats: bool = False) -> Case:
            return Case(tuple((1, 3, 4, c) for c in channels), ConcatAttributes(), repeats=repeats)

        return {
            "of two": case(5, 3),
            "of four": case(1, 6, 2, 7),
            "of single channels": case(1, 1),
            "of one": case(4),
            "with itself": case(3, 3, repeats=True),
        }

    # --- float32 ---

    def run_float(self, node: Node, graph: Graph, inputs: Sequence[np.ndarray]) -> np.ndarray:
        return np.concatenate(inputs, axis=-1)

    def gradient(
        self, node: Node, graph: Graph, inputs: Sequence[np.ndarray], gradient: np.ndarray
    ) -> Sequence[np.ndarray]:
        return np.split(gradient, np.cumsum([array.shape[3] for array in inputs])[:-1], axis=-1)

    def bounds(self, node: Node, graph: Graph, inputs: Sequence[Bounds]) -> Bounds:
        lows, highs = zip(*inputs, strict=True)
        return np.concatenate(lows), np.concatenate(highs)

    def spell_float(self, node: Node, graph: Graph) -> list[OnnxOp]:
        return [OnnxOp("Concat", node.inputs, node.outputs, {"axis": 1})]

    # --- int8 ---

    def tie_quants(
        self, node: Node, graph: Graph, quants: Mapping[str, Quant], with_scale: Callable[[str, np.float32], Quant]
    ) -> Mapping[str, Quant]:
        """An input that nobody else reads is rounded to the output's steps at once, and then need not be copied. Not
        one that ends in a clamp within the output's range, for its own range does that."""
        quant = quants[node.outputs[0]]
        free = [
            name
            for name in node.inputs
            if len(graph.consumers[name]) == 1
            and name in graph.producer
            and not graph.is_output(name)
            and quants[name].bits == quant.bits
            and _saturates_at(quant, getattr(graph.producer[name].attributes, "activation", None))
        ]
        return dict.fromkeys(free, quant)

    def quantize(self, node: Node, graph: Graph, quants: Mapping[str, Quant]) -> tuple[Node, list[Tensor]]:
        inputs, y = [quants[name] for name in node.inputs], quants[node.outputs[0]]
        if is_wide((*inputs, y)):
            lines = tuple(wide_line(float(scale_of(x)) / float(scale_of(y)), wide_reach(x), y) for x in inputs)
            return replace(node, attributes=ConcatAttributes(lines=lines)), []
        tables = tuple(_table(x, y) for x in inputs)
        return replace(node, attributes=ConcatAttributes(tables)), []

    def run(self, node: Node, graph: Graph, inputs: Sequence[np.ndarray]) -> np.ndarray:
        if node.attributes.lines:
            *quants, y = _quants(node, graph)
            each = zip(node.attributes.lines, quants, inputs, strict=True)
            return np.concatenate([run_wide(line, centred(x, values), y) for line, x, values in each], axis=-1)
        results = [
            array if table is None else np.array(table, np.int8)[array.astype(np.int64) - INT8_MIN]
            for array, table in zip(inputs, node.attributes.tables, strict=True)
        ]
        return np.concatenate(results, axis=-1)

    def spell_int8(self, node: Node, graph: Graph) -> list[OnnxOp]:
        output = node.outputs[0]
        if node.attributes.lines:
            return _spell_lines(node, graph)
        read = [spell_dequantize(graph, name, f"{node.name}__{number}") for number, name in enumerate(node.inputs)]
        real = f"{output}__real"
        concat = OnnxOp("Concat", tuple(name for _, name in read), (real,), {"axis": 1})
        return [*(one for one, _ in read), concat, spell_quantize(real, output, quant_of(graph, output))]

    def scalar_kernels(self) -> tuple[ScalarKernel, ...]:
        wide = ScalarKernel("concat", S16_PARAMS, _pack_wide, takes_int16=True)
        return (ScalarKernel("concat", PARAMS, _pack, writes_slices=True), wide)


def _quants(node: Node, graph: Graph) -> list[Quant]:
    """Of the inputs, and of the output."""
    return [quant_of(graph, name) for name in (*node.inputs, *node.outputs)]


def _spell_lines(node: Node, graph: Graph) -> list[OnnxOp]:
    """Each input in steps of the output, which are rounded together."""
    output, lines = node.outputs[0], node.attributes.lines
    spelled, parts = [], []
    for number, (x, line) in enumerate(zip(node.inputs, lines, strict=True)):
        whole, part = f"{output}__{number}", f"{output}__{number}__steps"
        spelled += spell_whole(graph, x, whole, np.float64)
        spelled.append(spell_by(whole, part, "Mul", steps_per_unit(line)))
        parts.append(part)
    steps = f"{output}__steps"
    spelled.append(OnnxOp("Concat", tuple(parts), (steps,), {"axis": 1}))
    return spelled + spell_rounded(graph, steps, output, (lines[0].low, lines[0].high))


def _saturates_at(quant: Quant, activation: Activation | None) -> bool:
    """Whether nothing is left of a clamp to do for values that were rounded so."""
    if activation is None:
        return True
    low, high = (limit / float(scale_of(quant)) + quant.zero_point for limit in (activation.low, activation.high))
    return low < INT8_MIN + 0.5 and high > INT8_MAX - 0.5


def _table(x: Quant, y: Quant, low: int = INT8_MIN, high: int = INT8_MAX) -> Table | None:
    """What DequantizeLinear and QuantizeLinear make of all 256 values, clamped; None if each stays itself."""
    found = np.clip(tabulated(lambda real: real, x, y), low, high)
    return None if np.array_equal(found, INT8_LEVELS) else tuple(int(entry) for entry in found)


# --- how ONNX files spell it ---


def _joined(call: OnnxCall, values: Sequence[Value]) -> Value | Declined:
    """The output, its tensor not yet named."""
    first, rank = values[0], len(values[0].shape)
    if any(len(value.shape) != rank for value in values):
        raise call.refuse("Concat of tensors of different rank")
    axis = call.axis(rank, 1)
    others = [position for position in range(rank) if position != axis]
    is_alike = all(
        value.shape[at] == first.shape[at] and value.groups[at] == first.groups[at] for value in values for at in others
    )
    groups = {value.groups[axis] for value in values}
    layouts = [set(_layouts(value)) for value in values]
    by_layout = any(layout[axis] == CHANNEL for layout in set.intersection(*layouts)) if rank == 4 else False
    if not is_alike or not groups <= {(), (CHANNEL,)} or not ((CHANNEL,) in groups or by_layout):
        return Declined(
            f"Concat of tensors of shapes {[list(value.shape) for value in values]} over axis {axis} is not supported",
            "only channels of maps of one size can be put together",
        )
    extent = sum(value.shape[axis] for value in values)
    shape = (*first.shape[:axis], extent, *first.shape[axis + 1 :])
    label: tuple[int, ...] = (CHANNEL,) if extent > 1 else ()
    return replace(first, shape=shape, groups=(*first.groups[:axis], label, *first.groups[axis + 1 :]))


def _layouts(value: Value) -> list[tuple[int, ...]]:
    return [layout for layout in (NCHW, NHWC) if labels_of(value, (layout,)) is not None]


def _import_concat(call: OnnxCall) -> Value | Declined:
    indices = range(len(call.node.inputs))
    if any(call.is_constant(index) for index in indices):
        return Declined("Concat with a constant is not supported")
    values = [call.value(index) for index in indices]
    joined = _joined(call, values)
    if isinstance(joined, Declined):
        return values[0] if len(values) == 1 else joined  # a batch of one image
    return replace(joined, tensor=call.emit(Concat.name, values, _extents(call, values), ConcatAttributes()))


def _extents(call: OnnxCall, values: Sequence[Value]) -> Shape:
    shapes = [call.extents(value) for value in values]
    return (*shapes[0][:3], sum(shape[3] for shape in shapes))


# --- how quantized ones do ---


def _import_qlinear_concat(call: PrequantizedCall) -> Value | Declined:
    """source  ONNX Runtime contrib operators, QLinearConcat: scale, zero point of the output, then with each input"""
    y_in_file = call.file_quant(0, 1)
    places = range(2, len(call.node.inputs), 3)
    if any(call.is_constant(place) for place in places):
        return Declined("QLinearConcat with a constant is not supported")
    values = []
    for place in places:
        value, _ = call.integers_in(place)
        call.builder.set_quant(call, value.tensor, call.file_quant(place + 1, place + 2))
        values.append(value)
    return _emit(call, values, y_in_file)


def _emit(call: PrequantizedCall, values: Sequence[Value], y_in_file: FileQuant) -> Value | Declined:
    joined = _joined(call, values)
    if isinstance(joined, Declined):
        return joined
    output = call.builder.activation(call.node.outputs[0], _extents(call, values), call)
    call.builder.nodes.append(_node(call, values, output, y_in_file, None))
    call.builder.set_quant(call, output, y_in_file)
    return call_done(call, replace(joined, tensor=output), y_in_file)


def _concat_in_float(call: PrequantizedCall) -> Value | Declined:
    """Concat between DequantizeLinear and QuantizeLinear, or of int8 tensors as they are."""
    indices = range(len(call.node.inputs))
    if any(call.is_constant(index) for index in indices):
        return Declined("Concat with a constant is not supported")
    if not call.meaning(0).is_real:
        values = [call.integers_in(index)[0] for index in indices]
        quant = call.builder.quants.get(values[0].tensor)
        if quant is None:
            return Declined("Concat of integers whose scale nobody says is not supported")
        y_in_file = FileQuant(quant, call.meaning(0).unsigned)
        for value in values:
            call.builder.set_quant(call, value.tensor, y_in_file)
        return _emit(call, values, y_in_file)
    reals = [call.real_steps(index) for index in indices]
    values = [value for value, _ in reals]
    joined = _joined(call, values)
    if isinstance(joined, Declined):
        return joined
    if any(len(steps) > 1 for _, steps in reals):
        return Declined("Concat of functions that are not quantized is not supported")
    output = call.builder.activation(call.node.outputs[0], _extents(call, values), call)

    def finish(y_in_file: FileQuant, activation: Activation | None) -> Node:
        return _node(call, values, output, y_in_file, activation)

    return unfinished(call, replace(joined, tensor=output), finish)


def _node(
    call: PrequantizedCall, values: Sequence[Value], output: str, y_in_file: FileQuant, activation: Activation | None
) -> Node:
    ends = limits(y_in_file, activation)
    tables = tuple(_table(call.builder.quants[value.tensor], y_in_file.quant, *ends) for value in values)
    return Node(call.name, Concat.name, tuple(value.tensor for value in values), (output,), ConcatAttributes(tables))
