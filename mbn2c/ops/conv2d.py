"""conv2d: y = activation(conv(x, weights) + bias), all channels to all channels.

inputs   x [1, H, W, I], weights [O, KH, KW, I], bias [O]
output   [1, H_out, W_out, O]
source   ONNX operators Conv and QLinearConv with group 1
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from mbn2c.ir.axes import Value
from mbn2c.ir.graph import Graph, Node
from mbn2c.ir.kernel import ScalarKernel
from mbn2c.ir.window import Activation, Window
from mbn2c.ops.add import add_values
from mbn2c.ops.base.call import MICROSOFT, Declined, Importer, OnnxCall, OnnxName
from mbn2c.ops.base.case import RELU, RELU6, Case, Edit, edited, layer, same_window, unchanged
from mbn2c.ops.base.convolution import Convolution
from mbn2c.ops.base.guarded import Terms
from mbn2c.ops.base.layer import Layer, import_convolution
from mbn2c.ops.base.packing import scalar_convolutions, scalar_pointwise
from mbn2c.ops.base.prequantized.convolution import convolution_imports
from mbn2c.ops.base.prequantized.values import PrequantizedImporter
from mbn2c.ops.base.weighted import ConvAttributes, Weighted
from mbn2c.ops.base.windows import Shape, pad_real, pad_zero_point, spread, taps, windowed_shape
from mbn2c.ops.clamp import clamp
from mbn2c.ops.depthwise_conv2d import DepthwiseConv2d
from mbn2c.ops.grouped_conv2d import GroupedConv2d


class Conv2d(Weighted):
    """A convolution of all channels to all channels."""

    name = "conv2d"
    in_words = "convolution"
    attributes = ConvAttributes
    channel_axis = 0
    has_window = True
    mixes_channels = True

    def onnx_imports(self) -> Mapping[OnnxName, Importer]:
        return {
            ("", "Conv"): lambda call: import_convolution(call, self.layer_of),
            (MICROSOFT, "FusedConv"): _import_fused_conv,
        }

    def prequantized_imports(self) -> Mapping[OnnxName, PrequantizedImporter]:
        return convolution_imports(self.layer_of)

    def layer_of(self, convolution: Convolution) -> Layer | Declined:
        """A convolution of the file as one of this operator."""
        if not convolution.is_dense:
            return Declined()
        weights = convolution.weights
        attributes = ConvAttributes(convolution.window)
        return Layer(self, attributes, weights.transpose(0, 2, 3, 1), convolution.order, *convolution.output)

    def output_shape(self, node: Node, shapes: Sequence[Shape]) -> Shape | None:
        x, weights, bias = shapes
        fits = weights[1:] == (*node.attributes.window.kernel, x[3]) and bias == weights[:1]
        return windowed_shape(self.window(node), x, weights[0]) if fits and self.depth_multiplier(node) == 1 else None

    def macs(self, node: Node, graph: Graph) -> int:
        _, height, width, channels = graph.tensors[node.outputs[0]].shape
        return height * width * channels * int(np.prod(graph.tensors[node.inputs[1]].shape[1:]))

    def cases(self) -> Mapping[str, Case]:
        plain = ConvAttributes()

        def case(x: Shape, outputs: int, attributes: ConvAttributes = plain, weigh: Edit = unchanged) -> Case:
            shape = (outputs, *attributes.window.kernel, x[3])
            return Case((x,), attributes, edited(layer(shape, self.channel_axis), weigh))

        one_of_three = np.array([0, 1, 0]).reshape(3, 1, 1, 1)
        return {
            "1x1": case((1, 5, 4, 7), 9),
            "1x1, 1 channel to 1": case((1, 3, 3, 1), 1),
            "1x1, many channels": case((1, 3, 5, 129), 67, ConvAttributes(activation=RELU6)),
            "1x1 stride 2": case((1, 7, 6, 5), 4, ConvAttributes(Window(stride=(2, 2)))),
            "3x3 stride 2, RGB": case((1, 11, 10, 3), 8, ConvAttributes(same_window(3, 2), activation=RELU6)),
            "3x3 of TensorFlow's SAME": case(
                (1, 8, 8, 3), 8, ConvAttributes(Window((3, 3), (2, 2), (0, 0, 1, 1)), activation=RELU6)
            ),
            "5x5, four pads": case(
                (1, 9, 7, 2), 3, ConvAttributes(Window((5, 5), (1, 2), (0, 4, 1, 3)), activation=RELU)
            ),
            "3x3 dilation 2": case((1, 9, 8, 4), 5, ConvAttributes(Window((3, 3), (1, 1), (2, 2, 2, 2), (2, 2)))),
            "1x3 stride 2x1": case((1, 6, 6, 3), 4, ConvAttributes(Window((1, 3), (2, 1), (0, 1, 0, 1)))),
            "wider than its input": case((1, 2, 1, 3), 4, ConvAttributes(Window((5, 5), (1, 1), (2, 2, 2, 2)))),
            "no padding": case((1, 5, 6, 3), 4, ConvAttributes(Window((3, 3)))),
            "clamp -1..1": case((1, 4, 4, 3), 4, ConvAttributes(same_window(3, 1), activation=Activation(-1.0, 1.0))),
            "weights 0": case((1, 4, 4, 3), 3, weigh=lambda weights, bias: (weights * one_of_three, bias)),
            "bias far larger than weights": case((1, 4, 4, 3), 4, weigh=lambda weights, bias: (weights * 1e-6, bias)),
            "always 0": case(
                (1, 4, 4, 3), 4, ConvAttributes(activation=RELU), lambda weights, bias: (weights, bias * 0 - 99)
            ),
        }

    def scalar_kernels(self) -> tuple[ScalarKernel, ...]:
        return (*scalar_convolutions("conv2d", self.pack), scalar_pointwise())

    def linear(self, node: Node, x: np.ndarray, weights: np.ndarray) -> np.ndarray:
        window = self.window(node)
        columns = x if window.is_pointwise else np.concatenate(taps(pad_real(x, window), window), axis=-1)
        product = columns.reshape(-1, columns.shape[-1]) @ weights.reshape(len(weights), -1).T
        return product.reshape(*columns.shape[:3], len(weights))

    def transposed(self, node: Node, gradient: np.ndarray, weights: np.ndarray, shape: Shape) -> np.ndarray:
        by_tap = weights.reshape(len(weights), -1, shape[3]).transpose(1, 0, 2)
        return spread(self.window(node), shape, (gradient @ tap for tap in by_tap))

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


# --- how ONNX files spell it ---


def _import_fused_conv(call: OnnxCall) -> Value | Declined:
    """com.microsoft FusedConv: convolution, optionally plus a fourth input, then an activation.

    source  ONNX Runtime contrib operators, FusedConv
    """
    is_alone = not call.has(3) and call.text("activation", "") == ""
    made = import_convolution(call, layer_of_any, part="" if is_alone else "conv")
    if isinstance(made, Declined):
        return made
    return _fused_activation(call, add_values(call, made, call.value(3), "add") if call.has(3) else made)


def layer_of_any(convolution: Convolution) -> Layer | Declined:
    """A convolution as a layer of the operator that takes it."""
    made = (operator.layer_of(convolution) for operator in (Conv2d(), DepthwiseConv2d(), GroupedConv2d()))
    return next(layer for layer in made if isinstance(layer, Layer))


def _fused_activation(call: OnnxCall, x: Value) -> Value:
    activation = call.text("activation", "")
    parameters = [float(number) for number in call.attributes.get("activation_params", ())]
    if activation == "":
        return x
    if activation == "Relu":
        return clamp(call, x, 0.0, math.inf)
    if activation == "Clip" and len(parameters) == 2:
        return clamp(call, x, *parameters)
    raise call.refuse(
        f"{call.op} with activation {activation} is not supported", "only Relu and Clip; give the unoptimised model"
    )
