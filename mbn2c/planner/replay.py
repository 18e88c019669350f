"""Plan -> every run of every call in the order the C has, with the places of all it reads and makes.

For `overlap.py` alone, and like it without a line of what makes Plans.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from mbn2c.errors import InternalError
from mbn2c.ir.plan import Buffer, Call, Plan, Rows
from mbn2c.planner.needs import HINT, Needs


@dataclass(frozen=True)
class Span:
    """Columns first to end - 1 of one row of a tensor, padding counted, and where the C has them.

    address  byte 0 of channel 0 of the first column; column c and channel k lie c * column_step + k * channel_step on
    """

    tensor: str
    row: int
    first: int
    end: int
    address: int
    column_step: int
    channel_step: int


@dataclass(frozen=True)
class Event:
    """One run of one call.

    before   the row that it made, or summed up, before this one; -1: none
    made     what it writes; nothing while a call only sums up
    carried  padding it relies on, since an older row left it in the slot: (as it was, as it will be)
    leaving  rows of an output that are complete now, and go to the caller
    """

    call: Call
    row: int
    piece: int
    reads: tuple[Span, ...]
    made: tuple[Span, ...]
    carried: tuple[tuple[Span, Span], ...]
    leaving: tuple[Span, ...] = ()
    before: int = -1

    @property
    def where(self) -> str:
        """Step and node, for messages."""
        return f"step {self.call.step}, {self.call.node or 'input'}"


# --- where ---------------------------------------------------------------------------------------


def inner_rows(buffer: Buffer) -> Iterator[Span]:
    """Where an output's pixels lie when all is done; outputs have no strip."""
    for row in range(buffer.pad[0], buffer.pad[0] + buffer.height):
        yield in_slot(buffer, row, buffer.pad[1], buffer.pad[1] + buffer.width)


def slot_of(buffer: Buffer, row: int) -> int:
    """Address in the arena, in bytes, of the ring slot that `row` lies in."""
    place = row
    if buffer.slot_phases > 1:
        place = _phase_by_phase(buffer.rows, buffer.slot_phases, buffer.pad[0]).index(row)
    return buffer.offset + place % max(buffer.slots, 1) * buffer.row_bytes


@lru_cache(maxsize=64)
def _phase_by_phase(rows: int, phases: int, top: int) -> tuple[int, ...]:
    """Rows 0, phases, 2 * phases ..., then 1, 1 + phases ... and so on, counted from below `top` rows of padding; those
    of the padding belong to them."""
    return tuple(row for first in range(phases) for row in range((first + top) % phases, rows, phases))


def in_slot(buffer: Buffer, row: int, first: int, end: int) -> Span:
    """Columns of a row where it lies in full."""
    size = np.dtype(buffer.dtype).itemsize
    steps = (size, buffer.columns * size) if buffer.planar else (buffer.pixel_stride_bytes, size)
    address = slot_of(buffer, row) + buffer.channel_offset_bytes + first * steps[0]
    return Span(buffer.tensor, row, first, end, address, *steps)


def in_strip(buffer: Buffer, row: int, first: int, end: int, piece: int) -> Span:
    """Columns of a row in the strip, as it is when a piece is made."""
    address = buffer.strip_offset + (first - buffer.kept[piece]) * buffer.pixel_bytes
    return Span(buffer.tensor, row, first, end, address, buffer.pixel_bytes, np.dtype(buffer.dtype).itemsize)


# --- when ----------------------------------------------------------------------------------------


class _ReplayedCall:
    """How far one call is: the row and the piece it makes next."""

    def __init__(self, plan: Plan, call: Call) -> None:
        self.call = call
        self.needs = [Needs(plan, call, number) for number in range(len(call.reads))]
        self.output = plan.buffers[call.write]
        self.source = plan.buffers[call.reads[0].tensor] if call.reads else self.output
        self.runs = self.source.height if call.accumulates else self.output.rows
        self.left = 0 if call.accumulates or call.is_view else self.output.pad[1]
        self.width = self.source.width if call.accumulates else self.output.width
        if call.is_view:
            self.width = self.output.columns
        if call.rows_per_run > 1 and (call.pieces or call.accumulates or call.is_view):
            raise InternalError(
                "a call of pieces, sums or views makes several rows in a run", where=self.needs[0].where
            )
        self.ends = call.pieces or (self.width if call.accumulates else self.output.columns,)
        self.order = _phase_by_phase(self.output.rows, self.output.phases, self.output.pad[0])
        if call.accumulates:
            self.order = _phase_by_phase(self.source.height, self.source.phases, 0)
        if call.rows_per_run > 1 and self.output.phases > 1:
            raise InternalError("a call makes several rows in a run, phase by phase", where=self.needs[0].where)
        self.place = {row: place for place, row in enumerate(self.order)}
        self.position = self.piece = 0

    @property
    def where(self) -> str:
        """Step and node, for messages."""
        return f"step {self.call.step}, {self.call.node or 'input'}"

    @property
    def row(self) -> int:
        """The row it makes next, or sums up, padding counted."""
        return self.order[self.position]

    @property
    def is_over(self) -> bool:
        """Whether all rows are made."""
        return self.position == self.runs

    @property
    def y(self) -> int:
        """The row it makes next, padding not counted."""
        return self.row if self.call.accumulates or self.call.is_view else self.row - self.output.pad[0]

    @property
    def is_padding(self) -> bool:
        return not (self.call.accumulates or self.call.is_view) and not 0 <= self.y < self.output.height

    def stop(self, piece: int) -> int:
        """Output columns, padding not counted, that there are after a piece."""
        return min(self.ends[piece] - self.left, self.width)

    @property
    def block(self) -> int:
        """How many rows the next run makes."""
        return 1 if self.is_padding else min(self.call.rows_per_run, self.output.pad[0] + self.output.height - self.row)

    def advance(self) -> None:
        block = self.block if self.call.rows_per_run > 1 else 1
        self.piece += 1
        if self.piece == len(self.ends):
            self.position, self.piece = self.position + block, 0


def replay(plan: Plan) -> Iterator[Event]:
    """All runs of all calls in the order the C has: of all calls of a loop that can run, the deepest one does.

    A call on demand can only while the call that reads what it makes lacks it.
    """
    makers: dict[str, _ReplayedCall] = {}
    for loop in plan.loops:
        yield from _replay_loop(plan, loop, makers)


def _replay_loop(plan: Plan, loop: Rows, makers: dict[str, _ReplayedCall]) -> Iterator[Event]:
    states = [_ReplayedCall(plan, call) for call in loop.calls]
    makers.update({state.call.write: state for state in states})
    readers: dict[str, set[str]] = {call.write: set() for call in loop.calls}
    for call in loop.calls:
        for read in call.reads:
            readers.setdefault(read.tensor, set()).add(call.write)
    askers = {state.call.write: _asker(state, states) for state in states if state.call.on_demand}
    # A call that cannot run need not be asked again before something it reads has been made, or its reader has run.
    asleep: set[str] = set()
    while state := next((s for s in reversed(states) if s.call.write not in asleep), None):
        asker = askers.get(state.call.write)
        is_asked = asker is None or asker.is_over or not _is_there(plan, asker, state.call.write, makers)
        if state.is_over or not is_asked or not _is_ready(plan, state, makers):
            asleep.add(state.call.write)
            continue
        before = state.order[state.position - 1] if state.position else -1
        yield replace(_event(plan, state, makers), leaving=tuple(_leaving(plan, state)), before=before)
        state.advance()
        asleep -= readers[state.call.write] | {name for name, asker in askers.items() if asker is state}
    for state in states:
        if not state.is_over:
            raise InternalError(
                f"the loop stops after {state.position} of {state.runs} rows",
                where=state.where,
                hint=HINT,
            )


def _asker(state: _ReplayedCall, states: Sequence[_ReplayedCall]) -> _ReplayedCall:
    """The only call of the loop that reads what a call on demand makes."""
    made = state.call.write
    reading = [one for one in states for read in one.call.reads if read.tensor == made]
    if len(reading) != 1 or state.call.accumulates or state.output.strip_columns:
        raise InternalError(f"{len(reading)} reads of {made} cannot ask for a row of it", where=state.where, hint=HINT)
    return reading[0]


def _is_ready(plan: Plan, state: _ReplayedCall, makers: dict[str, _ReplayedCall]) -> bool:
    return all(_is_there(plan, state, read.tensor, makers) for read in state.call.reads)


def _is_there(plan: Plan, state: _ReplayedCall, tensor: str, makers: dict[str, _ReplayedCall]) -> bool:
    """Whether the next run of a call finds what it needs of a tensor."""
    maker = makers.get(tensor)
    if maker is None:
        return False
    if maker.call.accumulates:
        return maker.is_over
    # A padding row reads nothing, but waits for the rows of its nearest neighbour; above, for its first piece.
    y = state.y if state.call.accumulates or state.call.is_view else min(max(state.y, 0), state.output.height - 1)
    piece = 0 if state.y < 0 else state.piece
    if state.call.rows_per_run > 1:
        y += state.block - 1
    for needs in state.needs:
        if needs.read.tensor == tensor:
            rows = max(maker.place[row] for row in needs.rows[y]) + 1
            is_there = maker.position >= rows
            if plan.buffers[tensor].strip_columns and maker.position == rows - 1:
                is_there = maker.piece > _piece_needed(needs, maker, state.stop(piece))
            if not is_there:
                return False
    return True


def _leaving(plan: Plan, state: _ReplayedCall) -> Iterator[Span]:
    """The rows of an output that leave when the next run is over."""
    output = state.output
    if plan.graph.leaves_by_rows(output.tensor) and state.piece == len(state.ends) - 1 and not state.is_padding:
        for row in range(state.row, state.row + state.block):
            yield in_slot(output, row, output.pad[1], output.pad[1] + output.width)


def _piece_needed(needs: Needs, maker: _ReplayedCall, count: int) -> int:
    """The piece of a strip's row that makes `count` output columns possible."""
    return bisect_left(maker.ends, needs.end_column(count - 1))


def _event(plan: Plan, state: _ReplayedCall, makers: dict[str, _ReplayedCall]) -> Event:
    call, row, piece, output = state.call, state.row, state.piece, state.output
    first, stop = max((state.ends[piece - 1] if piece else 0) - state.left, 0), state.stop(piece)
    reads = () if state.is_padding or stop <= first else tuple(_reads(plan, state, makers, first, stop))
    if call.accumulates:
        is_last = state.position == state.runs - 1 and piece == len(state.ends) - 1
        made = (in_slot(output, 0, 0, 1),) if is_last else ()
        return Event(call, row, piece, reads, made, ())
    if call.is_view:
        return Event(call, row, piece, reads, (), ())
    start, end = (state.ends[piece - 1] if piece else 0), state.ends[piece]
    if output.planar and call.rows_per_run == 1:
        return Event(call, row, piece, reads, *_planar(state, start, end))
    if output.strip_columns:
        return Event(call, row, piece, reads, (in_strip(output, row, start, end, piece),), ())
    if call.rows_per_run > 1:
        return _block(plan, state, makers)
    return Event(call, row, piece, reads, (in_slot(output, row, start, end),), ())


def _block(plan: Plan, state: _ReplayedCall, makers: dict[str, _ReplayedCall]) -> Event:
    """One run that makes several rows: all that any of them reads, and all that is made."""
    first, output = state.position, state.output  # phases have none of this: the rows are their positions
    reads: list[Span] = []
    made: list[Span] = []
    carried: list[tuple[Span, Span]] = []
    for row in range(first, first + state.block):
        state.position = row
        if not state.is_padding:
            reads += _reads(plan, state, makers, 0, output.width)
        if output.planar:
            whole, old = _planar(state, 0, output.columns)
            made, carried = [*made, *whole], [*carried, *old]
        else:
            made.append(in_slot(output, row, 0, output.columns))
    state.position = first
    return Event(state.call, first, 0, tuple(reads), tuple(made), tuple(carried))


def _planar(state: _ReplayedCall, start: int, end: int) -> tuple[tuple[Span, ...], tuple[tuple[Span, Span], ...]]:
    """What is made and what is carried in planar rows: the first piece brings all padding of the row, which stays in
    the slot for the rows to come; a padding row is made whole by every piece."""
    output, row = state.output, state.row
    if state.is_padding:
        return (in_slot(output, row, 0, output.columns),), ()
    inner_end = output.pad[1] + output.width
    inner = max(start, output.pad[1]), min(end, inner_end)
    made = [in_slot(output, row, *inner)] if inner[0] < inner[1] else []
    pads = [(first, stop) for first, stop in ((0, output.pad[1]), (inner_end, output.columns)) if first < stop]
    if state.piece or not pads:
        return tuple(made), ()
    if not output.is_ring or state.position < output.slots:
        return (*made, *(in_slot(output, row, *pad) for pad in pads)), ()
    before = state.order[state.position - output.slots]
    return tuple(made), tuple((in_slot(output, before, *pad), in_slot(output, row, *pad)) for pad in pads)


def _reads(plan: Plan, state: _ReplayedCall, makers: dict[str, _ReplayedCall], first: int, stop: int) -> Iterator[Span]:
    """The spans that output columns first to stop - 1 need; the newest row of a strip is looked for in the strip."""
    for needs in state.needs:
        read, buffer = needs.read, needs.buffer
        begin, end = needs.first_column(first), needs.end_column(stop - 1)
        rows = needs.rows[state.y]
        for row in rows:
            if buffer.strip_columns and row == rows[-1]:
                piece = _piece_needed(needs, makers[read.tensor], stop)
                yield in_strip(buffer, row, begin, end, piece)
            else:
                yield in_slot(buffer, row, begin, end)
