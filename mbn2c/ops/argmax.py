"""argmax: the number of the channel with the largest value, of the first one where several are as large.

input    x int8 [1, H, W, C], of at most 256 channels
output   [1, H, W, 1], its byte without a sign is the channel
source   ONNX operator ArgMax, over channels, of int8; it stands behind the exported model, where a task puts it
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mbn2c.ir.graph import Graph, Node
from mbn2c.ir.kernel import Packed, Params, ScalarKernel
from mbn2c.ops.base.operator import QUANTIZED, Operator, Shape
from mbn2c.ops.base.packing import integers

MOST_CHANNELS = 256
PARAMS = Params("mbn_argmax_params", (*integers("channels"),))


@dataclass(frozen=True)
class ArgmaxAttributes:
    """argmax, input (x): it has none."""


class Argmax(Operator):
    """The class of each pixel."""

    name = "argmax"
    stages = frozenset((QUANTIZED,))
    attributes = ArgmaxAttributes
    is_postprocessing = True

    def output_shape(self, node: Node, shapes: Sequence[Shape]) -> Shape | None:
        return (*shapes[0][:3], 1) if len(shapes) == 1 and shapes[0][3] <= MOST_CHANNELS else None

    def scalar_kernels(self) -> tuple[ScalarKernel, ...]:
        return (ScalarKernel("argmax", PARAMS, _pack),)

    def run(self, node: Node, graph: Graph, inputs: Sequence[np.ndarray]) -> np.ndarray:
        return inputs[0].argmax(axis=3, keepdims=True).astype(np.uint8).view(np.int8)


def _pack(node: Node, graph: Graph) -> Packed:
    return Packed({"channels": graph.tensors[node.inputs[0]].shape[3]}, {})
