"""Rows of a camera -> the pixels that the network takes, in integers: what the device does, and the host for it.

The frame's middle, of the network's aspect ratio (or all of it, with --resize stretch), is scaled by blending two
columns and two rows with weights of 1/32; `nearest` takes one of each. What is blended are the camera's own numbers:
the 5, 6 and 5 bits of RGB565, luma. Chroma is not blended: it is that of the nearest column, in the lower of both rows.
templates/network/camera.c.j2 is the same in C.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from mbn2c.errors import UsageError

FILTERS = ("bilinear", "nearest")
# Weights of a blend are of so many parts, 0 to PARTS; an entry of a table is position * STEP + weight, uint16.
PARTS, STEP = 32, 64
_MOST = 65536 // STEP
# 31 * PARTS * PARTS -> 255 in 16 bits behind the point, and 63 * PARTS * PARTS.
FROM_5_BITS, FROM_6_BITS = 526, 259
_HINT = "--camera rgb565:320x240; rgb565be, gray and yuv422 (YUYV) are the other formats, :nearest may follow"
# Of red, green and blue in gray, of 256.
GRAY_PARTS = (77, 150, 29)


@dataclass(frozen=True)
class Camera:
    """What delivers rows of pixels.

    format         one of FORMATS
    height, width  of its frame
    filter         one of FILTERS
    """

    format: str
    height: int
    width: int
    filter: str = "bilinear"

    @classmethod
    def parse(cls, text: str) -> Camera:
        """FORMAT:WIDTHxHEIGHT, ":nearest" may follow. Raises UsageError for anything else."""
        found = re.fullmatch(r"(\w+):(\d{1,5})x(\d{1,5})(?::(\w+))?", text)
        if found is None or found[1] not in FORMATS or (found[4] or FILTERS[0]) not in FILTERS:
            raise UsageError(f"'{text}' is no camera", where="--camera", hint=_HINT)
        width, height = int(found[2]), int(found[3])
        if not (2 <= width <= _MOST and 2 <= height <= _MOST):
            raise UsageError(f"a frame of {width} x {height} pixels", where="--camera", hint=f"2 to {_MOST} each")
        if found[1] == "yuv422" and width % 2:
            raise UsageError("two pixels of yuv422 share their colour", where="--camera", hint="an even width")
        return cls(found[1], height, width, found[4] or FILTERS[0])

    def __str__(self) -> str:
        return f"{self.format}:{self.width}x{self.height}" + ("" if self.filter == FILTERS[0] else f":{self.filter}")

    @property
    def row_bytes(self) -> int:
        """Of one row of the frame."""
        return self.width * FORMATS[self.format].pixel_bytes

    def window(self, height: int, width: int, resize: str) -> tuple[int, int, int, int]:
        """What of the frame a network of this input size sees: first row and column, rows, columns."""
        if resize == "stretch":
            return 0, 0, self.height, self.width
        columns = min(self.width, max(1, round(self.height * width / height)))
        rows = min(self.height, max(1, round(self.width * height / width)))
        left = (self.width - columns) // 2
        return (self.height - rows) // 2, left - left % FORMATS[self.format].columns, rows, columns

    def tables(self, height: int, width: int, resize: str) -> tuple[np.ndarray, np.ndarray]:
        """Where each row and each column of the network's input lies in the frame: uint16 [height], [width].

        position * STEP + weight: that many of PARTS of the row (column) behind it, the rest of it itself. There is
        always a column behind it.
        """
        top, left, rows, columns = self.window(height, width, resize)
        places = self._places(width, left, columns)
        places[places == (self.width - 1) * STEP] -= STEP - PARTS
        return self._places(height, top, rows).astype(np.uint16), places.astype(np.uint16)

    def _places(self, count: int, first: int, extent: int) -> np.ndarray:
        middles = (2 * np.arange(count) + 1) * extent
        if self.filter == "nearest":
            return np.asarray((first + middles // (2 * count)) * STEP)
        parts = (2 * PARTS * middles - 2 * PARTS * count + 2 * count) // (4 * count)
        parts = first * PARTS + np.clip(parts, 0, (extent - 1) * PARTS)
        return np.asarray(parts // PARTS * STEP + parts % PARTS)

    def encode(self, pixels: np.ndarray) -> np.ndarray:
        """uint8 [height, width, 3], red first -> what the camera would deliver: uint8 [height, row_bytes]."""
        return FORMATS[self.format].encode(pixels.astype(np.int32)).astype(np.uint8).reshape(len(pixels), -1)

    def pixels(self, frame: np.ndarray, shape: tuple[int, int, int], resize: str) -> np.ndarray:
        """What the device makes of a frame.

        frame    uint8 [height, row_bytes]
        shape    height, width and channels (1: gray, 3: red first) of the network's input
        returns  uint8 of that shape
        """
        height, width, channels = shape
        rows, columns = (table.astype(np.int32) for table in self.tables(height, width, resize))
        kind, numbers = FORMATS[self.format], frame.astype(np.int32)
        across = _blend(kind.blended(numbers).transpose(1, 0, 2), columns).transpose(1, 0, 2)
        lower, nearest = rows // STEP + (rows % STEP != 0), (columns + STEP - PARTS // 2) // STEP
        picked = kind.picked(numbers)[lower][:, nearest]
        return kind.decode(_blend(across, rows), picked, channels).astype(np.uint8)


def _blend(values: np.ndarray, places: np.ndarray) -> np.ndarray:
    """[N, ...] -> PARTS times the values at these places [M, ...]."""
    first, weight = places // STEP, places % STEP
    second = first + (weight != 0)
    weight = weight.reshape(-1, *[1] * (values.ndim - 1))
    return np.asarray(values[first] * (PARTS - weight) + values[second] * weight)


@dataclass(frozen=True)
class Format:
    """How a camera's bytes hold pixels; arrays are int32.

    columns  that belong together
    encode   red, green, blue [H, W, 3] -> bytes, in any shape
    blended  bytes [H, row_bytes] -> its own numbers [H, W, N], of which several are blended,
    picked   and those of which the nearest is taken
    decode   PARTS * PARTS times the blended numbers [h, w, N], the picked ones, channels -> bytes [h, w, channels]
    """

    pixel_bytes: int
    columns: int
    encode: Callable[[np.ndarray], np.ndarray]
    blended: Callable[[np.ndarray], np.ndarray]
    decode: Callable[[np.ndarray, np.ndarray, int], np.ndarray]
    picked: Callable[[np.ndarray], np.ndarray] = lambda frame: frame[:, :, None][:, :, :0]


def _gray(rgb: np.ndarray) -> np.ndarray:
    """[..., 3] -> [..., 1]"""
    return np.asarray((rgb @ np.array(GRAY_PARTS, np.int32) + 128) >> 8)[..., None]


def _in_channels(rgb: np.ndarray, channels: int) -> np.ndarray:
    return rgb if channels == 3 else _gray(rgb)


def _rounded(sums: np.ndarray) -> np.ndarray:
    return (sums + PARTS * PARTS // 2) // (PARTS * PARTS)


def _decode_gray(sums: np.ndarray, picked: np.ndarray, channels: int) -> np.ndarray:
    return np.repeat(_rounded(sums), channels, axis=2)


def _words(rgb: np.ndarray) -> np.ndarray:
    """RGB565 [H, W]"""
    return np.asarray((rgb[..., 0] >> 3) << 11 | (rgb[..., 1] >> 2) << 5 | rgb[..., 2] >> 3)


def _decode_565(sums: np.ndarray, picked: np.ndarray, channels: int) -> np.ndarray:
    factors = np.array([FROM_5_BITS, FROM_6_BITS, FROM_5_BITS], np.int32)
    return _in_channels((sums * factors + 0x8000) >> 16, channels)


def _format_565(low: int) -> Format:
    """low: which of a pixel's two bytes is the low one."""

    def encode(rgb: np.ndarray) -> np.ndarray:
        word = _words(rgb)
        halves = (word & 255, word >> 8)
        return np.stack(halves if low == 0 else halves[::-1], axis=2)

    def blended(frame: np.ndarray) -> np.ndarray:
        word = frame[:, low::2] | frame[:, 1 - low :: 2] << 8
        return np.stack((word >> 11, word >> 5 & 63, word & 31), axis=2)

    return Format(2, 1, encode, blended, _decode_565)


def _encode_yuv(rgb: np.ndarray) -> np.ndarray:
    """As JFIF has them, all three with 256 levels; two pixels share the mean of their chroma."""
    luma = _gray(rgb)[..., 0]
    chroma = (rgb @ np.array([[-43, 128], [-85, -107], [128, -21]], np.int32) + 128 >> 8) + 128
    chroma = np.clip(chroma[:, ::2] + chroma[:, 1::2] + 1 >> 1, 0, 255)
    return np.stack((luma[:, ::2], chroma[..., 0], luma[:, 1::2], chroma[..., 1]), axis=2)


def _chroma(frame: np.ndarray) -> np.ndarray:
    return np.stack([np.repeat(frame[:, at::4], 2, axis=1) for at in (1, 3)], axis=2)


def _decode_yuv(sums: np.ndarray, picked: np.ndarray, channels: int) -> np.ndarray:
    if channels == 1:
        return _rounded(sums)
    u, v = np.moveaxis(picked - 128, 2, 0)
    colours = np.stack((359 * v, -88 * u - 183 * v, 454 * u), axis=2)
    return np.clip((sums // 4 + 128 + colours) >> 8, 0, 255)


FORMATS = {
    "gray": Format(1, 1, _gray, lambda frame: frame[:, :, None], _decode_gray),
    "rgb565": _format_565(0),
    "rgb565be": _format_565(1),
    "yuv422": Format(2, 2, _encode_yuv, lambda frame: frame[:, ::2, None], _decode_yuv, _chroma),
}
