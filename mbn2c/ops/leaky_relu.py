"""leaky_relu: y = x for x >= 0, else alpha * x; in int8 a lookup.

input    x [1, H, W, C]
output   the same shape
source   ONNX operators LeakyRelu, and PRelu with one slope for all channels
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from mbn2c.ir.axes import Value
from mbn2c.ir.graph import Graph, Node
from mbn2c.ops.base.call import Declined, Importer, OnnxCall, OnnxName
from mbn2c.ops.base.case import Case
from mbn2c.ops.base.elementwise import Elementwise
from mbn2c.ops.base.operator import OnnxOp
from mbn2c.ops.base.prequantized.values import PrequantizedCall, PrequantizedImporter
from mbn2c.ops.base.reading import per_channel
from mbn2c.ops.lookup import pointwise_in_float


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

    def onnx_imports(self) -> Mapping[OnnxName, Importer]:
        return {**super().onnx_imports(), ("", "PRelu"): self._import_prelu}

    def prequantized_imports(self) -> Mapping[OnnxName, PrequantizedImporter]:
        return {**super().prequantized_imports(), ("", "PRelu"): _one_slope_in_float}

    def _import_prelu(self, call: OnnxCall) -> Value | Declined:
        x = call.value(0)
        slope = per_channel(call, x, 1).astype(np.float32)
        if (slope != slope[0]).any():
            return Declined()
        return call.emit_like(self.name, x, LeakyReluAttributes(float(slope[0])))

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

    def spell_function(self, node: Node, graph: Graph) -> list[OnnxOp]:
        return [OnnxOp("LeakyRelu", node.inputs, node.outputs, {"alpha": node.attributes.alpha})]

    def other_spellings(self, node: Node, graph: Graph) -> Mapping[str, list[OnnxOp]]:
        slope = f"{node.outputs[0]}__slope"
        alpha, channels = np.float32(node.attributes.alpha), graph.tensors[node.outputs[0]].shape[3]
        return {
            words: [OnnxOp("PRelu", (*node.inputs, slope), node.outputs, {}, {slope: np.full(shape, alpha)})]
            for words, shape in (("PRelu", (1,)), ("PRelu with equal slopes", (channels, 1, 1)))
        }


def _one_slope_in_float(call: PrequantizedCall) -> Value | Declined:
    """PRelu whose slope is one number; prelu takes the others."""
    if call.is_constant(1) and call.constant(1).size > 1:
        return Declined()
    return pointwise_in_float(call)
