"""ONNX's convolutions, which conv2d, depthwise_conv2d and grouped_conv2d share out between them by their groups."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mbn2c.ir.axes import NCHW, Value, labeled
from mbn2c.ir.window import Window
from mbn2c.ops.base.call import OnnxCall
from mbn2c.ops.base.reading import kernel_shape, read_window


@dataclass(frozen=True, eq=False)
class Convolution:
    """A Conv of the file.

    weights  OIHW, float64 or, of a quantized model, int64; I is the channels of one group
    hwc      of the output
    """

    x: Value
    weights: np.ndarray
    group: int
    window: Window
    hwc: tuple[int, int, int]

    @property
    def is_dense(self) -> bool:
        """Every output channel reads every input channel."""
        return self.group == 1

    @property
    def is_depthwise(self) -> bool:
        """Each group has one channel, and there are several."""
        return self.group > 1 and self.weights.shape[1] == 1

    @property
    def order(self) -> np.ndarray:
        """The weights as [O, K], K in ONNX's order: input channel, row, column."""
        return self.weights.reshape(len(self.weights), -1)

    @property
    def output(self) -> tuple[tuple[int, int, int, int], Value]:
        """NHWC of the output, and the output as NCHW, its tensor not yet named."""
        height, width, channels = self.hwc
        return (1, height, width, channels), labeled("", (1, channels, height, width), NCHW)


def read_convolution(call: OnnxCall, x: Value) -> tuple[Convolution, np.ndarray]:
    """The convolution and its bias, float64 [O].

    source  ONNX operator Conv
    """
    weights = call.floats(1)
    if weights.ndim != 4:
        raise call.refuse(
            f"{weights.ndim - 2}-D convolution is not supported (weights of shape {list(weights.shape)})",
            "only 2-D image networks compile",
        )
    height, width, channels = call.as_nchw(x)
    out_channels, group_channels, *kernel_extents = weights.shape
    kernel = kernel_shape(call, tuple(kernel_extents))
    if kernel != tuple(kernel_extents):
        raise call.refuse(f"{call.op}: kernel_shape {list(kernel)} but weights of shape {list(weights.shape)}")
    group = call.integer("group", 1)
    if group < 1 or group_channels * group != channels or out_channels % group or 0 in weights.shape:
        raise call.refuse(
            f"{call.op}: weights of shape {list(weights.shape)} in {group} group(s) do not suit {channels} channels",
            "the file contradicts itself; export the model again",
        )
    bias = call.floats(2) if call.has(2) else np.zeros(out_channels)
    if bias.shape != (out_channels,):
        raise call.refuse(f"{call.op}: bias of shape {list(bias.shape)} for {out_channels} output channels")
    window = read_window(call, kernel, height, width)
    return Convolution(x, weights, group, window, (*window.output_size(height, width), out_channels)), bias
