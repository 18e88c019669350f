"""One frame through a device, one request at a time: each is repeated until its answer comes.

A device that lost a run (reset, pulled cable) gets the frame again from its start. Nothing counts before its CRC does:
rows, the input as a whole, the output.
"""

from __future__ import annotations

import os
import zlib

from mbn2c import wire
from mbn2c.errors import BoardError, UsageError
from mbn2c.link.dialogue import Dialogue, RunLostError

_RUN_TRIES = 5
_READ_BYTES = 2048
# Input bytes in one request.
_SMALLEST_CHUNK, _LARGEST_CHUNK = 32, 65536

_HUNGRY = wire.STATES.index("hungry")
_ROW_WAITING = wire.STATES.index("row_waiting")
_DONE = wire.STATES.index("done")


class Careful:
    """The careful way through a device.

    last_cycles  of the last inference, 0 if they are not counted
    """

    def __init__(self, line: Dialogue) -> None:
        self._line = line
        self._chunk = _LARGEST_CHUNK
        self.last_cycles = 0

    def infer(self, facts: wire.Facts, frame: bytes, mode: str, step: int, buffer: str) -> tuple[bytes, list[bytes]]:
        """Feed a frame and read a buffer; from the start again when the device lost the run.

        returns  the buffer, and the rows that were dumped on the way
        """
        check_size(facts, frame)
        for _ in range(_RUN_TRIES):
            try:
                run, rows = self._feed(facts, frame, mode, step)
                return self._read(run, buffer), rows
            except RunLostError:
                self._line.retries += 1
        raise _lost(facts)

    def digest(self, facts: wire.Facts, frame: bytes) -> int:
        """The CRC-32 of the output."""
        check_size(facts, frame)
        kind = wire.BUFFERS.index("output")
        for _ in range(_RUN_TRIES):
            try:
                run, _rows = self._feed(facts, frame, "plain", 0)
                part = self._line.ask(wire.Read(run, kind, 0, 0), wire.Data, self._line.timing.reply_s)
                if (part.run, part.buffer, part.total) == (run, kind, facts.output_bytes):
                    self.last_cycles = part.cycles
                    return part.crc
            except RunLostError:
                pass
            self._line.retries += 1
        raise _lost(facts)

    def _feed(self, facts: wire.Facts, frame: bytes, mode: str, step: int) -> tuple[int, list[bytes]]:
        """Send a frame row by row, collecting dumped rows on the way. Returns the run's name and those rows."""
        run = int.from_bytes(os.urandom(4), "little") or 1
        largest = wire.largest_tail(wire.Rows, facts.buffer_bytes)
        dumped: list[bytes] = []
        state = self._state(wire.Begin(run, wire.MODES.index(mode), step), run, self._line.timing.reply_s)
        while state.state != _DONE:
            if state.state == _ROW_WAITING:
                if state.row != len(dumped):
                    raise RunLostError
                dumped.append(self._read(run, "row"))
                state = self._state(wire.Advance(run, state.row), run, self.patience_s)
                continue
            if state.state != _HUNGRY or not 0 <= state.received < len(frame):
                raise RunLostError
            # In a dump, what follows the row would be overwritten before its turn.
            row_end = (state.received // facts.row_bytes + 1) * facts.row_bytes if mode == "dump" else len(frame)
            self._chunk = min(self._chunk, largest)
            data = frame[state.received : min(state.received + self._chunk, row_end)]
            retries = self._line.retries
            state = self._state(wire.Rows(run, state.received, data), run, self.patience_s)
            # A long frame is damaged more easily than a short one.
            is_bad = self._line.retries > retries
            self._chunk = max(self._chunk // 2, _SMALLEST_CHUNK) if is_bad else self._chunk + self._chunk // 4
        if state.received != len(frame) or state.crc != zlib.crc32(frame):
            raise RunLostError
        return run, dumped

    @property
    def patience_s(self) -> float:
        """How long rows may take before they are sent again."""
        return max(self._line.timing.rows_s, 3 * self._line.slowest_s)

    def _state(self, request: wire.Message, run: int, wait_s: float) -> wire.State:
        state = self._line.ask(request, wire.State, wait_s)
        if state.run != run:
            raise RunLostError
        return state

    def _read(self, run: int, buffer: str) -> bytes:
        """A whole buffer of the device; its CRC is the one of the device's own copy."""
        kind = wire.BUFFERS.index(buffer)
        data = b""
        while True:
            part = self._line.ask(wire.Read(run, kind, len(data), _READ_BYTES), wire.Data, self._line.timing.reply_s)
            if (part.run, part.buffer, part.offset) != (run, kind, len(data)):
                raise RunLostError
            data += part.data
            if len(data) >= part.total or not part.data:
                break
        if len(data) != part.total or zlib.crc32(data) != part.crc:
            raise RunLostError
        self.last_cycles = part.cycles
        return data


def check_size(facts: wire.Facts, frame: bytes) -> None:
    """Raises UsageError for a frame that is not as long as the network's input."""
    if len(frame) != facts.input_bytes:
        raise UsageError(f"an input frame has {facts.input_bytes} B, not {len(frame)}", where=facts.name)


def _lost(facts: wire.Facts) -> BoardError:
    return BoardError(f"the board lost the frame {_RUN_TRIES} times", where=facts.board, hint="check the line")
