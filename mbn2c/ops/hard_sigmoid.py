"""hard_sigmoid: y = clip(alpha * x + beta, 0, top); in int8 a lookup.

input    x [1, H, W, C]
output   the same shape
source   ONNX operator HardSigmoid, whose top is 1; Clip of x + 3 between 0 and 6, times a sixth
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from mbn2c.ir.graph import Graph, Node
from mbn2c.ops.base.call import OnnxCall
from mbn2c.ops.base.case import Case
from mbn2c.ops.base.elementwise import Elementwise
from mbn2c.ops.base.operator import OnnxOp
from mbn2c.ops.clamp import Clamp
from mbn2c.ops.scale_shift import ScaleShift


@dataclass(frozen=True)
class HardSigmoidAttributes:
    """hard_sigmoid, input (x); float32 numbers.

    top  other than 1 where a file's sixth is one of float16
    """

    alpha: float
    beta: float
    top: float = 1.0

    @property
    def words(self) -> str:
        """As the Graph is printed: the straight line and its top."""
        return f"{self.alpha:g} x + {self.beta:g}" + (f" up to {self.top:g}" if self.top != 1 else "")


_HALF_SIXTH = float(np.float16(1 / 6))


def _attributes(alpha: float, beta: float) -> HardSigmoidAttributes:
    return HardSigmoidAttributes(float(np.float32(alpha)), float(np.float32(beta)))


class HardSigmoid(Elementwise):
    """A straight line between two constants."""

    name = "hard_sigmoid"
    attributes = HardSigmoidAttributes
    onnx_types = ("HardSigmoid",)

    def attributes_of(self, call: OnnxCall) -> HardSigmoidAttributes:
        return _attributes(call.number("alpha", 0.2), call.number("beta", 0.5))

    def cases(self) -> Mapping[str, Case]:
        return {
            "of ONNX": Case(((1, 3, 4, 5),), _attributes(0.2, 0.5)),
            "of MobileNetV3": Case(((1, 3, 4, 5),), _attributes(1 / 6, 0.5)),
            "falling": Case(((1, 3, 4, 5),), _attributes(-0.3, 0.4)),
            "of float16": Case(((1, 3, 4, 5),), HardSigmoidAttributes(_HALF_SIXTH, 3 * _HALF_SIXTH, 6 * _HALF_SIXTH)),
        }

    def function(self, node: Node, x: np.ndarray) -> np.ndarray:
        return np.clip(x * node.attributes.alpha + node.attributes.beta, 0, node.attributes.top)

    def slope(self, node: Node, x: np.ndarray) -> np.ndarray:
        y = self.function(node, x)
        return np.where((y > 0) & (y < node.attributes.top), node.attributes.alpha, 0).astype(x.dtype)

    def spell_float(self, node: Node, graph: Graph) -> list[OnnxOp]:
        attributes: HardSigmoidAttributes = node.attributes
        if attributes.top == 1:
            numbers = {"alpha": attributes.alpha, "beta": attributes.beta}
            return [OnnxOp("HardSigmoid", node.inputs, node.outputs, numbers)]
        return _spell_clip(node, attributes.top / attributes.alpha)

    def other_spellings(self, node: Node, graph: Graph) -> Mapping[str, list[OnnxOp]]:
        if node.attributes.alpha <= 0 or node.attributes.top != 1:
            return {}
        return {"Clip(x + 3, 0, 6) / 6": _spell_clip(node, float(np.float32(1 / node.attributes.alpha)))}

    def recognise(self, node: Node, graph: Graph) -> Graph | None:
        """(Clip of x plus a number, from 0 on) times a number: scale_shift, clamp, scale_shift."""
        clip = _maker_alone(graph, node, ScaleShift.name)
        moved = None if clip is None else _maker_alone(graph, clip, Clamp.name)
        if clip is None or moved is None or moved.op != ScaleShift.name:
            return None
        (scale, shift), (factor, rest) = (_numbers(graph, one) for one in (moved, node))
        low, high = clip.attributes.activation.low, clip.attributes.activation.high
        if scale is None or factor is None or rest != 0 or low != 0 or not np.isfinite(high) or factor <= 0:
            return None
        top = float(np.float32(high * factor))
        is_one = abs(top - 1) < 1e-6
        attributes = HardSigmoidAttributes(
            float(np.float32(scale * factor)), float(np.float32(shift * factor)), 1.0 if is_one else top
        )
        gate = replace(node, op=self.name, inputs=(moved.inputs[0],), attributes=attributes)
        nodes = [gate if one is node else one for one in graph.nodes if one is not clip and one is not moved]
        return graph.rebuild(nodes=nodes)


def _spell_clip(node: Node, high: float) -> list[OnnxOp]:
    """Clip(x + high * beta, 0, high) / high * top; high: 6 for a sixth."""
    attributes: HardSigmoidAttributes = node.attributes
    (x,), (y,) = node.inputs, node.outputs
    moved = attributes.beta / attributes.alpha
    names = [f"{y}__{what}" for what in ("zero", "shift", "high", "factor")]
    values = (0.0, moved, high, attributes.alpha)
    constants = {name: np.array(value, np.float32) for name, value in zip(names, values, strict=True)}
    zero, shift, end, factor = names
    return [
        OnnxOp("Add", (x, shift), (f"{y}__moved",), {}, constants),
        OnnxOp("Clip", (f"{y}__moved", zero, end), (f"{y}__cut",)),
        OnnxOp("Mul", (f"{y}__cut", factor), (y,)),
    ]


def _maker_alone(graph: Graph, node: Node, op: str) -> Node | None:
    """What makes the input of `node`, which is an `op`, if nobody else reads that."""
    maker = graph.producer.get(node.inputs[0])
    is_alone = node.op == op and maker is not None and graph.consumers[node.inputs[0]] == (node,)
    return maker if is_alone and not graph.is_output(node.inputs[0]) else None


def _numbers(graph: Graph, node: Node) -> tuple[float | None, float]:
    """(scale, shift) of a scale_shift that has the same for all channels; (None, 0) of another one."""
    scale, shift = (graph.constant(name) for name in node.inputs[1:])
    is_same = (scale == scale[0]).all() and (shift == shift[0]).all()
    return (float(scale[0]), float(shift[0])) if is_same else (None, 0.0)
