"""Calibration images, and what fits of them into memory at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from mbn2c.quantize.calibrate import Range


@dataclass(frozen=True)
class Images:
    """Calibration images: in the model's own axis order, batch 1, and as one NHWC batch.

    least  ranges that activations have at least, whatever the images show of them
    """

    values: Sequence[np.ndarray]
    to_nhwc: Callable[[np.ndarray], np.ndarray]
    least: Mapping[str, Range] = field(default_factory=dict)

    def some(self, positions: Iterable[int]) -> Images:
        """The images at these positions."""
        return replace(self, values=[self.values[position] for position in positions])

    def batch(self, limit: int) -> np.ndarray:
        """At most `limit` images, evenly spread, as one NHWC batch."""
        count = min(limit, len(self.values))
        chosen = [self.values[number * len(self.values) // count] for number in range(count)]
        return np.concatenate([self.to_nhwc(values) for values in chosen])
