"""Input rows -> fewer bytes that say the same, for lines that are slower than the device; and a device's, read back.

Each byte is sent as its residual from the row above, predicted from the residuals of the pixel on its left and of the
channel before, and Rice-coded: small numbers on pictures. The device needs no more than the row above, which it still
has. docs/protocol.md has the format, templates/firmware/mbn_unpack.c its other end.
"""

from __future__ import annotations

import numpy as np

BLOCK_CODES = 16
HEAD_BITS = 3
WHOLE_BYTES = 7
"""The width that stands for codes of eight bits."""
MOST_CHANNELS = 4
LARGEST_RATIO = 6
"""No more input bytes are looked at for each byte there is room for."""
_MOST_COUNT = 0xFFFF


def repeated(pairs: bytes) -> bytes | None:
    """What a device's pairs of a count and a value say; None for what are no such pairs."""
    if len(pairs) % 2 or 0 in pairs[::2]:
        return None
    counts, values = np.frombuffer(pairs, np.uint8).reshape(-1, 2).T
    return values.repeat(counts).tobytes()


class Packer:
    """One input frame.

    row_bytes    of the frame's rows
    pixel_bytes  its channels, at most MOST_CHANNELS
    """

    def __init__(self, frame: bytes, row_bytes: int, pixel_bytes: int) -> None:
        rows = np.frombuffer(frame, np.uint8).reshape(-1, row_bytes)
        # uint8 wraps, as it does on the device.
        self._slopes = np.diff(rows, axis=0, prepend=np.zeros((1, row_bytes), np.uint8)).reshape(-1)
        self._row_bytes, self._pixel_bytes = row_bytes, pixel_bytes

    def pack(self, start: int, room_bytes: int) -> tuple[int, bytes]:
        """As many input bytes as there is room for, from `start` on: their number, and them packed."""
        codes = self._codes(start, start + min(LARGEST_RATIO * room_bytes, _MOST_COUNT))
        whole = np.zeros(-(-len(codes) // BLOCK_CODES) * BLOCK_CODES, np.int64)
        whole[: len(codes)] = codes
        blocks = whole.reshape(-1, BLOCK_CODES)
        widths, bits = _widths(blocks)
        fitting = int(np.searchsorted(np.cumsum(bits + HEAD_BITS), 8 * room_bytes, side="right"))
        count = min(fitting * BLOCK_CODES, len(codes))
        return count, _bit_string(blocks[:fitting], widths[:fitting])

    def _codes(self, start: int, stop: int) -> np.ndarray:
        """uint8: 0, -1, 1, -2, ... as 0, 1, 2, 3, ..."""
        slopes = self._slopes[start:stop]
        places = np.arange(start, start + len(slopes))
        pixel, seen = self._pixel_bytes, places - start
        changes = slopes.copy()
        has_left = (seen >= pixel) & (places % self._row_bytes >= pixel)
        changes[has_left] -= slopes[np.flatnonzero(has_left) - pixel]
        codes = changes.copy()
        has_before = (seen > 0) & (places % self._row_bytes % pixel > 0)
        codes[has_before] -= changes[np.flatnonzero(has_before) - 1]
        signed = codes.view(np.int8).astype(np.int64)
        return np.where(signed < 0, -2 * signed - 1, 2 * signed)


def _widths(blocks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The width that makes each block shortest, and its bits then, without head."""
    choices = np.stack(
        [((blocks >> width) + 1 + width).sum(axis=1) for width in range(WHOLE_BYTES)]
        + [np.full(len(blocks), 8 * BLOCK_CODES)]
    )
    widths = choices.argmin(axis=0)
    return widths, choices[widths, np.arange(len(blocks))]


def _bit_string(blocks: np.ndarray, widths: np.ndarray) -> bytes:
    """Each block's width and codes, highest bit first; ones to the end of the last byte."""
    is_whole = (widths == WHOLE_BYTES)[:, None]
    low_bits = np.where(is_whole, 8, widths[:, None])
    high = np.where(is_whole, -1, blocks >> low_bits)  # -1: no zeros, and no one that ends them
    heads, nothing = np.where(is_whole, WHOLE_BYTES, widths[:, None]), np.full((len(blocks), 1), -1)
    # The head is a code too, of three bits without high ones.
    high = np.concatenate([nothing, high], axis=1).reshape(-1)
    low = np.concatenate([heads, blocks], axis=1).reshape(-1)
    low_bits = np.concatenate([np.full((len(blocks), 1), HEAD_BITS), low_bits.repeat(BLOCK_CODES, axis=1)], axis=1)
    low_bits = low_bits.reshape(-1)
    ends = np.cumsum(high + 1 + low_bits)
    total = int(ends[-1]) if len(ends) else 0
    bits = np.zeros(-(-total // 8) * 8, np.uint8)
    bits[total:] = 1
    with_one = high >= 0
    bits[(ends - low_bits - 1)[with_one]] = 1
    for place in range(8):
        there = low_bits > place
        bits[(ends - 1 - place)[there]] = (low[there] >> place) & 1
    return np.packbits(bits).tobytes()
