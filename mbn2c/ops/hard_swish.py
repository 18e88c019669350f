"""hard_swish: y = x * clip(x + 3, 0, 6) / 6, MobileNetV3's activation; in int8 a lookup.

input    x [1, H, W, C]
output   the same shape
source   Howard et al., Searching for MobileNetV3 (2019), section 5.2; ONNX operator HardSwish, and what exporters write
         for it: x * HardSigmoid(x), x * Clip(x + 3, 0, 6) / 6 with the division anywhere, by a sixth of float16 too
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from mbn2c.ir.graph import Graph, Node
from mbn2c.ops.base.call import OnnxCall
from mbn2c.ops.base.case import Case
from mbn2c.ops.base.elementwise import Elementwise, without_unread
from mbn2c.ops.base.operator import OnnxOp, clamped
from mbn2c.ops.clamp import Clamp
from mbn2c.ops.hard_sigmoid import HardSigmoid
from mbn2c.ops.mul import Mul
from mbn2c.ops.scale_shift import ScaleShift

# Operators of one tensor that the gate is spelt in.
_STEPS = {operator.name: operator for operator in (Clamp(), HardSigmoid(), ScaleShift())}
# Where a chain of them is compared with the function.
_PLACES = np.linspace(-12, 12, 2401, dtype=np.float32).reshape(1, 1, -1, 1)
_SIXTH = float(np.float32(1 / 6))
# A sixth of float16 is this near.
_NEAR_ENOUGH = 1e-3


@dataclass(frozen=True)
class HardSwishAttributes:
    """hard_swish, input (x): x * clip(x + 3, 0, 6) * sixth.

    sixth  a float32 number near 1 / 6, as the file has it: TensorFlow writes one of float16
    """

    sixth: float = _SIXTH


class HardSwish(Elementwise):
    """MobileNetV3's activation."""

    name = "hard_swish"
    attributes = HardSwishAttributes
    onnx_types = ("HardSwish",)

    def cases(self) -> Mapping[str, Case]:
        shape = (1, 3, 4, 5)
        of_half = HardSwishAttributes(float(np.float16(1 / 6)))
        return {"of 5 channels": Case((shape,), HardSwishAttributes()), "of float16": Case((shape,), of_half)}

    def function(self, node: Node, x: np.ndarray) -> np.ndarray:
        return np.asarray(x * np.clip(x + 3, 0, 6) * node.attributes.sixth)

    def slope(self, node: Node, x: np.ndarray) -> np.ndarray:
        return np.where(x <= -3, 0, np.where(x >= 3, 6, 2 * x + 3)).astype(x.dtype) * node.attributes.sixth

    def interval(self, node: Node) -> tuple[float, float]:
        return -3.0, np.inf

    def attributes_of(self, call: OnnxCall) -> HardSwishAttributes:
        return HardSwishAttributes()

    def turning_points(self, node: Node) -> tuple[float, ...]:
        return (-1.5,)

    def spell_function(self, node: Node, graph: Graph) -> list[OnnxOp]:
        """ONNX's HardSwish is newer than the opset of our models."""
        (x,), (y,), sixth = node.inputs, node.outputs, f"{node.outputs[0]}__sixth"
        number = {sixth: np.array(node.attributes.sixth, np.float32)}
        return [
            *_gate(x, y),
            OnnxOp("Mul", (x, f"{y}__gate"), (f"{y}__product",), {}, number),
            OnnxOp("Mul", (f"{y}__product", sixth), (y,)),
        ]

    def other_spellings(self, node: Node, graph: Graph) -> Mapping[str, list[OnnxOp]]:
        (x,), (y,), six = node.inputs, node.outputs, f"{node.outputs[0]}__six"
        number = {six: np.array(1 / np.float32(node.attributes.sixth), np.float32)}
        gate, product, part = f"{y}__gate", f"{y}__product", f"{y}__part"
        found = {
            "x * Clip(x + 3, 0, 6) / 6": [
                *_gate(x, y),
                OnnxOp("Mul", (x, gate), (product,), {}, number),
                OnnxOp("Div", (product, six), (y,)),
            ],
            "Clip(x + 3, 0, 6) / 6 * x": [
                *_gate(x, y),
                OnnxOp("Div", (gate, six), (part,), {}, number),
                OnnxOp("Mul", (part, x), (y,)),
            ],
            "x / 6 * Clip(x + 3, 0, 6)": [
                *_gate(x, y),
                OnnxOp("Div", (x, six), (part,), {}, number),
                OnnxOp("Mul", (part, gate), (y,)),
            ],
        }
        if node.attributes != HardSwishAttributes():
            return found
        return found | {
            "HardSwish": [OnnxOp("HardSwish", (x,), (y,))],
            "x * HardSigmoid(x)": [
                OnnxOp("HardSigmoid", (x,), (gate,), {"alpha": _SIXTH, "beta": 0.5}),
                OnnxOp("Mul", (x, gate), (y,)),
            ],
        }

    def recognise(self, node: Node, graph: Graph) -> Graph | None:
        """A product of a tensor and a function of it, or what scales such a product, that is this function."""
        last = node
        if node.op == ScaleShift.name:
            node = graph.producer.get(node.inputs[0], node)
        if last is not node and (graph.consumers[node.outputs[0]] != (last,) or graph.is_output(node.outputs[0])):
            return None
        if node.op != Mul.name or len(node.inputs) != 2 or graph.tensors[last.outputs[0]].dtype != "float32":
            return None
        left, right = (_chain(graph, name) for name in node.inputs)
        source = next((name for name in left if name in right), None)
        if source is None or graph.tensors[source].shape != graph.tensors[node.outputs[0]].shape:
            return None
        values = _value(graph, node.inputs[0], source) * _value(graph, node.inputs[1], source)
        values = clamped(values, node.attributes.activation)
        if last is not node:
            values = _step(graph, last, values)
        sixth = float(values.reshape(-1)[-1]) / (6 * float(_PLACES[0, 0, -1, 0]))
        attributes = HardSwishAttributes(_SIXTH if abs(sixth / _SIXTH - 1) < 1e-6 else float(np.float32(sixth)))
        swish = replace(last, op=self.name, inputs=(source,), attributes=attributes)
        is_swish = abs(sixth / _SIXTH - 1) < _NEAR_ENOUGH
        if not is_swish or not np.allclose(values, self.function(swish, _PLACES), rtol=1e-5, atol=1e-5):
            return None
        return without_unread(graph.rebuild(nodes=[swish if one is last else one for one in graph.nodes]))


def _gate(x: str, y: str) -> list[OnnxOp]:
    """Clip(x + 3, 0, 6)."""
    zero, three, six = names = [f"{y}__{number}" for number in ("low", "three", "high")]
    constants = {name: np.array(number, np.float32) for name, number in zip(names, (0, 3, 6), strict=True)}
    return [
        OnnxOp("Add", (x, three), (f"{y}__moved",), {}, constants),
        OnnxOp("Clip", (f"{y}__moved", zero, six), (f"{y}__gate",)),
    ]


def _chain(graph: Graph, tensor: str) -> list[str]:
    """The tensor, and what it is a function of, nearest first."""
    found = [tensor]
    while (maker := graph.producer.get(found[-1])) is not None and maker.op in _STEPS:
        found.append(maker.inputs[0])
    return found


def _value(graph: Graph, tensor: str, source: str) -> np.ndarray:
    """What a chain makes of `_PLACES`."""
    if tensor == source:
        return _PLACES
    maker = graph.producer[tensor]
    return _step(graph, maker, _value(graph, maker.inputs[0], source))


def _step(graph: Graph, node: Node, values: np.ndarray) -> np.ndarray:
    operator = _STEPS[node.op]
    return clamped(operator.run_float(node, graph, [values]), operator.activation(node))
