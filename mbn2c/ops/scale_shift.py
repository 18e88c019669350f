"""scale_shift: y = x * scale + shift per channel, float32 only.

inputs   x [1, H, W, C], scale [C], shift [C]
output   [1, H, W, C]
source   ONNX operator BatchNormalization, Mul and Add with a number per channel; passes fold it into weights
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from mbn2c.ir.graph import Graph, Node, Note, Tensor
from mbn2c.ops.base.operator import IMPORTED, Operator, Shape
from mbn2c.ops.base.weighted import ConvAttributes


@dataclass(frozen=True)
class ScaleShiftAttributes:
    """scale_shift, inputs (x, scale C, shift C): y = x * scale + shift per channel, float32 only.

    origin  what it was in the ONNX file: "BatchNormalization", "Mul", "Add", "Mul+Add"
    """

    origin: str

    @property
    def words(self) -> str:
        return f"from {self.origin}"


class ScaleShift(Operator):
    name = "scale_shift"
    stages = frozenset((IMPORTED,))
    attributes = ScaleShiftAttributes
    is_affine = True

    def output_shape(self, node: Node, shapes: Sequence[Shape]) -> Shape | None:
        return shapes[0] if len(shapes) == 3 and shapes[1] == shapes[2] == shapes[0][3:] else None

    def constants(self, node: Node) -> tuple[str, ...]:
        return node.inputs[1:]

    def is_channelwise(self, node: Node) -> bool:
        return True

    def lower(self, node: Node, graph: Graph) -> tuple[Node, list[Tensor], Note] | None:
        """A 1x1 depthwise convolution, weights [1, 1, C] and bias [C]."""
        scale = graph.constant(node.inputs[1]).reshape(1, 1, -1)
        text = f"{node.attributes.origin} that no layer can absorb runs as a 1x1 depthwise convolution"
        weights = replace(graph.tensors[node.inputs[1]], shape=scale.shape, data=scale)
        lowered = replace(node, op="depthwise_conv2d", attributes=ConvAttributes())
        return lowered, [weights], Note(self.name, node.name, text)
