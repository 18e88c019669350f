"""pad: a border of a constant value, float32 only.

input    x [1, H, W, C]
output   [1, top + H + bottom, left + W + right, C]
source   ONNX operator Pad in mode constant; passes fold it into the window that reads it
"""

from __future__ import annotations

from dataclasses import dataclass

from mbn2c.ir.graph import Graph, Node
from mbn2c.ops.base.operator import Operator


@dataclass(frozen=True)
class PadAttributes:
    """pad, input (x): constant padding, float32 only; passes fold it into the consumer.

    pad  (top, left, bottom, right)
    """

    pad: tuple[int, int, int, int]
    value: float = 0.0


class Pad(Operator):
    name = "pad"

    def output_shape(self, node: Node, graph: Graph) -> tuple[int, ...]:
        top, left, bottom, right = node.attributes.pad
        _, height, width, channels = graph.tensors[node.inputs[0]].shape
        return (1, top + height + bottom, left + width + right, channels)
