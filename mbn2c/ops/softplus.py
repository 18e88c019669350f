"""softplus: y = log(1 + exp(x)); in int8 a lookup.

input    x [1, H, W, C]
output   the same shape
source   ONNX operator Softplus
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from mbn2c.ir.graph import Graph, Node
from mbn2c.ops.base.case import Case
from mbn2c.ops.base.elementwise import Elementwise
from mbn2c.ops.base.operator import OnnxOp


class Softplus(Elementwise):
    """A smooth ReLU."""

    name = "softplus"
    onnx_types = ("Softplus",)

    def cases(self) -> Mapping[str, Case]:
        return {"of 5 channels": Case(((1, 3, 4, 5),), None)}

    def function(self, node: Node, x: np.ndarray) -> np.ndarray:
        return np.asarray(np.logaddexp(x, np.zeros_like(x)))

    def slope(self, node: Node, x: np.ndarray) -> np.ndarray:
        with np.errstate(over="ignore"):  # 1 / infinity is 0
            return np.asarray(1 / (1 + np.exp(-x)))

    def spell_float(self, node: Node, graph: Graph) -> list[OnnxOp]:
        return [OnnxOp("Softplus", node.inputs, node.outputs)]
