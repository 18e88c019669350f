"""hard_sigmoid: y = clip(alpha * x + beta, 0, 1); in int8 a lookup.

input    x [1, H, W, C]
output   the same shape
source   ONNX operator HardSigmoid
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from mbn2c.ir.graph import Graph, Node
from mbn2c.ops.base.call import Call
from mbn2c.ops.base.case import Case
from mbn2c.ops.base.elementwise import Elementwise
from mbn2c.ops.base.operator import OnnxOp


@dataclass(frozen=True)
class HardSigmoidAttributes:
    """hard_sigmoid, input (x); float32 numbers."""

    alpha: float
    beta: float

    @property
    def words(self) -> str:
        return f"{self.alpha:g} x + {self.beta:g}"


def _attributes(alpha: float, beta: float) -> HardSigmoidAttributes:
    return HardSigmoidAttributes(float(np.float32(alpha)), float(np.float32(beta)))


class HardSigmoid(Elementwise):
    name = "hard_sigmoid"
    attributes = HardSigmoidAttributes
    onnx_types = ("HardSigmoid",)

    def attributes_of(self, call: Call) -> HardSigmoidAttributes:
        return _attributes(call.number("alpha", 0.2), call.number("beta", 0.5))

    def cases(self) -> Mapping[str, Case]:
        return {
            "of ONNX": Case(((1, 3, 4, 5),), _attributes(0.2, 0.5)),
            "of MobileNetV3": Case(((1, 3, 4, 5),), _attributes(1 / 6, 0.5)),
            "falling": Case(((1, 3, 4, 5),), _attributes(-0.3, 0.4)),
        }

    def function(self, node: Node, x: np.ndarray) -> np.ndarray:
        return np.clip(x * node.attributes.alpha + node.attributes.beta, 0, 1)

    def slope(self, node: Node, x: np.ndarray) -> np.ndarray:
        y = self.function(node, x)
        return np.where((y > 0) & (y < 1), node.attributes.alpha, 0).astype(x.dtype)

    def spell_float(self, node: Node, graph: Graph) -> list[OnnxOp]:
        numbers = {"alpha": node.attributes.alpha, "beta": node.attributes.beta}
        return [OnnxOp("HardSigmoid", node.inputs, node.outputs, numbers)]
