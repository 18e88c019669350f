"""clamp: ReLU, ReLU6 or Clip that no pass could fuse into its producer; in int8 it is a lookup.

input    x [1, H, W, C]
output   the same shape
source   ONNX operator Clip
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from mbn2c.ir.axes import Value
from mbn2c.ir.graph import Graph, Node, Quant, Tensor
from mbn2c.ir.window import Activation
from mbn2c.ops.base.call import Declined, Importer, OnnxCall, OnnxName, OnnxNode
from mbn2c.ops.base.case import RELU, RELU6, Case
from mbn2c.ops.base.operator import FLOAT_STAGES, OnnxOp, Operator, clamped
from mbn2c.ops.base.reading import FLOAT_MAX, per_channel, scalar
from mbn2c.ops.base.segments import function_table
from mbn2c.ops.base.spelling import spell_clip
from mbn2c.ops.base.windows import Bounds, Shape
from mbn2c.ops.lookup import LookupAttributes


@dataclass(frozen=True)
class ClampAttributes:
    """clamp, input (x): ReLU, ReLU6, Clip. Passes fuse it into its producer; alone it becomes a lookup."""

    activation: Activation


class Clamp(Operator):
    """ReLU, ReLU6 and Clip as nodes of their own."""

    name = "clamp"
    in_words = "ReLU/ReLU6/Clip"
    stages = FLOAT_STAGES
    attributes = ClampAttributes
    is_clamp = True

    def onnx_imports(self) -> Mapping[OnnxName, Importer]:
        return {
            ("", "Clip"): _import_clip,
            ("", "Max"): _import_extremum,
            ("", "Min"): _import_extremum,
            ("", "Relu"): _import_relu,
        }

    def clamp_of(self, step: OnnxNode, constants: Mapping[str, np.ndarray]) -> Activation | None:
        return _clamp_of(step, constants)

    def output_shape(self, node: Node, shapes: Sequence[Shape]) -> Shape | None:
        return shapes[0] if len(shapes) == 1 else None

    def cases(self) -> Mapping[str, Case]:
        return {
            activation.name: Case(((1, 3, 4, 5),), ClampAttributes(activation))
            for activation in (RELU6, RELU, Activation(-0.5, 0.25), Activation(0.25, 0.5))
        }

    def is_channelwise(self, node: Node) -> bool:
        return True

    def takes_int16(self, node: Node) -> bool:
        return True

    def run_float(self, node: Node, graph: Graph, inputs: Sequence[np.ndarray]) -> np.ndarray:
        return inputs[0]  # the clamp is its `activation`

    def gradient(
        self, node: Node, graph: Graph, inputs: Sequence[np.ndarray], gradient: np.ndarray
    ) -> Sequence[np.ndarray]:
        return [gradient]

    def bounds(self, node: Node, graph: Graph, inputs: Sequence[Bounds]) -> Bounds:
        return inputs[0]

    def other_spellings(self, node: Node, graph: Graph) -> Mapping[str, list[OnnxOp]]:
        x, y, activation = node.inputs[0], node.outputs[0], node.attributes.activation
        if activation.high == math.inf:
            return {"Relu": [OnnxOp("Relu", (x,), (y,))]} if activation.low == 0 else {}
        ends = {f"{y}__low": np.array(activation.low, np.float32), f"{y}__high": np.array(activation.high, np.float32)}
        low, high = ends
        return {
            "Max, Min": [
                OnnxOp("Max", (x, low), (f"{y}__raised",), {}, ends),
                OnnxOp("Min", (f"{y}__raised", high), (y,)),
            ],
            "Min, Max": [
                OnnxOp("Min", (high, x), (f"{y}__cut",), {}, ends),
                OnnxOp("Max", (low, f"{y}__cut"), (y,)),
            ],
        }

    def recognise(self, node: Node, graph: Graph) -> Graph | None:
        """Two in a row, as Relu and Min."""
        before = graph.producer.get(node.inputs[0])
        if node.op != self.name or before is None or before.op != self.name or graph.is_output(node.inputs[0]):
            return None
        if graph.consumers[node.inputs[0]] != (node,):
            return None
        attributes = ClampAttributes(before.attributes.activation.then(node.attributes.activation))
        both = replace(node, inputs=before.inputs, attributes=attributes)
        return graph.rebuild(nodes=[both if one is node else one for one in graph.nodes if one is not before])

    def spell_float(self, node: Node, graph: Graph) -> list[OnnxOp]:
        activation = node.attributes.activation
        return [spell_clip(node.inputs[0], node.outputs[0], activation.low, activation.high)]

    def quantize(self, node: Node, graph: Graph, quants: Mapping[str, Quant]) -> tuple[Node, list[Tensor]]:
        x_quant, y_quant = quants[node.inputs[0]], quants[node.outputs[0]]
        activation = node.attributes.activation
        table = function_table(lambda real: clamped(real, activation), x_quant, y_quant)
        attributes = LookupAttributes(table, activation)
        return replace(node, op="lookup", attributes=attributes), []


# --- how ONNX files spell it ---


def clamp(call: OnnxCall, x: Value, low: float, high: float) -> Value:
    """The node that holds x between two numbers; x itself where they hold nothing back."""
    if math.isnan(low) or math.isnan(high):
        raise call.refuse(f"{call.op}: a bound is NaN", "export the model again")
    low = -math.inf if low <= -FLOAT_MAX else float(np.float32(low))
    high = math.inf if high >= FLOAT_MAX else float(np.float32(high))
    if low == -math.inf and high == math.inf:
        return x
    if math.isinf(max(low, -FLOAT_MAX)) or math.isinf(min(high, FLOAT_MAX)):
        raise call.refuse(f"{call.op}: bounds {low:g} and {high:g} leave nothing")
    return call.emit_like(Clamp.name, x, ClampAttributes(Activation(min(low, high), high)))


def _import_relu(call: OnnxCall) -> Value:
    return clamp(call, call.value(0), 0.0, math.inf)


def _import_clip(call: OnnxCall) -> Value:
    if call.opset < 11:
        return clamp(call, call.value(0), call.number("min", -math.inf), call.number("max", math.inf))
    low = scalar(call, 1) if call.has(1) else -math.inf
    high = scalar(call, 2) if call.has(2) else math.inf
    return clamp(call, call.value(0), low, high)


def _import_extremum(call: OnnxCall) -> Value | Declined:
    """Min and Max of one activation and constants."""
    activations = [index for index in range(len(call.node.inputs)) if not call.is_constant(index)]
    if len(activations) != 1:
        return Declined(f"{call.op} of two activations is not supported", "only against a constant")
    x = call.value(activations[0])
    low, high = -math.inf, math.inf
    for index in range(len(call.node.inputs)):
        if index != activations[0]:
            array = call.constant(index)
            if array.ndim > len(x.shape) or array.size != 1:
                per_channel(call, x, index)  # a shape that does not even broadcast gets its own message
            bound = scalar(call, index)
            if call.op == "Max":
                low = max(low, bound)
            else:
                high = min(high, bound)
    return clamp(call, x, low, high)


# --- how quantized ones do ---


def _clamp_of(step: OnnxNode, constants: Mapping[str, np.ndarray]) -> Activation | None:
    if step.op_type == "Relu":
        return Activation(0.0, math.inf)
    if step.op_type in ("Max", "Min") and len(step.inputs) == 2:
        end = float(constants[step.inputs[1]].reshape(-1)[0])
        return Activation(end, math.inf) if step.op_type == "Max" else Activation(-math.inf, end)
    if step.op_type != "Clip":
        return None
    if len(step.inputs) == 1:
        low, high = step.attributes.get("min", -FLOAT_MAX), step.attributes.get("max", FLOAT_MAX)
        return Activation(low, high)
    ends = [-math.inf, math.inf]
    for index in (1, 2):
        if len(step.inputs) > index and step.inputs[index]:
            bound = constants.get(step.inputs[index])
            if bound is None or bound.size != 1:
                return None
            ends[index - 1] = float(bound.reshape(-1)[0])
    return Activation(ends[0], ends[1])
