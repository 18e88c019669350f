"""Requantization: the float staircase of ONNX Runtime, its integer form, and the proof that both are equal.

ONNX Runtime turns an int32 accumulator into int8 with float32 arithmetic. As a function of the
accumulator that is a staircase of at most 255 steps. So an integer formula equals it everywhere exactly
when it equals it on both sides of every step, which is what `equal_staircases` checks: a proof, no sampling.

Source: ONNX operator QLinearConv; onnxruntime MlasRequantizeOutput; design.md, section 3.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from mbn2c.errors import QuantError
from mbn2c.numerics.shared import LARGEST_SHARED_SCALE, rung_above

INT8_MIN, INT8_MAX = -128, 127
WEIGHT_MAX = 127
INT16_MAX = 2**15 - 1
INT32_MAX = 2**31 - 1

# Fraction bits of an integer multiplier. 255 output levels times 2^22 leave one bit of 32 free; with 2^32 the
# result is the high word of a 64-bit product.
SHORT_SHIFT, LONG_SHIFT = 22, 32
# Float32 rounding moves a step by up to 2^-17 / m accumulator units. Above this m a random multiplier often
# passes the proof; below it only reciprocals of odd numbers do, whose ties lie half a unit from any accumulator.
SMALLEST_SHORT_SCALE = 1 / 512
# 1/m beyond this is too coarse in float32 to be proved; a channel with smaller weights gets a larger scale.
LARGEST_RECIPROCAL = 16383
LONGEST_SEARCH = 1000
# Denominator of the scale ratios of an add. Odd, so no sum of two int8 values lies on a tie between two
# output values: the distance is at least 1 / (2 * 1023) = 4.9e-4, far above what float32 rounding can move.
ADD_RATIO_DENOMINATOR = 1023
# Inputs up to so many times coarser than the output keep it: what two float32 terms that cancel have lost by rounding
# grows with the ratio, so beyond that the distance grows with it, by a smaller denominator.
LARGEST_FINE_RATIO = 8


def weight_range(bits: int) -> tuple[int, int]:
    """The least and the greatest weight of 8 bits, which are as large, or of 4."""
    return (-WEIGHT_MAX, WEIGHT_MAX) if bits == 8 else (-(1 << bits - 1), (1 << bits - 1) - 1)


def onnx_scale(x_scale: np.float32, w_scale: np.ndarray, y_scale: np.float32) -> np.ndarray:
    """The float32 multiplier of QLinearConv, each step rounded to float32 as ONNX Runtime does.

    w_scale  float32 [...]
    returns  float32 [...]: (x_scale * w_scale) / y_scale
    """
    product = np.float32(x_scale) * w_scale.astype(np.float32)
    return np.asarray(product / np.float32(y_scale), dtype=np.float32)


def requantize_float(acc: np.ndarray, scale: np.ndarray, zero_point: int) -> np.ndarray:
    """Bring int32 accumulators to the int8 scale of the output, as ONNX Runtime's QLinearConv does.

    acc         int [..., C], within int32
    scale       float32 [C] (or broadcastable), from `onnx_scale`
    zero_point  int, of the output
    returns     int8 [..., C]: rint(float32(acc) * scale) + zero_point, ties to even, saturated to [-128, 127]
    source      ONNX operator QLinearConv; design.md, section 3
    """
    rounded = np.rint(acc.astype(np.float32) * scale.astype(np.float32))
    return np.clip(rounded.astype(np.float64) + zero_point, INT8_MIN, INT8_MAX).astype(np.int8)


def requantize_integer(acc: np.ndarray, multiplier: np.ndarray, shift: int, zero_point: int) -> np.ndarray:
    """The integer form the device computes.

    acc         int [..., C], within int32
    multiplier  int [C]
    returns     int8 [..., C]: (acc * multiplier + (zero_point << shift) + 2^(shift-1)) >> shift, saturated
    """
    rounding = (zero_point << shift) + (1 << (shift - 1))
    value = (acc.astype(np.int64) * multiplier.astype(np.int64) + rounding) >> shift
    return np.clip(value, INT8_MIN, INT8_MAX).astype(np.int8)


def step_positions(multiplier: np.ndarray, shift: int, zero_point: int) -> np.ndarray:
    """Where the integer form steps: the smallest accumulator that yields at least k, for k = -127..127.

    multiplier  int64 [C], positive
    returns     int64 [C, 255]
    """
    levels = np.arange(INT8_MIN + 1, INT8_MAX + 1, dtype=np.int64)
    target = (levels << shift) - (zero_point << shift) - (1 << (shift - 1))
    return np.asarray(-((-target[None, :]) // multiplier.astype(np.int64)[:, None]))


def equal_staircases(
    scale: np.ndarray, multiplier: np.ndarray, shift: int, zero_point: int, acc_bound: np.ndarray
) -> np.ndarray:
    """Prove, channel by channel, that float and integer requantization agree on every reachable accumulator.

    scale       float32 [C]
    multiplier  int64 [C], positive
    acc_bound   int64 [C], no accumulator is larger in magnitude
    returns     bool [C]; True is a proof: both functions are monotone in the accumulator, and both sides of
                every reachable step were compared
    """
    steps = step_positions(multiplier, shift, zero_point)
    levels = np.arange(INT8_MIN + 1, INT8_MAX + 1)
    bound = acc_bound.astype(np.int64)[:, None]
    channel_scale = scale.astype(np.float32)[:, None]
    at = requantize_float(np.clip(steps, -bound, bound), channel_scale, zero_point)
    below = requantize_float(np.clip(steps - 1, -bound, bound), channel_scale, zero_point)
    reached = (steps <= bound) & (steps >= -bound)
    step_found = ~reached | (at >= levels)
    step_below_found = ~((steps - 1 <= bound) & (steps - 1 >= -bound)) | (below < levels)
    # A step outside the reachable range must lie outside for the float form too, at the range's own end.
    never_reached = ~(steps > bound) | (at < levels)
    always_reached = ~(steps < -bound) | (at >= levels)
    return np.asarray((step_found & step_below_found & never_reached & always_reached).all(axis=1))


def fits_mul32(multiplier: np.ndarray, shift: int, zero_point: int, acc_bound: np.ndarray) -> np.ndarray:
    """Whether acc * multiplier + rounding stays within int32 for every reachable accumulator; bool [C]."""
    rounding = abs(zero_point << shift) + (1 << (shift - 1))
    return np.asarray(acc_bound.astype(np.int64) * multiplier + rounding <= INT32_MAX)


def fits_mulhi(multiplier: np.ndarray, shift: int) -> np.ndarray:
    """Whether multiplier << (32 - shift) is an int32, so that the high word of one product is the result; bool [C]."""
    return np.asarray((multiplier << (32 - shift)) <= INT32_MAX)


@dataclass(frozen=True, eq=False)
class ProvedScales:
    """Weight scales moved onto a grid where the integer requantization is proved equal to the float one.

    w_scale     float32 [C]
    scale       float32 [C], `onnx_scale` of it
    multiplier  int64 [C]
    shift       SHORT_SHIFT, or LONG_SHIFT where a channel needs it
    tries       int [C], candidates looked at, for the report
    shares_multipliers  whether all are of the few that serve a network
    """

    w_scale: np.ndarray
    scale: np.ndarray
    multiplier: np.ndarray
    shift: int
    tries: np.ndarray
    shares_multipliers: bool = False


def prove_scales(
    x_scale: np.float32,
    w_scale: np.ndarray,
    y_scale: np.float32,
    zero_point: int,
    acc_bound: np.ndarray,
    shares_multipliers: bool = False,
) -> ProvedScales:
    """Find, close above the wanted weight scales, scales whose requantization has a proved integer form.

    w_scale    float64 [C], wanted
    acc_bound  int64 [C], bound on the accumulator's magnitude for the wanted scales; the proof allows an
               eighth more, which the caller checks once the weights are rounded to the final scales
    shares_multipliers  take them from the few that serve a network, if none is beyond these
    raises     QuantError if a multiplier would leave 31 bits, or if no candidate near a channel's scale passes
               (never seen)
    """
    wanted = np.float64(x_scale) * w_scale / np.float64(y_scale)
    shares_multipliers = shares_multipliers and bool(wanted.max() <= LARGEST_SHARED_SCALE)
    candidates = rung_above if shares_multipliers else _candidate_scale
    short = (wanted >= SMALLEST_SHORT_SCALE) & (not shares_multipliers)
    # Multipliers stay below 2^31 whatever the scale.
    room = 30 - max(0, int(np.ceil(np.log2(wanted.max() * 2))))
    shift = min(SHORT_SHIFT, room) if short.all() else min(LONG_SHIFT, room + 2)
    if shift < 1:
        raise QuantError(
            f"a layer's values are {wanted.max():.3g} times finer than its output's: int8 holds neither",
            hint="its weights are far larger than what is left after its activation; train or export the model again",
        )
    bound = np.minimum(acc_bound + acc_bound // 8 + 256, INT32_MAX)
    channels = len(wanted)
    multiplier, tries = np.zeros(channels, np.int64), np.zeros(channels, np.int64)
    result_scale, result_w_scale = np.zeros(channels, np.float32), np.zeros(channels, np.float32)
    open_channels = np.arange(channels)
    for attempt in range(LONGEST_SEARCH):
        target = candidates(wanted[open_channels], attempt)
        candidate = np.rint(target * 2.0**shift).astype(np.int64)
        candidate_w_scale = _w_scale_for(x_scale, target, y_scale)
        candidate_scale = onnx_scale(x_scale, candidate_w_scale, y_scale)
        proved = equal_staircases(candidate_scale, candidate, shift, zero_point, bound[open_channels])
        done = open_channels[proved]
        multiplier[done], tries[done] = candidate[proved], attempt + 1
        result_w_scale[done], result_scale[done] = candidate_w_scale[proved], candidate_scale[proved]
        open_channels = open_channels[~proved]
        if not len(open_channels):
            return ProvedScales(result_w_scale, result_scale, multiplier, shift, tries, shares_multipliers)
    raise QuantError(
        f"no exact integer requantization found for {len(open_channels)} channels in {LONGEST_SEARCH} tries",
        hint="report this model as a bug; another calibration set moves the scales",
    )


def _candidate_scale(wanted: np.ndarray, attempt: int) -> np.ndarray:
    """The attempt-th scale at or above the wanted ones (float64 [C]) that is likely to pass the proof."""
    on_short_grid = (np.ceil(wanted * 2.0**SHORT_SHIFT) + attempt) / 2.0**SHORT_SHIFT
    reciprocal = np.minimum(np.floor(1 / np.maximum(wanted, 1e-30)), LARGEST_RECIPROCAL)
    odd_below = np.maximum(reciprocal - (reciprocal % 2 == 0) - 2 * attempt, 1)
    return np.where(wanted >= SMALLEST_SHORT_SCALE, on_short_grid, 1 / odd_below)


def _w_scale_for(x_scale: np.float32, scale: np.ndarray, y_scale: np.float32) -> np.ndarray:
    """float32 weight scales whose `onnx_scale` is as near to `scale` (float64 [C]) as float32 allows."""
    start = (scale * np.float64(y_scale) / np.float64(x_scale)).astype(np.float32)
    candidates = [start]
    for direction in (np.float32(np.inf), np.float32(0)):
        neighbour = start
        for _ in range(3):
            neighbour = np.nextafter(neighbour, direction)
            candidates.append(neighbour)
    stacked = np.stack(candidates)
    error = np.abs(onnx_scale(x_scale, stacked, y_scale).astype(np.float64) - scale)
    best = np.argmin(error, axis=0)
    return np.asarray(stacked[best, np.arange(len(start))])


def add_denominator(input_scales: Iterable[float], output_scale: np.float32) -> int:
    """The odd denominator of the ratios of both inputs' scales to the output's: 1023, less where the output is fine."""
    ratio = max(float(scale) / float(output_scale) for scale in input_scales)
    if ratio <= LARGEST_FINE_RATIO:
        return ADD_RATIO_DENOMINATOR
    largest = int(ADD_RATIO_DENOMINATOR * LARGEST_FINE_RATIO / ratio)
    return max(1, largest - (largest % 2 == 0))


def snap_add_scale(
    input_scale: float, output_scale: np.float32, denominator: int = ADD_RATIO_DENOMINATOR
) -> tuple[np.float32, int]:
    """Move the scale of an add's input up to the next ratio n / denominator of the output's scale.

    denominator  of `add_denominator`, the same for both inputs
    returns      (float32 scale, n); n is at least 1
    """
    numerator = max(1, int(np.ceil(float(input_scale) / float(output_scale) * denominator - 1e-4)))
    return np.float32(float(output_scale) * numerator / denominator), numerator


def add_float(
    a: np.ndarray, b: np.ndarray, scales: tuple[np.float32, ...], zero_points: tuple[int, ...], sign: int = 1
) -> np.ndarray:
    """Dequantize, add, quantize in float32, as ONNX defines it; scales and zero points of (a, b, output).

    sign  -1: a - b
    """
    real_a = (a.astype(np.float32) - np.float32(zero_points[0])) * scales[0]
    real_b = (b.astype(np.float32) - np.float32(zero_points[1])) * scales[1]
    rounded = np.rint((real_a + np.float32(sign) * real_b) / scales[2])
    return np.clip(rounded + zero_points[2], INT8_MIN, INT8_MAX).astype(np.int8)


def add_integer(a: np.ndarray, b: np.ndarray, multipliers: tuple[int, int], offset: int, shift: int) -> np.ndarray:
    """(a * multipliers[0] + b * multipliers[1] + offset) >> shift, saturated to int8; every term fits int32."""
    value = a.astype(np.int64) * multipliers[0] + b.astype(np.int64) * multipliers[1] + offset
    return np.clip(value >> shift, INT8_MIN, INT8_MAX).astype(np.int8)


def prove_add(
    scales: tuple[np.float32, ...], zero_points: tuple[int, ...], sign: int = 1
) -> tuple[tuple[int, int], int, int]:
    """The integer form of an add, compared with the float one on all 65,536 input pairs.

    scales, zero_points  of (a, b, output)
    sign                 -1: of a - b
    returns              (multipliers, offset, shift) for `add_integer`
    raises               QuantError if no shift gives equality
    """
    a, b = np.meshgrid(np.arange(INT8_MIN, INT8_MAX + 1), np.arange(INT8_MIN, INT8_MAX + 1))
    expected = add_float(a, b, scales, zero_points, sign)
    ratios = [float(scales[0]) / float(scales[2]), sign * float(scales[1]) / float(scales[2])]
    for shift in range(22, 9, -1):
        multipliers = (round(ratios[0] * (1 << shift)), round(ratios[1] * (1 << shift)))
        exact_offset = (zero_points[2] + 0.5) * (1 << shift)
        offset = round(exact_offset - sum(r * z * (1 << shift) for r, z in zip(ratios, zero_points, strict=False)))
        if 128 * (abs(multipliers[0]) + abs(multipliers[1])) + abs(offset) > INT32_MAX:
            continue
        if np.array_equal(add_integer(a, b, multipliers, offset, shift), expected):
            return multipliers, offset, shift
    raise QuantError(
        f"no exact integer form for an add with scales {scales[0]:.9g} + {scales[1]:.9g} -> {scales[2]:.9g}",
        hint="report this model as a bug; another calibration set moves the scales",
    )


def quantize_linear(real: np.ndarray, scale: np.float32, zero_point: int) -> np.ndarray:
    """ONNX QuantizeLinear to int8: saturate(rint(real / scale) + zero_point) in float32, ties to even."""
    with np.errstate(over="ignore"):  # infinity saturates as any large value
        rounded = np.rint(real.astype(np.float32) / np.float32(scale))
    return np.clip(rounded + zero_point, INT8_MIN, INT8_MAX).astype(np.int8)


def search_requantize(scale: np.ndarray, zero_point: int, acc_bound: np.ndarray) -> tuple[np.ndarray, int] | None:
    """Multipliers for given scales, proved equal to the float form in every channel; None if a channel has none.

    scale      float32 [C]
    acc_bound  int64 [C], no accumulator is larger in magnitude
    returns    (multiplier int64 [C], shift)
    """
    real = scale.astype(np.float64)[:, None]
    levels = np.arange(INT8_MIN + 1, INT8_MAX + 1) - zero_point
    steps = _float_steps(scale, zero_point, np.rint((levels - 0.5) / real).astype(np.int64))
    inside = np.abs(steps) < acc_bound[:, None]
    for shift in (SHORT_SHIFT, LONG_SHIFT):
        if not (scale * 2.0**shift < 2.0**31).all():
            continue
        # multiplier * step + half >= level << shift, and one accumulator before the step it is still below.
        target = levels * 2.0**shift - 2.0 ** (shift - 1)
        low, high = np.ones(len(scale)), np.full(len(scale), 2.0**31 - 1)
        for position, goal, is_reached in ((steps, target, True), (steps - 1, target - 1, False)):
            limit = goal / np.where(position == 0, 1, position)
            is_lower = inside & (position != 0) & ((position > 0) == is_reached)
            is_upper = inside & (position != 0) & ((position < 0) == is_reached)
            low = np.maximum(low, np.max(limit, axis=1, initial=1.0, where=is_lower))
            high = np.minimum(high, np.min(limit, axis=1, initial=2.0**31 - 1, where=is_upper))
        nominal = np.rint(real[:, 0] * 2.0**shift)
        multiplier = np.clip(nominal, np.ceil(low), np.floor(high)).astype(np.int64)
        if (multiplier > 0).all() and equal_staircases(scale, multiplier, shift, zero_point, acc_bound).all():
            return multiplier, shift
    return None


def _float_steps(scale: np.ndarray, zero_point: int, guess: np.ndarray) -> np.ndarray:
    """Where the float form steps, near a guess: the smallest accumulator for each level -127..127, int64 [C, 255]."""
    levels = np.arange(INT8_MIN + 1, INT8_MAX + 1)
    steps = guess + 2
    for offset in (1, 0, -1, -2):
        reached = requantize_float(guess + offset, scale.astype(np.float32)[:, None], zero_point) >= levels
        steps = np.where(reached, guess + offset, steps)
    return np.asarray(steps)


def fit_add(table: np.ndarray, ratios: tuple[float, float]) -> tuple[tuple[int, int], int, int] | None:
    """The integer form of an add whose 65,536 results are known, or None if no line near `ratios` has them all.

    table    int64 [256, 256], results for a and b from -128
    ratios   scales of a and b over the scale of the output
    returns  (multipliers, offset, shift) for `add_integer`
    """
    a, b = np.arange(INT8_MIN, INT8_MAX + 1)[:, None], np.arange(INT8_MIN, INT8_MAX + 1)
    moves = [(i, j) for i in range(-3, 4) for j in range(-3, 4)]
    nearest_first = sorted(moves, key=lambda move: abs(move[0]) + abs(move[1]))
    for shift in range(22, 9, -1):
        for i, j in nearest_first:
            multipliers = (round(ratios[0] * (1 << shift)) + i, round(ratios[1] * (1 << shift)) + j)
            line = a * multipliers[0] + b * multipliers[1]
            low = int(np.where(table > INT8_MIN, (table << shift) - line, -(2**62)).max())
            high = int(np.where(table < INT8_MAX, ((table + 1) << shift) - 1 - line, 2**62).min())
            offset = (max(low, -INT32_MAX) + min(high, INT32_MAX)) // 2
            if low <= high and 128 * (abs(multipliers[0]) + abs(multipliers[1])) + abs(offset) <= INT32_MAX:
                return multipliers, offset, shift
    return None


def fit_add_with_corrections(table: np.ndarray, ratios: tuple[float, float]) -> tuple[tuple[int, int], int, int]:
    """As `fit_add`, but the line may be one too high for some pairs.

    raises  QuantError if it is further off
    """
    a, b = np.arange(INT8_MIN, INT8_MAX + 1)[:, None], np.arange(INT8_MIN, INT8_MAX + 1)
    for shift in range(20, 9, -1):
        multipliers = (round(ratios[0] * (1 << shift)), round(ratios[1] * (1 << shift)))
        line = a * multipliers[0] + b * multipliers[1]
        offset = int(np.where(table > INT8_MIN, (table << shift) - line, -(2**62)).max())
        if 128 * (abs(multipliers[0]) + abs(multipliers[1])) + abs(offset) > INT32_MAX:
            continue
        excess = add_integer(a, b, multipliers, offset, shift).astype(np.int64) - table
        if excess.min() >= 0 and excess.max() <= 1:
            return multipliers, offset, shift
    raise QuantError(
        f"no exact integer form for an add with scale ratios {ratios[0]:.9g} and {ratios[1]:.9g}",
        hint="the scales of this add differ too much; quantize the model again",
    )
