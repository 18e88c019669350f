"""fully_connected: y = activation(weights @ x + bias).

inputs   x [1, 1, 1, I], weights [O, I], bias [O]
output   [1, 1, 1, O]
source   ONNX operator Gemm; in int8 spelt as a 1x1 QLinearConv, whose arithmetic is defined
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mbn2c.ir.graph import Graph, Node
from mbn2c.ir.window import Activation
from mbn2c.ops.base.guarded import Terms
from mbn2c.ops.base.operator import Shape
from mbn2c.ops.base.requantize import GuardedRequantize, Requantize
from mbn2c.ops.base.weighted import Weighted


@dataclass(frozen=True)
class FullyConnectedAttributes:
    """fully_connected, inputs (x [1, 1, 1, I], weights OI, bias O)."""

    activation: Activation | None = None
    requantize: Requantize | GuardedRequantize | None = None


class FullyConnected(Weighted):
    name = "fully_connected"
    attributes = FullyConnectedAttributes
    channel_axis = 0
    mixes_channels = True

    def output_shape(self, node: Node, shapes: Sequence[Shape]) -> Shape | None:
        x, weights, bias = shapes
        return (1, 1, 1, weights[0]) if x == (1, 1, 1, weights[1]) and bias == weights[:1] else None

    def macs(self, node: Node, graph: Graph) -> int:
        return int(np.prod(graph.tensors[node.inputs[1]].shape))

    def linear(self, node: Node, x: np.ndarray, weights: np.ndarray) -> np.ndarray:
        return np.asarray(x @ weights.T)

    def transposed(self, node: Node, gradient: np.ndarray, weights: np.ndarray, shape: Shape) -> np.ndarray:
        return np.asarray((gradient @ weights).reshape(len(gradient), *shape[1:]))

    def onnx_weights(self, weights: np.ndarray) -> np.ndarray:
        return weights[:, :, None, None]

    def accumulate(self, node: Node, x: np.ndarray, weights: np.ndarray, zero_point: int) -> np.ndarray:
        # float64 holds every int32 sum exactly, and its matrix product is far faster than the integer one.
        product = (x.astype(np.float64) - zero_point) @ weights.T.astype(np.float64)
        return product.astype(np.int64)

    def products(self, node: Node, x: np.ndarray, weights: np.ndarray, zero_point: int) -> Terms:
        def terms(positions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            centred = x.reshape(1, -1).astype(np.int64) - zero_point
            return np.repeat(centred, len(positions), axis=0), weights[positions].astype(np.int64)

        return terms
