"""The high word form of int16 kernels makes what the reference makes, whatever the shift."""

from __future__ import annotations

import numpy as np
import pytest

from mbn2c.ir.graph import Quant
from mbn2c.kernels.arm_wide import high_word
from mbn2c.ops.base.requantize import WideRequantize
from mbn2c.ops.base.wide import run_wide


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("shift", range(1, 33))
def test_high_word_is_the_reference(shift: int, bits: int) -> None:
    generator = np.random.default_rng(shift)
    quant = Quant(np.ones(1, np.float32), -77 if bits == 8 else 0, bits)
    multiplier = np.array([1, 2**20 + 12345, 2**21 - 1])
    requantize = WideRequantize(multiplier, shift, quant.lowest + 5, quant.highest)
    form = high_word(requantize)
    assert form.multiplier.max() < 2**31 and form.lift <= 21
    # Where steps are, and as far as the lift allows.
    bound = (2**31 - 1) >> form.lift
    levels = generator.integers(quant.lowest, quant.highest, (300, 1)) - quant.zero_point
    acc = np.clip(((2 * levels - 1) << shift) // (2 * multiplier) + generator.integers(-2, 3, (300, 3)), -bound, bound)
    product = ((acc << form.lift) * form.multiplier + 2**31 >> 32) + quant.zero_point
    found = np.clip(product, requantize.low, requantize.high)
    assert np.array_equal(found, run_wide(requantize, acc, quant))
