"""pad: a border of a constant value, float32 only.

input    x [1, H, W, C]
output   [1, top + H + bottom, left + W + right, C]
source   ONNX operator Pad in mode constant; passes fold it into the window that reads it
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from mbn2c.ir.axes import BATCH, CHANNEL, HEIGHT, WIDTH, LayoutError, Value, labels_of
from mbn2c.ir.graph import Graph, Node
from mbn2c.ops.base.call import Declined, Importer, OnnxCall, OnnxName
from mbn2c.ops.base.case import Case
from mbn2c.ops.base.operator import IMPORTED, OnnxOp, Operator
from mbn2c.ops.base.prequantized.values import FOLD_FIRST, UNSIGNED_SHIFT, PrequantizedCall, PrequantizedImporter
from mbn2c.ops.base.reading import scalar
from mbn2c.ops.base.windows import Shape


@dataclass(frozen=True)
class PadAttributes:
    """pad, input (x): constant padding, float32 only; passes fold it into the consumer.

    pad  (top, left, bottom, right)
    """

    pad: tuple[int, int, int, int]
    value: float = 0.0

    @property
    def words(self) -> str:
        """As the Graph is printed: the border in pixels and its value."""
        return ",".join(str(pad) for pad in self.pad) + f" value {self.value:g}"


class Pad(Operator):
    """A border of a constant value."""

    name = "pad"
    stages = frozenset((IMPORTED,))
    attributes = PadAttributes
    is_padding = True

    def onnx_imports(self) -> Mapping[OnnxName, Importer]:
        return {("", "Pad"): _import}

    def prequantized_imports(self) -> Mapping[OnnxName, PrequantizedImporter]:
        return {("", "Pad"): _import_prequantized}

    def run_float(self, node: Node, graph: Graph, inputs: Sequence[np.ndarray]) -> np.ndarray:
        top, left, bottom, right = node.attributes.pad
        widths = ((0, 0), (top, bottom), (left, right), (0, 0))
        return np.pad(inputs[0], widths, constant_values=np.float32(node.attributes.value))

    def spell_float(self, node: Node, graph: Graph) -> list[OnnxOp]:
        top, left, bottom, right = node.attributes.pad
        pads, value = f"{node.outputs[0]}__pads", f"{node.outputs[0]}__value"
        constants: dict[str, np.ndarray] = {
            pads: np.array([0, 0, top, left, 0, 0, bottom, right], np.int64),
            value: np.array(node.attributes.value, np.float32),
        }
        return [OnnxOp("Pad", (node.inputs[0], *constants), node.outputs, {"mode": "constant"}, constants)]

    def cases(self) -> Mapping[str, Case]:
        return {"four pads": Case(((1, 3, 4, 5),), PadAttributes((1, 0, 2, 3)))}

    def is_channelwise(self, node: Node) -> bool:
        return True

    def output_shape(self, node: Node, shapes: Sequence[Shape]) -> Shape | None:
        top, left, bottom, right = node.attributes.pad
        _, height, width, channels = shapes[0]
        return (1, top + height + bottom, left + width + right, channels)


# --- how ONNX files spell it ---


def pads_of(call: OnnxCall) -> tuple[list[int], list[int], str, float]:
    """Elements before and behind each axis of NHWC, the mode, and the value; [] twice where axes are joined.

    source  ONNX operator Pad
    """
    x = call.value(0)
    rank = len(x.shape)
    mode = call.text("mode", "constant")
    pads = call.integers(1) if call.opset >= 11 else [int(n) for n in call.attributes.get("pads", ())]
    value = scalar(call, 2) if call.opset >= 11 and call.has(2) else call.number("value", 0.0)
    axes = list(range(rank))
    if call.has(3):
        axes = call.integers(3)
        if any(not -rank <= axis < rank for axis in axes):
            raise call.refuse(f"Pad: axes {axes} do not suit a tensor of rank {rank}")
    if len(pads) != 2 * len(axes):
        raise call.refuse(f"Pad: pads {pads} do not suit a tensor of rank {rank}")
    begin, end = [0, 0, 0, 0], [0, 0, 0, 0]
    if not any(pads):
        return begin, end, mode, value
    labels = labels_of(x)
    if labels is None:
        raise LayoutError(f"height and width; it finds axes {list(x.groups)} of NHWC")
    for axis, before, after in zip(axes, pads[: len(axes)], pads[len(axes) :], strict=True):
        begin[labels[axis % rank]] += before
        end[labels[axis % rank]] += after
    return begin, end, mode, value


def import_pad(call: OnnxCall) -> Value:
    """A border around height and width, of any value; x itself where it is empty."""
    x = call.value(0)
    begin, end, mode, value = pads_of(call)
    if not any(begin) and not any(end):
        return x
    labels = labels_of(x)
    assert labels is not None
    if min(*begin, *end) < 0 or begin[BATCH] or end[BATCH] or begin[CHANNEL] or end[CHANNEL]:
        pads = [one[label] for one in (begin, end) for label in labels]
        raise call.refuse(f"Pad by {pads} is not supported", "only height and width can be padded, not cropped")
    if mode != "constant" or not math.isfinite(value):
        raise call.refuse(f"Pad with mode '{mode}', value {value:g} is not supported", "pad with zeros")
    _, height, width, channels = call.extents(x)
    amounts = (begin[HEIGHT], begin[WIDTH], end[HEIGHT], end[WIDTH])
    shape = (1, height + amounts[0] + amounts[2], width + amounts[1] + amounts[3], channels)
    tensor = call.emit(Pad.name, [x], shape, PadAttributes(amounts, value))
    outside = tuple(shape[label] for label in labels)
    groups = tuple((label,) if shape[label] > 1 else () for label in labels)
    return Value(tensor, outside, groups)


def pads_channels(call: OnnxCall) -> bool:
    """Whether there are new channels, which are `pad_channels`."""
    begin, end, _, _ = pads_of(call)
    return begin[CHANNEL] > 0 or end[CHANNEL] > 0


def _import(call: OnnxCall) -> Value | Declined:
    return Declined() if pads_channels(call) else import_pad(call)


# --- how quantized ones do ---


def check_is_zero(call: PrequantizedCall, tensor: str, value: float) -> None:
    """Raises ModelError unless a number of the file stands for 0 beside a quantized tensor."""
    meaning, quant = call.meaning(0), call.builder.quants[tensor]
    if value != (0 if meaning.is_real else quant.zero_point + (UNSIGNED_SHIFT if meaning.unsigned else 0)):
        raise call.refuse(f"Pad with {value:g}, which does not stand for 0, is not supported")


def _import_prequantized(call: PrequantizedCall) -> Value | Declined:
    """A border of real 0, which the window behind it takes over (`passes.fold_pad`)."""
    if pads_channels(call):
        return Declined()
    builder = call.builder
    x, meaning = call.value(0), call.meaning(0)
    if x.tensor not in builder.quants or (meaning.is_real and len(meaning.steps) != 1):
        raise call.refuse("Pad of something that is not quantized is not supported", FOLD_FIRST)
    padded = import_pad(call)
    if padded.tensor == x.tensor:
        builder.meanings[call.node.outputs[0]] = meaning
        return x
    node = builder.nodes[-1]
    check_is_zero(call, x.tensor, node.attributes.value)
    builder.nodes[-1] = replace(node, attributes=replace(node.attributes, value=0.0))
    builder.quants[padded.tensor] = builder.quants[x.tensor]
    builder.meanings[call.node.outputs[0]] = meaning
    return padded
