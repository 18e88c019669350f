"""One frame through a device, one request at a time: each is repeated until its answer comes.

A device that lost a run (reset, pulled cable) gets the frame again from its start. Nothing counts before its CRC does:
rows, the input as a whole, the output. A CRC of those that is wrong in a frame whose own CRC is right is no fault of
the line: the frame runs again, and the fault is reported beside the answer.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Callable
from typing import TypeVar

from mbn2c.errors import BoardError, DeviceFaultError, UsageError
from mbn2c.link import wire
from mbn2c.link.dialogue import READ_BYTES, ContradictionError, Dialogue, RunLostError
from mbn2c.link.reply_checks import SMALLEST_CHUNK, check_data, check_state

T = TypeVar("T")

_RUN_TRIES = 5
_LARGEST_CHUNK = 65536  # input bytes in one request
_MOST_DUMPED_BYTES = 1 << 28

_AWAITING_INPUT = wire.STATES.index("awaiting_input")
_ROW_WAITING = wire.STATES.index("row_waiting")
_DONE = wire.STATES.index("done")

UNSTABLE_HINT = "not the line, whose own checks pass: memory, clock, power or a bug of the board's firmware"


class StopAndWait:
    """Stop-and-wait through a device.

    last_cycles  of the last inference, 0 if they are not counted
    last_fault   in what the device contradicted itself during the last inference, in words; "" for nothing
    """

    def __init__(self, line: Dialogue) -> None:
        self._line = line
        self._chunk = _LARGEST_CHUNK
        self.last_cycles = 0
        self.last_fault = ""

    def infer(self, facts: wire.Facts, frame: bytes, mode: str, step: int, buffer: str) -> tuple[bytes, list[bytes]]:
        """Feed a frame and read a buffer; from the start again when the device lost the run.

        returns  the buffer, and the rows that were dumped on the way
        """
        check_size(facts, frame)
        totals = {"output": facts.output_bytes, "table": 4 * facts.steps}

        def through() -> tuple[bytes, list[bytes]]:
            run, rows = self._feed(facts, frame, mode, step)
            return self._read(facts, run, buffer, totals[buffer]), rows

        return self._until_done(facts, through)

    def first_wrong_row(self, facts: wire.Facts, frame: bytes, step: int, expected: bytes) -> tuple[int, bytes] | None:
        """The first row of a step that is not what it should be; rows are compared by their CRC-32 until then.

        expected  all rows of the step, in the order in which they are made
        returns   where it starts in them, and the device's bytes, none if it made fewer rows; None: all are right
        """
        check_size(facts, frame)
        buffer = wire.BUFFERS.index("row")

        def through() -> tuple[int, bytes] | None:
            offset, wrong = 0, None

            def is_wrong(run: int, state: wire.State) -> bool:
                nonlocal offset, wrong
                crc, _ = self._part(facts, wire.Fetch(run, buffer, 0, 0), state.row_bytes)
                if crc != zlib.crc32(expected[offset : offset + state.row_bytes]):
                    wrong = (offset, self._read(facts, run, "row", state.row_bytes))
                offset += state.row_bytes
                return wrong is not None

            self._feed(facts, frame, "dump", step, is_wrong)
            return (offset, b"") if wrong is None and offset < len(expected) else wrong

        return self._until_done(facts, through)

    def digest(self, facts: wire.Facts, frame: bytes) -> int:
        """The CRC-32 of the output."""
        check_size(facts, frame)

        def through() -> int:
            run, _rows = self._feed(facts, frame, "plain", 0)
            return self._part(facts, wire.Fetch(run, wire.BUFFERS.index("output"), 0, 0), facts.output_bytes)[0]

        return self._until_done(facts, through)

    def _until_done(self, facts: wire.Facts, through: Callable[[], T]) -> T:
        lost, self.last_fault = "", ""
        for _ in range(_RUN_TRIES):
            try:
                return through()
            except RunLostError as error:
                lost = str(error)
                if isinstance(error, ContradictionError):
                    self.last_fault = self.last_fault or lost
                self._line.retries += 1
        if self.last_fault:
            raise DeviceFaultError(self.last_fault, where=f"{facts.board}, again and again", hint=UNSTABLE_HINT)
        what = f"the board lost the frame {_RUN_TRIES} times, at last because {lost}"
        raise BoardError(what, where=facts.board, hint="check the line")

    def _feed(
        self,
        facts: wire.Facts,
        frame: bytes,
        mode: str,
        step: int,
        is_enough: Callable[[int, wire.State], bool] | None = None,
    ) -> tuple[int, list[bytes]]:
        """Send a frame row by row, collecting dumped rows on the way. Returns the run's name and those rows.

        Every answer must bring the run further: the device has taken all that was sent, or has made the next row.

        is_enough  asked of the run and each row that waits, in place of collecting it: whether the run may end there
        """
        run = int.from_bytes(os.urandom(4), "little") or 1
        largest = wire.largest_tail(wire.Input, facts.buffer_bytes)
        dumped: list[bytes] = []
        rows, dumped_bytes = 0, 0
        state = self._state(facts, wire.Begin(run, wire.MODES.index(mode), step), mode, 0)
        while state.state != _DONE:
            if state.state == _ROW_WAITING:
                if state.row != rows:
                    raise RunLostError(f"it tells of row {state.row} where row {rows} is due")
                rows += 1
                if is_enough is None:
                    dumped.append(self._read(facts, run, "row", state.row_bytes))
                elif is_enough(run, state):
                    return run, dumped
                dumped_bytes += state.row_bytes
                self._line.extend_image(state.row_bytes)
                if dumped_bytes > _MOST_DUMPED_BYTES:
                    raise BoardError(f"the board makes more than {_MOST_DUMPED_BYTES:,} B in rows", where=facts.board)
                state = self._state(facts, wire.Advance(run, state.row), mode, state.received)
                continue
            if state.state != _AWAITING_INPUT or state.received >= len(frame):
                name = wire.STATES[state.state]
                raise RunLostError(f"it is {name} with {state.received} of {len(frame)} input bytes received")
            # In a dump, what follows the row would be overwritten before its turn.
            row_end = (state.received // facts.row_bytes + 1) * facts.row_bytes if mode == "dump" else len(frame)
            self._chunk = min(self._chunk, largest)
            data = frame[state.received : min(state.received + self._chunk, row_end)]
            retries = self._line.retries
            state = self._state(facts, wire.Input(run, state.received, data), mode, state.received + len(data))
            # A long frame is damaged more easily than a short one.
            is_bad = self._line.retries > retries
            self._chunk = max(self._chunk // 2, SMALLEST_CHUNK) if is_bad else self._chunk + self._chunk // 4
        if state.received != len(frame):
            raise RunLostError(f"it is done with {state.received} of {len(frame)} input bytes")
        if state.crc != zlib.crc32(frame):
            raise ContradictionError(other_input(zlib.crc32(frame), state.crc))
        return run, dumped

    @property
    def patience_s(self) -> float:
        """How long rows may take before they are sent again."""
        return max(self._line.timing.rows_s, 3 * self._line.slowest_s)

    def _state(
        self, facts: wire.Facts, request: wire.Begin | wire.Input | wire.Advance, mode: str, received: int
    ) -> wire.State:
        """The answer to a request after which the device must have `received` input bytes."""
        wait_s = self._line.timing.reply_s if isinstance(request, wire.Begin) else self.patience_s
        state = self._line.ask(request, wire.State, wait_s)
        check_state(state, facts, mode)
        if (state.run, state.received) != (request.run, received):
            told, due = f"run {state.run:08x} with {state.received}", f"run {request.run:08x} with {received}"
            raise RunLostError(f"it tells of {told} input bytes, not of {due}")
        return state

    def _read(self, facts: wire.Facts, run: int, buffer: str, total: int) -> bytes:
        """A whole buffer of the device, `total` bytes; its CRC is the one of the device's own copy."""
        data = bytearray()
        while True:
            crc, part = self._part(facts, wire.Fetch(run, wire.BUFFERS.index(buffer), len(data), READ_BYTES), total)
            data += part
            if len(data) >= total:
                break
        if zlib.crc32(data) != crc:
            raise ContradictionError(other_buffer(buffer, zlib.crc32(data), crc))
        return bytes(data)

    def _part(self, facts: wire.Facts, request: wire.Fetch, total: int) -> tuple[int, bytes]:
        """CRC-32 of the whole buffer, and the part of it."""
        part = self._line.ask(request, wire.Data, self._line.timing.reply_s)
        if (part.run, part.buffer, part.offset) != (request.run, request.buffer, request.offset):
            told = f"run {part.run:08x}, buffer {part.buffer}, offset {part.offset}"
            raise RunLostError(f"it sends {told}, not what was asked for")
        data = check_data(part, facts, request, total)
        self.last_cycles = part.cycles
        return part.crc, data


def other_input(sent: int, told: int) -> str:
    """CRC-32 of the input as it was sent, and as the device tells it, in words."""
    return f"the board was sent an input of CRC-32 {sent:08x} and tells {told:08x}"


def other_buffer(buffer: str, came: int, told: int) -> str:
    """CRC-32 of a buffer as it came, and as the device tells it, in words."""
    return f"the board sends a buffer '{buffer}' of CRC-32 {came:08x} and tells {told:08x}"


def check_size(facts: wire.Facts, frame: bytes) -> None:
    """Raises UsageError for a frame that is not as long as the network's input."""
    if len(frame) != facts.input_bytes:
        raise UsageError(f"an input frame has {facts.input_bytes} B, not {len(frame)}", where=facts.name)
