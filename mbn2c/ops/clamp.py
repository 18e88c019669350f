"""clamp: ReLU, ReLU6 or Clip that no pass could fuse into its producer; in int8 it is a lookup.

input    x [1, H, W, C]
output   the same shape
source   ONNX operator Clip
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from mbn2c.ir.graph import Graph, Node, Quant, Tensor
from mbn2c.ir.window import Activation
from mbn2c.numerics import INT8_MAX, INT8_MIN, quantize_linear
from mbn2c.ops.base.operator import FLOAT_STAGES, Bounds, OnnxOp, Operator, Shape, scale_of
from mbn2c.ops.base.spelling import spell_clip
from mbn2c.ops.lookup import LookupAttributes


@dataclass(frozen=True)
class ClampAttributes:
    """clamp, input (x): ReLU, ReLU6, Clip. Passes fuse it into its producer; alone it becomes a lookup."""

    activation: Activation


class Clamp(Operator):
    name = "clamp"
    stages = FLOAT_STAGES
    attributes = ClampAttributes
    is_clamp = True

    def output_shape(self, node: Node, shapes: Sequence[Shape]) -> Shape | None:
        return shapes[0] if len(shapes) == 1 else None

    def is_channelwise(self, node: Node) -> bool:
        return True

    def run_float(self, node: Node, graph: Graph, inputs: Sequence[np.ndarray]) -> np.ndarray:
        return inputs[0]  # the clamp is its `activation`

    def gradient(
        self, node: Node, graph: Graph, inputs: Sequence[np.ndarray], gradient: np.ndarray
    ) -> Sequence[np.ndarray]:
        return [gradient]

    def bounds(self, node: Node, graph: Graph, inputs: Sequence[Bounds]) -> Bounds:
        return inputs[0]

    def spell_float(self, node: Node, graph: Graph) -> list[OnnxOp]:
        activation = node.attributes.activation
        return [spell_clip(node.inputs[0], node.outputs[0], activation.low, activation.high)]

    def quantize(self, node: Node, graph: Graph, quants: Mapping[str, Quant]) -> tuple[Node, list[Tensor]]:
        x_quant, y_quant = quants[node.inputs[0]], quants[node.outputs[0]]
        activation = node.attributes.activation
        values = np.arange(INT8_MIN, INT8_MAX + 1)
        real = (values - x_quant.zero_point).astype(np.float32) * scale_of(x_quant)
        clamped = np.clip(real, np.float32(activation.low), np.float32(activation.high))
        table = quantize_linear(clamped, scale_of(y_quant), y_quant.zero_point)
        attributes = LookupAttributes(tuple(int(value) for value in table), activation)
        return replace(node, op="lookup", attributes=attributes), []
