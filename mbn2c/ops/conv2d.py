"""conv2d: y = activation(conv(x, weights) + bias), all channels to all channels.

inputs   x [1, H, W, I], weights [O, KH, KW, I], bias [O]
output   [1, H_out, W_out, O]
source   ONNX operators Conv and QLinearConv with group 1
"""

from __future__ import annotations

import numpy as np

from mbn2c.ir.graph import Graph, Node
from mbn2c.ir.window import Window
from mbn2c.ops.base.guarded import Terms
from mbn2c.ops.base.operator import pad_zero_point, taps
from mbn2c.ops.base.weighted import ConvAttributes, Weighted


class Conv2d(Weighted):
    name = "conv2d"
    int8_attributes = ConvAttributes
    channel_axis = 0

    def window(self, node: Node) -> Window:
        window = node.attributes.window
        assert isinstance(window, Window)
        return window

    def output_shape(self, node: Node, graph: Graph) -> tuple[int, ...]:
        _, height, width, _ = graph.tensors[node.inputs[0]].shape
        return (1, *self.window(node).output_size(height, width), graph.tensors[node.inputs[1]].shape[0])

    def macs(self, node: Node, graph: Graph) -> int:
        _, height, width, channels = self.output_shape(node, graph)
        return height * width * channels * int(np.prod(graph.tensors[node.inputs[1]].shape[1:]))

    def onnx_weights(self, weights: np.ndarray) -> np.ndarray:
        return np.ascontiguousarray(weights.transpose(0, 3, 1, 2))

    def accumulate(self, node: Node, x: np.ndarray, weights: np.ndarray, zero_point: int) -> np.ndarray:
        window = self.window(node)
        centred = pad_zero_point(x, window, zero_point).astype(np.float64) - zero_point
        columns = np.concatenate(taps(centred, window), axis=-1)
        # float64 holds every int32 sum exactly, and its matrix product is far faster than the integer one.
        product = columns.reshape(-1, columns.shape[-1]) @ weights.reshape(len(weights), -1).T.astype(np.float64)
        return product.astype(np.int64).reshape(*columns.shape[:-1], len(weights))

    def products(self, node: Node, x: np.ndarray, weights: np.ndarray, zero_point: int) -> Terms:
        def terms(positions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            window = self.window(node)
            views = taps(pad_zero_point(x, window, zero_point).astype(np.int64) - zero_point, window)
            by_output = weights.astype(np.int64).transpose(0, 3, 1, 2).reshape(len(weights), -1)
            pixels, outputs = np.divmod(positions, len(weights))
            columns = np.stack([view.reshape(-1, view.shape[-1])[pixels] for view in views], axis=-1)
            return columns.reshape(len(positions), -1), by_output[outputs]

        return terms
