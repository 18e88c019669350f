"""depthwise_conv2d: every output channel sees one input channel.

inputs   x [1, H, W, I], weights [KH, KW, C], bias [C], C = I * depth_multiplier
output   [1, H_out, W_out, C]; output channel c reads input channel c // depth_multiplier
source   ONNX operators Conv and QLinearConv with group I
"""

from __future__ import annotations

import numpy as np

from mbn2c.ir.graph import Graph, Node
from mbn2c.ir.window import Window
from mbn2c.ops.base.guarded import Terms
from mbn2c.ops.base.operator import pad_zero_point, taps
from mbn2c.ops.base.weighted import ConvAttributes, Weighted


class DepthwiseConv2d(Weighted):
    name = "depthwise_conv2d"
    int8_attributes = ConvAttributes
    channel_axis = 2

    def window(self, node: Node) -> Window:
        window = node.attributes.window
        assert isinstance(window, Window)
        return window

    def output_shape(self, node: Node, graph: Graph) -> tuple[int, ...]:
        _, height, width, _ = graph.tensors[node.inputs[0]].shape
        return (1, *self.window(node).output_size(height, width), graph.tensors[node.inputs[1]].shape[2])

    def macs(self, node: Node, graph: Graph) -> int:
        return int(np.prod(self.output_shape(node, graph)) * np.prod(self.window(node).kernel))

    def group(self, node: Node, graph: Graph) -> int:
        return graph.tensors[node.inputs[0]].shape[3]

    def onnx_weights(self, weights: np.ndarray) -> np.ndarray:
        return np.ascontiguousarray(weights.transpose(2, 0, 1)[:, None])

    def accumulate(self, node: Node, x: np.ndarray, weights: np.ndarray, zero_point: int) -> np.ndarray:
        window = self.window(node)
        centred = pad_zero_point(x, window, zero_point).astype(np.int64) - zero_point
        repeated = np.repeat(centred, node.attributes.depth_multiplier, axis=-1)
        flat = weights.astype(np.int64).reshape(-1, weights.shape[2])
        return np.asarray(sum(view * tap for view, tap in zip(taps(repeated, window), flat, strict=True)))

    def products(self, node: Node, x: np.ndarray, weights: np.ndarray, zero_point: int) -> Terms:
        def terms(positions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            window = self.window(node)
            views = taps(pad_zero_point(x, window, zero_point).astype(np.int64) - zero_point, window)
            channels = weights.shape[2]
            by_output = weights.astype(np.int64).reshape(-1, channels).T
            pixels, outputs = np.divmod(positions, channels)
            inputs = outputs // node.attributes.depth_multiplier
            columns = np.stack([view.reshape(-1, view.shape[-1])[pixels, inputs] for view in views], axis=-1)
            return columns, by_output[outputs]

        return terms
