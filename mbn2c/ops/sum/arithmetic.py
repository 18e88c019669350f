"""The arithmetic of sum: an integer line decides, unless it lies within a band around a step; then float32 does.

source  ONNX operators DequantizeLinear, Add, QuantizeLinear, one after the other
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mbn2c.errors import QuantError

_HALF_ULP = 2.0**-24
# Results this far from zero point saturate, whatever the last bits are.
_SATURATED = 260.0
_LARGEST_GUESS = 2.0**30
_MOST_SHIFT = 24


@dataclass(frozen=True, eq=False)
class SumAttributes:
    """sum, int8 only, inputs (a, b, ...) of equal shape.

    (sum of (x - zero_point) * multiplier + offset + 2^(shift - 1)) >> shift decides, unless that lies within `band` of
    a step: then float32 does.

    x_scales, y_scale  float32 values
    multipliers        of each input; line and all inputs fit 32 bits
    offsets            int64 [1], or with a bias [C]
    band               in units of 2^-shift of an output step
    low, high          the result is clamped to these int8 values
    bias               float32 [C], added in float32 too; or None
    bias_at            how many inputs are added up before it is; 0 without
    """

    x_scales: tuple[float, ...]
    y_scale: float
    multipliers: tuple[int, ...]
    offsets: np.ndarray
    shift: int
    band: int
    low: int = -128
    high: int = 127
    bias: np.ndarray | None = None
    bias_at: int = 0


def guard_sum(
    x_scales: Sequence[float], y_scale: float, bias: np.ndarray | None, bias_at: int, low: int, high: int, where: str
) -> SumAttributes:
    """The integer line of a float32 sum, and how far it may be from the truth.

    bias     float32 [C] or None
    bias_at  how many inputs are added up before it is
    raises   QuantError if the line needs more than 32 bits
    """
    ratios = np.array(x_scales, np.float64) / y_scale
    shifts = np.zeros(1) if bias is None else bias.astype(np.float64) / y_scale
    largest = 255 * ratios.sum() + np.abs(shifts).max()
    shift = min(_MOST_SHIFT, int(np.floor(np.log2(_LARGEST_GUESS / largest))))
    if shift < 1:
        raise QuantError(
            f"a sum whose inputs reach {largest:.3g} steps of its output", where=where, hint="its scales are wrong"
        )
    multipliers = np.rint(ratios * 2.0**shift)
    offsets = np.rint(shifts * 2.0**shift)
    line_error = 255 * np.abs(multipliers / 2.0**shift - ratios).sum() + np.abs(offsets / 2.0**shift - shifts).max()
    magnitudes = [255 * ratio for ratio in ratios]
    if bias is not None:
        magnitudes.insert(bias_at, float(np.abs(shifts).max()))
    # Each product and each partial sum rounded once; then the division.
    float_error = (sum(magnitudes) + np.cumsum(magnitudes)[1:].sum()) * 1.001 * _HALF_ULP + 2 * _SATURATED * _HALF_ULP
    band = int(np.ceil((line_error + float_error) * 2.0**shift)) + 2
    return SumAttributes(
        tuple(float(scale) for scale in x_scales),
        y_scale,
        tuple(int(number) for number in multipliers),
        offsets.astype(np.int64),
        shift,
        min(band, 1 << (shift - 1)),
        low,
        high,
        bias,
        bias_at,
    )


def run_sum(attributes: SumAttributes, centred: Sequence[np.ndarray], zero_point: int) -> np.ndarray:
    """int8 results.

    centred     int64 [..., C] each, zero point taken off
    zero_point  of the output
    """
    line = sum(x * multiplier for x, multiplier in zip(centred, attributes.multipliers, strict=True))
    line = np.asarray(line + attributes.offsets + (1 << (attributes.shift - 1)))
    value, rest = (line >> attributes.shift) + zero_point, line & ((1 << attributes.shift) - 1)
    near = (rest < attributes.band) | (rest >= (1 << attributes.shift) - attributes.band)
    near &= (value >= attributes.low - 1) & (value <= attributes.high + 1)
    in_float = np.rint(np.clip(in_steps(attributes, centred), -2 * _SATURATED, 2 * _SATURATED)) + zero_point
    return np.asarray(np.clip(np.where(near, in_float, value), attributes.low, attributes.high).astype(np.int8))


def in_steps(attributes: SumAttributes, centred: Sequence[np.ndarray]) -> np.ndarray:
    """The float32 result before rounding, in output steps.

    centred  int64 [1, H, W, C] each, zero point taken off
    """
    terms = [x.astype(np.float32) * np.float32(s) for x, s in zip(centred, attributes.x_scales, strict=True)]
    if attributes.bias is not None:
        terms.insert(attributes.bias_at, np.broadcast_to(attributes.bias, terms[0].shape))
    total = terms[0]
    for term in terms[1:]:
        total = total + term
    return np.asarray(total / np.float32(attributes.y_scale))
