"""Requests -> their answers, over any Transport: each is repeated until its answer comes.

The sequence number of a request stays when it is repeated, so that late answers still count.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, replace
from typing import TypeVar

from mbn2c import wire
from mbn2c.errors import BoardError
from mbn2c.link.transport import Transport

M = TypeVar("M", bound=wire.Message)

BITS_PER_BYTE = 10  # with start and stop bit
_MOST_TRIES = 200
_LONGEST_WAIT_S = 20.0
_QUIET_S = 0.03
# After so many tries in vain at a negotiated rate, the first rate is tried as well, in turns.
_TRIES_AT_A_RATE = 5
_SLOWEST_CYCLES_PER_MAC = 25

_FAULT = wire.REASONS.index("fault")
_DAMAGED = wire.Refused(wire.REASONS.index("damaged"), 0)


class SilenceError(BoardError):
    """Nobody answered."""


class RunLostError(Exception):
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


class Dialogue:
    """Who asks what on one line, and at which rate.

    where       who is there, for messages; "" until it is known
    first_baud  the rate of the line when it was opened, which the device has after a reset; 0 for streams without one
    fast_baud   a rate negotiated since, 0 for none: should it fail, both ends find back to the first one
    slowest_s   the longest that rows have taken
    retries     requests sent more than once so far
    sent_bytes, received_bytes  on the line
    """

    def __init__(self, transport: Transport, timing: Timing) -> None:
        self.transport = transport
        self.timing = timing
        self.where = ""
        self.first_baud = transport.baud
        self.fast_baud = 0
        self.slowest_s = 0.0
        self.retries = 0
        self.sent_bytes = 0
        self.received_bytes = 0
        self._sequence = int.from_bytes(os.urandom(2), "little")
        self._pending = b""

    def ask(self, request: wire.Message, expected: type[M], wait_s: float, give_up_s: float | None = None) -> M:
        """Send a request until its answer comes; the sequence number stays, so that late answers still count.

        wait_s     before it is sent again, doubled each time; a Hello goes out at a steady pace, and counts no retries
        raises     RunLostError if the device knows nothing of the run, BoardError if it cannot or does not answer
        """
        frame = self._encoded(request)
        wait_s += self.seconds(len(frame))
        started = time.monotonic()
        give_up = started + (self.timing.give_up_s if give_up_s is None else give_up_s)
        self._send(frame)
        tries, heard = 1, False
        while True:
            reply = self._await(min(time.monotonic() + wait_s, give_up))
            while reply is _DAMAGED and (later := self._await(time.monotonic() + _QUIET_S)) is not None:
                reply = later  # one frame may fall into several, each refused: that asks for one more try, not several
            if isinstance(reply, expected):
                if tries == 1 and isinstance(request, wire.Rows | wire.Advance):
                    self.slowest_s = max(self.slowest_s, time.monotonic() - started)
                return reply
            if isinstance(reply, wire.Refused):
                self._raise_refused(request, reply)
                heard = True
            elif reply is None:
                if time.monotonic() >= give_up and (not heard or isinstance(request, wire.Hello)):
                    raise SilenceError(
                        f"the board does not answer ({tries} tries of {type(request).__name__})",
                        where=self.where,
                        hint="check the port and the baud rate, that the firmware is flashed, and reset the board",
                    )
                # Where a rate has to be found again, many short tries are better than few long ones.
                if not isinstance(request, wire.Hello) and not self.fast_baud:
                    wait_s = min(2 * wait_s, _LONGEST_WAIT_S)
            in_vain = tries >= _MOST_TRIES or (heard and time.monotonic() >= give_up)
            if in_vain and not isinstance(request, wire.Hello):
                what = f"{tries} tries of {type(request).__name__} in vain"
                raise BoardError(what, hint="check the line, or use a lower baud rate")
            if self.fast_baud and tries % _TRIES_AT_A_RATE == 0:
                is_fast = self.transport.baud == self.fast_baud
                self.transport.set_baud(self.first_baud if is_fast else self.fast_baud)
            tries += 1
            self.retries += 0 if isinstance(request, wire.Hello) else 1
            self._send(wire.DELIMITER + frame)

    def seconds(self, count: int) -> float:
        """What so many bytes take on the line."""
        return count * BITS_PER_BYTE / self.transport.baud if self.transport.baud else 0.0

    def post(self, request: wire.Message) -> tuple[int, int]:
        """Send a request once, and wait for nothing; its sequence number, and its bytes on the line."""
        frame = self._encoded(request)
        self._send(frame)
        return self._sequence, len(frame)

    def _encoded(self, request: wire.Message) -> bytes:
        self._sequence = (self._sequence + 1) & 0xFFFF
        return wire.encode(request, self._sequence)

    def _send(self, data: bytes) -> None:
        self.sent_bytes += len(data)
        self.transport.write(data)

    def _await(self, until: float) -> wire.Message | None:
        """The answer to the request under way; None after `until`; _DAMAGED if something unreadable came."""
        while (reply := self.next_reply(until)) is not None:
            if reply[0] is _DAMAGED or reply[1] == self._sequence:
                return reply[0]
        return None

    def next_reply(self, until: float) -> tuple[wire.Message, int] | None:
        """Whatever comes next, and its sequence number; None after `until`.

        Something unreadable, or the device's word that it could not read, is _DAMAGED with number 0.
        raises  BoardError when the firmware has crashed, or the line is gone
        """
        while True:
            end = self._pending.find(wire.DELIMITER)
            if end < 0:
                left_s = until - time.monotonic()
                if left_s <= 0:
                    return None
                data = self.transport.read(min(left_s, 1.0))
                self.received_bytes += len(data)
                self._pending += data
                continue
            frame, self._pending = self._pending[:end], self._pending[end + 1 :]
            if not frame:
                continue
            try:
                message, sequence = wire.decode(frame)
            except wire.ProtocolError:
                raise
            except BoardError:
                return _DAMAGED, 0
            if isinstance(message, wire.Refused) and message.reason == _FAULT:
                raise BoardError(
                    f"the firmware hit a processor fault (exception {message.detail})",
                    where=self.where,
                    hint="this is a bug in mbn2c or a wrong memory map of the board",
                )
            if isinstance(message, wire.Refused) and message.reason == _DAMAGED.reason:
                return _DAMAGED, 0
            return message, sequence

    def _raise_refused(self, request: wire.Message, refused: wire.Refused) -> None:
        """What a refusal of `request` means; returns if it means to send it again."""
        reason = wire.REASONS[refused.reason] if refused.reason < len(wire.REASONS) else str(refused.reason)
        if reason == "damaged":
            return
        if reason in ("run", "state"):
            raise RunLostError
        if reason == "network":
            code = refused.detail - 2**32 if refused.detail >= 2**31 else refused.detail
            raise BoardError(f"the network on the board failed with code {code}", where=self.where)
        raise BoardError(
            f"the board refused {type(request).__name__}: {reason} ({refused.detail})",
            where=self.where,
            hint="host and firmware of the same mbn2c version",
        )
