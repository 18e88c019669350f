"""scale_shift: y = x * scale + shift per channel, float32 only.

inputs   x [1, H, W, C], scale [C], shift [C]
output   [1, H, W, C]
source   ONNX operator BatchNormalization, Mul and Add with a number per channel; passes fold it into weights
"""

from __future__ import annotations

from dataclasses import dataclass

from mbn2c.ir.graph import Graph, Node
from mbn2c.ops.base.operator import Operator


@dataclass(frozen=True)
class ScaleShiftAttributes:
    """scale_shift, inputs (x, scale C, shift C): y = x * scale + shift per channel, float32 only.

    origin  what it was in the ONNX file: "BatchNormalization", "Mul", "Add", "Mul+Add"
    """

    origin: str


class ScaleShift(Operator):
    name = "scale_shift"

    def output_shape(self, node: Node, graph: Graph) -> tuple[int, ...]:
        return graph.tensors[node.inputs[0]].shape
