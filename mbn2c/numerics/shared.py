"""Few multipliers for a whole network: a ladder of 256, three to four hundredths apart, that int8 layers reach.

Each is 2^n / d with d odd, so that no accumulator lies nearer than 1 / (2 * d) of an output step to a tie, and of the d
near a rung that whose integer multiplier is rounded least: the proof of `equal_staircases` holds for all of them.
"""

from __future__ import annotations

import numpy as np

_COUNT, _SHIFT = 256, 32
# The high word of a product takes multipliers below a half.
_SMALLEST, _LARGEST = 1 / 16383, 0.499
# Denominators at least as large have another within four thousandths.
_SMALLEST_DENOMINATOR = 256
# How far a rung may lie from where it was wanted.
_TOLERANCE, _MOST_MOVES = 0.003, 50


def _rungs() -> np.ndarray:
    wanted = np.geomspace(_SMALLEST, _LARGEST, _COUNT)
    powers = 2.0 ** np.maximum(0, np.ceil(np.log2(_SMALLEST_DENOMINATOR * wanted)))
    nearest = 2 * np.rint((powers / wanted - 1) / 2) + 1
    odd = nearest[:, None] + 2 * np.arange(-_MOST_MOVES, _MOST_MOVES + 1)
    exact = 2.0**_SHIFT * powers[:, None] / np.maximum(odd, 1)
    is_near = (np.abs(odd / nearest[:, None] - 1) <= _TOLERANCE) & (odd <= 1 / _SMALLEST)
    lost = np.where(is_near, np.abs(exact - np.rint(exact)), np.inf)
    return np.asarray(powers / odd[np.arange(_COUNT), lost.argmin(axis=1)])


RUNGS = _rungs()
LARGEST_SHARED_SCALE = RUNGS[-1]


def rung_above(wanted: np.ndarray, attempt: int) -> np.ndarray:
    """The attempt-th rung at or above the wanted scales, float64 [C], at most LARGEST_SHARED_SCALE."""
    return RUNGS[np.minimum(np.searchsorted(RUNGS, wanted) + attempt, _COUNT - 1)]
