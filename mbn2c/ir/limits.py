"""The largest values that a network may hold and still be computed in float32 and quantized to int8."""

from __future__ import annotations

import numpy as np

# Trained weights stay below 1e4, folded batch norms below 1e7. Products of two larger ones leave float32's range.
LARGEST_WEIGHT = 1e12
# Sums of squares over a million values stay within float32.
LARGEST_ACTIVATION = 1e15


def is_usable(data: np.ndarray, largest: float = LARGEST_WEIGHT) -> bool:
    """Whether every value is a number of at most this magnitude."""
    return bool(np.abs(data).max(initial=0.0) <= largest)
