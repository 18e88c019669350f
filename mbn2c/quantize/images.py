"""Calibration images as batches, and more views of them where there are too few."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from PIL import Image

from mbn2c.quantize.calibrate import Range

# A part of an image that fills the whole one: its share of the height and of the width.
_PART = 0.75


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

    def evenly(self, limit: int) -> Images:
        """At most `limit` of them, evenly spread."""
        count = min(limit, len(self.values))
        return self.some(number * len(self.values) // count for number in range(count))

    def batch(self, limit: int) -> np.ndarray:
        """At most `limit` images, evenly spread, as one NHWC batch."""
        return np.concatenate([self.to_nhwc(values) for values in self.evenly(limit).values])

    def views(self, limit: int) -> np.ndarray:
        """At most `limit` images as one NHWC batch: those given, then mirrored ones, then parts of both, enlarged.

        For layers with more weights a channel than images have pixels there.
        """
        batch = self.batch(limit)
        both = np.concatenate([batch, batch[:, :, ::-1]])
        room = max(0, limit - len(both))
        parts = [_enlarged(image, number + number // len(batch)) for number, image in enumerate(both[:room])]
        return np.stack([*both, *parts][:limit])


def _enlarged(image: np.ndarray, corner: int) -> np.ndarray:
    """The part of an image [H, W, C] at one of its four corners, as large as the whole."""
    height, width, channels = image.shape
    top, left = height * (1 - _PART) * (corner // 2 % 2), width * (1 - _PART) * (corner % 2)
    box = (left, top, left + width * _PART, top + height * _PART)
    planes = [Image.fromarray(np.ascontiguousarray(image[:, :, c])) for c in range(channels)]
    enlarged = [plane.resize((width, height), Image.Resampling.BILINEAR, box) for plane in planes]
    return np.stack([np.asarray(plane) for plane in enlarged], axis=-1)
