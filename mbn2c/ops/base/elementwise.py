"""Functions of one number, applied to every value of a tensor: what a subclass says of its function is enough.

In int8 each is a lookup, whose table holds this module's float32 results for all 256 inputs. The exported model spells
that table (Gather), so ONNX Runtime cannot compute another entry, whatever its own exp or tanh returns.

The quantizer may scale and move the channels of what a function reads and makes: then the node has three more inputs,
numbers per channel, and computes y = outer[c] * function(inner[c] * x + shift[c]). In int8 that is a table per channel.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from mbn2c.ir.axes import Value
from mbn2c.ir.graph import Graph, Node, Quant, Tensor
from mbn2c.ops.base.call import Importer, OnnxCall, OnnxName
from mbn2c.ops.base.levels import tabulated
from mbn2c.ops.base.operator import FLOAT_STAGES, OnnxOp, Operator
from mbn2c.ops.base.prequantized.values import PrequantizedImporter
from mbn2c.ops.base.segments import function_table
from mbn2c.ops.base.windows import Bounds, Shape
from mbn2c.ops.lookup import LookupAttributes, pointwise_in_float

# Beyond this a function's value says nothing that int8 could hold; inf minus inf would say nothing at all.
_FARTHEST = 1e30


class Elementwise(Operator):
    """y = function(x), float32 only; it becomes a lookup.

    A subclass says `function`, `slope`, `turning_points` where it is not monotone, `interval` where it is flat beyond
    some value, and its spelling, `spell_function`.

    onnx_types  ONNX operators that are this function of their first input, with `attributes_of` their attributes
    """

    stages = FLOAT_STAGES
    is_function = True
    attributes: type = type(None)
    onnx_types: tuple[str, ...] = ()

    def __init_subclass__(cls) -> None:
        cls.in_words = cls.name.replace("_", " ")

    def onnx_imports(self) -> Mapping[OnnxName, Importer]:
        """A node for a node."""
        return {("", op_type): self._import for op_type in self.onnx_types}

    def prequantized_imports(self) -> Mapping[OnnxName, PrequantizedImporter]:
        """Any chain of functions between DequantizeLinear and QuantizeLinear is a lookup, of ONNX Runtime's results."""
        return {("", op_type): pointwise_in_float for op_type in self.onnx_types}

    def _import(self, call: OnnxCall) -> Value:
        return call.emit_like(self.name, call.value(0), self.attributes_of(call))

    def attributes_of(self, call: OnnxCall) -> Any:
        """The attributes of the ONNX node as ours."""
        return None

    def function(self, node: Node, x: np.ndarray) -> np.ndarray:
        """The results, in the type of `x`: float32, or float64 for bounds."""
        raise AssertionError(f"{self.name} has no function")

    def slope(self, node: Node, x: np.ndarray) -> np.ndarray:
        """The derivative; at a corner the one of either side."""
        raise AssertionError(f"{self.name} has no slope")

    def spell_function(self, node: Node, graph: Graph) -> list[OnnxOp]:
        """The function in ONNX, from the node's first input to its output."""
        raise AssertionError(f"{self.name} has no spelling")

    def interval(self, node: Node) -> tuple[float, float]:
        """The function's values outside are those at its ends."""
        return -np.inf, np.inf

    def turning_points(self, node: Node) -> tuple[float, ...]:
        """Where it stops rising or falling: between two neighbours it is monotone."""
        return ()

    def output_shape(self, node: Node, shapes: Sequence[Shape]) -> Shape | None:
        per_channel = [(shapes[0][-1],)] * 3
        return shapes[0] if list(shapes[1:]) in ([], per_channel) else None

    def constants(self, node: Node) -> tuple[str, ...]:
        return node.inputs[1:]

    def keep_outputs(self, node: Node, graph: Graph, keep: np.ndarray) -> dict[str, np.ndarray]:
        return {name: graph.constant(name)[keep] for name in node.inputs[1:]}

    def is_channelwise(self, node: Node) -> bool:
        return True

    def takes_int16(self, node: Node) -> bool:
        """A table of lines for each channel would be too large."""
        return len(node.inputs) == 1

    def run_float(self, node: Node, graph: Graph, inputs: Sequence[np.ndarray]) -> np.ndarray:
        inner, shift, outer = _per_channel(node, graph)
        return np.asarray(outer * self.function(node, inner * inputs[0] + shift))

    def gradient(
        self, node: Node, graph: Graph, inputs: Sequence[np.ndarray], gradient: np.ndarray
    ) -> Sequence[np.ndarray]:
        inner, shift, outer = _per_channel(node, graph)
        return [gradient * (inner * outer * self.slope(node, inner * inputs[0] + shift))]

    def bounds(self, node: Node, graph: Graph, inputs: Sequence[Bounds]) -> Bounds:
        inner, shift, outer = _per_channel(node, graph)
        low, high = (np.clip(inner * bound + shift, -_FARTHEST, _FARTHEST) for bound in inputs[0])
        # At the ends, and where a turning point lies between them; else at the nearer end again.
        places = [low, high, *(np.clip(np.float64(point), low, high) for point in self.turning_points(node))]
        values = np.array([outer * self.function(node, np.asarray(place)) for place in places])
        return values.min(axis=0), values.max(axis=0)

    def useful_inputs(self, node: Node, graph: Graph) -> tuple[np.ndarray, np.ndarray]:
        inner, shift, _ = _per_channel(node, graph)
        channels = graph.tensors[node.outputs[0]].shape[3:]
        low, high = (np.broadcast_to((end - shift) / inner, channels) for end in self.interval(node))
        return low, high

    def spell_float(self, node: Node, graph: Graph) -> list[OnnxOp]:
        if len(node.inputs) == 1:
            return self.spell_function(node, graph)
        (x, *names), (y,) = node.inputs, node.outputs
        scaled, inside, value = (f"{y}__{word}" for word in ("scaled", "inside_function", "function"))
        inner, shift, outer = ({f"{name}__nchw": graph.constant(name).reshape(-1, 1, 1)} for name in names)
        return [
            OnnxOp("Mul", (x, *inner), (scaled,), {}, inner),
            OnnxOp("Add", (scaled, *shift), (inside,), {}, shift),
            *self.spell_function(replace(node, inputs=(inside,), outputs=(value,)), graph),
            OnnxOp("Mul", (value, *outer), (y,), {}, outer),
        ]

    def quantize(self, node: Node, graph: Graph, quants: Mapping[str, Quant]) -> tuple[Node, list[Tensor]]:
        x_quant, y_quant = quants[node.inputs[0]], quants[node.outputs[0]]
        if len(node.inputs) == 1:
            table = function_table(lambda real: self.function(node, real), x_quant, y_quant)
            attributes = LookupAttributes(table, None, self.name)
            return replace(node, op="lookup", attributes=attributes), []
        numbers = np.array([graph.constant(name) for name in node.inputs[1:]]).T

        def of_channel(inner: np.float32, shift: np.float32, outer: np.float32) -> np.ndarray:
            return tabulated(lambda real: outer * self.function(node, inner * real + shift), x_quant, y_quant)

        tables = np.concatenate([of_channel(*three) for three in numbers]).astype(np.int8)
        name = f"{node.name}.tables"
        attributes = LookupAttributes((), None, self.name)
        lookup = replace(node, op="lookup", inputs=(node.inputs[0], name), attributes=attributes)
        return lookup, [Tensor(name, tables.shape, "int8", tables)]


def _per_channel(node: Node, graph: Graph) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(inner, shift, outer), float32 [C] or [1]."""
    if len(node.inputs) == 1:
        one = np.ones(1, np.float32)
        return one, np.zeros(1, np.float32), one
    inner, shift, outer = (graph.constant(name) for name in node.inputs[1:])
    return inner, shift, outer


# --- what functions that files spell in several nodes are recognised by ---


def only_number(graph: Graph, affine: Node) -> float:
    """The factor of x * scale + shift that is one number, without a shift; 0 of any other one."""
    scale, shift = (graph.constant(name) for name in affine.inputs[1:])
    return float(scale[0]) if (scale == scale[0]).all() and not shift.any() else 0.0


def without_unread(graph: Graph) -> Graph:
    """Without the nodes whose results nobody reads any more."""
    while unread := [
        node for node in graph.nodes if not graph.consumers[node.outputs[0]] and not graph.is_output(node.outputs[0])
    ]:
        graph = graph.rebuild(nodes=[node for node in graph.nodes if node not in unread])
    return graph
