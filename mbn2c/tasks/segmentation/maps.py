"""Maps of classes -> text that a record keeps, and images that show them."""

from __future__ import annotations

import base64
import binascii
import string
import zlib

import numpy as np

# Of an overlay: how much of the class's colour there is.
_OPACITY = 0.5
# Of classes as text, by number.
_SIGNS = "." + string.digits[1:] + string.ascii_lowercase


def to_text(classes: np.ndarray) -> str:
    """uint8 [height, width] -> text."""
    return base64.b64encode(zlib.compress(classes.astype(np.uint8).tobytes(), 9)).decode()


def from_text(text: str, height: int, width: int) -> np.ndarray:
    """The inverse of `to_text`. Raises ValueError for what that has not made of a map of this size."""
    try:
        # Not more than a map can be, whatever the text says.
        packed = zlib.decompressobj()
        found = packed.decompress(base64.b64decode(text, validate=True), height * width + 1)
    except (binascii.Error, zlib.error) as error:
        raise ValueError(f"no map: {error}") from None
    if len(found) != height * width:
        raise ValueError(f"a map of {len(found)} pixels, not {height}x{width}")
    return np.frombuffer(found, np.uint8).reshape(height, width)


def as_lines(classes: np.ndarray, columns: int = 64) -> list[str]:
    """A character for each class, class 0 a dot, in lines of at most so many; characters are twice as high as wide."""
    step = max(1, -(-classes.shape[1] // columns))
    return ["".join(_SIGNS[number % len(_SIGNS)] for number in row) for row in classes[step // 2 :: 2 * step, ::step]]


def palette(count: int) -> np.ndarray:
    """A colour for each class, uint8 [count, 3]; class 0 is black. source: PASCAL VOC's colour map."""
    colours = np.zeros((count, 3), np.uint8)
    for number in range(count):
        rest = number
        for bit in range(7, -1, -1):
            for channel in range(3):
                colours[number, channel] |= ((rest >> channel) & 1) << bit
            rest >>= 3
    return colours


def overlay(pixels: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """The image uint8 [height, width, 1 or 3] with each class in its colour; class 0 stays as it is."""
    image = np.broadcast_to(pixels, (*pixels.shape[:2], 3)).astype(np.float32)
    shown = palette(256)[classes].astype(np.float32)
    mixed = (1 - _OPACITY) * image + _OPACITY * shown
    return np.where(classes[:, :, None] > 0, mixed, image).round().astype(np.uint8)
