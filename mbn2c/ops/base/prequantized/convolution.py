"""Convolutions of quantized models, which the operators of convolutions share out between them by their groups."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from mbn2c.ir.axes import Value
from mbn2c.numerics import onnx_scale
from mbn2c.ops.base.call import MICROSOFT, Declined, OnnxName
from mbn2c.ops.base.convolution import Convolution
from mbn2c.ops.base.layer import LayerOf
from mbn2c.ops.base.prequantized.float_layers import float_layer
from mbn2c.ops.base.prequantized.layers import bias_of, integer_layer, weights_of
from mbn2c.ops.base.prequantized.values import PrequantizedCall, PrequantizedImporter
from mbn2c.ops.base.reading import kernel_shape, read_window


def convolution_imports(layer_of: LayerOf) -> Mapping[OnnxName, PrequantizedImporter]:
    """The spellings of an operator that is a convolution."""

    def integer(call: PrequantizedCall) -> Value | Declined:
        return _qlinear_conv(call, layer_of)

    def in_float(call: PrequantizedCall) -> Value | Declined:
        """Conv that ONNX Runtime leaves in float32, between DequantizeLinear and QuantizeLinear."""
        return float_layer(call, lambda x, weights: layer_of(read_convolution(call, x, weights)))

    return {("", "Conv"): in_float, ("", "QLinearConv"): integer, (MICROSOFT, "QLinearConv"): integer}


def read_convolution(call: PrequantizedCall, x: Value, weights: np.ndarray) -> Convolution:
    """Of Conv and QLinearConv; weights int64 OIHW."""
    if weights.ndim != 4:
        raise call.refuse(f"{weights.ndim - 2}-D convolution is not supported", "only 2-D image networks compile")
    height, width, channels = call.as_nchw(x)
    out_channels, group_channels, *kernel_extents = weights.shape
    kernel = kernel_shape(call, tuple(kernel_extents))
    group = call.integer("group", 1)
    fits = group >= 1 and group_channels * group == channels and out_channels % group == 0 and 0 not in weights.shape
    if not fits or kernel != tuple(kernel_extents):
        raise call.refuse(
            f"{call.op}: weights of shape {list(weights.shape)} in {group} group(s) for {channels} channels"
        )
    window = read_window(call, kernel, height, width)
    return Convolution(x, weights, group, window, (*window.output_size(height, width), out_channels))


def _qlinear_conv(call: PrequantizedCall, layer_of: LayerOf) -> Value | Declined:
    """source  ONNX operator QLinearConv"""
    if call.integer("channels_last", 0):
        raise call.refuse("QLinearConv with channels last is not supported", "give the model as it was quantized")
    x, _ = call.integers_in(0)
    x_in_file, y_in_file = call.file_quant(1, 2), call.file_quant(6, 7)
    layer = layer_of(read_convolution(call, x, weights_of(call, 3, 0)))
    if isinstance(layer, Declined):
        return layer
    channels = layer.extents[3]
    w_scale = call.weights_scale(4, channels)
    scale = onnx_scale(x_in_file.scale, w_scale, y_in_file.scale)
    return integer_layer(call, layer, x, x_in_file, y_in_file, w_scale, scale, bias_of(call, 8, channels))
