"""The Plan: a Graph with time and place.

A network runs as a list of `Rows` loops. Each loop holds `Call`s; one call makes one row of one tensor at a time,
and of all calls that can run, the one deepest in the loop goes first. So a loop with one call is a plain
layer, and a loop with many is a stream in which no tensor ever exists in full.

Rows are counted with padding: a tensor with `pad` (top, left, bottom, right) has top + height + bottom of them,
and the padding rows and columns lie in memory, filled with the zero point, so no kernel tests for a border.

A call may make a row in pieces, a few columns at a time; then its reader can follow before the row is complete. A
tensor with a strip keeps its newest columns there, and a column moves to its row only when the strip is needed for
newer ones. So a window of three rows needs two rows and a few columns, not three rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from mbn2c.ir.graph import Graph
from mbn2c.ir.row_map import ONE_TO_ONE, RowMap
from mbn2c.ir.row_order import RowOrder


@dataclass(frozen=True)
class Buffer:
    """Where one tensor lives: row r (padding included) lies in slot r % slots, unless its rows have phases.

    offset                  bytes from the arena's start
    row_bytes               one padded row: (left + width + right) * pixel_stride_bytes
    pixel_bytes             one pixel: channels, each as long as the dtype
    pixel_stride_bytes      from one pixel to the next: pixel_bytes, or those of the tensor that it is a slice of
    slots                   rows kept; rows in total if the tensor is kept in full; may be 0 if there is a strip
    first_step, last_step   numbers of the first and last call that touch it
    first_moment,           when its first row is written and when a row is read for the last time; a moment is one
    last_moment             run of one call, counted through the whole Plan
    strip_columns           columns of the newest row that lie behind the slots, 0 without a strip
    kept                    for each piece j of a row: when it is made, columns kept[j] and later of its row are in
                            the strip, from its start on; earlier ones have moved to the row's slot
    planar                  a row is [channel][padded column], else [padded column][channel]; never with a strip.
                            In a ring of planar rows the padding of a slot is written once and stays
    dtype                   "int8", "uint8", "int16" or "int32"
    view_of                 the tensor whose memory it has, if its pixels are a slice of channels of that one's: rows,
                            slots, padding and offset are the other's, and so are all bytes between the slices
    channel_offset_bytes    where the slice starts in a pixel of the other; 0 without one
    phases                  the order in which its rows are made, as in `RowOrder`; by a call that sums them up they are
                            read in it
    slot_phases             the order in which they lie in the slots: the row at position p in slot p % slots; that in
                            which they are made, if it is a ring
    """

    tensor: str
    offset: int
    row_bytes: int
    pixel_bytes: int
    pixel_stride_bytes: int
    slots: int
    pad: tuple[int, int, int, int]
    height: int
    width: int
    first_step: int
    last_step: int
    first_moment: int
    last_moment: int
    strip_columns: int = 0
    kept: tuple[int, ...] = ()
    planar: bool = False
    dtype: str = "int8"
    view_of: str = ""
    channel_offset_bytes: int = 0
    phases: int = 1
    slot_phases: int = 1

    @property
    def is_slice(self) -> bool:
        """Whether other tensors' channels lie between its pixels."""
        return bool(self.view_of)

    @property
    def channel_bytes(self) -> int:
        """Bytes of one channel of one pixel."""
        return np.dtype(self.dtype).itemsize

    @property
    def channels(self) -> int:
        """Channels of a pixel."""
        return self.pixel_bytes // self.channel_bytes

    @property
    def column_bytes(self) -> int:
        """Bytes from a column to the next one."""
        return self.channel_bytes if self.planar else self.pixel_stride_bytes

    @property
    def channel_stride_bytes(self) -> int:
        """Bytes from a channel to the next one."""
        return self.columns * self.channel_bytes if self.planar else self.channel_bytes

    @property
    def rows(self) -> int:
        """Rows in total, padding included."""
        return self.pad[0] + self.height + self.pad[2]

    @property
    def is_ring(self) -> bool:
        """Whether later rows overwrite earlier ones."""
        return self.slots < self.rows

    @property
    def size_bytes(self) -> int:
        """Bytes of all slots and of the strip."""
        return self.row_bytes * self.slots + self.strip_columns * self.pixel_bytes

    @property
    def columns(self) -> int:
        """Columns in total, padding included."""
        return self.pad[1] + self.width + self.pad[3]

    @property
    def strip_offset(self) -> int:
        """Where the strip starts, in bytes from the arena's start."""
        return self.offset + self.row_bytes * self.slots

    @property
    def end(self) -> int:
        """The first byte of the arena behind it."""
        return self.offset + self.size_bytes


class LaidRows(Protocol):
    """What `in_memory` must know of a Buffer."""

    @property
    def is_slice(self) -> bool:
        """Whether its pixels lie among those of another tensor."""

    @property
    def planar(self) -> bool:
        """Whether a row lies channel by channel."""

    @property
    def pad(self) -> tuple[int, int, int, int]:
        """(top, left, bottom, right), in pixels."""

    @property
    def phases(self) -> int:
        """In which order its rows are made."""


def _inner_in_order(buffer: LaidRows, height: int) -> list[int]:
    """Rows of the tensor, padding not counted, in the order in which they are made."""
    return RowOrder(height, buffer.phases).in_order


def in_memory(buffer: LaidRows, values: np.ndarray, zero_point: int) -> np.ndarray:
    """A tensor's rows as an observer of the device sees them, one after the other as they are made.

    values   [1, H, W, C]
    returns  flat: interleaved rows without their padding; planar rows with it; nothing of a slice, which it sees as
             part of the whole
    """
    if buffer.is_slice:
        return values[:0].reshape(-1)
    if buffer.phases > 1:
        values = values[:, _inner_in_order(buffer, values.shape[1])]
    if not buffer.planar:
        return values.reshape(-1)
    columns = ((0, 0), (0, 0), (buffer.pad[1], buffer.pad[3]))
    return np.pad(values[0].transpose(0, 2, 1), columns, constant_values=zero_point).reshape(-1)


def from_memory(buffer: Buffer, rows: np.ndarray) -> np.ndarray:
    """The tensor [1, H, W, C] of such rows; rows: int8, as bytes."""
    values = rows.view(buffer.dtype)
    if buffer.planar:
        planes = values.reshape(buffer.height, buffer.channels, buffer.columns)
        inner = planes[:, :, buffer.pad[1] : buffer.pad[1] + buffer.width]
        made = np.ascontiguousarray(inner.transpose(0, 2, 1))[None]
    else:
        made = values.reshape(1, buffer.height, buffer.width, buffer.channels)
    return made[:, np.argsort(_inner_in_order(buffer, buffer.height))] if buffer.phases > 1 else made


@dataclass(frozen=True)
class Scratch:
    """Working memory of one call, `last_step` == `first_step`; moments as in `Buffer`."""

    offset: int
    size_bytes: int
    step: int
    first_moment: int
    last_moment: int

    @property
    def end(self) -> int:
        """The first byte of the arena behind it."""
        return self.offset + self.size_bytes


@dataclass(frozen=True)
class Read:
    """Which rows of a buffer one output row needs, and which columns an output column; padding is counted."""

    tensor: str
    row_map: RowMap = ONE_TO_ONE
    column_map: RowMap = ONE_TO_ONE


@dataclass(frozen=True)
class Call:
    """One kernel, called once per row it makes, or once per piece of it.

    step         number in the whole Plan
    node         name of the Graph's node; "" for the input, whose rows come from outside
    write        tensor it makes
    accumulates  reads one input row per run into its scratch, and makes its only output row after the last
    is_view      makes nothing: what it reads lies in the pixels that it writes, or the other way round, and it only
                 says that a row is there; its rows are counted with padding, like those that it reads
    rows_per_run  rows of the kernel that one run makes, the last one perhaps fewer; padding rows are made one by one.
                 So that weights are read once for all of them; no run then makes pieces
    on_demand    runs only when the one call of its loop that reads what it makes lacks it, or is over
    pieces       where the pieces of a row end, in columns of the padded row it makes (or of the row it sums up,
                 padding not counted); () if it makes a row at once
    """

    step: int
    node: str
    reads: tuple[Read, ...]
    write: str
    accumulates: bool = False
    is_view: bool = False
    rows_per_run: int = 1
    on_demand: bool = False
    pieces: tuple[int, ...] = ()


@dataclass(frozen=True)
class Rows:
    """A loop over rows: as long as a call can run, the deepest one (the last in `calls`) does.

    One that runs on demand cannot before its reader lacks what it makes.
    """

    calls: tuple[Call, ...]


@dataclass(frozen=True)
class Plan:
    """Graph, schedule and memory map.

    lower_bound_bytes  no placement of this schedule's rows can be smaller: live bytes at the fullest moment
    peak_step          the step at that moment
    live_bytes         by step: bytes alive at the fullest moment it runs at
    live_by_moment     bytes alive at each moment, a run of one call
    loop_ends          the moment after the last one of each loop
    """

    graph: Graph
    loops: tuple[Rows, ...]
    buffers: Mapping[str, Buffer]
    scratch: Mapping[int, Scratch]
    arena_bytes: int
    lower_bound_bytes: int
    peak_step: int
    schedule: str
    live_bytes: Mapping[int, int] = field(default_factory=dict)
    live_by_moment: tuple[int, ...] = ()
    loop_ends: tuple[int, ...] = ()

    @property
    def calls(self) -> tuple[Call, ...]:
        """The calls of all loops, in step order."""
        return tuple(call for loop in self.loops for call in loop.calls)

    @property
    def row_count_bytes(self) -> int:
        """Bytes of a number of rows: how many of a tensor have been made."""
        return 1 if max(buffer.rows for buffer in self.buffers.values()) < 256 else 2

    @property
    def pieced_steps(self) -> int:
        """How many steps there are up to the last one that makes its rows in pieces; 0 if none does."""
        return max((call.step + 1 for call in self.calls if call.pieces), default=0)

    def context_bytes(self, bits: int, asks_cpu: bool = False, is_sliced: bool = False) -> int:
        """sizeof of the context structure that templates/network/model.h.j2 declares, on a core of 32 or 64 bits.

        asks_cpu   it remembers what the processor can do
        is_sliced  it remembers where an inference in slices is
        """
        pointer = bits // 8
        pointers = 3 + 2 * any(port.by_rows for port in self.graph.outputs)
        flags = 8 if asks_cpu else 4
        unpadded = pointers * pointer + flags + self.row_count_bytes * len(self.calls) + self.pieced_steps
        sliced = 2 * pointer + 4 if is_sliced else 0
        return -(-(-(-unpadded // pointer) * pointer + sliced) // pointer) * pointer
