"""Picture files of random pixels, and inputs that take them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from mbn2c.tasks.inputs import InputSpec

NCHW, NHWC = (0, 3, 1, 2), (0, 1, 2, 3)
RGB = InputSpec((1, 3, 8, 12), NCHW)
GRAY = InputSpec((1, 8, 12, 1), NHWC)


def picture(height: int, width: int, channels: int = 3) -> np.ndarray:
    shape = (height, width, 3) if channels == 3 else (height, width)
    return np.random.default_rng(height * width).integers(0, 256, shape, dtype=np.uint8)


def save(path: Path, height: int = 8, width: int = 12, channels: int = 3) -> np.ndarray:
    pixels = picture(height, width, channels)
    Image.fromarray(pixels).save(path)
    return pixels
