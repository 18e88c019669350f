"""hard_sigmoid: y = clip(alpha * x + beta, 0, top); in int8 a lookup.

input    x [1, H, W, C]
output   the same shape
source   ONNX operator HardSigmoid, whose top is 1; Clip of x + 3 between 0 and 6, times a sixth; Clip of a line

Behind a layer that nobody else reads it is no node of its own: the layer takes the line into its weights, and clamps.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from mbn2c.ir.graph import Graph, Node, Tensor
from mbn2c.ir.window import Activation
from mbn2c.ops.base.call import OnnxCall
from mbn2c.ops.base.case import Case
from mbn2c.ops.base.elementwise import Elementwise
from mbn2c.ops.base.operator import OnnxOp
from mbn2c.ops.clamp import Clamp, ClampAttributes
from mbn2c.ops.conv2d import Conv2d
from mbn2c.ops.depthwise_conv2d import DepthwiseConv2d
from mbn2c.ops.fully_connected import FullyConnected
from mbn2c.ops.scale_shift import ScaleShift, ScaleShiftAttributes


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

    def interval(self, node: Node) -> tuple[float, float]:
        a: HardSigmoidAttributes = node.attributes
        if a.alpha == 0:
            return -np.inf, np.inf
        low, high = sorted(((0 - a.beta) / a.alpha, (a.top - a.beta) / a.alpha))
        return low, high

    def spell_function(self, node: Node, graph: Graph) -> list[OnnxOp]:
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
        """What scale_shift and clamp spell; or one that a layer can do, spelt so."""
        if graph.tensors[node.outputs[0]].dtype != "float32":
            return None
        found = _as_line(graph, node) if node.op == self.name else _in_three(graph, node) or _in_two(graph, node)
        return None if found is None else graph.rebuild(**found)


_LAYERS = {operator.name for operator in (Conv2d(), DepthwiseConv2d(), FullyConnected())}


def _as_line(graph: Graph, node: Node) -> dict[str, Any] | None:
    """Behind a layer: a scale_shift, which goes into its weights, and a clamp, which it does itself."""
    if not _is_behind_layer(graph, node):
        return None
    a: HardSigmoidAttributes = node.attributes
    channels = graph.tensors[node.outputs[0]].shape[3]
    moved = Tensor(f"{node.outputs[0]}/line", graph.tensors[node.outputs[0]].shape)
    numbers = [(f"{node.name}.scale", a.alpha), (f"{node.name}.shift", a.beta)]
    constants = [Tensor(name, (channels,), data=np.full(channels, value, np.float32)) for name, value in numbers]
    names = tuple(tensor.name for tensor in constants)
    attributes = ScaleShiftAttributes("HardSigmoid")
    line = Node(f"{node.name}/line", ScaleShift.name, (*node.inputs, *names), (moved.name,), attributes)
    clamp = replace(node, op=Clamp.name, inputs=(moved.name,), attributes=ClampAttributes(Activation(0.0, a.top)))
    nodes = [new for one in graph.nodes for new in ((line, clamp) if one is node else (one,))]
    return {"tensors": [moved, *constants], "nodes": nodes}


def _is_behind_layer(graph: Graph, node: Node) -> bool:
    """Whether a layer makes what only this node reads, but for lines between them."""
    while (maker := _maker_alone(graph, node)) is not None and maker.op == ScaleShift.name:
        node = maker
    return maker is not None and maker.op in _LAYERS and maker.attributes.activation is None


def _in_three(graph: Graph, node: Node) -> dict[str, Any] | None:
    """(Clip of a line, from 0 on) times a number: scale_shift, clamp, scale_shift."""
    clip = _maker_alone(graph, node) if node.op == ScaleShift.name else None
    line = _line_before(graph, clip) if clip is not None and clip.op == Clamp.name else None
    if clip is None or line is None:
        return None
    (scale, shift, nodes), (factor, rest) = line, _numbers(graph, node)
    low, high = clip.attributes.activation.low, clip.attributes.activation.high
    if factor is None or rest != 0 or low != 0 or not np.isfinite(high) or factor <= 0:
        return None
    return _gate(graph, node, (*nodes, clip), scale * factor, shift * factor, high * factor)


def _in_two(graph: Graph, node: Node) -> dict[str, Any] | None:
    """Clip of a line, from 0 on, that no layer can do."""
    line = _line_before(graph, node) if node.op == Clamp.name else None
    if line is None or _is_behind_layer(graph, node):
        return None
    readers, activation = graph.consumers[node.outputs[0]], node.attributes.activation
    if activation.low != 0 or not np.isfinite(activation.high):
        return None
    if len(readers) == 1 and readers[0].op == ScaleShift.name:  # which may belong to it, too
        return None
    scale, shift, nodes = line
    return _gate(graph, node, nodes, scale, shift, activation.high)


def _line_before(graph: Graph, node: Node) -> tuple[float, float, tuple[Node, ...]] | None:
    """(scale, shift, nodes) of the scale_shifts before a node, the same for all channels; None if there are none."""
    nodes: tuple[Node, ...] = ()
    scale, shift = 1.0, 0.0
    while (maker := _maker_alone(graph, node)) is not None and maker.op == ScaleShift.name:
        factor, more = _numbers(graph, maker)
        if factor is None:
            break
        scale, shift, nodes, node = scale * factor, shift + scale * more, (maker, *nodes), maker
    return (scale, shift, nodes) if nodes else None


def _gate(
    graph: Graph, node: Node, others: Sequence[Node], alpha: float, beta: float, high: float
) -> dict[str, Any] | None:
    """One node for `others`, the first of which reads its input, and `node`."""
    top = float(np.float32(high))
    is_one = abs(top - 1) < 1e-6
    attributes = HardSigmoidAttributes(float(np.float32(alpha)), float(np.float32(beta)), 1.0 if is_one else top)
    gate = replace(node, op=HardSigmoid.name, inputs=(others[0].inputs[0],), attributes=attributes)
    return {"nodes": [gate if one is node else one for one in graph.nodes if not any(one is o for o in others)]}


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


def _maker_alone(graph: Graph, node: Node) -> Node | None:
    """What makes the first input of `node`, if nobody else reads that."""
    is_alone = graph.consumers[node.inputs[0]] == (node,) and not graph.is_output(node.inputs[0])
    return graph.producer.get(node.inputs[0]) if is_alone else None


def _numbers(graph: Graph, node: Node) -> tuple[float | None, float]:
    """(scale, shift) of a scale_shift that has the same for all channels; (None, 0) of another one."""
    scale, shift = (graph.constant(name) for name in node.inputs[1:])
    is_same = (scale == scale[0]).all() and (shift == shift[0]).all()
    return (float(scale[0]), float(shift[0])) if is_same else (None, 0.0)
