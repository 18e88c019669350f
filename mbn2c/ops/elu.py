"""elu: y = gain * x for x >= 0, else gain * alpha * (exp(rate * x) - 1); in int8 a lookup.

input    x [1, H, W, C]
output   the same shape
source   ONNX operators Elu (gain and rate 1), Selu (rate 1) and Celu (rate 1 / alpha)
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

_SELU_ALPHA, _SELU_GAMMA = 1.67326319217681884765625, 1.05070102214813232421875  # as ONNX Selu has them


@dataclass(frozen=True)
class EluAttributes:
    """elu, input (x); float32 numbers, rate above 0."""

    alpha: float
    gain: float = 1.0
    rate: float = 1.0

    @property
    def words(self) -> str:
        """As the Graph is printed: the numbers that are not 1."""
        return f"alpha {self.alpha:g}" + (f", times {self.gain:g}" if self.gain != 1 else "")


def _attributes(alpha: float, gain: float = 1.0, rate: float = 1.0) -> EluAttributes:
    return EluAttributes(*(float(np.float32(number)) for number in (alpha, gain, rate)))


class Elu(Elementwise):
    """A ReLU with an exponential below zero."""

    name = "elu"
    attributes = EluAttributes
    onnx_types = ("Celu", "Elu", "Selu")

    def attributes_of(self, call: OnnxCall) -> EluAttributes:
        if call.op == "Selu":
            return _attributes(call.number("alpha", _SELU_ALPHA), call.number("gamma", _SELU_GAMMA))
        alpha = call.number("alpha", 1.0)
        if call.op == "Elu":
            return _attributes(alpha)
        if alpha <= 0:
            raise call.refuse(f"Celu with alpha {alpha:g} is not supported", "alpha must be positive")
        return _attributes(alpha, rate=1 / alpha)

    def cases(self) -> Mapping[str, Case]:
        shape = (1, 3, 4, 5)
        return {
            "alpha 1": Case((shape,), _attributes(1.0)),
            "alpha 0.3": Case((shape,), _attributes(0.3)),
            "falling below zero": Case((shape,), _attributes(-0.5)),
            "Selu": Case((shape,), _attributes(_SELU_ALPHA, _SELU_GAMMA)),
            "Celu": Case((shape,), _attributes(2.0, rate=0.5)),
        }

    def function(self, node: Node, x: np.ndarray) -> np.ndarray:
        a: EluAttributes = node.attributes
        return np.where(x >= 0, x, a.alpha * np.expm1(a.rate * np.minimum(x, 0))) * a.gain

    def slope(self, node: Node, x: np.ndarray) -> np.ndarray:
        a: EluAttributes = node.attributes
        below = a.alpha * a.rate * np.exp(a.rate * np.minimum(x, 0))
        return np.where(x >= 0, 1, below).astype(x.dtype) * a.gain

    def turning_points(self, node: Node) -> tuple[float, ...]:
        return (0.0,)

    def spell_function(self, node: Node, graph: Graph) -> list[OnnxOp]:
        a: EluAttributes = node.attributes
        if a.gain == a.rate == 1:
            return [OnnxOp("Elu", node.inputs, node.outputs, {"alpha": a.alpha})]
        if a.rate == 1:
            return [OnnxOp("Selu", node.inputs, node.outputs, {"alpha": a.alpha, "gamma": a.gain})]
        return [OnnxOp("Celu", node.inputs, node.outputs, {"alpha": a.alpha})]
