"""mul by a number per channel in 32 bits: a factor and an offset for each channel, then one product for each value.

A channel's factor is f = ((b - b's zero point) * multiplier + half) >> narrow, with `fraction` bits behind the point.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from mbn2c.numerics import INT8_MAX, INT8_MIN
from mbn2c.ops.base.levels import INT8_LEVELS
from mbn2c.ops.mul.arithmetic import MulAttributes, run_mul

_INT32 = 2**31
# Bits behind the point that are tried, most first; with fewer no factor is near enough.
_FRACTIONS = range(24, 11, -1)


@dataclass(frozen=True)
class VectorForm:
    """What makes the factors: `multiplier` below 2^23 in magnitude, `narrow` 1 or more."""

    multiplier: int
    narrow: int
    fraction: int


@dataclass(frozen=True)
class ZeroPoints:
    """Of a mul's tensors."""

    a: int
    b: int
    y: int


# (a int64 [256, 1], factors int64 [256], form, zero points) -> results before they are saturated, or None where a sum
# would not fit an int32.
Evaluate = Callable[[np.ndarray, np.ndarray, VectorForm, ZeroPoints], np.ndarray | None]


def in_products(a: np.ndarray, factors: np.ndarray, form: VectorForm, zero: ZeroPoints) -> np.ndarray | None:
    """(a * f + offset of the channel) >> fraction, in int32: what scalar/mul_vector.c computes."""
    offsets = (zero.y << form.fraction) + (1 << (form.fraction - 1)) - zero.a * factors
    sums = a * factors + offsets
    fits = max(np.abs(sums).max(), np.abs(a * factors).max(), np.abs(offsets).max()) < _INT32
    return sums >> form.fraction if fits else None


@lru_cache(maxsize=256)
def vector_form(
    attributes: MulAttributes, zero: ZeroPoints, evaluate: Evaluate = in_products, fraction: int = 0
) -> VectorForm | None:
    """The form whose results are those of `run_mul` for all 65,536 pairs, or None.

    evaluate  what the kernel makes of a form
    fraction  the only one it can have; 0: any
    """
    ratio = attributes.multiplier / 2.0**attributes.shift
    products = (INT8_LEVELS[:, None] - zero.a).astype(np.int64) * (INT8_LEVELS - zero.b)
    expected = run_mul(attributes, products, zero.y)
    for bits in [fraction] if fraction else _FRACTIONS:
        form = _finest(ratio, bits)
        if form is None:
            continue
        found = evaluate(INT8_LEVELS[:, None].astype(np.int64), factors_of(form, zero.b), form, zero)
        if found is not None and np.array_equal(np.clip(found, INT8_MIN, INT8_MAX), expected):
            return form
    return None


def factors_of(form: VectorForm, zero_point: int) -> np.ndarray:
    """By b, from -128 on; int64 [256]."""
    wide = (INT8_LEVELS.astype(np.int64) - zero_point) * form.multiplier
    return np.asarray((wide + (1 << (form.narrow - 1))) >> form.narrow)


def _finest(ratio: float, fraction: int) -> VectorForm | None:
    """As many bits in the multiplier as leave its products with 9 bits in an int32."""
    for narrow in range(16, 0, -1):
        multiplier = round(ratio * 2.0 ** (fraction + narrow))
        if 0 < multiplier < _INT32 // 256:
            return VectorForm(multiplier, narrow, fraction)
    return None
