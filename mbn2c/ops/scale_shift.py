"""scale_shift: y = x * scale + shift per channel, float32 only.

inputs   x [1, H, W, C], scale [C], shift [C]
output   [1, H, W, C]
source   ONNX operator BatchNormalization, Mul and Add with a number per channel; passes fold it into weights
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from mbn2c.ir.axes import CHANNEL, LayoutError, Value
from mbn2c.ir.graph import Graph, Node, Note, Tensor
from mbn2c.ops.base.call import Declined, Importer, OnnxCall, OnnxName
from mbn2c.ops.base.case import Case
from mbn2c.ops.base.operator import IMPORTED, OnnxOp, Operator
from mbn2c.ops.base.reading import FLOAT_MAX, per_channel
from mbn2c.ops.base.weighted import ConvAttributes
from mbn2c.ops.base.windows import Shape


@dataclass(frozen=True)
class ScaleShiftAttributes:
    """scale_shift, inputs (x, scale C, shift C): y = x * scale + shift per channel, float32 only.

    origin          what it was in the ONNX file: "BatchNormalization", "Mul", "Add", "Mul+Add"
    mean, variance  of each channel of x while the network was trained; () where the file does not say
    """

    origin: str
    mean: tuple[float, ...] = ()
    variance: tuple[float, ...] = ()

    @property
    def words(self) -> str:
        """As the Graph is printed: the operator in the file."""
        return f"from {self.origin}"


class ScaleShift(Operator):
    """A scale and a shift per channel, as batch normalization leaves them."""

    name = "scale_shift"
    in_words = "batch norm"
    stages = frozenset((IMPORTED,))
    attributes = ScaleShiftAttributes
    is_affine = True

    def onnx_imports(self) -> Mapping[OnnxName, Importer]:
        return {
            ("", "Add"): _import_add,
            ("", "BatchNormalization"): _import_batch_normalization,
            ("", "Div"): _import_div,
            ("", "Mul"): _import_mul,
            ("", "Neg"): _import_neg,
            ("", "Sub"): _import_sub,
            ("", "Sum"): _import_sum,
        }

    def output_shape(self, node: Node, shapes: Sequence[Shape]) -> Shape | None:
        return shapes[0] if len(shapes) == 3 and shapes[1] == shapes[2] == shapes[0][3:] else None

    def run_float(self, node: Node, graph: Graph, inputs: Sequence[np.ndarray]) -> np.ndarray:
        scale, shift = (graph.constant(name) for name in node.inputs[1:])
        return np.asarray(inputs[0] * scale + shift)

    def spell_float(self, node: Node, graph: Graph) -> list[OnnxOp]:
        """A batch norm of mean 0 and variance 1."""
        x, scale, shift = node.inputs
        mean, variance = f"{node.outputs[0]}__mean", f"{node.outputs[0]}__variance"
        channels = graph.tensors[scale].shape
        constants = {scale: graph.constant(scale), shift: graph.constant(shift)}
        constants |= {mean: np.zeros(channels, np.float32), variance: np.ones(channels, np.float32)}
        return [OnnxOp("BatchNormalization", (x, *constants), node.outputs, {"epsilon": 0.0}, constants)]

    def cases(self) -> Mapping[str, Case]:
        def constants(generator: np.random.Generator) -> Sequence[np.ndarray]:
            return generator.normal(size=5), generator.normal(size=5)

        return {"batch norm": Case(((1, 3, 4, 5),), ScaleShiftAttributes("BatchNormalization"), constants)}

    def constants(self, node: Node) -> tuple[str, ...]:
        return node.inputs[1:]

    def is_channelwise(self, node: Node) -> bool:
        return True

    def trained_on(self, node: Node) -> tuple[np.ndarray, np.ndarray] | None:
        mean, variance = node.attributes.mean, node.attributes.variance
        return (np.array(mean), np.array(variance)) if mean else None

    def lower(self, node: Node, graph: Graph) -> tuple[Node, list[Tensor], Note] | None:
        """A 1x1 depthwise convolution, weights [1, 1, C] and bias [C]."""
        scale = graph.constant(node.inputs[1]).reshape(1, 1, -1)
        text = f"{node.attributes.origin} that no layer can absorb runs as a 1x1 depthwise convolution"
        weights = replace(graph.tensors[node.inputs[1]], shape=scale.shape, data=scale)
        lowered = replace(node, op="depthwise_conv2d", attributes=ConvAttributes())
        return lowered, [weights], Note(self.name, node.name, text)


# --- how ONNX files spell it ---


def _scale_shift(
    call: OnnxCall,
    x: Value,
    scale: np.ndarray | float,
    shift: np.ndarray | float,
    origin: str | ScaleShiftAttributes,
) -> Value:
    attributes = ScaleShiftAttributes(origin) if isinstance(origin, str) else origin
    channels = call.extents(x)[CHANNEL]
    constants = [("scale", np.broadcast_to(scale, (channels,))), ("shift", np.broadcast_to(shift, (channels,)))]
    for what, data in constants:
        if np.abs(data).max(initial=0.0) > FLOAT_MAX or not np.isfinite(data).all():
            raise call.refuse(f"{call.op}: its {what} is not a finite float32", "check the trained parameters")
    return call.emit_like(ScaleShift.name, x, attributes, constants)


def _import_batch_normalization(call: OnnxCall) -> Value:
    if call.integer("training_mode", 0) or sum(name != "" for name in call.node.outputs) > 1:
        raise call.refuse(
            "BatchNormalization in training mode is not supported",
            "export the model for inference: model.eval(), TrainingMode.EVAL or PRESERVE",
        )
    if not call.integer("spatial", 1):
        raise call.refuse("BatchNormalization with spatial = 0 is not supported")
    x = call.value(0)
    if len(x.shape) < 2 or x.groups[1] not in ((), (CHANNEL,)) or x.shape[1] != call.extents(x)[CHANNEL]:
        raise LayoutError("channels as axis 1")
    gamma, beta, mean, variance = (call.floats(index) for index in range(1, 5))
    if any(array.shape != (x.shape[1],) for array in (gamma, beta, mean, variance)):
        raise call.refuse(f"BatchNormalization: its parameters do not have {x.shape[1]} channels")
    spread = variance + call.number("epsilon", 1e-5)
    if spread.min() <= 0:
        raise call.refuse("BatchNormalization with a negative variance", "check the trained parameters")
    scale = gamma / np.sqrt(spread)
    attributes = ScaleShiftAttributes("BatchNormalization")
    if mean.any() or (variance != 1).any():  # else it is as a layer begins, before it has seen anything
        attributes = replace(attributes, mean=tuple(mean.tolist()), variance=tuple(variance.tolist()))
    return _scale_shift(call, x, scale, beta - mean * scale, attributes)


def _import_add(call: OnnxCall) -> Value | Declined:
    for constant, other in ((0, 1), (1, 0)):
        if call.is_constant(constant):
            x = call.value(other)
            return _scale_shift(call, x, 1.0, per_channel(call, x, constant), "Add")
    return Declined()


def _import_sum(call: OnnxCall) -> Value | Declined:
    if len(call.node.inputs) != 2:
        return Declined()
    return _import_add(call)


def _import_sub(call: OnnxCall) -> Value | Declined:
    if call.is_constant(0):
        x = call.value(1)
        return _scale_shift(call, x, -1.0, per_channel(call, x, 0), "Sub")
    x = call.value(0)
    if call.is_constant(1):
        return _scale_shift(call, x, 1.0, -per_channel(call, x, 1), "Sub")
    return Declined()


def _import_mul(call: OnnxCall) -> Value | Declined:
    for constant, other in ((0, 1), (1, 0)):
        if call.is_constant(constant):
            x = call.value(other)
            return _scale_shift(call, x, per_channel(call, x, constant), 0.0, "Mul")
    return Declined()


def _import_div(call: OnnxCall) -> Value | Declined:
    if not call.is_constant(1):
        return Declined("Div by an activation is not supported", "only constants can divide")
    x = call.value(0)
    divisor = per_channel(call, x, 1)
    if (divisor == 0).any():
        raise call.refuse("Div by zero")
    return _scale_shift(call, x, 1.0 / divisor, 0.0, "Div")


def _import_neg(call: OnnxCall) -> Value:
    return _scale_shift(call, call.value(0), -1.0, 0.0, "Neg")
