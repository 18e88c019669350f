"""tanh: y = tanh(x), inside the network; in int8 a lookup.

input    x [1, H, W, C]
output   the same shape
source   ONNX operator Tanh
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from mbn2c.ir.graph import Graph, Node
from mbn2c.ops.base.case import Case
from mbn2c.ops.base.elementwise import Elementwise
from mbn2c.ops.base.operator import OnnxOp


class Tanh(Elementwise):
    """The hyperbolic tangent."""

    name = "tanh"
    onnx_types = ("Tanh",)

    def cases(self) -> Mapping[str, Case]:
        return {"of 5 channels": Case(((1, 3, 4, 5),), None)}

    def function(self, node: Node, x: np.ndarray) -> np.ndarray:
        return np.asarray(np.tanh(x))

    def slope(self, node: Node, x: np.ndarray) -> np.ndarray:
        return np.asarray(1 - np.tanh(x) ** 2)

    def spell_function(self, node: Node, graph: Graph) -> list[OnnxOp]:
        return [OnnxOp("Tanh", node.inputs, node.outputs)]
