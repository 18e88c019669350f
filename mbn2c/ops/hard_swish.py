"""hard_swish: y = x * clip(x / 6 + 1/2, 0, 1), MobileNetV3's activation; in int8 a lookup.

input    x [1, H, W, C]
output   the same shape
source   Howard et al., Searching for MobileNetV3 (2019), section 5.2; ONNX operator HardSwish, and what exporters write
         for it: x * HardSigmoid(x), x * Clip(x + 3, 0, 6) / 6 with the division anywhere
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from mbn2c.ir.graph import Graph, Node
from mbn2c.ops.base.case import Case
from mbn2c.ops.base.elementwise import Elementwise
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


class HardSwish(Elementwise):
    name = "hard_swish"
    onnx_types = ("HardSwish",)

    def cases(self) -> Mapping[str, Case]:
        return {"of 5 channels": Case(((1, 3, 4, 5),), None)}

    def function(self, node: Node, x: np.ndarray) -> np.ndarray:
        return _hard_swish(x)

    def slope(self, node: Node, x: np.ndarray) -> np.ndarray:
        return np.where(x <= -3, 0, np.where(x >= 3, 1, x / 3 + 0.5)).astype(x.dtype)

    def turning_points(self, node: Node) -> tuple[float, ...]:
        return (-1.5,)

    def spell_float(self, node: Node, graph: Graph) -> list[OnnxOp]:
        """ONNX's HardSwish is newer than the opset of our models."""
        gate = f"{node.outputs[0]}__gate"
        return [
            OnnxOp("HardSigmoid", node.inputs, (gate,), {"alpha": _SIXTH, "beta": 0.5}),
            OnnxOp("Mul", (*node.inputs, gate), node.outputs),
        ]

    def other_spellings(self, node: Node, graph: Graph) -> Mapping[str, list[OnnxOp]]:
        (x,), (y,) = node.inputs, node.outputs
        constants = {f"{y}__{number:g}": np.array(number, np.float32) for number in (0, 3, 6)}
        zero, three, six = constants
        gate = [
            OnnxOp("Add", (x, three), (f"{y}__moved",), {}, constants),
            OnnxOp("Clip", (f"{y}__moved", zero, six), (f"{y}__gate",)),
        ]
        return {
            "HardSwish": [OnnxOp("HardSwish", (x,), (y,))],
            "x * Clip(x + 3, 0, 6) / 6": [
                *gate,
                OnnxOp("Mul", (x, f"{y}__gate"), (f"{y}__product",)),
                OnnxOp("Div", (f"{y}__product", six), (y,)),
            ],
            "Clip(x + 3, 0, 6) / 6 * x": [
                *gate,
                OnnxOp("Div", (f"{y}__gate", six), (f"{y}__unit",)),
                OnnxOp("Mul", (f"{y}__unit", x), (y,)),
            ],
            "x / 6 * Clip(x + 3, 0, 6)": [
                *gate,
                OnnxOp("Div", (x, six), (f"{y}__part",)),
                OnnxOp("Mul", (f"{y}__part", f"{y}__gate"), (y,)),
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
        if not np.allclose(values, _hard_swish(_PLACES), rtol=1e-5, atol=1e-5):
            return None
        swish = replace(last, op=self.name, inputs=(source,), attributes=None)
        return _without_unread(graph.rebuild(nodes=[swish if one is last else one for one in graph.nodes]))


def _hard_swish(x: np.ndarray) -> np.ndarray:
    return np.asarray(x * np.clip(x * _SIXTH + 0.5, 0, 1))


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


def _without_unread(graph: Graph) -> Graph:
    """Without the nodes whose results nobody reads any more."""
    while unread := [
        node for node in graph.nodes if not graph.consumers[node.outputs[0]] and not graph.is_output(node.outputs[0])
    ]:
        graph = graph.rebuild(nodes=[node for node in graph.nodes if node not in unread])
    return graph
