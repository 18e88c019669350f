"""What operators with a window share: its taps, its pads, the shape it makes, how ONNX spells it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from mbn2c.ir.graph import Node
from mbn2c.ir.window import Window

Shape = tuple[int, ...]
Bounds = tuple[np.ndarray, np.ndarray]  # (lowest, highest) value of each channel, float64 [C]


def window_of(node: Node) -> Window:
    """The window in a node's attributes; a pixel for a pixel without one."""
    window = getattr(node.attributes, "window", Window())
    assert isinstance(window, Window)
    return window


def windowed_shape(window: Window, x: Shape, channels: int) -> Shape | None:
    """The shape a window makes of x; None if a pad is as wide as the window."""
    pads_fit = all(0 <= pad < span for pad, span in zip(window.pad, window.extent * 2, strict=True))
    return (1, *window.output_size(x[1], x[2]), channels) if pads_fit else None


def with_padding(bounds: Bounds, window: Window) -> Bounds:
    """Bounds of what a window sees, the zeros of its pads among it."""
    low, high = bounds
    return (np.minimum(low, 0), np.maximum(high, 0)) if any(window.pad) else bounds


def pad_real(x: np.ndarray, window: Window) -> np.ndarray:
    """Surround NHWC `x` with 0.0."""
    return pad_zero_point(x, window, 0) if any(window.pad) else x


def pad_zero_point(x: np.ndarray, window: Window, zero_point: int) -> np.ndarray:
    """Surround NHWC `x` with the value that stands for 0.0."""
    top, left, bottom, right = window.pad
    return np.pad(x, ((0, 0), (top, bottom), (left, right), (0, 0)), constant_values=zero_point)


def taps(x: np.ndarray, window: Window) -> list[np.ndarray]:
    """For each kernel position, row by row, the strided view [1, H_out, W_out, C] of padded `x` it multiplies."""
    _, height, width, _ = x.shape
    out_height, out_width = Window(window.kernel, window.stride, dilation=window.dilation).output_size(height, width)
    views = []
    for ky in range(window.kernel[0]):
        for kx in range(window.kernel[1]):
            top, left = ky * window.dilation[0], kx * window.dilation[1]
            bottom = top + (out_height - 1) * window.stride[0] + 1
            right = left + (out_width - 1) * window.stride[1] + 1
            views.append(x[:, top : bottom : window.stride[0], left : right : window.stride[1], :])
    return views


def spread(window: Window, shape: Shape, by_tap: Iterable[np.ndarray]) -> np.ndarray:
    """The transpose of `taps` of a padded input: adds up what each tap gives back to the pixels it read.

    shape    of the input [1, H, W, C]
    by_tap   float32 [N, H_out, W_out, C], one per tap
    returns  float32 [N, H, W, C]
    """
    top, left, bottom, right = window.pad
    _, height, width, channels = shape
    padded: np.ndarray | None = None
    for number, given in enumerate(by_tap):
        if padded is None:
            padded = np.zeros((len(given), height + top + bottom, width + left + right, channels), np.float32)
            views = taps(padded, window)
        views[number][...] += given
    assert padded is not None
    return padded[:, top : top + height, left : left + width]


def onnx_window(window: Window) -> dict[str, Any]:
    """The attributes of ONNX Conv for a window."""
    top, left, bottom, right = window.pad
    return {
        "kernel_shape": list(window.kernel),
        "strides": list(window.stride),
        "pads": [top, left, bottom, right],
        "dilations": list(window.dilation),
    }
