"""Requantization with given scales: an integer guess, and ONNX Runtime's float32 arithmetic where it is near a step.

An imported model fixes its scales, so most layers have a channel whose float32 staircase no single multiplier meets
(`numerics.equal_staircases`). But float32 rounding can move a step only within a known bound. Outside that band
around each step the integer result is proved right; inside it, once in thousands of outputs, the device does the
float32 operations that ONNX Runtime does, one by one, in IEEE arithmetic.

Source: ONNX operators QLinearConv, QuantizeLinear and DequantizeLinear; onnxruntime MlasRequantizeOutput, MlasGemm.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from mbn2c.errors import QuantError
from mbn2c.numerics import INT32_MAX, requantize_float
from mbn2c.ops.base.requantize import FloatMean, FloatSum, GuardedRequantize

# Results this far from zero point saturate, whatever the last bits are.
_SATURATED = 260.0
_HALF_ULP = 2.0**-24
# Tells of some outputs the products they are made of: x - zero_point and w, int64 [N, K] each, in ONNX's order.
Terms = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]


def guard_staircase(scale: np.ndarray, acc_bound: np.ndarray, low: int, high: int, where: str) -> GuardedRequantize:
    """The requantization of QLinearConv and its kin: clamp(rint(float32(acc) * scale) + zero_point).

    scale      float32 [C]
    acc_bound  int64 [C], no accumulator is larger in magnitude
    raises     QuantError if accumulators can leave 32 bits
    """
    _check_bound(acc_bound, where)
    # Two roundings: of the accumulator and of the product.
    error = np.full(len(scale), _SATURATED * 2.1 * _HALF_ULP)
    multiplier, shift, band = _guess(scale.astype(np.float64), error)
    return GuardedRequantize(multiplier, shift, band, scale.astype(np.float32), low, high)


def guard_float_sum(
    float_sum: FloatSum, bias: np.ndarray, term_bound: np.ndarray, terms: int, low: int, high: int, where: str
) -> GuardedRequantize:
    """The requantization of a layer that ONNX Runtime sums in float32.

    bias        int64 [C], in units of x_scale * w_scale, as the integer accumulator has it
    term_bound  int64 [C], bound on the sum of |x - zero_point| * |w|
    terms       products per sum
    raises      QuantError if accumulators can leave 32 bits
    """
    _check_bound(term_bound + np.abs(bias), where)
    unit = np.float64(float_sum.x_scale) * float_sum.w_scale.astype(np.float64)
    slope = unit / np.float64(float_sum.y_scale)
    real_bias = float_sum.bias.astype(np.float64)
    magnitude = (term_bound * unit + np.abs(real_bias)) * 1.001
    # Per product: both factors rounded, the product, its sum, a block's sum; then the bias and the division.
    error = magnitude * (terms + 8) * 2 * _HALF_ULP / np.float64(float_sum.y_scale) + _SATURATED * 2 * _HALF_ULP
    error += np.abs(real_bias - bias * unit) / np.float64(float_sum.y_scale)
    multiplier, shift, band = _guess(slope, error)
    return GuardedRequantize(multiplier, shift, band, slope.astype(np.float32), low, high, float_sum)


def guard_float_mean(float_mean: FloatMean, low: int, high: int, where: str) -> GuardedRequantize:
    """The requantization of an average that ONNX Runtime computes in float32.

    raises  QuantError if sums can leave 32 bits
    """
    bound = np.array([255 * float_mean.count])
    _check_bound(bound, where)
    ratio = np.array([np.float64(float_mean.x_scale) / np.float64(float_mean.y_scale)])
    # Each pixel rounded, each addition, the division by the count and the one by the scale; then the zero point.
    error = 255 * ratio * (float_mean.count + 6) * 2 * _HALF_ULP + 4 * _SATURATED * _HALF_ULP
    slope = ratio / float_mean.count
    multiplier, shift, band = _guess(slope, error)
    return GuardedRequantize(multiplier, shift, band, slope.astype(np.float32), low, high, float_mean=float_mean)


def _check_bound(bound: np.ndarray, where: str) -> None:
    if (bound > INT32_MAX).any():
        raise QuantError(
            "accumulators of this layer can overflow 32 bits", where=where, hint="quantize the model with other scales"
        )


def _guess(slope: np.ndarray, error: np.ndarray) -> tuple[np.ndarray, int, np.ndarray]:
    """(multiplier int64 [C], shift, band int64 [C]) of a line with float64 slopes, whose truth is `error` away."""
    shift = min(31, 30 - math.ceil(math.log2(slope.max())))
    if shift < 1:
        raise QuantError(
            f"a requantization by a factor of {slope.max():.3g}", hint="the scales of this layer are wrong"
        )
    multiplier = np.rint(slope * 2.0**shift)
    relative = np.abs(multiplier / 2.0**shift - slope) / slope
    width = error + _SATURATED * relative
    # A multiplier of 0 with a band of half a step leaves every output to float32.
    usable = width < 0.25
    multiplier = np.where(usable, multiplier, 0)
    band = np.where(usable, np.ceil(width * 2.0**shift) + 2, 2.0 ** (shift - 1))
    return multiplier.astype(np.int64), shift, band.astype(np.int64)


def run_guarded(requantize: GuardedRequantize, acc: np.ndarray, zero_point: int, terms: Terms | None) -> np.ndarray:
    """Accumulators to int8.

    acc    int64 [1, H, W, C], bias included
    terms  which products made the outputs at flat positions int64 [N]; needed where ONNX Runtime sums in float32
    """
    if requantize.float_sum is None and requantize.float_mean is None:
        result = requantize_float(acc, requantize.scale, zero_point)
        return np.asarray(np.clip(result, requantize.low, requantize.high))
    assert terms is not None
    shift = requantize.shift
    guess = acc * requantize.multiplier + (1 << (shift - 1))
    value, rest = (guess >> shift) + zero_point, guess & ((1 << shift) - 1)
    near = (rest < requantize.band) | (rest >= (1 << shift) - requantize.band)
    near &= ((value >= requantize.low - 1) & (value <= requantize.high + 1)) | (requantize.multiplier == 0)
    positions = np.flatnonzero(near)
    if len(positions):
        in_steps = _in_float(requantize, *terms(positions), positions % acc.shape[-1])
        added = requantize.float_mean.zero_point if requantize.float_mean else 0
        shifted = np.clip(in_steps, -2 * _SATURATED, 2 * _SATURATED) + np.float32(added)
        value.reshape(-1)[positions] = np.rint(shifted).astype(np.int64) - added + zero_point
    return np.asarray(np.clip(value, requantize.low, requantize.high).astype(np.int8))


def _in_float(requantize: GuardedRequantize, x: np.ndarray, w: np.ndarray, channel: np.ndarray) -> np.ndarray:
    """ONNX Runtime's float32 results before rounding, in output steps: float32 [N]."""
    if requantize.float_mean is not None:
        mean = requantize.float_mean
        total = lane_sum(x.astype(np.float32) * np.float32(mean.x_scale), channel, mean)
        return np.asarray(total / np.float32(mean.count) / np.float32(mean.y_scale))
    float_sum = requantize.float_sum
    assert float_sum is not None
    total = float_dot(
        x.astype(np.float32) * np.float32(float_sum.x_scale),
        w.astype(np.float32) * float_sum.w_scale[channel][:, None],
        float_sum.bias[channel],
        float_sum.order,
        float_sum.block,
    )
    return np.asarray(total / np.float32(float_sum.y_scale))


def lane_sum(x: np.ndarray, channel: np.ndarray, mean: FloatMean) -> np.ndarray:
    """Sums of pixels in the order of FloatMean.

    x        float32 [N, count]
    channel  int64 [N], which channel each row is of
    returns  float32 [N]
    source   Eigen, Redux.h, linear vectorized traversal; MlasPool
    """
    total = np.zeros(len(x), np.float32)
    starts = -channel * mean.count % mean.lanes if mean.is_aligned else np.zeros_like(channel)
    for start in np.unique(starts):
        rows = starts == start
        total[rows] = _lane_sum(x[rows], int(start), mean)
    return total


def _lane_sum(x: np.ndarray, start: int, mean: FloatMean) -> np.ndarray:
    length, lanes = x.shape[1], mean.lanes
    groups = (length - start) // lanes
    if lanes == 1 or groups < 1:
        return _sum_in_turn(x[:, 0], x[:, 1:])
    grouped = x[:, start : start + groups * lanes].reshape(len(x), groups, lanes)
    paired = groups // mean.unroll * mean.unroll
    partial = [
        _sum_in_turn(grouped[:, first], grouped[:, first + mean.unroll : paired : mean.unroll].transpose(0, 2, 1))
        for first in range(min(mean.unroll, groups))
    ]
    total = partial[0] if len(partial) == 1 else partial[0] + partial[1]
    if len(partial) > 1:
        for group in range(paired, groups):
            total = total + grouped[:, group]
    while total.shape[1] > 1:
        half = total.shape[1] // 2
        total = total[:, :half] + total[:, half:]
    left_over = np.concatenate([x[:, :start], x[:, start + groups * lanes :]], axis=1)
    return _sum_in_turn(total[:, 0], left_over)


def _sum_in_turn(total: np.ndarray, x: np.ndarray) -> np.ndarray:
    """total + x[..., 0] + x[..., 1] ..., in float32."""
    for k in range(x.shape[-1]):
        total = total + x[..., k]
    return total


def float_dot(x: np.ndarray, w: np.ndarray, bias: np.ndarray, order: str, block: int) -> np.ndarray:
    """Dot products as ONNX Runtime sums them, see FloatSum.

    x, w     float32 [N, K]
    bias     float32 [N]
    returns  float32 [N]
    """
    length = x.shape[1]
    if order == "fours":
        total = bias.copy()
        for start in range(0, length, 4):
            partial = x[:, start] * w[:, start]
            for k in range(start + 1, min(start + 4, length)):
                partial = partial + x[:, k] * w[:, k]
            total = partial + total
        return total
    total = np.zeros(len(x), np.float32)
    for start in range(0, length, block):
        partial = np.zeros(len(x), np.float32)
        for k in range(start, min(start + block, length)):
            partial = fused_multiply_add(x[:, k], w[:, k], partial)
        total = partial if start == 0 else total + partial
    return total + bias


def fused_multiply_add(a: np.ndarray, b: np.ndarray, c: np.ndarray) -> np.ndarray:
    """float32 a * b + c, rounded once.

    The product is exact in float64, its sum with c is not: rounding that to odd first makes the second rounding right.

    source  Boldo and Melquiond, Emulation of FMA and correctly rounded sums (2008)
    """
    product, addend = a.astype(np.float64) * b.astype(np.float64), c.astype(np.float64)
    total = product + addend
    back = total - product
    error = (product - (total - back)) + (addend - back)
    bits = total.view(np.int64)
    is_even = (bits & 1) == 0
    # A step away from zero where the error points away from zero, else towards it.
    step = np.where((error > 0) == (total > 0), 1, -1)
    odd = np.where((error != 0) & is_even, bits + step, bits)
    return odd.view(np.float64).astype(np.float32)
