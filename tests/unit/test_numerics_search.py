"""Searches for integer forms: what they find is compared on every value, what they cannot find is None or said."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from mbn2c.errors import QuantError
from mbn2c.numerics import (
    ADD_RATIO_DENOMINATOR,
    INT32_MAX,
    LARGEST_RECIPROCAL,
    SMALLEST_SHORT_SCALE,
    _candidate_scale,
    _float_steps,
    _w_scale_for,
    add_integer,
    fit_add,
    fit_add_with_corrections,
    onnx_scale,
    prove_add,
    prove_scales,
    requantize_float,
    requantize_integer,
    search_requantize,
    snap_add_scale,
    step_positions,
)
from mbn2c.numerics.shared import RUNGS

EVERY = np.arange(-128, 128)


# --- requantization ------------------------------------------------------------------------------


@pytest.mark.parametrize("zero_point", [-128, -5, 0, 127])
@pytest.mark.parametrize("shift", [16, 22])
def test_step_positions(zero_point: int, shift: int) -> None:
    """The accumulator that they name is on the stair, the one before it is not."""
    multiplier = np.array([3, 1000, (1 << shift) // 7, 1 << shift])
    steps = step_positions(multiplier, shift, zero_point)
    assert steps.shape == (4, 255)
    for row, factor in zip(steps, multiplier, strict=True):
        on, before = ((at * int(factor) + (zero_point << shift) + (1 << (shift - 1))) >> shift for at in (row, row - 1))
        assert (on >= np.arange(-127, 128)).all() and (before < np.arange(-127, 128)).all()


@pytest.mark.parametrize("zero_point", [-128, 0, 77])
def test_float_steps(zero_point: int) -> None:
    scale = np.array([0.011, 0.25, 0.9, 1 / 101], np.float32)
    acc = np.arange(-30_000, 30_000)
    on = [np.argmax(requantize_float(acc, one, zero_point)[:, None] >= np.arange(-127, 128), axis=0) for one in scale]
    true = acc[np.array(on)]
    for miss in (-2, -1, 0, 1):
        assert np.array_equal(_float_steps(scale, zero_point, true - miss), true)


@pytest.mark.parametrize("zero_point", [-128, -3, 90])
@pytest.mark.parametrize("bound", [40, 3000, 60_000])
@pytest.mark.parametrize("scales", [(1 / 255, 1 / 1001), (0.0173,), (0.4,)])
def test_given_scales_find_their_multiplier(scales: tuple[float, ...], zero_point: int, bound: int) -> None:
    scale = np.array(scales, np.float32)
    found = search_requantize(scale, zero_point, np.full(len(scale), bound))
    assert found is not None
    multiplier, shift = found
    assert shift in (22, 32) and (multiplier > 0).all()
    acc = np.arange(-bound, bound + 1)[:, None]
    expected = requantize_float(acc, scale, zero_point)
    assert np.array_equal(requantize_integer(acc, multiplier, shift, zero_point), expected)


def test_given_scales_that_have_none() -> None:
    """With 1/2 every odd accumulator is a tie, which ONNX Runtime rounds to even and one line cannot."""
    assert search_requantize(np.array([0.5], np.float32), 0, np.array([1000])) is None
    assert search_requantize(np.array([1 / 255, 0.5], np.float32), 0, np.array([1000, 1000])) is None
    assert search_requantize(np.array([600.0], np.float32), 0, np.array([1])) is None, "beyond 31 bits"
    found = search_requantize(np.array([0.4], np.float32), 0, np.array([1000]))
    assert found is not None and found[1] == 22, "the shorter shift where it will do"


def test_candidates_lie_close_above() -> None:
    """On the short grid, one step after the other; below it reciprocals of odd numbers."""
    wanted = np.array([0.3, SMALLEST_SHORT_SCALE, SMALLEST_SHORT_SCALE * 0.999, 1 / 600, 1 / 601, 1e-7])
    for attempt in range(3):
        found = _candidate_scale(wanted, attempt)
        for one, scale in zip(wanted[:2], found[:2], strict=True):
            assert scale * 2**22 == np.ceil(one * 2**22) + attempt
        odd = 1 / found[2:]
        assert np.allclose(odd, np.array([511, 599, 601, LARGEST_RECIPROCAL]) - 2 * attempt)
    assert (_candidate_scale(np.array([1 / 513]), 1000) == 1.0).all(), "1 is the last odd number"


def test_float32_scale_nearest_to_the_wanted_one() -> None:
    generator = np.random.default_rng(0)
    for _ in range(20):
        x_scale, y_scale = (np.float32(scale) for scale in generator.uniform(1e-3, 1, 2))
        scale = generator.uniform(1e-3, 1, 5)
        found = _w_scale_for(x_scale, scale, y_scale)
        assert found.dtype == np.float32
        error = np.abs(onnx_scale(x_scale, found, y_scale) - scale)
        for direction in (np.float32(0), np.float32(np.inf)):
            other = found
            for _ in range(2):
                other = np.nextafter(other, direction)
                assert (error <= np.abs(onnx_scale(x_scale, other, y_scale) - scale)).all()


@pytest.mark.parametrize("wanted, shift", [([0.3, 0.01], 22), ([0.3, 1 / 600], 32), ([3.0], 22), ([200.0], 21)])
def test_shift_of_a_layer(wanted: list[float], shift: int) -> None:
    """22 where all channels are large enough, else 32; fewer where multipliers would leave 31 bits."""
    one = np.float32(1)
    found = prove_scales(one, np.array(wanted), one, 0, np.full(len(wanted), 100))
    assert found.shift == shift and (found.multiplier < 2**31).all() and (found.tries >= 1).all()
    for place, tries in enumerate(found.tries):
        again = prove_scales(one, np.array(wanted), one, 0, np.full(len(wanted), 100))
        assert again.tries[place] == tries


def test_scales_that_are_too_fine() -> None:
    one = np.float32(1)
    with pytest.raises(QuantError, match="times finer than its output's"):
        prove_scales(one, np.array([2.0**30]), one, 0, np.array([10]))
    assert prove_scales(one, np.array([2.0**28]), one, 0, np.array([10])).shift == 1


@pytest.mark.parametrize("zero_point", [-128, -77, 0, 3, 127])
def test_shared_multipliers_are_the_next_rungs(zero_point: int) -> None:
    one, wanted = np.float32(1), np.geomspace(1e-6, 0.48, 2000)
    found = prove_scales(one, wanted, one, zero_point, np.full(len(wanted), 2**20), shares_multipliers=True)
    assert found.shares_multipliers and found.shift == 32 and found.tries.max() == 1
    assert len(RUNGS) == 256 and set(found.multiplier) <= set(np.rint(RUNGS * 2.0**32).astype(np.int64))
    steps = RUNGS[1:] / RUNGS[:-1]
    assert steps.min() > 1.02 and steps.max() < 1.05
    near = wanted > RUNGS[0]
    growth = found.scale[near] / wanted[near]
    assert growth.min() >= 1 - 1e-7 and growth.max() < steps.max() + 1e-6


def test_a_layer_beyond_the_shared_multipliers_keeps_its_own() -> None:
    one, wanted = np.float32(1), np.array([0.1, 0.4995])
    found = prove_scales(one, wanted, one, 0, np.full(2, 1000), shares_multipliers=True)
    assert not found.shares_multipliers
    assert np.array_equal(found.multiplier, prove_scales(one, wanted, one, 0, np.full(2, 1000)).multiplier)


# --- add -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "ratio, numerator", [(1.0, 1023), (0.5, 512), (1 / 1023, 1), (1e-9, 1), (2 / 1023 + 1e-3, 4), (2.0, 2046)]
)
def test_ratio_of_an_add(ratio: float, numerator: int) -> None:
    output = np.float32(0.25)
    scale, found = snap_add_scale(0.25 * ratio, output)
    assert found == numerator and scale == np.float32(0.25 * numerator / ADD_RATIO_DENOMINATOR)


def table_of(multipliers: tuple[int, int], offset: int, shift: int) -> np.ndarray:
    return add_integer(EVERY[:, None], EVERY[None, :], multipliers, offset, shift).astype(np.int64)


SUMS = [(0.3, 0.7, 0), (0.5, 0.5, 3), (1.1, 0.2, -20), (0.013, 0.9, 100)]


@pytest.mark.parametrize("ratio_a, ratio_b, offset", SUMS)
def test_line_of_known_results(ratio_a: float, ratio_b: float, offset: int) -> None:
    multipliers = (round(ratio_a * 2**20), round(ratio_b * 2**20))
    table = table_of(multipliers, (offset << 20) + (1 << 19), 20)
    for found in (fit_add(table, (ratio_a, ratio_b)), fit_add_with_corrections(table, (ratio_a, ratio_b))):
        assert found is not None
        assert np.array_equal(table_of(*found), table)
        (a, b), shift = found[0], found[2]
        assert 128 * (abs(a) + abs(b)) + abs(found[1]) <= INT32_MAX, "no term may leave int32"
        assert abs(a / 2**shift - ratio_a) < 1e-3 and abs(b / 2**shift - ratio_b) < 1e-3


@pytest.mark.parametrize("place", [(0, 0), (100, 130), (255, 255)])
def test_one_result_that_no_line_has(place: tuple[int, int]) -> None:
    """One too low: an exception of the line; two too low or too high: not this add."""
    multipliers = (round(0.3 * 2**20), round(0.3 * 2**20))
    table = table_of(multipliers, 1 << 19, 20)
    low = table.copy()
    low[place] -= 1
    assert fit_add(low, (0.3, 0.3)) is None
    found = table_of(*fit_add_with_corrections(low, (0.3, 0.3)))
    assert set(np.unique(found - low)) <= {0, 1} and found[place] - low[place] == 1
    for wrong in (-3, 3):
        far = table.copy()
        far[place] += wrong
        assert fit_add(far, (0.3, 0.3)) is None
        with pytest.raises(QuantError):
            fit_add_with_corrections(far, (0.3, 0.3))


def test_every_pair_of_a_proved_add() -> None:
    output = np.float32(0.05)
    for first, second in itertools.combinations((0.03, 0.05, 0.11), 2):
        scales = (snap_add_scale(first, output)[0], snap_add_scale(second, output)[0], output)
        multipliers, offset, shift = prove_add(scales, (3, -7, 11))
        exact = ((EVERY[:, None] - 3) * float(scales[0]) + (EVERY + 7) * float(scales[1])) / float(output) + 11
        assert np.array_equal(np.clip(np.rint(exact), -128, 127), table_of(multipliers, offset, shift))
        assert 128 * sum(map(abs, multipliers)) + abs(offset) <= INT32_MAX and 10 <= shift <= 22


def test_one_large_ratio_takes_a_shorter_shift() -> None:
    """20 * 2^20 * 128 would leave int32, whatever the other ratio is."""
    output = np.float32(0.05)
    found = prove_add((snap_add_scale(1.0, output)[0], snap_add_scale(0.01, output)[0], output), (0, 0, 0))
    table = table_of((20 << 16, round(0.2 * 2**16)), 1 << 15, 16)
    for (a, b), offset, shift in (found, fit_add_with_corrections(table, (20.0, 0.2))):
        assert 128 * (abs(a) + abs(b)) + abs(offset) <= INT32_MAX and shift < 20
