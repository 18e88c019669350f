"""How far an output is from the float model's: on one image, and over all of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from mbn2c.files.typed_json import Real
from mbn2c.tasks.statistics import decibel


class Noisy(Protocol):
    """What is known of one output on one image."""

    @property
    def signal(self) -> float:
        """Sum of the squares of the expected values."""

    @property
    def noise(self) -> float:
        """Sum of the squares of the differences."""

    @property
    def largest_error(self) -> float:
        """The largest difference."""


@dataclass(frozen=True)
class Noise:
    """`Noisy`, and nothing more."""

    signal: Real
    noise: Real
    largest_error: Real


def noise_of(wanted: np.ndarray, found: np.ndarray) -> Noise:
    """Of real values against those of the float model."""
    expected = wanted.astype(np.float64)
    error = found.astype(np.float64) - expected
    return Noise(float((expected**2).sum()), float((error**2).sum()), float(np.abs(error).max()))


def noise_json(images: Sequence[Noisy]) -> dict[str, Any]:
    """Of one output on all images: `sqnr_db`, and `largest_error`, which is None without any."""
    return {
        "sqnr_db": decibel(sum(image.signal for image in images), sum(image.noise for image in images)),
        "largest_error": max((image.largest_error for image in images), default=None),
    }
