"""depthwise_conv2d: every output channel sees one input channel.

inputs   x [1, H, W, I], weights [KH, KW, C], bias [C], C = I * depth_multiplier
output   [1, H_out, W_out, C]; output channel c reads input channel c // depth_multiplier
source   ONNX operators Conv and QLinearConv with group I
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from mbn2c.ir.graph import Graph, Node
from mbn2c.ir.kernel import ScalarKernel
from mbn2c.ir.window import Activation, Window
from mbn2c.ops.base.call import Declined, Importer, OnnxName
from mbn2c.ops.base.case import RELU, RELU6, Case, layer, same_window
from mbn2c.ops.base.convolution import Convolution
from mbn2c.ops.base.guarded import Terms
from mbn2c.ops.base.layer import Layer, import_convolution
from mbn2c.ops.base.packing import scalar_convolutions
from mbn2c.ops.base.prequantized.convolution import convolution_imports
from mbn2c.ops.base.prequantized.values import PrequantizedImporter
from mbn2c.ops.base.weighted import ConvAttributes, Weighted
from mbn2c.ops.base.windows import Shape, pad_real, pad_zero_point, spread, taps, windowed_shape


class DepthwiseConv2d(Weighted):
    """A convolution in which an output channel reads one input channel."""

    name = "depthwise_conv2d"
    in_words = "depthwise convolution"
    attributes = ConvAttributes
    channel_axis = 2
    has_window = True

    def onnx_imports(self) -> Mapping[OnnxName, Importer]:
        return {("", "Conv"): lambda call: import_convolution(call, self.layer_of)}

    def prequantized_imports(self) -> Mapping[OnnxName, PrequantizedImporter]:
        return convolution_imports(self.layer_of)

    def layer_of(self, convolution: Convolution) -> Layer | Declined:
        """A convolution of the file as one of this operator."""
        if not convolution.is_depthwise:
            return Declined()
        weights = convolution.weights[:, 0].transpose(1, 2, 0)
        attributes = ConvAttributes(convolution.window, depth_multiplier=len(convolution.weights) // convolution.group)
        return Layer(self, attributes, weights, convolution.order, *convolution.output)

    def output_shape(self, node: Node, shapes: Sequence[Shape]) -> Shape | None:
        x, weights, bias = shapes
        channels = x[3] * self.depth_multiplier(node)
        fits = weights == (*node.attributes.window.kernel, channels) and bias == (channels,)
        return windowed_shape(self.window(node), x, channels) if fits else None

    def macs(self, node: Node, graph: Graph) -> int:
        return int(np.prod(graph.tensors[node.outputs[0]].shape) * np.prod(self.window(node).kernel))

    def group(self, node: Node, graph: Graph) -> int:
        """One per input channel."""
        return graph.tensors[node.inputs[0]].shape[3]

    def cases(self) -> Mapping[str, Case]:
        def case(x: Shape, window: Window, activation: Activation | None = None, multiplier: int = 1) -> Case:
            shape = (*window.kernel, x[3] * multiplier)
            return Case((x,), ConvAttributes(window, multiplier, activation), layer(shape, self.channel_axis))

        return {
            "3x3": case((1, 6, 7, 17), same_window(3, 1), RELU6),
            "3x3, 32 channels": case((1, 5, 5, 32), same_window(3, 1), RELU6),
            "3x3 stride 2": case((1, 7, 8, 8), same_window(3, 2), RELU6),
            "5x5 stride 2": case((1, 9, 9, 6), same_window(5, 2)),
            "5x5, 8 channels": case((1, 5, 7, 8), same_window(5, 1), RELU6),
            "5x5, 20 channels": case((1, 3, 1, 20), same_window(5, 1)),
            "5x5 stride 2, 8 channels": case((1, 9, 9, 8), same_window(5, 2)),
            "of TensorFlow's SAME": case((1, 8, 6, 5), Window((3, 3), (2, 2), (0, 0, 1, 1)), RELU6),
            "dilation 2": case((1, 9, 9, 3), Window((3, 3), (1, 1), (4, 0, 1, 3), (2, 2))),
            "dilation 3, 8 channels": case((1, 7, 8, 8), Window((3, 3), (1, 2), (3, 3, 3, 3), (3, 3)), RELU6),
            "7x7, 4 channels": case((1, 4, 6, 4), same_window(7, 2)),
            "7x7, 20 channels": case((1, 5, 8, 20), same_window(7, 1), RELU6),
            "multiplier 3": case((1, 5, 4, 3), same_window(3, 1), RELU, 3),
            "1 channel": case((1, 5, 4, 1), same_window(3, 1)),
            "1x1": case((1, 3, 4, 5), Window()),
        }

    def scalar_kernels(self) -> tuple[ScalarKernel, ...]:
        return scalar_convolutions("depthwise_conv2d", self.pack)

    def linear(self, node: Node, x: np.ndarray, weights: np.ndarray) -> np.ndarray:
        window = self.window(node)
        padded = pad_real(x, window)
        if self.depth_multiplier(node) != 1:
            padded = np.repeat(padded, self.depth_multiplier(node), axis=-1)
        views, flat = taps(padded, window), weights.reshape(-1, weights.shape[2])
        total = views[0] * flat[0]
        product = np.empty_like(total)
        for view, tap in zip(views[1:], flat[1:], strict=True):
            np.multiply(view, tap, out=product)
            total += product
        return total

    def transposed(self, node: Node, gradient: np.ndarray, weights: np.ndarray, shape: Shape) -> np.ndarray:
        def of_input(products: np.ndarray) -> np.ndarray:
            return np.asarray(products.reshape(*gradient.shape[:3], shape[3], -1).sum(axis=-1))

        flat = weights.reshape(-1, weights.shape[2])
        return spread(self.window(node), shape, (of_input(gradient * tap) for tap in flat))

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
