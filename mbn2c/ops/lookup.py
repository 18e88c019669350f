"""lookup: any function of one int8 value, as a table of 256 results.

input    x [1, H, W, C]
output   the same shape
source   DequantizeLinear, Clip, QuantizeLinear in ONNX, Gather for other functions; the table holds every result
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mbn2c.ir.graph import Graph, Node
from mbn2c.ir.window import Activation
from mbn2c.numerics import INT8_MAX, INT8_MIN
from mbn2c.ops.base.operator import QUANTIZED, OnnxOp, Operator, Shape, quant_of
from mbn2c.ops.base.spelling import spell_clip, spell_dequantize, spell_quantize

_INT32 = 6  # TensorProto.INT32


@dataclass(frozen=True)
class LookupAttributes:
    """lookup, int8 only, input (x): out = table[x + 128], an elementwise function of one tensor.

    activation  the clamp it stands for; None for another function of an imported model
    """

    table: tuple[int, ...]
    activation: Activation | None


class Lookup(Operator):
    name = "lookup"
    attributes = LookupAttributes
    stages = frozenset((QUANTIZED,))

    def output_shape(self, node: Node, shapes: Sequence[Shape]) -> Shape | None:
        return shapes[0] if len(shapes) == 1 else None

    def is_channelwise(self, node: Node) -> bool:
        return True

    def check_attributes(self, node: Node, graph: Graph) -> str:
        table = node.attributes.table
        fits = len(table) == 256 and all(INT8_MIN <= entry <= INT8_MAX for entry in table)
        return "" if fits else "the table does not map int8 to int8"

    def spell_int8(self, node: Node, graph: Graph) -> list[OnnxOp]:
        x, output = node.inputs[0], node.outputs[0]
        activation = node.attributes.activation
        if activation is None:
            return _spell_table(node.attributes.table, x, output)
        read, real = spell_dequantize(graph, x, node.name)
        clamped = f"{output}__real"
        clip = spell_clip(real, clamped, activation.low, activation.high)
        return [read, clip, spell_quantize(clamped, output, quant_of(graph, output))]

    def run(self, node: Node, graph: Graph, inputs: Sequence[np.ndarray]) -> np.ndarray:
        table = np.array(node.attributes.table, np.int8)
        return table[inputs[0].astype(np.int64) - INT8_MIN]


def _spell_table(table: Sequence[int], x: str, output: str) -> list[OnnxOp]:
    """The entry of each value; ONNX's Gather counts a negative index from the end, where -128 must not be first."""
    whole = {f"{output}__table": np.roll(np.array(table, np.int8), INT8_MIN)}
    index = f"{output}__index"
    return [
        OnnxOp("Cast", (x,), (index,), {"to": _INT32}),
        OnnxOp("Gather", (*whole, index), (output,), {"axis": 0}, whole),
    ]
