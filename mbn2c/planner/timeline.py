"""Schedule -> when every row is written and read.

The order is fixed by one rule, the same in the generated C, here and in `reference/run_plan`: of all calls of the
loop that can make a row (or a piece of one), the one deepest in the loop does. A call that runs on demand can only
while its reader lacks what it makes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from mbn2c.errors import InternalError
from mbn2c.ir.plan import Call, Read, Rows
from mbn2c.ir.row_order import RowOrder
from mbn2c.planner.schedule import Schedule


@dataclass(frozen=True, eq=False)
class Timeline:
    """When every row is written and last read; a moment is one run of one call.

    written, last_read  int [rows] by tensor, in the order in which they are made: when a row's first piece is written,
                        and when any of it is last read; a row nobody reads has last_read == the moment its last piece
                        is written. Tensors that no call makes count as written at moment 0
    ran                 the step that ran at each moment
    first_run, last_run moments by step
    """

    written: Mapping[str, np.ndarray]
    last_read: Mapping[str, np.ndarray]
    ran: tuple[int, ...]
    first_run: Mapping[int, int]
    last_run: Mapping[int, int]


def simulate(schedule: Schedule, known: dict[int, CallRuns] | None = None) -> Timeline:
    """Play the schedule by its one rule.

    known   by step what calls do, run by run: found here and added to, so that schedules of the same calls in whole
            rows, some of them left out, work it out once
    raises  InternalError if a loop stops before its rows are complete, or if a strip has lost columns that are read
    """
    known = {} if known is None else known
    calls = [call for loop in schedule.loops for call in loop.calls]
    runs = {call.step: known.get(call.step) or known.setdefault(call.step, _runs(schedule, call)) for call in calls}
    made_here = {call.write for call in calls}
    # Pixels made of each tensor, row by row: row * columns + column.
    made = {name: 0 if name in made_here else schedule.rows(name) * schedule.columns(name) for name in schedule.pads}
    ran: list[int] = []
    for loop in schedule.loops:
        _play(loop, runs, made, ran)
    moments = _moments(ran, calls)
    for call in calls:
        for number, strip in runs[call.step].strips.items():
            _check_strip(call, number, strip, moments, runs)
    written, last_read = _lives(schedule, calls, runs, moments)
    for name in schedule.graph.kept_outputs:
        last_read[name][:] = len(ran)
    # In the order in which they run first.
    started = sorted(moments, key=lambda step: int(moments[step][0]))
    first_run = {step: int(moments[step][0]) for step in started}
    last_run = {step: int(moments[step][-1]) for step in started}
    return Timeline(written, last_read, tuple(ran), first_run, last_run)


# --- what a call does, run by run ----------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _StripRead:
    """A read of a tensor that streams in pieces.

    runs          numbers of the runs that read pixels
    rows          the row that each of them finds in the strip
    first_column  the first column that each of them reads of it
    columns       of the tensor, padding counted
    kept          as in `Strip`
    """

    runs: np.ndarray
    rows: np.ndarray
    first_column: np.ndarray
    columns: int
    kept: np.ndarray


@dataclass(frozen=True, eq=False)
class CallRuns:
    """All runs of one call in their order; a run makes a row, some rows, or a piece of one.

    makes                 tensor
    count                 of runs
    needs                 for each read: the pixels of its tensor that must have been made before each run
    made                  pixels of the tensor that it makes that there are after each run
    first_run, last_run   int [rows made], in their order: number of the run that makes a row's first piece, and its
                          last; of a call that sums up, those of its only row
    read_rows, read_runs  for each read: positions of rows that are read, and by which run for the last time
    strips                by number of the read
    """

    makes: str
    count: int
    needs: tuple[list[int], ...]
    made: list[int]
    first_run: np.ndarray
    last_run: np.ndarray
    read_rows: tuple[np.ndarray, ...]
    read_runs: tuple[np.ndarray, ...]
    strips: dict[int, _StripRead]


def _runs(schedule: Schedule, call: Call) -> CallRuns:
    top, left, _, right = schedule.pads[call.write]
    height = schedule.graph.tensors[call.write].shape[1]
    rows = schedule.runs(call)
    makes_pixels = not (call.accumulates or call.is_view)
    is_inner = [not makes_pixels or 0 <= row - top < height for row in range(rows)]
    starts, sizes = _rows_of_runs(schedule, call, rows, is_inner, top + height)
    # The row it makes, padding not counted; a padding row waits for its nearest neighbour.
    y = [min(max(row - top, 0), height - 1) if makes_pixels else row for row in starts]
    last_y = [one + size - 1 for one, size in zip(y, sizes, strict=True)]
    source = call.reads[0].tensor if call.accumulates else call.write
    width = schedule.graph.tensors[source].shape[2]
    left = 0 if call.accumulates else left
    ends = call.pieces or (left + width + right,)
    stops = [min(end - left, width) for end in ends]
    pieces = len(ends)
    first_run = np.repeat(np.arange(len(starts)) * pieces, sizes)
    last_run = first_run + pieces - 1
    inner_runs = np.array([is_inner[row] for row in starts])
    needs, read_rows, read_runs, strips = [], [], [], {}
    for number, read in enumerate(call.reads):
        columns = schedule.columns(read.tensor)
        strip = schedule.strips.get(read.tensor)
        # Only from a strip a piece is taken before the row is complete.
        wanted = np.array([columns if strip is None else read.column_map.needed(stop - 1) for stop in stops])
        positions = schedule.order(read.tensor).positions if read.tensor in schedule.phases else None
        rows_before = np.array([_last_position(read, one, positions) for one in last_y])
        # Padding above waits for the first piece alone.
        by_piece = np.where(np.array(starts)[:, None] < top, wanted[:1], wanted)
        needs.append((rows_before[:, None] * columns + by_piece).ravel().tolist())
        last: dict[int, int] = {}
        for one, size, run in zip(y, sizes, range(len(starts)), strict=True):
            if inner_runs[run]:
                for each in range(one, one + size):
                    rows_read = read.row_map.rows(each)
                    last |= dict.fromkeys(rows_read if positions is None else (positions[r] for r in rows_read), run)
        read_rows.append(np.fromiter(last.keys(), np.int64, len(last)))
        read_runs.append(np.fromiter(last.values(), np.int64, len(last)) * pieces + pieces - 1)
        if strip is not None:
            first_columns = [read.column_map.first(start) for start in (0, *stops[:-1])]
            strips[number] = _StripRead(
                np.flatnonzero(np.repeat(inner_runs, pieces)),
                np.repeat(np.array([_last_position(read, one, positions) for one in y])[inner_runs], pieces),
                np.tile(first_columns, int(inner_runs.sum())),
                columns,
                np.array(strip.kept),
            )
    if call.accumulates:
        made = [0] * (len(starts) * pieces - 1) + [schedule.columns(call.write)]
        first_run = last_run = last_run[-1:]
    else:
        columns = schedule.columns(call.write)
        rows_made = np.cumsum(sizes) - 1
        made = (rows_made[:, None] * columns + np.array(call.pieces or (columns,))).ravel().tolist()
    return CallRuns(
        call.write, len(made), tuple(needs), made, first_run, last_run, tuple(read_rows), tuple(read_runs), strips
    )


def _rows_of_runs(
    schedule: Schedule, call: Call, rows: int, is_inner: Sequence[bool], end: int
) -> tuple[list[int], list[int]]:
    """Of each run the first row and how many; padding rows are made one by one.

    rows  that the call makes, or sums up; end: one behind the last that is no padding
    """
    if call.accumulates:
        return RowOrder(rows, schedule.phases.get(call.reads[0].tensor, 1)).in_order, [1] * rows
    order = schedule.order(call.write).in_order
    if call.rows_per_run == 1:
        return order, [1] * rows
    starts, sizes, row = [], [], 0
    while row < rows:
        size = min(call.rows_per_run, end - row) if is_inner[row] else 1
        starts.append(order[row])
        sizes.append(size)
        row += size
    return starts, sizes


def _last_position(read: Read, y: int, positions: Sequence[int] | None) -> int:
    """Of the rows that output row y needs, that of the one that is made last; positions: None, one after the other."""
    return read.row_map.needed(y) - 1 if positions is None else max(positions[row] for row in read.row_map.rows(y))


# --- the order of all runs -----------------------------------------------------------------------


@dataclass(eq=False)
class _PlayedCall:
    """One call while its loop is played.

    reads    of the tensors that are not complete yet: name, and the pixels each run needs
    deepest  position of the deepest call that reads what it makes, or its own
    done     runs that are over
    asker    of a call that runs on demand, the one that reads what it makes
    asked    and the pixels that each run of that needs of it
    """

    call: Call
    runs: CallRuns
    reads: list[tuple[str, list[int]]]
    deepest: int
    done: int = 0
    asker: _PlayedCall | None = None
    asked: list[int] = field(default_factory=list)


def _play(loop: Rows, runs: Mapping[int, CallRuns], made: dict[str, int], ran: list[int]) -> None:
    """Play one loop to its end: `made` and `ran` grow."""
    deepest = {read.tensor: position for position, call in enumerate(loop.calls) for read in call.reads}
    states = []
    for position, call in enumerate(loop.calls):
        own = runs[call.step]
        needs = [(read.tensor, least) for read, least in zip(call.reads, own.needs, strict=True)]
        waited_for = [(tensor, least) for tensor, least in needs if made[tensor] < max(least)]
        states.append(_PlayedCall(call, own, waited_for, deepest.get(call.write, position)))
    for state in states:
        if state.call.on_demand:
            state.asker = states[state.deepest]
            number = [read.tensor for read in state.asker.call.reads].index(state.call.write)
            state.asked = state.asker.runs.needs[number]
    position = len(states) - 1
    while position >= 0:
        state = states[position]
        done = state.done
        if done == state.runs.count:
            position -= 1
            continue
        asker = state.asker
        if asker is not None and asker.done < asker.runs.count and made[state.call.write] >= state.asked[asker.done]:
            position -= 1
            continue
        for tensor, least in state.reads:
            if made[tensor] < least[done]:
                position -= 1
                break
        else:
            made[state.call.write] = state.runs.made[done]
            ran.append(state.call.step)
            state.done = done + 1
            # Only a reader of what was made can have become ready, and it stands deeper; what runs on demand, above.
            position = state.deepest
    if any(state.done != state.runs.count for state in states):
        raise InternalError("a loop cannot complete its rows", where=f"steps {[c.step for c in loop.calls]}")


def _moments(ran: Sequence[int], calls: Sequence[Call]) -> dict[int, np.ndarray]:
    """By step the moments of its runs."""
    steps = np.array(ran, np.int64)
    order = np.argsort(steps, kind="stable")
    numbers = [call.step for call in calls]
    begins = np.searchsorted(steps[order], numbers, side="left")
    ends = np.searchsorted(steps[order], numbers, side="right")
    return {step: order[begin:end] for step, begin, end in zip(numbers, begins, ends, strict=True)}


def _lives(
    schedule: Schedule, calls: Sequence[Call], runs: Mapping[int, CallRuns], moments: Mapping[int, np.ndarray]
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """When each row of each tensor is written, and when it is read for the last time."""
    written = {name: np.zeros(schedule.rows(name), np.int64) for name in schedule.pads}
    last_read = {name: np.zeros(schedule.rows(name), np.int64) for name in schedule.pads}
    for call in calls:
        own, mine = runs[call.step], moments[call.step]
        rows = len(own.first_run)
        written[call.write][:rows] = mine[own.first_run]
        last_read[call.write][:rows] = mine[own.last_run]
        for read, read_rows, read_runs in zip(call.reads, own.read_rows, own.read_runs, strict=True):
            last = last_read[read.tensor]
            last[read_rows] = np.maximum(last[read_rows], mine[read_runs])
    return written, last_read


def _check_strip(
    call: Call, number: int, strip: _StripRead, moments: Mapping[int, np.ndarray], runs: Mapping[int, CallRuns]
) -> None:
    """Whether each run finds the columns that it reads in the strip."""
    tensor = call.reads[number].tensor
    maker = next(step for step, own in runs.items() if own.makes == tensor)
    newest = np.searchsorted(moments[maker], moments[call.step][strip.runs]) - 1
    row = (np.array(runs[maker].made)[newest] - 1) // strip.columns
    lost = (strip.rows != row) | (strip.first_column < strip.kept[newest % len(strip.kept)])
    if lost.any():
        gone = strip.rows[lost][0]
        raise InternalError(f"row {gone} of {tensor} has left its strip", where=f"step {call.step}, {call.node}")
