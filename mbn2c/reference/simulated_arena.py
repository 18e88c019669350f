"""The simulated arena of `run_plan`: bytes that know whose they are, and where a Plan's rows lie among them."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from mbn2c.errors import InternalError
from mbn2c.ir.plan import Buffer, Scratch

# What a poisoned byte holds; no network is likely to compute only this.
POISON = 0x55
NOBODY = 0


class Arena:
    """Bytes, and for each byte the pixel it belongs to."""

    def __init__(self, size_bytes: int) -> None:
        self.data = np.full(size_bytes, POISON, np.int8)
        self.owner = np.full(size_bytes, NOBODY, np.int64)

    def write(self, places: np.ndarray, values: np.ndarray | int, owners: np.ndarray | int, where: str) -> None:
        """Put bytes in their places and note whose they are. Raises InternalError outside of the arena."""
        if places.size and (places.min() < 0 or places.max() >= self.data.size):
            raise InternalError(
                f"bytes {places.min()}..{places.max()} leave the arena of {self.data.size} bytes", where=where
            )
        self.data[places] = values
        self.owner[places] = owners

    def read(self, places: np.ndarray, owners: np.ndarray | int, where: str) -> np.ndarray:
        """The bytes in these places. Raises InternalError if one is not, or no longer, its owner's."""
        inside = (places >= 0) & (places < self.data.size)
        if not inside.all() or (self.owner[places] != owners).any():
            raise InternalError(f"bytes {places.min()}..{places.max()} are not there any more, or not yet", where=where)
        return self.data[places]

    def poison(self, places: np.ndarray) -> None:
        """Overwrite bytes that nobody needs any more; they are nobody's then."""
        self.data[places] = POISON
        self.owner[places] = NOBODY


@lru_cache(maxsize=64)
def in_phases(rows: int, phases: int, top: int) -> range | tuple[int, ...]:
    """The order of rows in so many phases, which are counted from the first below `top` rows of padding."""
    every = range(rows)
    if phases == 1:
        return every
    return tuple(row for phase in range(phases) for row in every if (row - top) % phases == phase)


def in_slot(buffer: Buffer, row: int, first: int, end: int) -> np.ndarray:
    """The bytes of some columns of a row that lies in its slot, pixel by pixel, channel by channel."""
    size = np.dtype(buffer.dtype).itemsize
    place = in_phases(buffer.rows, buffer.slot_phases, buffer.pad[0]).index(row)
    start = buffer.offset + place % max(buffer.slots, 1) * buffer.row_bytes + buffer.channel_offset_bytes
    steps = (size, buffer.columns * size) if buffer.planar else (buffer.pixel_stride_bytes, size)
    columns, channels = np.arange(first, end) * steps[0], np.arange(buffer.pixel_bytes // size) * steps[1]
    return np.asarray(start + np.add.outer(np.add.outer(columns, channels), np.arange(size)).reshape(-1))


def in_strip(buffer: Buffer, first: int, end: int, piece: int) -> np.ndarray:
    """The bytes of some columns of the newest row in the strip, as it is when a piece is made."""
    columns = np.array([first, end]) - buffer.kept[piece]
    return np.asarray(np.arange(*(buffer.strip_offset + columns * buffer.pixel_bytes)))


def bytes_of(scratch: Scratch) -> np.ndarray:
    """Addresses of all bytes of a scratch."""
    return np.arange(scratch.offset, scratch.end)


def padding_columns(buffer: Buffer) -> np.ndarray:
    """The padding columns."""
    return np.setdiff1d(np.arange(buffer.columns), np.arange(buffer.pad[1], buffer.pad[1] + buffer.width))
