"""pad: a border of a constant value, float32 only.

input    x [1, H, W, C]
output   [1, top + H + bottom, left + W + right, C]
source   ONNX operator Pad in mode constant; passes fold it into the window that reads it
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mbn2c.ir.graph import Node
from mbn2c.ops.base.operator import IMPORTED, Operator, Shape


@dataclass(frozen=True)
class PadAttributes:
    """pad, input (x): constant padding, float32 only; passes fold it into the consumer.

    pad  (top, left, bottom, right)
    """

    pad: tuple[int, int, int, int]
    value: float = 0.0

    @property
    def words(self) -> str:
        return ",".join(str(pad) for pad in self.pad) + f" value {self.value:g}"


class Pad(Operator):
    name = "pad"
    stages = frozenset((IMPORTED,))
    attributes = PadAttributes
    is_padding = True

    def is_channelwise(self, node: Node) -> bool:
        return True

    def output_shape(self, node: Node, shapes: Sequence[Shape]) -> Shape | None:
        top, left, bottom, right = node.attributes.pad
        _, height, width, channels = shapes[0]
        return (1, top + height + bottom, left + width + right, channels)
