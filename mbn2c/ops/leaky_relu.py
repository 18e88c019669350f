"""leaky_relu: y = x for x >= 0, else alpha * x; in int8 a lookup.

input    x [1, H, W, C]
output   the same shape
source   ONNX operator LeakyRelu
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from mbn2c.ir.graph import Graph, Node
from mbn2c.ops.base.call import OnnxCall
from mbn2c.ops.base.case import Case
from mbn2c.ops.base.elementwise import Elementwise
from mbn2c.ops.base.operator import OnnxOp


@dataclass(frozen=True)
class LeakyReluAttributes:
    """leaky_relu, input (x); alpha may be of any sign."""

    alpha: float

    @property
    def words(self) -> str:
        """As the Graph is printed: the slope below zero."""
        return f"alpha {self.alpha:g}"


class LeakyRelu(Elementwise):
    """A ReLU with a slope below zero."""

    name = "leaky_relu"
    attributes = LeakyReluAttributes
    onnx_types = ("LeakyRelu",)

    def attributes_of(self, call: OnnxCall) -> LeakyReluAttributes:
        return LeakyReluAttributes(float(np.float32(call.number("alpha", 0.01))))

    def cases(self) -> Mapping[str, Case]:
        return {
            f"alpha {alpha}": Case(((1, 3, 4, 5),), LeakyReluAttributes(float(np.float32(alpha))))
            for alpha in (0.1, 0.01, 2.0, -0.5)
        }

    def function(self, node: Node, x: np.ndarray) -> np.ndarray:
        return np.where(x >= 0, x, x * node.attributes.alpha)

    def slope(self, node: Node, x: np.ndarray) -> np.ndarray:
        return np.where(x >= 0, 1, node.attributes.alpha).astype(x.dtype)

    def turning_points(self, node: Node) -> tuple[float, ...]:
        return (0.0,)

    def spell_float(self, node: Node, graph: Graph) -> list[OnnxOp]:
        return [OnnxOp("LeakyRelu", node.inputs, node.outputs, {"alpha": node.attributes.alpha})]
