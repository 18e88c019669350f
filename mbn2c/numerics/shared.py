"""Few multipliers for a whole network: a ladder of 256, less than four hundredths apart, that all int8 layers reach.

Each is 2^n / d with d odd, so that the steps of its staircase lie 1 / 2^(n + 1) or more from any accumulator, which
float32 rounding cannot move them by: the proof of `equal_staircases` holds for nearly all of them.
"""

from __future__ import annotations

import numpy as np

_COUNT = 256
# The high word of a product takes multipliers below a half.
_SMALLEST, _LARGEST = 1 / 16383, 0.499
# Denominators at least as large leave less than a hundredth to the rung that was wanted.
_SMALLEST_DENOMINATOR = 256
# Rungs that stay above what is asked for, should the nearest not be proved.
_SPARE = 2


def _rungs() -> np.ndarray:
    wanted = np.geomspace(_SMALLEST, _LARGEST, _COUNT)
    powers = 2.0 ** np.maximum(0, np.ceil(np.log2(_SMALLEST_DENOMINATOR * wanted)))
    return np.asarray(powers / (2 * np.rint((powers / wanted - 1) / 2) + 1))


RUNGS = _rungs()
LARGEST_SHARED_SCALE = RUNGS[-_SPARE]


def rung_above(wanted: np.ndarray, attempt: int) -> np.ndarray:
    """The attempt-th rung at or above the wanted scales, float64 [C], at most LARGEST_SHARED_SCALE."""
    return RUNGS[np.minimum(np.searchsorted(RUNGS, wanted) + attempt, _COUNT - 1)]
