"""Advanced SIMD: which weights may be added up in 16 bits, and in which order they lie."""

from __future__ import annotations

import numpy as np
import pytest

from mbn2c.kernels.arm_neon.table import is_deep, pack_taps


@pytest.mark.parametrize(("weight", "fits"), [(63, True), (-63, True), (64, False), (-64, False)])
def test_four_products_fit_int16(weight: int, fits: bool) -> None:
    """4 * 63 * 128 = 32,256; 4 * 64 * 128 = 32,768 does not fit."""
    taps = np.zeros((3, 80), np.int8)
    taps[1, [16, 24, 32, 40]] = weight
    assert is_deep(taps) is fits


def test_the_first_sixteen_taps_are_never_among_the_four() -> None:
    taps = np.zeros((1, 48), np.int8)
    taps[0, [0, 8, 16, 24]] = 127
    assert is_deep(taps)
    taps[0, 32] = 2
    assert not is_deep(taps)


def test_order_of_the_weights() -> None:
    """Of five outputs and 21 taps: groups of four, sixteen taps and then eight of each output, zeros beyond."""
    taps = np.arange(1, 5 * 21 + 1, dtype=np.int8).reshape(5, 21)
    packed = pack_taps(taps)
    assert packed.size == 2 * 4 * 24
    assert packed[:16].tolist() == taps[0, :16].tolist() and packed[16:32].tolist() == taps[1, :16].tolist()
    assert packed[64:72].tolist() == [*taps[0, 16:], 0, 0, 0]
    assert packed[96:112].tolist() == taps[4, :16].tolist() and not packed[112:160].any()
