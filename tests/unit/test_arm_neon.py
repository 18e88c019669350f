"""Advanced SIMD: which weights may be added up in 16 bits, and in which order they lie."""

from __future__ import annotations

import numpy as np
import pytest

from mbn2c.kernels.arm_dotprod.table import pack_taps as pack_for_dot_products
from mbn2c.kernels.arm_neon.table import is_deep, pack_steps, pack_taps, steps_of
from mbn2c.kernels.simd_layers import group_taps


@pytest.mark.parametrize(("weight", "fits"), [(63, True), (-63, True), (64, False), (-64, False)])
def test_four_products_fit_int16(weight: int, fits: bool) -> None:
    """4 * 63 * 128 = 32,256; 4 * 64 * 128 = 32,768 does not fit."""
    step = np.zeros((4, 32), np.int8)
    step[1, [0, 8, 16, 24]] = weight
    assert is_deep(step) is fits


def test_kinds_of_steps() -> None:
    """Of 101 taps: sixteen, two steps of 32, sixteen, eight; the first sixteen are never among the four."""
    taps = np.zeros((5, 101), np.int8)
    taps[0, :16] = 127
    taps[0, [17, 25, 33, 41]] = 64
    taps[4, [48, 56, 64, 72]] = -64
    groups = steps_of(group_taps(taps, 4, 8))
    assert [step.shape for step in groups[0]] == [(4, 16), (4, 32), (4, 32), (4, 16), (4, 8)]
    assert pack_steps(groups).tolist() == [0, 1, 2, 1, 0, 2]


def test_order_of_the_weights() -> None:
    """Of five outputs and 21 taps: groups of four, sixteen taps and then eight of each output, zeros beyond; the last
    group is that of the last four outputs."""
    taps = np.arange(1, 5 * 21 + 1, dtype=np.int8).reshape(5, 21)
    packed = pack_taps(steps_of(group_taps(taps, 4, 8)))
    assert packed.size == 2 * 4 * 24
    assert packed[:16].tolist() == taps[0, :16].tolist() and packed[16:32].tolist() == taps[1, :16].tolist()
    assert packed[64:72].tolist() == [*taps[0, 16:], 0, 0, 0]
    assert packed[96:112].tolist() == taps[1, :16].tolist() and packed[144:160].tolist() == taps[4, :16].tolist()


@pytest.mark.parametrize(("outputs", "sizes"), [(3, [8]), (12, [16]), (16, [16]), (21, [16, 8]), (30, [16, 16])])
def test_order_for_dot_products(outputs: int, sizes: list[int]) -> None:
    """Groups of sixteen, the last one of eight or sixteen, which ends with the last output; per 4 taps of each."""
    taps = np.arange(outputs * 8, dtype=np.int8).reshape(outputs, 8)
    packed = pack_for_dot_products(taps)
    assert packed.size == sum(sizes) * 8
    last = packed[-sizes[-1] * 8 :].reshape(2, sizes[-1], 4)
    expected = taps[max(0, outputs - sizes[-1]) :]
    assert last[:, : len(expected)].transpose(1, 0, 2).reshape(-1, 8).tolist() == expected.tolist()
    assert not last[:, len(expected) :].any()
