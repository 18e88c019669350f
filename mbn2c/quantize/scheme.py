"""Ranges -> scale and zero_point: the asymmetric int8 scheme of activations, and the symmetric int16 one.

Source: ONNX operator QuantizeLinear; design.md, section 3.
"""

from __future__ import annotations

import numpy as np

from mbn2c.ir.graph import Quant
from mbn2c.numerics import INT8_MAX, INT8_MIN, INT16_MAX

_LEVELS = INT8_MAX - INT8_MIN
# Finer ones are those of a range without extent.
_SMALLEST_STEP = 1e-30 / _LEVELS


def step_of(low: float, high: float) -> float:
    """Between two int8 values, if 256 of them cover [low, high] and 0."""
    return (max(high, 0.0) - min(low, 0.0)) / _LEVELS


def rounding_noise(step: float) -> float:
    """The mean square of what rounding to a step is off by."""
    return step**2 / 12


def activation_quant(low: float, high: float) -> Quant:
    """The quantization whose int8 values cover [low, high]; real 0 has an exact int8 value.

    A range without extent (a tensor that is always 0) gets scale 1/255: any scale is exact for it.
    """
    step = step_of(low, high)
    return quant_with_scale(np.float32(step if step > _SMALLEST_STEP else 1 / _LEVELS), low)


def quant_with_scale(scale: np.float32, low: float) -> Quant:
    """The quantization with a given scale whose lowest int8 value stands for about `low` (at most 0)."""
    zero_point = int(np.clip(np.rint(INT8_MIN - min(low, 0.0) / float(scale)), INT8_MIN, INT8_MAX))
    return Quant(np.array([scale], np.float32), zero_point)


def int16_quant(low: float, high: float) -> Quant:
    """The quantization whose int16 values cover [low, high], with zero point 0; without extent, [-1, 1]."""
    reach = max(-low, high)
    return Quant(np.array([(reach if reach > 1e-30 else 1.0) / INT16_MAX], np.float32), 0, 16)
