"""fully_connected: y = activation(weights @ x + bias).

inputs   x [1, 1, 1, I], weights [O, I], bias [O]
output   [1, 1, 1, O]
source   ONNX operator Gemm; in int8 spelt as a 1x1 QLinearConv, whose arithmetic is defined
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from mbn2c.ir.axes import CHANNEL, LayoutError, Value
from mbn2c.ir.graph import Graph, Node
from mbn2c.ir.kernel import ScalarKernel
from mbn2c.ir.window import Activation, Window
from mbn2c.numerics import onnx_scale
from mbn2c.ops.base.call import MICROSOFT, Declined, Importer, OnnxCall, OnnxName
from mbn2c.ops.base.case import RELU, Case, layer
from mbn2c.ops.base.guarded import Terms
from mbn2c.ops.base.layer import Layer, emit_float
from mbn2c.ops.base.packing import scalar_convolutions, scalar_pointwise
from mbn2c.ops.base.prequantized.float_layers import float_layer
from mbn2c.ops.base.prequantized.layers import GIVE_QOPERATOR, bias_of, integer_layer, weights_of
from mbn2c.ops.base.prequantized.values import PrequantizedCall, PrequantizedImporter
from mbn2c.ops.base.requantize import AnyRequantize
from mbn2c.ops.base.weighted import ConvAttributes, Weighted
from mbn2c.ops.base.windows import Shape
from mbn2c.ops.conv2d import Conv2d


@dataclass(frozen=True)
class FullyConnectedAttributes:
    """fully_connected, inputs (x [1, 1, 1, I], weights OI, bias O)."""

    activation: Activation | None = None
    requantize: AnyRequantize | None = None


class FullyConnected(Weighted):
    """A matrix product, with the weights constant."""

    name = "fully_connected"
    in_words = "dense"
    attributes = FullyConnectedAttributes
    channel_axis = 0
    mixes_channels = True

    def onnx_imports(self) -> Mapping[OnnxName, Importer]:
        return {("", "Gemm"): _import_gemm, ("", "MatMul"): _import_matmul}

    def prequantized_imports(self) -> Mapping[OnnxName, PrequantizedImporter]:
        return {
            ("", "Gemm"): _gemm_in_float,
            ("", "MatMul"): _matmul_in_float,
            ("", "QLinearMatMul"): _import_qlinear_matmul,
            (MICROSOFT, "QGemm"): _import_qgemm,
        }

    def output_shape(self, node: Node, shapes: Sequence[Shape]) -> Shape | None:
        x, weights, bias = shapes
        return (1, 1, 1, weights[0]) if x == (1, 1, 1, weights[1]) and bias == weights[:1] else None

    def macs(self, node: Node, graph: Graph) -> int:
        return int(np.prod(graph.tensors[node.inputs[1]].shape))

    def cases(self) -> Mapping[str, Case]:
        def case(inputs: int, outputs: int, activation: Activation | None = None) -> Case:
            return Case(((1, 1, 1, inputs),), FullyConnectedAttributes(activation), layer((outputs, inputs), 0))

        return {"70 to 11": case(70, 11), "1 to 1": case(1, 1), "with ReLU": case(5, 4, RELU)}

    def scalar_kernels(self) -> tuple[ScalarKernel, ...]:
        """The 1x1 convolution's."""
        return (*scalar_convolutions("conv2d", self.pack), scalar_pointwise())

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


# --- how ONNX files spell it ---


def _import_gemm(call: OnnxCall) -> Value:
    """y = alpha * x w + beta * c, w constant."""
    weights = call.floats(1)
    if weights.ndim != 2 or call.integer("transA", 0):
        raise call.refuse(f"{call.op} with transA or weights of shape {list(weights.shape)} is not supported")
    if not call.integer("transB", 0):
        weights = weights.T
    weights = weights * call.number("alpha", 1.0)
    bias = np.zeros(weights.shape[0])
    if call.has(2):
        addend = call.floats(2) * call.number("beta", 1.0)
        if addend.size not in (1, weights.shape[0]) or any(extent != 1 for extent in addend.shape[:-1]):
            raise call.refuse(f"{call.op}: bias of shape {list(addend.shape)} for {weights.shape[0]} outputs")
        bias = bias + addend.ravel()
    return _dense(call, call.value(0), weights, bias)


def _import_matmul(call: OnnxCall) -> Value:
    weights = call.floats(1)
    if weights.ndim != 2:
        raise call.refuse(f"MatMul with weights of shape {list(weights.shape)} is not supported", "use a matrix")
    return _dense(call, call.value(0), weights.T, np.zeros(weights.shape[1]))


def _dense(call: OnnxCall, x: Value, weights: np.ndarray, bias: np.ndarray) -> Value:
    inputs = weights.shape[1]
    if not x.shape or x.shape[-1] != inputs or 0 in weights.shape:
        raise call.refuse(
            f"{call.op}: weights for {inputs} inputs do not suit a tensor of shape {list(x.shape)}",
            "the file contradicts itself, or its input size is not the one it was made for",
        )
    return emit_float(call, _layer_of(call, x, weights), x, bias)


def _layer_of(call: OnnxCall, x: Value, weights: np.ndarray) -> Layer:
    """x [..., I] times weights [O, I]: fully connected, or a convolution where x still has height and width."""
    if weights.ndim != 2 or not x.shape or x.shape[-1] != weights.shape[1] or 0 in weights.shape:
        raise call.refuse(f"{call.op}: weights of shape {list(weights.shape)} do not suit {list(x.shape)}")
    outputs = len(weights)
    last, others = x.groups[-1], x.groups[:-1]
    _, height, width, channels = call.extents(x)
    value = Value("", (*x.shape[:-1], outputs), (*others, (CHANNEL,) if outputs > 1 else ()))
    if all(CHANNEL not in group for group in others) and last in ((), (CHANNEL,)) and height * width > 1:
        ordered = weights.reshape(outputs, 1, 1, channels)
        return Layer(Conv2d(), ConvAttributes(), ordered, weights, (1, height, width, outputs), value)
    if any(others):
        raise LayoutError(f"a product over the last axis of {list(x.shape)} that is not the channel axis")
    ordered = weights.reshape(outputs, *(call.extents(x)[axis] for axis in last))
    ordered = ordered.transpose(0, *(1 + last.index(axis) for axis in sorted(last)))
    if (height, width) == (1, 1):
        flat = ordered.reshape(outputs, channels)
        return Layer(FullyConnected(), FullyConnectedAttributes(), flat, weights, (1, 1, 1, outputs), value)
    window = ordered.reshape(outputs, height, width, channels)
    attributes = ConvAttributes(Window(kernel=(height, width)))
    return Layer(Conv2d(), attributes, window, weights, (1, 1, 1, outputs), value)


# --- how quantized ones do ---


def _import_qgemm(call: PrequantizedCall) -> Value:
    """source  ONNX Runtime contrib operators, QGemm: a, b, c, then the result's scale and zero point"""
    if call.integer("transA", 0) or not call.has(7):
        raise call.refuse(
            "QGemm with transA or a float32 output is not supported", "quantize the last layer's output too"
        )
    is_transposed = bool(call.integer("transB", 0))
    return _integer_dense(call, is_transposed, call.number("alpha", 1.0), bias=6, y_scale=7)


def _import_qlinear_matmul(call: PrequantizedCall) -> Value:
    """source  ONNX operator QLinearMatMul"""
    return _integer_dense(call, False, 1.0, bias=None, y_scale=6)


def _integer_dense(call: PrequantizedCall, is_transposed: bool, alpha: float, bias: int | None, y_scale: int) -> Value:
    x, _ = call.integers_in(0)
    x_in_file, y_in_file = call.file_quant(1, 2), call.file_quant(y_scale, y_scale + 1)
    weights = weights_of(call, 3, 0 if is_transposed else 1)
    layer = _layer_of(call, x, weights if is_transposed else weights.T)
    channels = len(layer.order)
    w_scale = call.weights_scale(4, channels)
    scale = onnx_scale(np.float32(np.float32(alpha) * x_in_file.scale), w_scale, y_in_file.scale)
    biases = np.zeros(channels, np.int64) if bias is None else bias_of(call, bias, channels)
    return integer_layer(call, layer, x, x_in_file, y_in_file, w_scale, scale, biases)


def _gemm_in_float(call: PrequantizedCall) -> Value | Declined:
    if call.integer("transA", 0) or call.number("alpha", 1.0) != 1 or call.number("beta", 1.0) != 1:
        raise call.refuse("Gemm with transA, alpha or beta is not supported in float32", GIVE_QOPERATOR)
    return float_layer(call, partial(_layer_of, call), bool(call.integer("transB", 0)))


def _matmul_in_float(call: PrequantizedCall) -> Value | Declined:
    return float_layer(call, partial(_layer_of, call), is_transposed=False)
