"""Schedule -> when every row is written and read.

The order is fixed by one rule, the same in the generated C, here and in `reference/run_plan`: of all calls of the
loop that can make a row (or a piece of one), the one deepest in the loop does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from mbn2c.errors import InternalError
from mbn2c.ir.plan import Call, Read, Rows
from mbn2c.planner.schedule import Schedule


@dataclass(frozen=True, eq=False)
class Timeline:
    """When every row is written and last read; a moment is one run of one call.

    written, last_read  int [rows] by tensor: when a row's first piece is written, and when any of it is last read; a
                        row nobody reads has last_read == the moment its last piece is written. Tensors that no call
                        makes count as written at moment 0
    ran                 the step that ran at each moment
    first_run, last_run moments by step
    """

    written: Mapping[str, np.ndarray]
    last_read: Mapping[str, np.ndarray]
    ran: tuple[int, ...]
    first_run: Mapping[int, int]
    last_run: Mapping[int, int]


def simulate(schedule: Schedule) -> Timeline:
    """Play the schedule by its one rule.

    raises  InternalError if a loop stops before its rows are complete, or if a strip has lost columns that are read
    """
    player = _Player(schedule)
    for loop in schedule.loops:
        player.play(loop)
    moments = len(player.ran)
    written = {name: np.array(rows, np.int64) for name, rows in player.written.items()}
    last_read = {name: np.array(rows, np.int64) for name, rows in player.last_read.items()}
    for port in schedule.graph.outputs:
        last_read[port.tensor][:] = moments
    first_run: dict[int, int] = {}
    last_run: dict[int, int] = {}
    for moment, step in enumerate(player.ran):
        first_run.setdefault(step, moment)
        last_run[step] = moment
    return Timeline(written, last_read, tuple(player.ran), first_run, last_run)


@dataclass(eq=False)
class _PlayedCall:
    """One call while its loop is played.

    row, piece  what it makes next
    needs       for each piece and each read: (columns the piece needs of the window's last row, first column it reads)
    deepest     position of the deepest call that reads what it makes, or its own
    """

    call: Call
    rows: int
    pieces: int
    top: int
    height: int
    needs: list[list[tuple[int, int]]]
    deepest: int
    row: int = 0
    piece: int = 0

    def output_row(self) -> int:
        """The row it makes next, padding not counted; a padding row waits for its nearest neighbour."""
        if self.call.accumulates or self.call.is_view:
            return self.row
        return min(max(self.row - self.top, 0), self.height - 1)

    def run_rows(self) -> int:
        """How many rows its next run makes."""
        if self.call.rows_per_run == 1 or self.is_padding():
            return 1
        return min(self.call.rows_per_run, self.top + self.height - self.row)

    def is_padding(self) -> bool:
        return not (self.call.accumulates or self.call.is_view) and not 0 <= self.row - self.top < self.height


class _Player:
    def __init__(self, schedule: Schedule) -> None:
        self.schedule = schedule
        self.columns = {name: schedule.columns(name) for name in schedule.pads}
        rows = {name: schedule.rows(name) for name in schedule.pads}
        made_here = {call.write for loop in schedule.loops for call in loop.calls}
        # Pixels made of each tensor, row by row: row * columns + column.
        self.made = {name: 0 if name in made_here else rows[name] * self.columns[name] for name in rows}
        self.written = {name: [0] * count for name, count in rows.items()}
        self.last_read = {name: [0] * count for name, count in rows.items()}
        self.newest_piece: dict[str, int] = {}
        self.ran: list[int] = []

    def play(self, loop: Rows) -> None:
        states = self._states(loop)
        position = len(states) - 1
        while position >= 0:
            state = states[position]
            if state.row == state.rows or not self._is_ready(state):
                position -= 1
                continue
            self._run(state)
            # Only a reader of what was made can have become ready, and it stands deeper.
            position = state.deepest
        if any(state.row != state.rows for state in states):
            raise InternalError("a loop cannot complete its rows", where=f"steps {[c.step for c in loop.calls]}")

    def _states(self, loop: Rows) -> list[_PlayedCall]:
        deepest = {read.tensor: position for position, call in enumerate(loop.calls) for read in call.reads}
        states = []
        for position, call in enumerate(loop.calls):
            pad = self.schedule.pads[call.write]
            source = call.reads[0].tensor if call.accumulates else call.write
            width = self.schedule.graph.tensors[source].shape[2]
            left = 0 if call.accumulates else pad[1]
            needs = []
            start = 0
            for end in call.pieces or (left + width + pad[3],):
                stop = min(end - left, width)
                needs.append([(self._columns_needed(read, stop), read.column_map.first(start)) for read in call.reads])
                start = stop
            states.append(
                _PlayedCall(
                    call,
                    self.schedule.runs(call),
                    len(needs),
                    pad[0],
                    self.schedule.graph.tensors[call.write].shape[1],
                    needs,
                    deepest.get(call.write, position),
                )
            )
        return states

    def _columns_needed(self, read: Read, count: int) -> int:
        """Columns of the window's last row: only from a strip a piece is taken before the row is complete."""
        is_strip = read.tensor in self.schedule.strips
        return read.column_map.needed(count - 1) if is_strip else self.columns[read.tensor]

    def _is_ready(self, state: _PlayedCall) -> bool:
        y = state.output_row() + state.run_rows() - 1
        needs = state.needs[0 if state.row < state.top else state.piece]
        for read, (columns, _) in zip(state.call.reads, needs, strict=True):
            if self.made[read.tensor] < (read.row_map.needed(y) - 1) * self.columns[read.tensor] + columns:
                return False
        return True

    def _run(self, state: _PlayedCall) -> None:
        call, moment = state.call, len(self.ran)
        y, made = state.output_row(), state.run_rows()
        if not state.is_padding():
            for read, (_, first_column) in zip(call.reads, state.needs[state.piece], strict=True):
                rows = self.last_read[read.tensor]
                for row in (row for one in range(y, y + made) for row in read.row_map.rows(one)):
                    rows[row] = moment
                if read.tensor in self.schedule.strips:
                    self._check_strip(call, read.tensor, read.row_map.needed(y) - 1, first_column)
        is_last = state.piece == state.pieces - 1
        if not call.accumulates:
            if state.piece == 0:
                self.written[call.write][state.row : state.row + made] = [moment] * made
            end = call.pieces[state.piece] if call.pieces else self.columns[call.write]
            self.made[call.write] = (state.row + made - 1) * self.columns[call.write] + end
            self.last_read[call.write][state.row : state.row + made] = [moment] * made
            self.newest_piece[call.write] = state.piece
        elif is_last and state.row == state.rows - 1:
            self.written[call.write][0] = self.last_read[call.write][0] = moment
            self.made[call.write] = self.columns[call.write]
        self.ran.append(call.step)
        state.piece += 1
        if is_last:
            state.piece = 0
            state.row += made

    def _check_strip(self, call: Call, tensor: str, row: int, first_column: int) -> None:
        newest = (self.made[tensor] - 1) // self.columns[tensor]
        if row != newest or first_column < self.schedule.strips[tensor].kept[self.newest_piece[tensor]]:
            raise InternalError(f"row {row} of {tensor} has left its strip", where=f"step {call.step}, {call.node}")
