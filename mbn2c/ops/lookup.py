"""lookup: any function of one int8 value, as a table of 256 results, or as one for each channel.

inputs   x [1, H, W, C], int8 or int16; int8 [C * 256], the tables of the channels, where they have one each
output   the same shape
source   DequantizeLinear, Clip, QuantizeLinear in ONNX, Gather for other functions; the table holds every result. Where
         x or the output is int16, it holds the ends of straight lines, see `base.segments`
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from mbn2c.ir.axes import CHANNEL, NCHW, Value, labels_of
from mbn2c.ir.graph import Graph, Node, Quant
from mbn2c.ir.kernel import Packed, Params, ScalarKernel
from mbn2c.ir.window import Activation
from mbn2c.numerics import INT8_MAX, INT8_MIN
from mbn2c.ops.base.call import MICROSOFT, Declined, OnnxName
from mbn2c.ops.base.case import Case
from mbn2c.ops.base.operator import QUANTIZED, OnnxOp, Operator
from mbn2c.ops.base.packing import INT8_ARRAY, PIXEL_STRIDE, integers, pixel_stride
from mbn2c.ops.base.prequantized.layers import call_done
from mbn2c.ops.base.prequantized.tables import as_int8, chained, lookup_table, pairs
from mbn2c.ops.base.prequantized.values import FOLD_FIRST, FileQuant, Meaning, PrequantizedCall, PrequantizedImporter
from mbn2c.ops.base.quants import quant_of
from mbn2c.ops.base.reading import scalar
from mbn2c.ops.base.segments import PARAMS as SEGMENT_PARAMS
from mbn2c.ops.base.segments import pack_segments, run_segments, spell_segments, wrong_segments
from mbn2c.ops.base.spelling import spell_clip, spell_dequantize, spell_quantize
from mbn2c.ops.base.wide import is_wide
from mbn2c.ops.base.windows import Shape

_INT32 = 6  # TensorProto.INT32
# ONNX operators that are a function of one tensor, where what else they read is one number.
_POINTWISE = (
    "Add",
    "Clip",
    "Elu",
    "HardSigmoid",
    "HardSwish",
    "LeakyRelu",
    "Max",
    "Min",
    "Mul",
    "Relu",
    "Sigmoid",
    "Sub",
    "Tanh",
)


@dataclass(frozen=True)
class LookupAttributes:
    """lookup, quantized only, inputs (x) or (x, tables): out = table[x + 128], an elementwise function of one tensor.

    table       empty where each channel has its own; with int16, the ends of lines
    activation  the clamp it stands for; None for another function
    function    the name of the operator it was in float32; "" for a clamp, and for a function of an imported model
    """

    table: tuple[int, ...]
    activation: Activation | None
    function: str = ""

    @property
    def words(self) -> str:
        """As the Graph is printed: the function that the table holds."""
        return self.function


PARAMS = Params(
    "mbn_lookup_params",
    (*integers("channels"), PIXEL_STRIDE, (INT8_ARRAY, "table", "result for 0 first, for -1 last")),
)
PARAMS_PER_CHANNEL = Params(
    "mbn_lookup_per_channel_params",
    (
        *integers("channels"),
        PIXEL_STRIDE,
        (INT8_ARRAY, "table", "256 results for each channel, for 0 first, for -1 last"),
    ),
)


def pack_lookup(node: Node, graph: Graph) -> Packed:
    """The table in the order of the values' bytes: the result for 0 first, for -1 last."""
    table = np.roll(np.array(node.attributes.table, np.int8), INT8_MIN)
    channels = graph.tensors[node.outputs[0]].shape[3]
    return Packed({"channels": channels, **pixel_stride(node), "table": "table"}, {"table": table})


def _pack_per_channel(node: Node, graph: Graph) -> Packed:
    """Likewise, of each channel."""
    tables = np.roll(graph.constant(node.inputs[1]).reshape(-1, 256), INT8_MIN, axis=1).reshape(-1)
    channels = graph.tensors[node.outputs[0]].shape[3]
    return Packed({"channels": channels, **pixel_stride(node), "table": "table"}, {"table": tables})


def is_per_channel(node: Node) -> bool:
    """Whether each channel has its own table."""
    return len(node.inputs) == 2


def has_one_table(node: Node, graph: Graph) -> bool:
    """Whether all channels have the same table, as most kernels want it."""
    return not is_per_channel(node)


class Lookup(Operator):
    """A table of 256 results, one for each int8 value, or lines through what an int16 may be."""

    name = "lookup"
    in_words = "elementwise functions"
    attributes = LookupAttributes
    stages = frozenset((QUANTIZED,))

    def prequantized_imports(self) -> Mapping[OnnxName, PrequantizedImporter]:
        return {
            ("", "QuantizeLinear"): _import_quantize,
            (MICROSOFT, "QLinearLeakyRelu"): _import_qlinear,
            (MICROSOFT, "QLinearSigmoid"): _import_qlinear,
            (MICROSOFT, "QuantizeLinear"): _import_quantize,
            ("", "Cast"): _import_cast,
            ("", "Gather"): _import_gather,
            **{("", op_type): pointwise_in_float for op_type in _POINTWISE},
            ("", "Add"): _import_add,
        }

    def output_shape(self, node: Node, shapes: Sequence[Shape]) -> Shape | None:
        return shapes[0] if list(shapes[1:]) in ([], [(256 * shapes[0][-1],)]) else None

    def cases(self) -> Mapping[str, Case]:
        quants = (Quant(np.array([0.02], np.float32), 3), Quant(np.array([0.05], np.float32), -7))
        mixed = tuple(37 * entry % 256 - 128 for entry in range(256))

        def tables(generator: np.random.Generator) -> Sequence[np.ndarray]:
            return (generator.integers(-128, 128, 5 * 256).astype(np.int8),)

        return {
            "any table": Case(((1, 3, 4, 5),), LookupAttributes(mixed, None), quants=quants),
            "a table for each channel": Case(((1, 3, 4, 5),), LookupAttributes((), None), tables, quants),
        }

    def scalar_kernels(self) -> tuple[ScalarKernel, ...]:
        return (
            ScalarKernel("lookup", PARAMS, pack_lookup, has_one_table, writes_slices=True),
            ScalarKernel("lookup_per_channel", PARAMS_PER_CHANNEL, _pack_per_channel, writes_slices=True),
            ScalarKernel("lookup", SEGMENT_PARAMS, pack_segments, takes_int16=True),
        )

    def takes_int16(self, node: Node) -> bool:
        return not is_per_channel(node)

    def is_channelwise(self, node: Node) -> bool:
        return True

    def check_attributes(self, node: Node, graph: Graph) -> str:
        table = node.attributes.table
        x, y = _quants(node, graph)
        if is_wide((x, y)):
            return wrong_segments(table, x, y)
        length = 256 if has_one_table(node, graph) else 0
        fits = len(table) == length and all(INT8_MIN <= entry <= INT8_MAX for entry in table)
        return "" if fits else "the table does not map int8 to int8"

    def spell_int8(self, node: Node, graph: Graph) -> list[OnnxOp]:
        x, output = node.inputs[0], node.outputs[0]
        activation = node.attributes.activation
        if is_wide(_quants(node, graph)):
            return spell_segments(graph, node.attributes.table, x, output)
        if is_per_channel(node):
            return _spell_tables(graph.constant(node.inputs[1]), x, output)
        if activation is None:
            return _spell_table(node.attributes.table, x, output)
        read, real = spell_dequantize(graph, x, node.name)
        clamped = f"{output}__real"
        clip = spell_clip(real, clamped, activation.low, activation.high)
        return [read, clip, spell_quantize(clamped, output, quant_of(graph, output))]

    def run(self, node: Node, graph: Graph, inputs: Sequence[np.ndarray]) -> np.ndarray:
        x, y = _quants(node, graph)
        if is_wide((x, y)):
            return run_segments(node.attributes.table, x, y, inputs[0])
        index = inputs[0].astype(np.int64) - INT8_MIN
        if is_per_channel(node):
            return graph.constant(node.inputs[1])[index + 256 * np.arange(index.shape[-1])]
        return np.array(node.attributes.table, np.int8)[index]


def _quants(node: Node, graph: Graph) -> tuple[Quant, Quant]:
    """Of input and output."""
    return quant_of(graph, node.inputs[0]), quant_of(graph, node.outputs[0])


def _spell_table(table: Sequence[int], x: str, output: str) -> list[OnnxOp]:
    """The entry of each value; ONNX's Gather counts a negative index from the end, where -128 must not be first."""
    whole = {f"{output}__table": np.roll(np.array(table, np.int8), INT8_MIN)}
    index = f"{output}__index"
    return [
        OnnxOp("Cast", (x,), (index,), {"to": _INT32}),
        OnnxOp("Gather", (*whole, index), (output,), {"axis": 0}, whole),
    ]


def _spell_tables(tables: np.ndarray, x: str, output: str) -> list[OnnxOp]:
    """The entry of each value in the table of its channel."""
    whole, first = {f"{output}__tables": tables}, {f"{output}__starts": _starts(tables.size // 256)}
    value, index = f"{output}__value", f"{output}__index"
    return [
        OnnxOp("Cast", (x,), (value,), {"to": _INT32}),
        OnnxOp("Add", (value, *first), (index,), {}, first),
        OnnxOp("Gather", (*whole, index), (output,), {"axis": 0}, whole),
    ]


def _starts(channels: int) -> np.ndarray:
    """Where in the tables the entry for 0 of each channel lies: int32 [C, 1, 1]."""
    return (256 * np.arange(channels, dtype=np.int32) - INT8_MIN).astype(np.int32).reshape(-1, 1, 1)


# --- how ONNX files spell it ---


def pointwise_in_float(call: PrequantizedCall) -> Value | Declined:
    """An elementwise float32 function of one tensor and constants; it waits for its QuantizeLinear."""
    data = [index for index in range(len(call.node.inputs)) if call.has(index) and not call.is_constant(index)]
    if data == [1] and len(call.node.inputs) == 2 and call.op in ("Add", "Max", "Min", "Mul"):
        call = replace(call, node=replace(call.node, inputs=call.node.inputs[::-1]))
        data = [0]
    if len(data) > 1:
        return Declined(
            f"{call.op} of two activations is not supported", "only sums and products of two activations compile"
        )
    if data != [0]:
        return Declined(f"{call.op} of a constant and an activation is not supported", FOLD_FIRST)
    for index in range(1, len(call.node.inputs)):
        if call.has(index) and call.constant(index).size != 1:
            return Declined(f"{call.op} with one number per channel is not supported", FOLD_FIRST)
        if call.has(index):
            scalar(call, index)
    meaning = call.meaning(0)
    call.builder.meanings[call.node.outputs[0]] = replace(meaning, steps=(*meaning.steps, call.node))
    return call.value(0)


def _import_quantize(call: PrequantizedCall) -> Value | Declined:
    """Elementwise nodes between DequantizeLinear and QuantizeLinear: a table of ONNX Runtime's own results."""
    x, meaning = call.value(0), call.meaning(0)
    if not meaning.steps or meaning.steps[0].op_type != "DequantizeLinear":
        return Declined()
    y_in_file = call.file_quant(1, 2)
    return _emit_lookup(call, x, lookup_table(call, meaning.steps, meaning.unsigned, y_in_file), y_in_file)


def _import_qlinear(call: PrequantizedCall) -> Value:
    """QLinearLeakyRelu, QLinearSigmoid: x, scale, zero point, y scale, zero point."""
    x, meaning = call.integers_in(0)
    x_in_file, y_in_file = call.file_quant(1, 2), call.file_quant(3, 4)
    call.builder.set_quant(call, x.tensor, x_in_file)
    nodes, last = chained([call.node], "x", "step")
    values = pairs(meaning.unsigned, meaning.unsigned)[0][::256]
    table = as_int8(call.ask(nodes, {"x": values}, last))
    return _emit_lookup(call, x, table, y_in_file)


def _import_cast(call: PrequantizedCall) -> Value | Declined:
    """int8 -> int32, the index of a Gather."""
    x, meaning = call.integers_in(0)
    if call.integer("to", 0) != _INT32:
        return Declined(f"{call.op} of an int8 tensor is not supported")
    call.builder.meanings[call.node.outputs[0]] = replace(meaning, steps=(call.node,))
    return x


def _import_gather(call: PrequantizedCall) -> Value | Declined:
    """Our own spelling: entries of a table of 256 by a tensor that was cast to int32; a reader says their scale."""
    if not call.is_constant(0) or call.is_constant(1) or call.constant(0).ndim != 1:
        return Declined(f"{call.op} of something else than a table of 256 is not supported")
    if [step.op_type for step in call.meaning(1).steps] == ["Cast", "Add"]:
        return _import_tables(call)
    if call.constant(0).shape != (256,):
        return Declined(f"{call.op} of something else than a table of 256 is not supported")
    whole, x, meaning = call.constant(0), call.value(1), call.meaning(1)
    if whole.dtype not in (np.int8, np.uint8) or [step.op_type for step in meaning.steps] != ["Cast"]:
        return Declined(f"{call.op} of something else than an int8 tensor is not supported")
    table = as_int8(whole if meaning.unsigned else np.roll(whole, -INT8_MIN))
    return _emit_gathered(call, x, (), tuple(int(value) for value in table), whole.dtype == np.uint8)


def _emit_gathered(
    call: PrequantizedCall, x: Value, tables: tuple[str, ...], table: tuple[int, ...], unsigned: bool
) -> Value:
    output = call.builder.activation(call.node.outputs[0], call.extents(x), call)
    call.builder.nodes.append(
        Node(call.name, Lookup.name, (x.tensor, *tables), (output,), LookupAttributes(table, None))
    )
    made = replace(x, tensor=output)
    call.builder.meanings[call.node.outputs[0]] = Meaning(False, unsigned)
    call.builder.note_probe(call.node.outputs[0], made, unsigned)
    return made


def _import_add(call: PrequantizedCall) -> Value | Declined:
    """Our own spelling: where in the tables of all channels each channel's begins; or a function of real numbers."""
    if call.is_constant(0) or not call.is_constant(1) or [step.op_type for step in call.meaning(0).steps] != ["Cast"]:
        return pointwise_in_float(call)
    x, meaning, starts = call.value(0), call.meaning(0), call.constant(1)
    channels = call.extents(x)[CHANNEL]
    is_ours = labels_of(x, (NCHW,)) is not None and starts.dtype == np.int32 and starts.shape == (channels, 1, 1)
    if not is_ours or not np.array_equal(starts, _starts(channels)):
        return Declined("Add of integers and a constant is not supported", FOLD_FIRST)
    call.builder.meanings[call.node.outputs[0]] = replace(meaning, steps=(*meaning.steps, call.node))
    return x


def _import_tables(call: PrequantizedCall) -> Value | Declined:
    """Our own spelling: entries of the table of each channel."""
    tables, x, meaning = call.constant(0), call.value(1), call.meaning(1)
    if tables.dtype != np.int8 or meaning.unsigned or tables.size != 256 * call.extents(x)[CHANNEL]:
        return Declined(f"{call.op} of something else than a table of 256 for each channel is not supported")
    name = call.builder.add_quantized(call.node.inputs[0], tables, None)
    return _emit_gathered(call, x, (name,), (), False)


def _emit_lookup(call: PrequantizedCall, x: Value, table: np.ndarray, y_in_file: FileQuant) -> Value:
    output = call.builder.activation(call.node.outputs[0], call.extents(x), call)
    attributes = LookupAttributes(tuple(int(value) for value in table), None)
    call.builder.nodes.append(Node(call.name, Lookup.name, (x.tensor,), (output,), attributes))
    call.builder.set_quant(call, output, y_in_file)
    return call_done(call, replace(x, tensor=output), y_in_file)
