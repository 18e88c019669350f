"""Plan -> nothing, or an InternalError: no living byte is overwritten, and nothing leaves the arena.

Runs on every Plan. It knows only what a Plan says and shares no code with what made the Plan: it replays the loops,
notes when every row is read for the last time, and then replays the writes over a map of who owns each byte.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from mbn2c.errors import InternalError
from mbn2c.ir.plan import Call, Plan, Rows

_FOREVER = np.iinfo(np.int64).max
_HINT = "this is a bug in mbn2c; please report it with the model"

Row = tuple[str, int]


@dataclass(frozen=True)
class _Event:
    """One run of one call.

    reads  rows of tensors, padding counted
    row    of call.write that it makes; None while a call only sums up
    """

    call: Call
    reads: tuple[Row, ...]
    row: int | None
    is_first: bool

    @property
    def where(self) -> str:
        return f"step {self.call.step}, {self.call.node or 'input'}"


def check_overlaps(plan: Plan) -> None:
    """Check that every byte read still holds what was written for that reading.

    raises  InternalError naming step, byte range and both owners if a byte is overwritten that will still be read,
            if a row is read that was never made, if memory lies outside the arena, or if a loop cannot end
    """
    events = _replay(plan)
    outputs = [row for port in plan.graph.outputs for row in _inner_rows(plan, port.tensor)]
    last_read = {row: moment for moment, event in enumerate(events) for row in event.reads}
    last_read.update(dict.fromkeys(outputs, _FOREVER))
    last_run = {event.call.step: moment for moment, event in enumerate(events)}
    owners = _Owners(plan.arena_bytes)
    for moment, event in enumerate(events):
        call = event.call
        for row in event.reads:
            owners.must_hold(*_range_of(plan, row), _name(row), event.where)
        scratch = plan.scratch.get(call.step)
        if scratch:
            name = f"scratch of step {call.step}"
            if call.accumulates and not event.is_first:
                owners.must_hold(scratch.offset, scratch.end, name, event.where)
            else:
                # Sums live until the last input row; any other scratch is over when its run is.
                until = last_run[call.step] if call.accumulates else moment
                owners.take(scratch.offset, scratch.end, name, until, moment, event.where)
        if event.row is not None:
            made = (call.write, event.row)
            owners.take(*_range_of(plan, made), _name(made), last_read.get(made, moment), moment, event.where)
    for row in outputs:
        owners.must_hold(*_range_of(plan, row), _name(row), "the end, when outputs are read")


# --- memory --------------------------------------------------------------------------------------


class _Owners:
    """For each byte of the arena: who took it last, and until when that owner lives (a moment, inclusive)."""

    def __init__(self, arena_bytes: int) -> None:
        self.owner = np.zeros(arena_bytes, np.int64)
        self.names = ["nobody"]
        self.numbers: dict[str, int] = {}
        self.until = np.full(1024, -1, np.int64)

    def take(self, start: int, end: int, name: str, until: int, moment: int, where: str) -> None:
        if start < 0 or end > self.owner.size:
            raise InternalError(
                f"{name} at bytes {start}..{end - 1} leaves the arena of {self.owner.size} bytes",
                where=where,
                hint=_HINT,
            )
        owner = self.owner[start:end]
        hit = np.flatnonzero(self.until[owner] >= moment)
        if hit.size:
            victim = self.names[owner[hit[0]]]
            same = hit[owner[hit] == owner[hit[0]]]
            raise InternalError(
                f"{name} overwrites {victim} at bytes {start + same[0]}..{start + same[-1]}, which is still needed",
                where=where,
                hint=_HINT,
            )
        number = len(self.names)
        if number == self.until.size:
            self.until = np.concatenate([self.until, np.full(number, -1, np.int64)])
        self.names.append(name)
        self.numbers[name] = number
        self.until[number] = until
        owner[:] = number

    def must_hold(self, start: int, end: int, name: str, where: str) -> None:
        number = self.numbers.get(name)
        if number is None:
            raise InternalError(f"{name} is read before it is made", where=where, hint=_HINT)
        lost = np.flatnonzero(self.owner[start:end] != number)
        if lost.size:
            other = self.names[self.owner[start + lost[0]]]
            raise InternalError(
                f"{name} is read at bytes {start + lost[0]}..{start + lost[-1]}, where {other} lies by now",
                where=where,
                hint=_HINT,
            )


def _range_of(plan: Plan, row: Row) -> tuple[int, int]:
    buffer = plan.buffers[row[0]]
    start = buffer.offset + row[1] % buffer.slots * buffer.row_bytes
    return start, start + buffer.row_bytes


def _name(row: Row) -> str:
    return f"row {row[1]} of {row[0]}"


def _inner_rows(plan: Plan, tensor: str) -> list[Row]:
    buffer = plan.buffers[tensor]
    return [(tensor, row) for row in range(buffer.pad[0], buffer.pad[0] + buffer.height)]


# --- time ----------------------------------------------------------------------------------------


def _replay(plan: Plan) -> list[_Event]:
    """All runs of all calls in the order the C has: of all calls of a loop that can run, the deepest one does."""
    made: dict[str, int] = dict.fromkeys(plan.buffers, 0)
    events: list[_Event] = []
    for loop in plan.loops:
        events += _replay_loop(plan, loop, made)
    return events


def _replay_loop(plan: Plan, loop: Rows, made: dict[str, int]) -> Iterator[_Event]:
    runs = [plan.buffers[call.reads[0].tensor if call.accumulates else call.write].rows for call in loop.calls]
    done = [0] * len(loop.calls)
    while True:
        for position in reversed(range(len(loop.calls))):
            call, run = loop.calls[position], done[position]
            if run < runs[position] and _can_run(plan, call, run, made):
                break
        else:
            break
        done[position] += 1
        is_last = done[position] == runs[position]
        row = (0 if is_last else None) if call.accumulates else run
        if row is not None:
            made[call.write] += 1
        yield _Event(call, _reads(plan, call, run), row, is_first=run == 0)
    for call, count, wanted in zip(loop.calls, done, runs, strict=True):
        if count != wanted:
            raise InternalError(
                f"the loop stops after {count} of {wanted} rows", where=f"step {call.step}, {call.node}", hint=_HINT
            )


def _can_run(plan: Plan, call: Call, run: int, made: dict[str, int]) -> bool:
    y = run
    if not call.accumulates:
        # A padding row reads nothing, but waits for the rows of its nearest neighbour.
        buffer = plan.buffers[call.write]
        y = min(max(run - buffer.pad[0], 0), buffer.height - 1)
    return all(
        made[read.tensor] > read.first_row + y * read.stride + (read.rows - 1) * read.dilation for read in call.reads
    )


def _reads(plan: Plan, call: Call, run: int) -> tuple[Row, ...]:
    y = run
    if not call.accumulates:
        buffer = plan.buffers[call.write]
        y = run - buffer.pad[0]
        if not 0 <= y < buffer.height:
            return ()
    return tuple(
        (read.tensor, read.first_row + y * read.stride + k * read.dilation)
        for read in call.reads
        for k in range(read.rows)
    )
