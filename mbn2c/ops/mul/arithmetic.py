"""The integer form of mul: a line over the product of two centred values, and where it may be one too high."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from mbn2c.ir.graph import Quant
from mbn2c.ir.window import Activation
from mbn2c.ops.base.levels import INT8_LEVELS
from mbn2c.ops.base.requantize import WideRequantize

# Denominators of the ratio (a's scale * b's) / output's: odd ones, so that no product lies nearer to a tie than half of
# one part. float32 evaluates a product within 6e-5 of an output step, whatever the order.
_DENOMINATORS = np.arange(1, 1000, 2)
_LARGEST_DENOMINATOR = 6000
_MOST_PARTS = 2.0**31
# A line that may be one too high is this many output steps above the truth.
RAISED = 2e-4
WHOLE_TABLE = (8192,)


@dataclass(frozen=True)
class MulAttributes:
    """mul, inputs (a, b), b of a's shape or [1, 1, 1, C]; an imported mul may have a third input, int8 [8192].

    multiplier, shift  int8 form: (p * multiplier + 2^(shift - 1) + raised) >> shift, plus zero point and saturated, of
                       p = (a - its zero point) * (b - its zero point); where bit b % 8 of byte (a * 256 + b) / 8 of the
                       third input is set (a and b counted from -128), one less
    raised             0 without a third input
    requantize         of p where a, b or the output is int16; None of int8, which has the form above
    """

    activation: Activation | None = None
    multiplier: int = 0
    shift: int = 1
    raised: int = 0
    requantize: WideRequantize | None = None


def without_ties(ratio: float) -> float:
    """The ratio, or a little more, as a fraction with an odd denominator: p * n = d * (k + 1/2) has no solution."""
    if ratio < 1 / _DENOMINATORS[-1]:
        denominator = min(math.floor(1 / ratio), _LARGEST_DENOMINATOR)
        return 1 / (denominator - 1 + denominator % 2)
    fractions = np.ceil(ratio * _DENOMINATORS) / _DENOMINATORS
    return float(fractions.min())


def line_of(ratio: float) -> tuple[int, int]:
    """(multiplier, shift) of the finest integer line; multiplier below 2^31, shift 1 to 32."""
    shift = 32
    while shift > 1 and round(ratio * 2.0**shift) >= _MOST_PARTS:
        shift -= 1
    return min(round(ratio * 2.0**shift), int(_MOST_PARTS) - 1), shift


def products_of(a: Quant, b: Quant) -> np.ndarray:
    """Of all pairs, int64 [256, 256]."""
    return np.asarray((INT8_LEVELS[:, None] - a.zero_point) * (INT8_LEVELS - b.zero_point)).astype(np.int64)


def run_mul(attributes: MulAttributes, products: np.ndarray, zero_point: int) -> np.ndarray:
    """int8 results of int64 products of centred values, without corrections."""
    half = (1 << (attributes.shift - 1)) + attributes.raised
    return np.clip(((products * attributes.multiplier + half) >> attributes.shift) + zero_point, -128, 127).astype(
        np.int8
    )
