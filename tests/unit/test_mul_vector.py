"""mul by a number per channel: its 32-bit forms, computed as C does, are the 64-bit line on all pairs of values."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mbn2c.kernels.arm_dsp.table import in_upper_halves
from mbn2c.ops.mul.arithmetic import MulAttributes, line_of, run_mul, without_ties
from mbn2c.ops.mul.vector import VectorForm, ZeroPoints, vector_form

INT8 = np.arange(-128, 128)
# (a's scale * b's scale) / the output's: gates up to 1 of a tensor with the same and with a smaller range, wide ones.
RATIOS = (1 / 255, 1.7 / 255, 0.011, 0.2, 0.0004)
ZEROS = (ZeroPoints(-128, -128, -128), ZeroPoints(127, -128, 127), ZeroPoints(-3, 127, 5), ZeroPoints(0, 0, 0))


def line(ratio: float) -> MulAttributes:
    multiplier, shift = line_of(without_ties(ratio))
    return MulAttributes(None, multiplier, shift)


def expected(attributes: MulAttributes, zero: ZeroPoints) -> np.ndarray:
    return run_mul(attributes, (INT8[:, None] - zero.a) * (INT8 - zero.b), zero.y)


def wrapped(values: np.ndarray | int) -> np.ndarray:
    """int64 -> what an int32 register holds."""
    return np.asarray(np.asarray(values, np.int64) & 0xFFFFFFFF).astype(np.uint32).astype(np.int32).astype(np.int64)


def plain_c(form: VectorForm, zero: ZeroPoints) -> np.ndarray:
    """scalar/mul_vector.c."""
    wide = wrapped((INT8 - zero.b) * form.multiplier)
    factor = wrapped(wide + (1 << (form.narrow - 1))) >> form.narrow
    offset = wrapped(wrapped(zero.y * (1 << form.fraction)) + (1 << (form.fraction - 1)) - wrapped(zero.a * factor))
    value = wrapped(wrapped(INT8[:, None] * factor) + offset) >> form.fraction
    return np.clip(value, -128, 127).astype(np.int8)


def arm_dsp_c(form: VectorForm, zero: ZeroPoints) -> np.ndarray:
    """arm_dsp/mul_vector.c."""
    wide = wrapped((INT8 - zero.b) * form.multiplier)
    factor = wrapped(wide + (1 << (form.narrow - 1))) >> form.narrow
    offset = wrapped(zero.y * 65536 + 32768 - ((factor * (zero.a << 8)) >> 16))
    sums = wrapped(((factor * (INT8[:, None] << 8)) >> 16) + offset)
    return np.clip(sums >> 16, -128, 127).astype(np.int8)


@pytest.mark.parametrize("zero", ZEROS)
@pytest.mark.parametrize("ratio", RATIOS)
def test_both_forms_are_the_line(ratio: float, zero: ZeroPoints) -> None:
    attributes = line(ratio)
    form, upper = vector_form(attributes, zero), vector_form(attributes, zero, in_upper_halves, 24)
    assert form is not None and upper is not None
    assert np.array_equal(plain_c(form, zero), expected(attributes, zero))
    assert np.array_equal(arm_dsp_c(upper, zero), expected(attributes, zero))
    # A multiplier that is a little off is not: the comparison looks at every pair.
    off = replace(form, multiplier=form.multiplier + form.multiplier // 200 + 1)
    assert not np.array_equal(plain_c(off, zero), expected(attributes, zero))


@pytest.mark.parametrize("ratio", [0.49, 60.0, 3000.0])
def test_what_does_not_fit_32_bits_has_no_form(ratio: float) -> None:
    zero = ZEROS[0]
    assert vector_form(line(ratio), zero, in_upper_halves, 24) is None
    form = vector_form(line(ratio), zero)
    assert form is None or np.array_equal(plain_c(form, zero), expected(line(ratio), zero))


def test_a_raised_line_is_another() -> None:
    """As an imported mul has it, whose exceptions stand in a table."""
    attributes = replace(line(1 / 255), multiplier=line(1 / 255).multiplier, raised=2**31)
    assert vector_form(attributes, ZEROS[0]) is None
