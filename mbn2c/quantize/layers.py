"""Layers on a whole batch in float32, fast enough to run every calibration image through every candidate.

The float side is what the model computes. The int8 side follows the integer reference, except that float32 sums
may round beyond 2^24: good for choosing weights, never for judging equality (`reference` and ONNX Runtime do that).
Batches are NHWC with N images.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from mbn2c.ir.graph import Graph, Node
from mbn2c.ir.window import Window
from mbn2c.numerics import INT8_MAX, INT8_MIN
from mbn2c.ops import OPERATORS
from mbn2c.ops.base.operator import quant_of, taps

WITH_WEIGHTS = ("conv2d", "depthwise_conv2d", "fully_connected")
# Input values handled at a time.
_PIECE = 1 << 19


def convolve(node: Node, x: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """A layer with weights, without bias and activation.

    x        float32 [N, H, W, I]; 0 is what padding reads
    weights  float32, in the Graph's axis order of the operator
    returns  float32 [N, H_out, W_out, C]
    """
    if node.op == "fully_connected":
        return np.asarray(x @ weights.T)
    window = OPERATORS[node.op].window(node)
    if node.op == "conv2d":
        columns = x if window.is_pointwise else np.concatenate(taps(_pad(x, window), window), axis=-1)
        product = columns.reshape(-1, columns.shape[-1]) @ weights.reshape(len(weights), -1).T
        return product.reshape(*columns.shape[:3], len(weights))
    padded = _pad(x, window)
    if node.attributes.depth_multiplier != 1:
        padded = np.repeat(padded, node.attributes.depth_multiplier, axis=-1)
    views, flat = taps(padded, window), weights.reshape(-1, weights.shape[2])
    total = views[0] * flat[0]
    product = np.empty_like(total)
    for view, tap in zip(views[1:], flat[1:], strict=True):
        np.multiply(view, tap, out=product)
        total += product
    return total


def _in_pieces(run: Callable[..., np.ndarray], inputs: Sequence[np.ndarray]) -> np.ndarray:
    """Run some images at a time, so that intermediate results stay in the cache."""
    size = max(1, _PIECE // max(1, inputs[0][0].size))
    pieces = [run(*(array[at : at + size] for array in inputs)) for at in range(0, len(inputs[0]), size)]
    return np.concatenate(pieces)


def _pad(x: np.ndarray, window: Window) -> np.ndarray:
    top, left, bottom, right = window.pad
    return np.pad(x, ((0, 0), (top, bottom), (left, right), (0, 0))) if any(window.pad) else x


def run_float(node: Node, graph: Graph, inputs: Sequence[np.ndarray]) -> np.ndarray:
    """One operator of a lowered float Graph; float32 batches in and out."""
    return _in_pieces(lambda *arrays: _float_piece(node, graph, arrays), inputs)


def _float_piece(node: Node, graph: Graph, inputs: Sequence[np.ndarray]) -> np.ndarray:
    if node.op in WITH_WEIGHTS:
        result = convolve(node, inputs[0], graph.constant(node.inputs[1]))
        result += graph.constant(node.inputs[2])
    elif node.op == "add":
        result = inputs[0] + inputs[1]
    elif node.op == "average_pool2d":
        window = OPERATORS[node.op].window(node)
        views = taps(_pad(inputs[0], window), window)
        result = sum(views[1:], views[0].copy()) / np.float32(len(views))
    else:
        assert node.op == "clamp", f"{node.op} in a lowered Graph"
        result = inputs[0]
    activation = getattr(node.attributes, "activation", None)
    return result if activation is None else np.clip(result, np.float32(activation.low), np.float32(activation.high))


def run_int8(node: Node, graph: Graph, inputs: Sequence[np.ndarray]) -> np.ndarray:
    """One operator of an int8 Graph; int8 batches in and out."""
    if node.op not in WITH_WEIGHTS:
        return _in_pieces(lambda *arrays: OPERATORS[node.op].run(node, graph, arrays), inputs)
    x_quant, y_quant = quant_of(graph, node.inputs[0]), quant_of(graph, node.outputs[0])
    weights = graph.constant(node.inputs[1]).astype(np.float32)
    scale = node.attributes.requantize.scale
    # Bias and zero point after the scale: float32 keeps more of them there than in a large sum.
    offset = (graph.constant(node.inputs[2]) * scale.astype(np.float64) + y_quant.zero_point).astype(np.float32)

    def piece(x: np.ndarray) -> np.ndarray:
        result = convolve(node, x.astype(np.float32) - np.float32(x_quant.zero_point), weights)
        result *= scale
        result += offset
        np.rint(result, out=result)
        np.clip(result, INT8_MIN, INT8_MAX, out=result)
        return result.astype(np.int8)

    return _in_pieces(piece, inputs)
