"""pad_channels: channels of zeros before and behind those of a tensor.

input    x [1, H, W, C]
output   [1, H, W, before + C + after]
source   ONNX operator Pad over the channels: shortcuts without a projection, as those of BlazeFace
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from mbn2c.ir.axes import BATCH, CHANNEL, HEIGHT, WIDTH, Value, labels_of
from mbn2c.ir.graph import Graph, Node, Quant, Tensor
from mbn2c.ir.kernel import Packed, Params, PixelStride, ScalarKernel, always
from mbn2c.ops.base.call import Declined, Importer, OnnxCall, OnnxName
from mbn2c.ops.base.case import Case
from mbn2c.ops.base.copying import Table, copy_table, is_table, looked_up, packed_with_table
from mbn2c.ops.base.operator import OnnxOp, Operator
from mbn2c.ops.base.packing import INT8_ARRAY, INT32, integers
from mbn2c.ops.base.prequantized.values import PrequantizedCall, PrequantizedImporter
from mbn2c.ops.base.quants import quant_of
from mbn2c.ops.base.spelling import spell_dequantize, spell_quantize
from mbn2c.ops.base.windows import Bounds, Shape
from mbn2c.ops.pad import check_is_zero, pads_channels, pads_of


@dataclass(frozen=True)
class PadChannelsAttributes:
    """pad_channels, input (x).

    before, after  so many channels of zeros
    table          int8 form: what each value becomes, for -128 first; None where it stays itself
    """

    before: int
    after: int
    table: Table | None = None


PARAMS = Params(
    "mbn_pad_channels_params",
    (
        *integers("before", "channels", "after", "zero_point"),
        (INT32, "in_bytes", "from an input pixel to the next"),
        (INT32, "out_bytes", "from an output pixel to the next"),
        (INT8_ARRAY, "table", "what each value becomes, for -128 first; 0: it stays itself"),
    ),
)


def _pack(node: Node, graph: Graph) -> Packed:
    x, output = node.inputs[0], node.outputs[0]
    fields: dict[str, int | str | PixelStride] = {
        "before": node.attributes.before,
        "channels": graph.tensors[x].shape[3],
        "after": node.attributes.after,
        "zero_point": quant_of(graph, output).zero_point,
        "in_bytes": PixelStride(x),
        "out_bytes": PixelStride(output),
    }
    return packed_with_table(fields, node.attributes.table)


class PadChannels(Operator):
    """Channels of zeros around those of a tensor."""

    name = "pad_channels"
    in_words = "channels of zeros"
    attributes = PadChannelsAttributes

    def onnx_imports(self) -> Mapping[OnnxName, Importer]:
        return {("", "Pad"): _import}

    def prequantized_imports(self) -> Mapping[OnnxName, PrequantizedImporter]:
        return {("", "Pad"): _import_prequantized}

    def output_shape(self, node: Node, shapes: Sequence[Shape]) -> Shape | None:
        a: PadChannelsAttributes = node.attributes
        fits = len(shapes) == 1 and min(a.before, a.after) >= 0
        return (*shapes[0][:3], a.before + shapes[0][3] + a.after) if fits else None

    def check_attributes(self, node: Node, graph: Graph) -> str:
        return "" if is_table(node.attributes.table) else "the table does not map int8 to int8"

    def cases(self) -> Mapping[str, Case]:
        return {
            "behind": Case(((1, 3, 4, 5),), PadChannelsAttributes(0, 3)),
            "on both sides": Case(((1, 2, 5, 6),), PadChannelsAttributes(2, 1)),
        }

    # --- float32 ---

    def _inner(self, node: Node, padded: np.ndarray) -> np.ndarray:
        return padded[..., node.attributes.before : padded.shape[3] - node.attributes.after]

    def _padded(self, node: Node, x: np.ndarray, value: int = 0) -> np.ndarray:
        ends = (node.attributes.before, node.attributes.after)
        return np.pad(x, ((0, 0), (0, 0), (0, 0), ends), constant_values=value)

    def run_float(self, node: Node, graph: Graph, inputs: Sequence[np.ndarray]) -> np.ndarray:
        return self._padded(node, inputs[0])

    def gradient(
        self, node: Node, graph: Graph, inputs: Sequence[np.ndarray], gradient: np.ndarray
    ) -> Sequence[np.ndarray]:
        return [np.ascontiguousarray(self._inner(node, gradient))]

    def bounds(self, node: Node, graph: Graph, inputs: Sequence[Bounds]) -> Bounds:
        ends = (node.attributes.before, node.attributes.after)
        return np.pad(inputs[0][0], ends), np.pad(inputs[0][1], ends)

    def spell_float(self, node: Node, graph: Graph) -> list[OnnxOp]:
        return [_spelt(node, node.inputs[0], node.outputs[0], np.zeros((), np.float32))]

    # --- int8 ---

    def tie_ranges(self, node: Node) -> Mapping[str, str]:
        """An equal scale saves the table."""
        return {node.outputs[0]: node.inputs[0]}

    def quantize(self, node: Node, graph: Graph, quants: Mapping[str, Quant]) -> tuple[Node, list[Tensor]]:
        table = copy_table(quants[node.inputs[0]], quants[node.outputs[0]])
        return replace(node, attributes=replace(node.attributes, table=table)), []

    def run(self, node: Node, graph: Graph, inputs: Sequence[np.ndarray]) -> np.ndarray:
        zero_point = quant_of(graph, node.outputs[0]).zero_point
        return self._padded(node, looked_up(node.attributes.table, inputs[0]), zero_point)

    def spell_int8(self, node: Node, graph: Graph) -> list[OnnxOp]:
        x, output = node.inputs[0], node.outputs[0]
        if node.attributes.table is None:
            return [_spelt(node, x, output, np.array(quant_of(graph, output).zero_point, np.int8))]
        read, real = spell_dequantize(graph, x, node.name)
        made = f"{output}__real"
        padded = _spelt(node, real, made, np.zeros((), np.float32))
        return [read, padded, spell_quantize(made, output, quant_of(graph, output))]

    def scalar_kernels(self) -> tuple[ScalarKernel, ...]:
        return (ScalarKernel(self.name, PARAMS, _pack, reads_slices=always, writes_slices=True),)


def _spelt(node: Node, x: str, output: str, value: np.ndarray) -> OnnxOp:
    constants = {
        f"{output}__pads": np.array([0, node.attributes.before, 0, 0, 0, node.attributes.after, 0, 0], np.int64),
        f"{output}__value": value,
    }
    return OnnxOp("Pad", (x, *constants), (output,), {"mode": "constant"}, constants)


def _read(call: OnnxCall, x: Value) -> tuple[PadChannelsAttributes, float]:
    """How many channels, and their value."""
    begin, end, mode, value = pads_of(call)
    before, after, labels = begin[CHANNEL], end[CHANNEL], labels_of(x)
    assert labels is not None
    others = [one[label] for one in (begin, end) for label in (BATCH, HEIGHT, WIDTH)]
    if any(others) or min(before, after) < 0 or mode != "constant":
        pads = [one[label] for one in (begin, end) for label in labels]
        raise call.refuse(f"Pad by {pads} is not supported", "pad channels alone, with zeros")
    return PadChannelsAttributes(before, after), value


def _padded(call: OnnxCall, x: Value, a: PadChannelsAttributes) -> tuple[Shape, Value]:
    """NHWC of the output, and the output, its tensor not yet named."""
    labels = labels_of(x)
    assert labels is not None
    _, height, width, channels = call.extents(x)
    shape = (1, height, width, a.before + channels + a.after)
    groups = tuple((label,) if shape[label] > 1 else () for label in labels)
    return shape, replace(x, shape=tuple(shape[label] for label in labels), groups=groups)


def _import(call: OnnxCall) -> Value | Declined:
    if not pads_channels(call):
        return Declined()
    x = call.value(0)
    attributes, value = _read(call, x)
    if value != 0:
        raise call.refuse(f"Pad of channels with {value:g} is not supported", "pad with zeros")
    shape, made = _padded(call, x, attributes)
    return replace(made, tensor=call.emit(PadChannels.name, [x], shape, attributes))


def _import_prequantized(call: PrequantizedCall) -> Value | Declined:
    """Of integers, or of the float32 numbers that they stand for."""
    if not pads_channels(call):
        return Declined()
    x, meaning = call.value(0), call.meaning(0)
    if x.tensor not in call.builder.quants or (meaning.is_real and len(meaning.steps) != 1):
        return Declined()
    attributes, value = _read(call, x)
    check_is_zero(call, x.tensor, value)
    shape, made = _padded(call, x, attributes)
    output = call.builder.activation(call.node.outputs[0], shape, call)
    call.builder.nodes.append(Node(call.name, PadChannels.name, (x.tensor,), (output,), attributes))
    call.builder.tie(call, x.tensor, output)
    call.builder.meanings[call.node.outputs[0]] = meaning
    made = replace(made, tensor=output)
    if not meaning.is_real:
        call.builder.note_probe(call.node.outputs[0], made, meaning.unsigned)
    return made
