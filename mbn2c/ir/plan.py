"""The Plan: a Graph with time and place.

A network runs as a list of `Rows` loops. Each loop holds `Call`s; one call makes one row of one tensor at a time,
and of all calls that can run, the one deepest in the loop goes first. So a loop with one call is a plain
layer, and a loop with many is a stream in which no tensor ever exists in full.

Rows are counted with padding: a tensor with `pad` (top, left, bottom, right) has top + height + bottom of them,
and the padding rows and columns lie in memory, filled with the zero point, so no kernel tests for a border.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from mbn2c.ir.graph import Graph


@dataclass(frozen=True)
class Buffer:
    """Where one tensor lives: row r (padding included) lies in slot r % slots.

    offset                  bytes from the arena's start
    row_bytes               one padded row: (left + width + right) * channels
    pixel_bytes             channels
    slots                   rows kept; rows in total if the tensor is kept in full
    first_step, last_step   numbers of the first and last call that touch it
    """

    tensor: str
    offset: int
    row_bytes: int
    pixel_bytes: int
    slots: int
    pad: tuple[int, int, int, int]
    height: int
    width: int
    first_step: int
    last_step: int

    @property
    def rows(self) -> int:
        """Rows in total, padding included."""
        return self.pad[0] + self.height + self.pad[2]

    @property
    def is_ring(self) -> bool:
        return self.slots < self.rows

    @property
    def size_bytes(self) -> int:
        return self.row_bytes * self.slots

    @property
    def end(self) -> int:
        return self.offset + self.size_bytes


@dataclass(frozen=True)
class Scratch:
    """Working memory of one call, `last_step` == `first_step`."""

    offset: int
    size_bytes: int
    step: int

    @property
    def end(self) -> int:
        return self.offset + self.size_bytes


@dataclass(frozen=True)
class Read:
    """Which rows of a buffer one output row needs: first + y * stride + k * dilation, for k < rows.

    first_row, first_column  where the window of output row 0 starts, padding counted; a buffer padded for a larger
                             window gives an offset
    """

    tensor: str
    rows: int = 1
    stride: int = 1
    dilation: int = 1
    first_row: int = 0
    first_column: int = 0

    @property
    def extent(self) -> int:
        return (self.rows - 1) * self.dilation + 1

    def first_needed(self, y: int) -> int:
        return self.first_row + y * self.stride

    def rows_needed(self, y: int) -> int:
        """How many rows of the buffer must have been made before output row y can be."""
        return self.first_needed(y) + self.extent


@dataclass(frozen=True)
class Call:
    """One kernel, called once per row it makes.

    step         number in the whole Plan
    node         name of the Graph's node; "" for the input, whose rows come from outside
    write        tensor it makes
    accumulates  reads one input row per run into its scratch, and makes its only output row after the last
    """

    step: int
    node: str
    reads: tuple[Read, ...]
    write: str
    accumulates: bool = False


@dataclass(frozen=True)
class Rows:
    """A loop over rows: as long as a call can run, the deepest one (the last in `calls`) does."""

    calls: tuple[Call, ...]


@dataclass(frozen=True)
class Plan:
    """Graph, schedule and memory map.

    lower_bound_bytes  no placement of this schedule's rows can be smaller: live bytes at the fullest moment
    peak_step          the step at that moment
    """

    graph: Graph
    loops: tuple[Rows, ...]
    buffers: Mapping[str, Buffer]
    scratch: Mapping[int, Scratch]
    arena_bytes: int
    lower_bound_bytes: int
    peak_step: int
    schedule: str

    @property
    def calls(self) -> tuple[Call, ...]:
        return tuple(call for loop in self.loops for call in loop.calls)
