"""sub: the difference a - b of two tensors of equal shape; one of them a constant, it is a scale_shift.

inputs   a, b [1, H, W, C]
output   [1, H, W, C]
source   ONNX operator Sub between DequantizeLinear and QuantizeLinear; in int8 an add whose second multiplier is
         negative: all 65,536 input pairs are compared
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mbn2c.ir.axes import Value
from mbn2c.ir.graph import Graph, Node
from mbn2c.ops.add import Add, AddAttributes, add_pairs, add_values
from mbn2c.ops.base.call import Declined, Importer, OnnxCall, OnnxName
from mbn2c.ops.base.case import RELU, Case
from mbn2c.ops.base.operator import OnnxOp
from mbn2c.ops.base.prequantized.values import PrequantizedCall, PrequantizedImporter
from mbn2c.ops.base.windows import Bounds


class Sub(Add):
    """The difference of two tensors."""

    name = "sub"
    in_words = "difference"
    sums_channels = False
    spelling = "Sub"
    sign = -1

    def onnx_imports(self) -> Mapping[OnnxName, Importer]:
        return {("", "Sub"): _import_sub}

    def prequantized_imports(self) -> Mapping[OnnxName, PrequantizedImporter]:
        return {("", "Sub"): _sub_in_float}

    def cases(self) -> Mapping[str, Case]:
        shape = (1, 3, 4, 5)
        return {
            "of two tensors": Case((shape, shape), AddAttributes()),
            "with ReLU": Case((shape, shape), AddAttributes(RELU)),
        }

    def bounds(self, node: Node, graph: Graph, inputs: Sequence[Bounds]) -> Bounds:
        (low_a, high_a), (low_b, high_b) = inputs
        return low_a - high_b, high_a - low_b

    def other_spellings(self, node: Node, graph: Graph) -> Mapping[str, list[OnnxOp]]:
        return {}


# --- how ONNX files spell it ---


def _import_sub(call: OnnxCall) -> Value | Declined:
    if call.is_constant(0) or call.is_constant(1):
        return Declined()
    return add_values(call, call.value(0), call.value(1), op=Sub.name)


# --- how quantized ones do ---


def _sub_in_float(call: PrequantizedCall) -> Value | Declined:
    """Of 65,536 pairs ONNX Runtime says the results."""
    if call.is_constant(0) or call.is_constant(1) or call.meaning(0).terms or call.meaning(1).terms:
        return Declined()
    return add_pairs(call, Sub.name, Sub.sign)
