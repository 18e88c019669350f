"""average_pool2d: the mean over a window; the global average pool is the window that covers the input.

input    x [1, H, W, C]; pads, where there are any, count as zeros
output   [1, H_out, W_out, C]
source   ONNX operators AveragePool and GlobalAveragePool; in int8 spelt as a depthwise QLinearConv with
         weights 1 and scale 1 / (KH * KW), whose arithmetic is defined
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from mbn2c.ir.graph import Graph, Node, Quant, Tensor
from mbn2c.ir.window import Window
from mbn2c.numerics import prove_scales
from mbn2c.ops.base.operator import (
    Bounds,
    OnnxOp,
    Operator,
    Shape,
    onnx_window,
    pad_real,
    pad_zero_point,
    quant_of,
    scale_of,
    spread,
    taps,
    windowed_shape,
    with_padding,
)
from mbn2c.ops.base.requantize import GuardedRequantize, Requantize
from mbn2c.ops.base.spelling import spell_qlinear_conv
from mbn2c.ops.base.weighted import acc_bound, prove_requantize, run_requantize


@dataclass(frozen=True)
class AveragePool2dAttributes:
    """average_pool2d, input (x); a window without pads, or with pads that count as zeros.

    The global average pool is the window that covers the whole input.
    """

    window: Window = Window()
    requantize: Requantize | GuardedRequantize | None = None


class AveragePool2d(Operator):
    name = "average_pool2d"
    attributes = AveragePool2dAttributes
    has_window = True
    sums_channels = True

    def window(self, node: Node) -> Window:
        window = node.attributes.window
        assert isinstance(window, Window)
        return window

    def output_shape(self, node: Node, shapes: Sequence[Shape]) -> Shape | None:
        """Quantized, it reads a second tensor: the ones its Conv spelling needs, [KH, KW, 1]."""
        fits = len(shapes) == 1 or list(shapes[1:]) == [(*node.attributes.window.kernel, 1)]
        return windowed_shape(self.window(node), shapes[0], shapes[0][3]) if fits else None

    def is_channelwise(self, node: Node) -> bool:
        return True

    def run_float(self, node: Node, graph: Graph, inputs: Sequence[np.ndarray]) -> np.ndarray:
        window = self.window(node)
        views = taps(pad_real(inputs[0], window), window)
        return np.asarray(sum(views[1:], views[0].copy()) / np.float32(len(views)))

    def gradient(
        self, node: Node, graph: Graph, inputs: Sequence[np.ndarray], gradient: np.ndarray
    ) -> Sequence[np.ndarray]:
        window = self.window(node)
        count = window.kernel[0] * window.kernel[1]
        return [spread(window, inputs[0].shape, [gradient / np.float32(count)] * count)]

    def bounds(self, node: Node, graph: Graph, inputs: Sequence[Bounds]) -> Bounds:
        return with_padding(inputs[0], self.window(node))

    def spell_float(self, node: Node, graph: Graph) -> list[OnnxOp]:
        attributes = {name: value for name, value in onnx_window(self.window(node)).items() if name != "dilations"}
        return [OnnxOp("AveragePool", node.inputs, node.outputs, {**attributes, "count_include_pad": 1})]

    def spell_int8(self, node: Node, graph: Graph) -> list[OnnxOp]:
        x, ones = node.inputs
        channels = graph.tensors[x].shape[3]
        weights = (
            ones,
            np.ones((channels, 1, *self.window(node).kernel), np.int8),
            np.full(channels, scale_of(quant_of(graph, ones)), np.float32),
        )
        attributes = {**onnx_window(self.window(node)), "group": channels}
        return [spell_qlinear_conv(graph, x, node.outputs[0], weights, None, attributes)]

    def quantize(self, node: Node, graph: Graph, quants: Mapping[str, Quant]) -> tuple[Node, list[Tensor]]:
        x_quant, y_quant = quants[node.inputs[0]], quants[node.outputs[0]]
        ones = np.ones((*self.window(node).kernel, 1), np.int8)
        bound = acc_bound(ones, np.zeros(1, np.int64), x_quant, channel_axis=2)
        wanted = np.array([1 / ones.size])
        proved = prove_scales(scale_of(x_quant), wanted, scale_of(y_quant), y_quant.zero_point, bound)
        requantize = prove_requantize(
            proved.scale, proved.multiplier, proved.shift, y_quant.zero_point, bound, node.name
        )
        weights = Tensor(f"{node.outputs[0]}__ones", ones.shape, "int8", ones, Quant(proved.w_scale))
        quantized = replace(
            node,
            inputs=(node.inputs[0], weights.name),
            attributes=replace(node.attributes, requantize=requantize),
        )
        return quantized, [weights]

    def run(self, node: Node, graph: Graph, inputs: Sequence[np.ndarray]) -> np.ndarray:
        window = self.window(node)
        zero_point = quant_of(graph, node.inputs[0]).zero_point
        centred = pad_zero_point(inputs[0], window, zero_point).astype(np.int64) - zero_point
        accumulated = np.asarray(sum(taps(centred, window)))

        def terms(positions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            columns = np.stack([view.reshape(-1)[positions] for view in taps(centred, window)], axis=-1)
            return columns, np.ones_like(columns)

        y_zero_point = quant_of(graph, node.outputs[0]).zero_point
        return run_requantize(node.attributes.requantize, accumulated, y_zero_point, terms)
