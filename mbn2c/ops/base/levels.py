"""All 256 values of an int8 tensor: the numbers they stand for, and what a function makes of them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from mbn2c.ir.graph import Quant
from mbn2c.numerics import INT8_MAX, INT8_MIN, quantize_linear
from mbn2c.ops.base.quants import scale_of

INT8_LEVELS = np.arange(INT8_MIN, INT8_MAX + 1)


def real_levels(quant: Quant) -> np.ndarray:
    """DequantizeLinear of every value, for -128 first: float32 [256]."""
    return (INT8_LEVELS - quant.zero_point).astype(np.float32) * scale_of(quant)


def tabulated(function: Callable[[np.ndarray], np.ndarray], x: Quant, y: Quant) -> np.ndarray:
    """DequantizeLinear, a function of float32 values, QuantizeLinear of every value, for -128 first: int8 [256]."""
    return quantize_linear(function(real_levels(x)), scale_of(y), y.zero_point)
