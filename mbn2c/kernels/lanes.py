"""int8 weights -> the arrays of the kernels for cores without SIMD, where one multiply serves two pixels.

A word holds two activations, (x1 << 16) + x0. The sum of word * w over a group of inputs holds both sums as long as
each stays in 16 bits; the weights decide how long a group may be, whatever the activations are.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from mbn2c.ir.graph import Graph, Node
from mbn2c.ir.kernel import LONGEST_PIXEL_BYTES, Kernel, PixelStride
from mbn2c.kernels.staircase import Staircases
from mbn2c.numerics import INT8_MAX, INT8_MIN
from mbn2c.ops import OPERATORS
from mbn2c.ops.base.packing import folded_bias
from mbn2c.ops.base.quants import quant_of
from mbn2c.ops.base.requantize import Requantize

_LARGEST_FIELD = 65535


def as_int32(values: np.ndarray) -> np.ndarray:
    """int64 -> int32, modulo 2^32: C reads them as uint32_t or adds them in wrapping arithmetic."""
    return np.asarray((values & 0xFFFFFFFF).astype(np.uint32).view(np.int32))


def words_of(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """int64 -> (low, high) words, each int64."""
    return values & 0xFFFFFFFF, values >> 32


def high_word_constants(node: Node, graph: Graph, channel_axis: int) -> tuple[np.ndarray, np.ndarray]:
    """(M, R), int64 [C]: out = (sum * M + R) >> 32 for a raw sum of x * w; R holds bias, zero point and rounding."""
    requantize: Requantize = node.attributes.requantize
    multiplier = requantize.multiplier.astype(np.int64) << (32 - requantize.shift)
    zero_point = quant_of(graph, node.outputs[0]).zero_point
    offset = (zero_point << 32) + (1 << 31)
    return multiplier, folded_bias(node, graph, channel_axis).astype(np.int64) * multiplier + offset


def has_integer_form(node: Node) -> bool:
    """Whether an integer formula is proved to be the result, for every channel."""
    return isinstance(node.attributes.requantize, Requantize)


def has_high_word_form(node: Node) -> bool:
    """Whether the high word of acc * M + R is proved to be the result, for every channel."""
    requantize = node.attributes.requantize
    return isinstance(requantize, Requantize) and "mulhi" in requantize.form


def fits_fields(node: Node, graph: Graph) -> bool:
    """Whether a row of the window has no gaps, and every number of the params struct fits 16 bits."""
    window = OPERATORS[node.op].window(node)
    channels = graph.tensors[node.inputs[0]].shape[3]
    inputs = window.kernel[0] * window.kernel[1] * channels
    outputs = graph.tensors[node.outputs[0]].shape[3]
    step = window.stride[1] * channels
    # Kernels round the inputs up to 8.
    return window.dilation[1] == 1 and max(inputs + 8, outputs, step) <= _LARGEST_FIELD


def matrix(node: Node, graph: Graph) -> np.ndarray:
    """Weights OHWI (or OI) as int8 [O, K], K in the order of the window's bytes."""
    weights = graph.constant(node.inputs[1])
    return np.asarray(weights.reshape(weights.shape[0], -1))


def reads_slices(node: Node, graph: Graph) -> bool:
    """Whether a row of the window is one pixel, so that `step_bytes` is all that is said of where the next one lies."""
    window = OPERATORS[node.op].window(node)
    return window.kernel[1] == 1 and window.stride[1] * LONGEST_PIXEL_BYTES <= _LARGEST_FIELD


def window_fields(node: Node, graph: Graph) -> dict[str, int | str | PixelStride]:
    """Bytes of the window: rows, contiguous bytes of a row, bytes from one output pixel to the next."""
    channels = graph.tensors[node.inputs[0]].shape[3]
    window = OPERATORS[node.op].window(node)
    return {
        "kernel_height": window.kernel[0],
        "row_bytes": window.kernel[1] * channels,
        "step_bytes": PixelStride(node.inputs[0], window.stride[1]),
    }


def pixels_at_once(node: Node, graph: Graph, most: int) -> int:
    """Pixels of a row that a kernel for blocks of `most` works on together."""
    return min(most, graph.tensors[node.outputs[0]].shape[2])


def group_lengths(weights: np.ndarray, longest: int = 127) -> list[list[int]]:
    """Cut K inputs into groups in which no lane can leave 16 bits, as long as possible, first to last.

    weights  int8 [N, C, K], each C channels sharing their cuts
    longest  most inputs of a group
    returns  N lists of lengths, each summing to K. With P the sum of the positive weights of a group and N that of the
             negative ones, x in [-128, 127] keeps sum(x * w) in [-(128 P + 127 N), 127 P + 128 N]; with
             -32768 and a negative lower lane the word itself would wrap
    """
    positive = np.maximum(weights, 0).astype(np.int64).transpose(2, 0, 1)
    negative = np.maximum(-weights.astype(np.int64), 0).transpose(2, 0, 1)
    p = n = np.zeros(weights.shape[:2], np.int64)
    length = np.zeros(len(weights), np.int64)
    cuts = np.zeros((weights.shape[2], len(weights)), np.int64)  # length of the group that ends before input k, or 0
    for k, (p_new, n_new) in enumerate(zip(positive, negative, strict=True)):
        p, n = p + p_new, n + n_new
        fits = ((127 * p + 128 * n <= 32767) & (128 * p + 127 * n <= 32767)).all(axis=1)
        cut = (length > 0) & (~fits | (length == longest))
        cuts[k] = np.where(cut, length, 0)
        length = np.where(cut, 1, length + 1)
        p, n = np.where(cut[:, None], p_new, p), np.where(cut[:, None], n_new, n)
    return [[*column[column > 0].tolist(), int(last)] for column, last in zip(cuts.T, length, strict=True)]


def accepts_depthwise(node: Node, graph: Graph) -> bool:
    """Whether each output channel reads one input channel, has the high word form and fields that fit the params."""
    return has_high_word_form(node) and fits_fields(node, graph) and node.attributes.depth_multiplier == 1


def depthwise_weights(node: Node, graph: Graph) -> np.ndarray:
    """Weights HWC as int8 [C, H * W]."""
    weights = graph.constant(node.inputs[1])
    return np.asarray(weights.reshape(-1, weights.shape[2]).T)


def depthwise_fields(node: Node) -> dict[str, int | str]:
    """What the params struct of a depthwise convolution says of its window."""
    window = OPERATORS[node.op].window(node)
    return {"kernel_height": window.kernel[0], "kernel_width": window.kernel[1], "stride": window.stride[1]}


# Kernel and column stride of the windows that have C functions of their own.
_DEPTHWISE_WINDOWS = ((3, 1), (3, 2), (5, 1), (5, 2))


def depthwise_rows(any_window: Kernel) -> tuple[Kernel, ...]:
    """The rows of a table whose C file has one function for each of these windows, and this one for all others."""
    return (*(_depthwise_row(any_window, size, stride) for size, stride in _DEPTHWISE_WINDOWS), any_window)


def _depthwise_row(any_window: Kernel, size: int, stride: int) -> Kernel:
    def accepts(node: Node, graph: Graph) -> bool:
        window = OPERATORS[node.op].window(node)
        has_this = window.kernel == (size, size) and window.stride[1] == stride
        return has_this and any_window.accepts(node, graph)

    function = any_window.function.replace("_conv2d_", f"_conv2d_{size}x{size}_s{stride}_")
    return replace(any_window, function=function, accepts=accepts)


def staircases(node: Node, graph: Graph, channel_axis: int) -> Staircases:
    """The stairs of a node's channels, and which accumulators any int8 input can reach."""
    weights = graph.constant(node.inputs[1]).astype(np.int64)
    others = tuple(axis for axis in range(weights.ndim) if axis != channel_axis)
    positive, negative = np.maximum(weights, 0).sum(axis=others), np.minimum(weights, 0).sum(axis=others)
    bias = folded_bias(node, graph, channel_axis).astype(np.int64)
    requantize: Requantize = node.attributes.requantize
    return Staircases(
        requantize.multiplier.astype(np.int64),
        requantize.shift,
        quant_of(graph, node.outputs[0]).zero_point,
        bias + INT8_MIN * positive + INT8_MAX * negative,
        bias + INT8_MAX * positive + INT8_MIN * negative,
    )
