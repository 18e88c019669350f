"""softsign: y = x / (1 + |x|); in int8 a lookup.

input    x [1, H, W, C]
output   the same shape
source   ONNX operator Softsign; older exporters write Abs, Add and Div (`frontend.heads`)
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from mbn2c.ir.graph import Graph, Node
from mbn2c.ops.base.case import Case
from mbn2c.ops.base.elementwise import Elementwise
from mbn2c.ops.base.operator import OnnxOp


class Softsign(Elementwise):
    """A tanh without exponentials."""

    name = "softsign"
    onnx_types = ("Softsign",)

    def cases(self) -> Mapping[str, Case]:
        return {"of 5 channels": Case(((1, 3, 4, 5),), None)}

    def function(self, node: Node, x: np.ndarray) -> np.ndarray:
        return np.asarray(x / (1 + np.abs(x)))

    def slope(self, node: Node, x: np.ndarray) -> np.ndarray:
        return np.asarray(1 / (1 + np.abs(x)) ** 2)

    def spell_float(self, node: Node, graph: Graph) -> list[OnnxOp]:
        return [OnnxOp("Softsign", node.inputs, node.outputs)]
