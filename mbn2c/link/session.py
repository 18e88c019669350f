"""Turns input frames into output tensors on a device, over any Transport.

Each request is repeated until its answer comes; a device that lost a run (reset, pulled cable) gets the
frame again from its start. Nothing counts before its CRC does: rows, the input as a whole, the output.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import struct
import time
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TypeVar

from mbn2c import wire
from mbn2c.errors import BoardError, UsageError
from mbn2c.link.transport import Transport

M = TypeVar("M", bound=wire.Message)

_RUN_TRIES = 5
_MOST_TRIES = 200
_LONGEST_WAIT_S = 20.0
_BAUD_TRIAL_S = 3.0
_HELLO_WAIT_S = 0.25
_RATE_SEARCH_S = 1.5
# After so many tries in vain at a negotiated rate, the first rate is tried as well, in turns.
_TRIES_AT_A_RATE = 5
_READ_BYTES = 2048
_SLOWEST_CYCLES_PER_MAC = 25

_HUNGRY = wire.STATES.index("hungry")
_ROW_WAITING = wire.STATES.index("row_waiting")
_DONE = wire.STATES.index("done")
_FAULT = wire.REASONS.index("fault")
_DAMAGED = wire.Refused(wire.REASONS.index("damaged"), 0)


class _SilenceError(BoardError):
    """Nobody answered."""


class _RunLostError(Exception):
    """The device no longer knows this run, or holds other bytes than we sent."""


@dataclass(frozen=True)
class Timing:
    """Patience, in seconds.

    hello   for a device to answer at all, booting included
    reply   before a request that needs no computation is sent again
    rows    before rows are sent again, until the device's own pace is known
    give_up for the answer to any one request
    """

    hello_s: float = 20.0
    reply_s: float = 0.5
    rows_s: float = 2.0
    give_up_s: float = 120.0


def board_timing(macs: int, clock_hz: int, usual: Timing = Timing()) -> Timing:
    """Patience with a real board that computes a whole network of `macs` when the last row is in."""
    slowest_s = macs * _SLOWEST_CYCLES_PER_MAC / clock_hz if clock_hz else 0.0
    return replace(usual, rows_s=usual.rows_s + slowest_s, give_up_s=max(usual.give_up_s, 5 * slowest_s))


EMULATED = Timing(hello_s=60.0, reply_s=5.0, rows_s=20.0, give_up_s=1200.0)
"""An emulator loses nothing and may be slow."""


class Session:
    """A conversation with one device.

    digest   sha256 of the model that must run there; None to accept any
    retries  requests sent more than once, and runs started more than once, so far
    runs     inferences asked for, and line_s the seconds they took, the device's own included
    sent_bytes, received_bytes  on the line
    """

    def __init__(self, transport: Transport, *, digest: bytes | None = None, timing: Timing | None = None) -> None:
        self._transport = transport
        self._digest = digest
        self._timing = timing or Timing()
        self._sequence = int.from_bytes(os.urandom(2), "little")
        self._pending = b""
        self._slowest_s = 0.0
        self._facts: wire.Facts | None = None
        self._first_baud = transport.baud
        self._fast_baud = 0
        self.retries = 0
        self.runs = 0
        self.line_s = 0.0
        self.sent_bytes = 0
        self.received_bytes = 0

    @property
    def transport(self) -> Transport:
        return self._transport

    @property
    def facts(self) -> wire.Facts:
        """What the device said of itself; asks it if need be."""
        return self._facts if self._facts is not None else self.hello()

    def hello(self) -> wire.Facts:
        """Ask the device who it is. Raises BoardError if nobody answers, or if it is not the device we want."""
        return self._hello(self._timing.hello_s)

    def connect(self, baud: int, macs: int = 0) -> wire.Facts:
        """Find the device and talk at `baud` from now on, or at the first rate if that does not work.

        It is looked for at the line's rate, which it has after a reset, and at `baud`, where a session that broke off
        left it.

        macs    of the network: how long its slowest row may take
        raises  BoardError as `hello` does
        """
        give_up = time.monotonic() + self._timing.hello_s
        rates = itertools.cycle(dict.fromkeys((self._first_baud, baud)) if self._first_baud else (0,))
        while True:
            self._transport.set_baud(next(rates))
            left_s = give_up - time.monotonic()
            try:
                facts = self._hello(min(_RATE_SEARCH_S, left_s) if self._first_baud else left_s)
                break
            except _SilenceError:
                if time.monotonic() >= give_up:
                    self._transport.set_baud(self._first_baud)
                    raise
        if macs:
            self._timing = board_timing(macs, facts.clock_hz, self._timing)
        if self._first_baud and baud != self._first_baud:
            if self._transport.baud == baud:
                self._fast_baud = baud
            else:
                with contextlib.suppress(BoardError):
                    self.set_baud(baud)
        return facts

    @property
    def baud(self) -> int:
        """The rate in use; 0 for streams without a rate."""
        return self._transport.baud

    def _hello(self, give_up_s: float) -> wire.Facts:
        facts = self._ask(wire.Hello(wire.PROTOCOL), wire.Facts, _HELLO_WAIT_S, give_up_s)
        if facts.protocol != wire.PROTOCOL:
            raise BoardError(
                f"the board speaks protocol {facts.protocol}, mbn2c speaks {wire.PROTOCOL}",
                where=f"{facts.board}, firmware of mbn2c {facts.version}",
                hint="build and flash the firmware anew",
            )
        if self._digest is not None and facts.digest != self._digest:
            there, wanted = facts.digest.hex()[:12], self._digest.hex()[:12]
            raise BoardError(
                f"the board runs another model: '{facts.name}' {there}, not {wanted}",
                where=f"{facts.board}, firmware of mbn2c {facts.version}",
                hint="flash the firmware of this output folder",
            )
        if facts.row_bytes == 0 or facts.input_bytes % facts.row_bytes:
            raise BoardError(f"the board's input of {facts.input_bytes} B has rows of {facts.row_bytes} B")
        self._facts = facts
        return facts

    def run(self, frame: bytes) -> bytes:
        """One inference: the int8 input frame (H x W x C) as bytes -> the int8 output as bytes."""
        with self._timed():
            return self._infer(frame, "plain", 0, "output")[0]

    def run_digest(self, frame: bytes) -> int:
        """One inference; only the CRC-32 of the output comes back."""
        with self._timed():
            for _ in range(_RUN_TRIES):
                try:
                    run, _rows = self._feed(frame, "plain", 0)
                    kind = wire.BUFFERS.index("output")
                    part = self._ask(wire.Read(run, kind, 0, 0), wire.Data, self._timing.reply_s)
                    if (part.run, part.buffer, part.total) == (run, kind, self.facts.output_bytes):
                        return part.crc
                except _RunLostError:
                    pass
                self.retries += 1
        raise BoardError(f"the board lost the frame {_RUN_TRIES} times", where=self.facts.board, hint="check the line")

    @contextlib.contextmanager
    def _timed(self) -> Iterator[None]:
        started = time.monotonic()
        try:
            yield
        finally:
            self.runs += 1
            self.line_s += time.monotonic() - started

    def layer_digests(self, frame: bytes) -> list[int]:
        """CRC-32 of each step's output rows, in step order."""
        return _table(self._infer(frame, "digests", 0, "table")[0])

    def layer_cycles(self, frame: bytes) -> list[int]:
        """Cycles of each step. Raises BoardError if the device has no cycle counter."""
        if not self.facts.has_cycles:
            raise BoardError("the board has no cycle counter", where=self.facts.board)
        return _table(self._infer(frame, "cycles", 0, "table")[0])

    def layer_dump(self, frame: bytes, step: int) -> list[bytes]:
        """All rows that step number `step` makes of `frame`, in order."""
        if not 0 <= step < self.facts.steps:
            raise BoardError(f"no step {step}: the network has {self.facts.steps} steps")
        return self._infer(frame, "dump", step, "output")[1]

    def vitals(self) -> wire.Vitals:
        """Stack high-water mark, stack size and damaged frames, as the device counts them."""
        return self._ask(wire.Health(), wire.Vitals, self._timing.reply_s)

    def set_baud(self, rate: int) -> None:
        """Talk at `rate` from now on. Raises BoardError, and stays at the old rate, if that does not work.

        Should the line fail later at this rate, both ends find back to the first one.
        """
        old, self._fast_baud = self._transport.baud, 0
        try:
            done = self._ask(wire.Baud(rate), wire.Done, self._timing.reply_s, _BAUD_TRIAL_S)
            if done.value != rate:
                raise BoardError(f"the board cannot do {rate} baud", where=self.facts.board, hint="a lower rate")
        except _SilenceError:
            pass  # the answer may be what was lost: the new rate tells
        self._transport.set_baud(rate)
        try:
            self._ask(wire.Hello(wire.PROTOCOL), wire.Facts, self._timing.reply_s, _BAUD_TRIAL_S)
        except BoardError as error:
            self._transport.set_baud(old)
            self.hello()
            raise BoardError(f"no understanding at {rate} baud", where=self.facts.board, hint="a lower rate") from error
        self._fast_baud = rate if rate != self._first_baud else 0

    def reset(self) -> None:
        """Restart the device and wait until it answers again."""
        self._ask(wire.Reset(), wire.Done, self._timing.reply_s)
        self.hello()

    def close(self) -> None:
        """End the conversation, at the rate at which the next one will look for the device first."""
        if self._fast_baud:
            with contextlib.suppress(BoardError):
                self._ask(wire.Baud(self._first_baud), wire.Done, self._timing.reply_s, _BAUD_TRIAL_S)
        self._transport.close()

    def _infer(self, frame: bytes, mode: str, step: int, buffer: str) -> tuple[bytes, list[bytes]]:
        """Feed a frame and read a buffer; from the start again when the device lost the run."""
        facts = self.facts
        if len(frame) != facts.input_bytes:
            raise UsageError(f"an input frame has {facts.input_bytes} B, not {len(frame)}", where=facts.name)
        for _ in range(_RUN_TRIES):
            try:
                run, rows = self._feed(frame, mode, step)
                return self._read(run, buffer), rows
            except _RunLostError:
                self.retries += 1
        raise BoardError(f"the board lost the frame {_RUN_TRIES} times", where=facts.board, hint="check the line")

    def _feed(self, frame: bytes, mode: str, step: int) -> tuple[int, list[bytes]]:
        """Send a frame row by row, collecting dumped rows on the way. Returns the run's name and those rows."""
        facts = self.facts
        run = int.from_bytes(os.urandom(4), "little") or 1
        chunk = wire.largest_tail(wire.Rows, facts.buffer_bytes)
        dumped: list[bytes] = []
        state = self._state(wire.Begin(run, wire.MODES.index(mode), step), run, self._timing.reply_s)
        while state.state != _DONE:
            if state.state == _ROW_WAITING:
                if state.row != len(dumped):
                    raise _RunLostError
                dumped.append(self._read(run, "row"))
                state = self._state(wire.Advance(run, state.row), run, self._patience())
                continue
            if state.state != _HUNGRY or not 0 <= state.received < len(frame):
                raise _RunLostError
            row_end = (state.received // facts.row_bytes + 1) * facts.row_bytes
            data = frame[state.received : min(state.received + chunk, row_end)]
            state = self._state(wire.Rows(run, state.received, data), run, self._patience())
        if state.received != len(frame) or state.crc != zlib.crc32(frame):
            raise _RunLostError
        return run, dumped

    def _patience(self) -> float:
        return max(self._timing.rows_s, 3 * self._slowest_s)

    def _state(self, request: wire.Message, run: int, wait_s: float) -> wire.State:
        state = self._ask(request, wire.State, wait_s)
        if state.run != run:
            raise _RunLostError
        return state

    def _read(self, run: int, buffer: str) -> bytes:
        """A whole buffer of the device; its CRC is the one of the device's own copy."""
        kind = wire.BUFFERS.index(buffer)
        data = b""
        while True:
            part = self._ask(wire.Read(run, kind, len(data), _READ_BYTES), wire.Data, self._timing.reply_s)
            if (part.run, part.buffer, part.offset) != (run, kind, len(data)):
                raise _RunLostError
            data += part.data
            if len(data) >= part.total or not part.data:
                break
        if len(data) != part.total or zlib.crc32(data) != part.crc:
            raise _RunLostError
        return data

    def _ask(self, request: wire.Message, expected: type[M], wait_s: float, give_up_s: float | None = None) -> M:
        """Send a request until its answer comes; the sequence number stays, so that late answers still count.

        wait_s     before it is sent again, doubled each time; a Hello goes out at a steady pace, and counts no retries
        raises     _RunLostError if the device knows nothing of the run, BoardError if it cannot or does not answer
        """
        self._sequence = (self._sequence + 1) & 0xFFFF
        frame = wire.encode(request, self._sequence)
        started = time.monotonic()
        give_up = started + (self._timing.give_up_s if give_up_s is None else give_up_s)
        self._send(frame)
        tries = 1
        while True:
            reply = self._await(min(time.monotonic() + wait_s, give_up))
            if isinstance(reply, expected):
                if tries == 1 and isinstance(request, wire.Rows | wire.Advance):
                    self._slowest_s = max(self._slowest_s, time.monotonic() - started)
                return reply
            if isinstance(reply, wire.Refused):
                self._raise_refused(request, reply)
            elif reply is None:
                if time.monotonic() >= give_up:
                    raise _SilenceError(
                        f"the board does not answer ({tries} tries of {type(request).__name__})",
                        where=self._facts.board if self._facts is not None else "",
                        hint="check the port and the baud rate, that the firmware is flashed, and reset the board",
                    )
                # Where a rate has to be found again, many short tries are better than few long ones.
                if not isinstance(request, wire.Hello) and not self._fast_baud:
                    wait_s = min(2 * wait_s, _LONGEST_WAIT_S)
            if tries >= _MOST_TRIES and not isinstance(request, wire.Hello):
                what = f"{tries} tries of {type(request).__name__} in vain"
                raise BoardError(what, hint="check the line, or use a lower baud rate")
            if self._fast_baud and tries % _TRIES_AT_A_RATE == 0:
                is_fast = self._transport.baud == self._fast_baud
                self._transport.set_baud(self._first_baud if is_fast else self._fast_baud)
            tries += 1
            self.retries += 0 if isinstance(request, wire.Hello) else 1
            self._send(wire.DELIMITER + frame)

    def _send(self, data: bytes) -> None:
        self.sent_bytes += len(data)
        self._transport.write(data)

    def _await(self, until: float) -> wire.Message | None:
        """The answer to the request under way; None after `until`; _Damaged if something unreadable came."""
        while True:
            end = self._pending.find(wire.DELIMITER)
            if end < 0:
                left_s = until - time.monotonic()
                if left_s <= 0:
                    return None
                data = self._transport.read(min(left_s, 1.0))
                self.received_bytes += len(data)
                self._pending += data
                continue
            frame, self._pending = self._pending[:end], self._pending[end + 1 :]
            if not frame:
                continue
            try:
                message, sequence = wire.decode(frame)
            except BoardError:
                return _DAMAGED
            if isinstance(message, wire.Refused) and message.reason == _FAULT:
                raise BoardError(
                    f"the firmware hit a processor fault (exception {message.detail})",
                    where=self._facts.board if self._facts is not None else "",
                    hint="this is a bug in mbn2c or a wrong memory map of the board",
                )
            if isinstance(message, wire.Refused) and message.reason == _DAMAGED.reason:
                return _DAMAGED
            if sequence == self._sequence:
                return message

    def _raise_refused(self, request: wire.Message, refused: wire.Refused) -> None:
        """What a refusal of `request` means; returns if it means to send it again."""
        reason = wire.REASONS[refused.reason] if refused.reason < len(wire.REASONS) else str(refused.reason)
        if reason == "damaged":
            return
        if reason in ("run", "state"):
            raise _RunLostError
        where = self._facts.board if self._facts is not None else ""
        if reason == "network":
            code = refused.detail - 2**32 if refused.detail >= 2**31 else refused.detail
            raise BoardError(f"the network on the board failed with code {code}", where=where)
        raise BoardError(
            f"the board refused {type(request).__name__}: {reason} ({refused.detail})",
            where=where,
            hint="host and firmware of the same mbn2c version",
        )


def _table(data: bytes) -> list[int]:
    """uint32 entries, one per step."""
    return [value for (value,) in struct.iter_unpack("<I", data)]
