"""In which order ONNX Runtime sums in float32, found by trying: each known one against what it computes."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from mbn2c.ir.axes import CHANNEL, Value
from mbn2c.ops.base.guarded import float_dot, lane_sum
from mbn2c.ops.base.prequantized.values import PrequantizedCall
from mbn2c.ops.base.requantize import FloatMean

_SAMPLED_OUTPUTS = 512


def sum_order(
    call: PrequantizedCall,
    inputs: Mapping[str, np.ndarray],
    products: tuple[np.ndarray, np.ndarray],
    bias: np.ndarray,
) -> tuple[str, int] | None:
    """In which order ONNX Runtime sums a float32 layer, found by trying: (order, block) of FloatSum, or None.

    inputs    the node's inputs, float32
    products  x and w of some outputs, float32 [N, K], in ONNX's order
    bias      float32 [N]
    """
    found = call.ask([call.node], inputs, call.node.outputs[0]).reshape(-1)
    positions = sampled(found.size)
    x, w = products
    length = x.shape[1]
    blocks = sorted({min(block, length) for block in (length, 128, 256, 512, 64)}, reverse=True)
    for order, block in [("fma", block) for block in blocks] + [("fours", 4)]:
        if np.array_equal(float_dot(x, w, bias, order, block), found[positions]):
            return order, block
    return None


def mean_order(call: PrequantizedCall, x: Value, extents: tuple[int, int]) -> FloatMean | None:
    """In which order ONNX Runtime averages height and width in float32, found by trying, or None.

    extents  channels, pixels
    """
    channels, count = extents
    real = np.random.default_rng(0).uniform(-1, 1, x.shape).astype(np.float32)
    found = call.ask([call.node], {call.node.inputs[0]: real}, call.node.outputs[0]).reshape(-1)
    if x.order and x.order[0] != CHANNEL and channels > 1:
        rows = real.reshape(count, channels).T
    else:
        rows = real.reshape(channels, count)
    for lanes, unroll, is_aligned in ((1, 1, False), (4, 1, False), (4, 2, True)):
        mean = FloatMean(1.0, 1.0, count, lanes, unroll, is_aligned)
        if np.array_equal(lane_sum(rows, np.arange(channels), mean) / np.float32(count), found):
            return mean
    return None


def sampled(count: int) -> np.ndarray:
    """Which outputs of a layer are compared, spread over all of it."""
    if count <= _SAMPLED_OUTPUTS:
        return np.arange(count)
    return np.unique(np.linspace(0, count - 1, _SAMPLED_OUTPUTS).astype(np.int64))
