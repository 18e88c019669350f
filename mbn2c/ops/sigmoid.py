"""sigmoid: y = 1 / (1 + exp(-x)), inside the network; in int8 a lookup.

input    x [1, H, W, C]
output   the same shape
source   ONNX operator Sigmoid; one that ends the network is split off (`tasks.tails`)
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from mbn2c.ir.graph import Graph, Node
from mbn2c.ops.base.case import Case
from mbn2c.ops.base.elementwise import Elementwise
from mbn2c.ops.base.operator import OnnxOp


class Sigmoid(Elementwise):
    """The logistic function."""

    name = "sigmoid"
    onnx_types = ("Sigmoid",)

    def cases(self) -> Mapping[str, Case]:
        return {"of 5 channels": Case(((1, 3, 4, 5),), None)}

    def function(self, node: Node, x: np.ndarray) -> np.ndarray:
        with np.errstate(over="ignore"):  # 1 / infinity is 0
            return np.asarray(1 / (1 + np.exp(-x)))

    def slope(self, node: Node, x: np.ndarray) -> np.ndarray:
        y = self.function(node, x)
        return np.asarray(y * (1 - y))

    def spell_function(self, node: Node, graph: Graph) -> list[OnnxOp]:
        return [OnnxOp("Sigmoid", node.inputs, node.outputs)]
