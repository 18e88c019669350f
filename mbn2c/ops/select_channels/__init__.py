"""select_channels: some channels of a tensor, in any order.

input    x [1, H, W, C]
output   [1, H, W, number of `channels`]: channel c is channel `channels[c]` of x
source   ONNX operators Split, Slice and Gather over the channels, and the Reshape, Transpose, Reshape of a channel
         shuffle; in int8 the same of int8 tensors, or between DequantizeLinear and QuantizeLinear
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from mbn2c.ir.axes import Value
from mbn2c.ir.graph import Graph, Node, Quant, Tensor
from mbn2c.ir.kernel import Packed, Params, ScalarKernel, always
from mbn2c.numerics import INT8_MAX, INT8_MIN
from mbn2c.ops.base.call import Importer, OnnxCall, OnnxName
from mbn2c.ops.base.case import Case
from mbn2c.ops.base.levels import INT8_LEVELS, tabulated
from mbn2c.ops.base.operator import ChannelSlice, OnnxOp, Operator
from mbn2c.ops.base.packing import IN_BYTES, INT8_ARRAY, PIXEL_STRIDE, in_bytes, integers, pixel_stride
from mbn2c.ops.base.prequantized.values import PrequantizedImporter
from mbn2c.ops.base.quants import quant_of
from mbn2c.ops.base.spelling import spell_dequantize, spell_quantize
from mbn2c.ops.base.windows import Bounds, Shape
from mbn2c.ops.select_channels.reading import IMPORTS, NAME, SelectAttributes, selected, shuffle

PARAMS = Params(
    "mbn_select_channels_params",
    (
        *integers("channels"),
        IN_BYTES,
        PIXEL_STRIDE,
        ("const int16_t *", "indices", "for each channel of the output that of the input"),
        (INT8_ARRAY, "table", "of its value, for -128 first; 0: it stays"),
    ),
)


def _pack(node: Node, graph: Graph) -> Packed:
    attributes: SelectAttributes = node.attributes
    arrays = {"indices": np.array(attributes.channels, np.int16)}
    if attributes.table is not None:
        arrays["table"] = np.array(attributes.table, np.int8)
    return Packed(
        {
            "channels": len(attributes.channels),
            **in_bytes(node),
            **pixel_stride(node),
            "indices": "indices",
            "table": "table" if attributes.table is not None else 0,
        },
        arrays,
    )


class SelectChannels(Operator):
    """Some channels, in any order."""

    name = NAME
    in_words = "split, slice and shuffle of channels"
    attributes = SelectAttributes

    def onnx_imports(self) -> Mapping[OnnxName, Importer]:
        return IMPORTS

    def prequantized_imports(self) -> Mapping[OnnxName, PrequantizedImporter]:
        return IMPORTS

    def import_shuffle(self, call: OnnxCall, value: Value, order: Sequence[int], whole: Value) -> Value:
        return selected(call, value, shuffle(value.factors, order), whole)

    def output_shape(self, node: Node, shapes: Sequence[Shape]) -> Shape | None:
        channels = node.attributes.channels
        fits = len(shapes) == 1 and channels and 0 <= min(channels) <= max(channels) < shapes[0][3]
        return (*shapes[0][:3], len(channels)) if fits else None

    def slices(self, node: Node, graph: Graph) -> tuple[ChannelSlice, ...]:
        attributes: SelectAttributes = node.attributes
        if attributes.table is not None or not attributes.is_run:
            return ()
        return (ChannelSlice(0, attributes.channels[0], len(attributes.channels), 0),)

    def check_attributes(self, node: Node, graph: Graph) -> str:
        table = node.attributes.table
        fits = table is None or (len(table) == 256 and all(INT8_MIN <= entry <= INT8_MAX for entry in table))
        return "" if fits else "the table does not map int8 to int8"

    def cases(self) -> Mapping[str, Case]:
        def case(*channels: int, of: int = 6) -> Case:
            return Case(((1, 3, 4, of),), SelectAttributes(channels))

        return {
            "slice": case(1, 2, 3),
            "first ones": case(0, 1),
            "shuffle of two groups": case(0, 3, 1, 4, 2, 5),
            "every other one": case(1, 3, 5),
            "backwards, some twice": case(5, 0, 0, 5),
            "one": case(4),
        }

    # --- structure ---

    def selected_channels(self, node: Node) -> tuple[int, ...] | None:
        return tuple(node.attributes.channels) if node.attributes.table is None else None

    def selecting(self, node: Node, channels: Sequence[int]) -> Node:
        return replace(node, attributes=replace(node.attributes, channels=tuple(int(channel) for channel in channels)))

    def recognise(self, node: Node, graph: Graph) -> Graph | None:
        """Two behind each other."""
        before = graph.producer.get(node.inputs[0]) if node.op == self.name else None
        if before is None or before.op != self.name or node.attributes.table or before.attributes.table:
            return None
        channels = [before.attributes.channels[channel] for channel in node.attributes.channels]
        both = replace(self.selecting(node, channels), inputs=before.inputs)
        is_read = len(graph.consumers[before.outputs[0]]) > 1 or graph.is_output(before.outputs[0])
        nodes = [both if one is node else one for one in graph.nodes if is_read or one is not before]
        return graph.rebuild(nodes=nodes)

    # --- float32 ---

    def run_float(self, node: Node, graph: Graph, inputs: Sequence[np.ndarray]) -> np.ndarray:
        return inputs[0][..., list(node.attributes.channels)]

    def gradient(
        self, node: Node, graph: Graph, inputs: Sequence[np.ndarray], gradient: np.ndarray
    ) -> Sequence[np.ndarray]:
        found = np.zeros((len(gradient), *inputs[0].shape[1:]), np.float32)
        for channel, source in enumerate(node.attributes.channels):
            found[..., source] += gradient[..., channel]
        return [found]

    def bounds(self, node: Node, graph: Graph, inputs: Sequence[Bounds]) -> Bounds:
        channels = list(node.attributes.channels)
        return inputs[0][0][channels], inputs[0][1][channels]

    def spell_float(self, node: Node, graph: Graph) -> list[OnnxOp]:
        return [_spelt(node, node.inputs[0], node.outputs[0])]

    def other_spellings(self, node: Node, graph: Graph) -> Mapping[str, list[OnnxOp]]:
        x, output, channels = node.inputs[0], node.outputs[0], node.attributes.channels
        _, height, width, count = graph.tensors[x].shape
        if node.attributes.is_run:
            gather = OnnxOp("Gather", (x, f"{output}__index"), (output,), {"axis": 1}, _index(output, channels))
            around = {"__before": channels[0], "": len(channels), "__after": count - channels[-1] - 1}
            parts = {f"{output}{what}": size for what, size in around.items() if size}
            sizes = {f"{output}__sizes": np.array(list(parts.values()), np.int64)}
            return {"Gather": [gather], "Split": [OnnxOp("Split", (x, *sizes), tuple(parts), {"axis": 1}, sizes)]}
        groups = next((g for g in range(2, count) if channels == tuple(shuffle((g, count // g), (1, 0)))), None)
        if groups is None or count % groups:
            return {}
        shapes = {"cut": (1, groups, count // groups, height, width), "whole": (1, count, height, width)}
        constants = {f"{output}__{what}": np.array(shape, np.int64) for what, shape in shapes.items()}
        cut, whole = constants
        return {
            "Reshape, Transpose, Reshape": [
                OnnxOp("Reshape", (x, cut), (f"{output}__in_groups",), {}, {cut: constants[cut]}),
                OnnxOp("Transpose", (f"{output}__in_groups",), (f"{output}__turned",), {"perm": [0, 2, 1, 3, 4]}),
                OnnxOp("Reshape", (f"{output}__turned", whole), (output,), {}, {whole: constants[whole]}),
            ]
        }

    # --- int8 ---

    def tie_ranges(self, node: Node) -> Mapping[str, str]:
        """What the output holds the input holds, and an equal scale saves the table."""
        return {node.outputs[0]: node.inputs[0]}

    def quantize(self, node: Node, graph: Graph, quants: Mapping[str, Quant]) -> tuple[Node, list[Tensor]]:
        table = tabulated(lambda real: real, quants[node.inputs[0]], quants[node.outputs[0]])
        is_same = np.array_equal(table, INT8_LEVELS)
        attributes = replace(node.attributes, table=None if is_same else tuple(int(entry) for entry in table))
        return replace(node, attributes=attributes), []

    def run(self, node: Node, graph: Graph, inputs: Sequence[np.ndarray]) -> np.ndarray:
        attributes: SelectAttributes = node.attributes
        found = inputs[0][..., list(attributes.channels)]
        return found if attributes.table is None else np.array(attributes.table, np.int8)[found.astype(int) - INT8_MIN]

    def spell_int8(self, node: Node, graph: Graph) -> list[OnnxOp]:
        x, output = node.inputs[0], node.outputs[0]
        if node.attributes.table is None:
            return [_spelt(node, x, output)]
        read, real = spell_dequantize(graph, x, node.name)
        chosen = f"{output}__real"
        return [read, _spelt(node, real, chosen), spell_quantize(chosen, output, quant_of(graph, output))]

    def scalar_kernels(self) -> tuple[ScalarKernel, ...]:
        return (ScalarKernel("select_channels", PARAMS, _pack, reads_slices=always, writes_slices=True),)


def _index(output: str, channels: Sequence[int]) -> dict[str, np.ndarray]:
    return {f"{output}__index": np.array(channels, np.int64)}


def _spelt(node: Node, x: str, output: str) -> OnnxOp:
    """Slice where the channels stand side by side, else Gather."""
    channels = node.attributes.channels
    if not node.attributes.is_run:
        return OnnxOp("Gather", (x, f"{output}__index"), (output,), {"axis": 1}, _index(output, channels))
    ends = {"starts": channels[0], "ends": channels[-1] + 1, "axes": 1}
    constants = {f"{output}__{what}": np.array([number], np.int64) for what, number in ends.items()}
    return OnnxOp("Slice", (x, *constants), (output,), {}, constants)
