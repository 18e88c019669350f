"""silu: y = x / (1 + exp(-beta * x)), also called swish; in int8 a lookup.

input    x [1, H, W, C]
output   the same shape
source   Ramachandran et al., Searching for Activation Functions (2017); ONNX operator Swish, and what exporters write
         for it: x * Sigmoid(x), and x * Sigmoid(x * beta) (Paddle, with beta 1 too)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from mbn2c.ir.graph import Graph, Node
from mbn2c.ops.base.call import OnnxCall
from mbn2c.ops.base.case import Case
from mbn2c.ops.base.elementwise import Elementwise, only_number, without_unread
from mbn2c.ops.base.operator import OnnxOp
from mbn2c.ops.mul import Mul
from mbn2c.ops.scale_shift import ScaleShift
from mbn2c.ops.sigmoid import Sigmoid

# Where x / (1 + exp(-x)) is smallest.
_LOWEST_AT = -1.2784645427610738


@dataclass(frozen=True)
class SiluAttributes:
    """silu, input (x); beta is a float32 number other than 0."""

    beta: float = 1.0

    @property
    def words(self) -> str:
        """As the Graph is printed: beta, if it is not 1."""
        return f"beta {self.beta:g}" if self.beta != 1 else ""


class Silu(Elementwise):
    """A tensor times its own sigmoid."""

    name = "silu"
    attributes = SiluAttributes
    onnx_types = ("Swish",)

    def attributes_of(self, call: OnnxCall) -> SiluAttributes:
        beta = float(np.float32(call.number("alpha", 1.0)))
        if beta == 0:
            raise call.refuse("Swish with alpha 0 is x / 2", "write it as a Mul")
        return SiluAttributes(beta)

    def cases(self) -> Mapping[str, Case]:
        shape = (1, 3, 4, 5)
        return {
            "beta 1": Case((shape,), SiluAttributes()),
            "beta 1.702": Case((shape,), SiluAttributes(float(np.float32(1.702)))),
            "beta -0.5": Case((shape,), SiluAttributes(-0.5)),
        }

    def function(self, node: Node, x: np.ndarray) -> np.ndarray:
        with np.errstate(over="ignore"):  # a number by infinity is 0
            return np.asarray(x / (1 + np.exp(-node.attributes.beta * x)))

    def slope(self, node: Node, x: np.ndarray) -> np.ndarray:
        beta = node.attributes.beta
        with np.errstate(over="ignore"):
            gate = 1 / (1 + np.exp(-beta * x))
        return np.asarray(gate + beta * x * gate * (1 - gate))

    def turning_points(self, node: Node) -> tuple[float, ...]:
        return (_LOWEST_AT / node.attributes.beta,)

    def spell_function(self, node: Node, graph: Graph) -> list[OnnxOp]:
        """ONNX's Swish is newer than the opset of our models."""
        (x,), (y,) = node.inputs, node.outputs
        if node.attributes.beta != 1:
            return _with_beta(x, y, node.attributes.beta)
        return [OnnxOp("Sigmoid", (x,), (f"{y}__gate",)), OnnxOp("Mul", (x, f"{y}__gate"), (y,))]

    def other_spellings(self, node: Node, graph: Graph) -> Mapping[str, list[OnnxOp]]:
        (x,), (y,), beta = node.inputs, node.outputs, node.attributes.beta
        gate, *rest = reversed(self.spell_function(node, graph))
        return {
            "Sigmoid(x) * x": [*reversed(rest), replace(gate, inputs=gate.inputs[::-1])],
            "x * Sigmoid(x * beta)": _with_beta(x, y, beta),
        }

    def recognise(self, node: Node, graph: Graph) -> Graph | None:
        """A product of a tensor and the sigmoid of it, or of it times a number."""
        if node.op != Mul.name or len(node.inputs) != 2 or graph.tensors[node.outputs[0]].dtype != "float32":
            return None
        for x, gate in (node.inputs, node.inputs[::-1]):
            maker = graph.producer.get(gate)
            if maker is None or maker.op != Sigmoid.name:
                continue
            source, beta = maker.inputs[0], 1.0
            scale = graph.producer.get(source)
            if source != x and scale is not None and scale.op == ScaleShift.name:
                source, beta = scale.inputs[0], only_number(graph, scale)
            if source == x and beta:
                silu = replace(node, op=self.name, inputs=(x,), attributes=SiluAttributes(beta))
                return without_unread(graph.rebuild(nodes=[silu if one is node else one for one in graph.nodes]))
        return None


def _with_beta(x: str, y: str, beta: float) -> list[OnnxOp]:
    number = {f"{y}__beta": np.array(beta, np.float32)}
    return [
        OnnxOp("Mul", (x, f"{y}__beta"), (f"{y}__scaled",), {}, number),
        OnnxOp("Sigmoid", (f"{y}__scaled",), (f"{y}__gate",)),
        OnnxOp("Mul", (x, f"{y}__gate"), (y,)),
    ]
