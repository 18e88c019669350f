"""Requests -> their answers, over any Transport: each is repeated until its answer comes.

The sequence number of a request stays when it is repeated, so that late answers still count.
"""

from __future__ import annotations

import math
import os
import time
from collections import deque
from dataclasses import dataclass, replace
from typing import TypeVar

from mbn2c.errors import BoardError, DeviceFaultError
from mbn2c.link import wire
from mbn2c.link.transports.transport import Transport

M = TypeVar("M", bound=wire.Message)

BITS_PER_BYTE = 10  # with start and stop bit
READ_BYTES = 2048
"""Of a device's buffer, asked for at once."""
_LONGEST_REPLY_BYTES = wire.most_bytes(wire.Data(0, 0, 0, 0, 0, 0, bytes(READ_BYTES)))
_MOST_TRIES = 200
_LONGEST_WAIT_S = 20.0
_QUIET_S = 0.03
# After so many tries in vain at a negotiated rate, the first rate is tried as well, in turns.
_TRIES_AT_A_RATE = 5
# After a fault, the line is left alone until it has been silent so long, at most so long in all.
_SILENCE_S = 0.1
_LONGEST_DRAIN_S = 3.0
_SLOWEST_CYCLES_PER_MAC = 25
_LONGEST_GIVE_UP_S = 3600.0

# What init answers where the processor lacks the target's instructions: templates/network/model.h.j2.
_E_CPU = 4
_FAULT = wire.REASONS.index("fault")
_DAMAGED = wire.Refused(wire.REASONS.index("damaged"), 0)


class SilenceError(BoardError):
    """Nobody answered."""


class RunLostError(Exception):
    """The device no longer knows this run, or holds other bytes than we sent; the argument says which, in words."""


class ContradictionError(RunLostError):
    """In frames whose own CRC is right the device contradicts what it was sent or has said: no line does that."""


@dataclass(frozen=True)
class Timing:
    """Patience, in seconds. An image takes IMAGE_GIVE_UPS times `give_up_s` at most, and its time on the line besides.

    hello   for a device to answer at all, booting included
    reply   before a request that needs no computation is sent again
    rows    before rows are sent again, until the device's own pace is known
    give_up for the answer to any one request
    """

    hello_s: float = 20.0
    reply_s: float = 0.5
    rows_s: float = 2.0
    give_up_s: float = 120.0


IMAGE_GIVE_UPS = 2
IMAGE_LINE_TIMES = 4
"""How often an image may go over the line, for its share of the bound above."""


def board_timing(macs: int, clock_hz: int, usual: Timing = Timing()) -> Timing:
    """Patience with a real board that computes a whole network of `macs` when the last row is in.

    It tells its clock itself: however slow that is, nothing waits for more than an hour.
    """
    slowest_s = macs * _SLOWEST_CYCLES_PER_MAC / clock_hz if clock_hz else 0.0
    give_up_s = min(max(usual.give_up_s, 5 * slowest_s), _LONGEST_GIVE_UP_S)
    return replace(usual, rows_s=min(usual.rows_s + slowest_s, give_up_s), give_up_s=give_up_s)


EMULATED = Timing(hello_s=60.0, reply_s=5.0, rows_s=20.0, give_up_s=1200.0)
"""An emulator loses nothing and may be slow."""


class Dialogue:
    """Who asks what on one line, and at which rate. Every wait ends by the clock, whatever arrives meanwhile.

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
        self._frames: deque[bytes] = deque()  # that have come whole
        self._partial = b""  # and one that has not
        self._image_s = 0.0
        self._image_until = math.inf

    def begin_image(self, count: int) -> None:
        """From now on until `end_image`, all waits together have the bound of an image of `count` bytes on the line."""
        self._image_s = IMAGE_GIVE_UPS * self.timing.give_up_s + self._line_share(count)
        self._image_until = time.monotonic() + self._image_s

    def extend_image(self, count: int) -> None:
        """The image under way has brought so many bytes more than it was begun with."""
        self._image_s += self._line_share(count)
        self._image_until += self._line_share(count)

    def end_image(self) -> None:
        """Lift the limit of time for one image."""
        self._image_until = math.inf

    def check_image(self) -> None:
        """Raises BoardError when the image under way has taken longer than its bound."""
        if time.monotonic() >= self._image_until:
            raise BoardError(
                f"the board has not finished an image within {self._image_s:.3g} s",
                where=self.where,
                hint="reset the board, check the line, or use a higher baud rate",
            )

    def _line_share(self, count: int) -> float:
        """At the slower one of the rates in use."""
        bauds = [baud for baud in (self.transport.baud, self.first_baud) if baud]
        return IMAGE_LINE_TIMES * count * BITS_PER_BYTE / min(bauds) if bauds else 0.0

    def ask(self, request: wire.Message, expected: type[M], wait_s: float, give_up_s: float | None = None) -> M:
        """Send a request until its answer comes; the sequence number stays, so that late answers still count.

        wait_s     before it is sent again, doubled each time; a Hello goes out at a steady pace, and counts no retries
        raises     RunLostError if the device knows nothing of the run, BoardError if it cannot or does not answer
        """
        self.check_image()
        frame = self._encoded(request)
        wait_s += self.seconds(len(frame))
        started = time.monotonic()
        give_up = started + (self.timing.give_up_s if give_up_s is None else give_up_s)
        heard_from = self.received_bytes
        self._send(frame)
        tries, heard = 1, False
        while True:
            reply = self._answer(wait_s, min(give_up, self._image_until))
            if isinstance(reply, expected):
                if tries == 1 and isinstance(request, wire.Input | wire.Advance):
                    self.slowest_s = max(self.slowest_s, time.monotonic() - started)
                return reply
            heard = heard or reply is not None
            if isinstance(reply, wire.Refused):
                self._raise_refused(request, reply)
            self.check_image()
            in_vain = tries >= _MOST_TRIES and not isinstance(request, wire.Hello)
            if in_vain or time.monotonic() >= give_up:
                raise self._no_answer(request, tries, heard, self.received_bytes - heard_from)
            # Where a rate has to be found again, many short tries are better than few long ones.
            if reply is None and not isinstance(request, wire.Hello) and not self.fast_baud:
                wait_s = min(2 * wait_s, _LONGEST_WAIT_S)
            if self.fast_baud and tries % _TRIES_AT_A_RATE == 0:
                is_fast = self.transport.baud == self.fast_baud
                self.transport.set_baud(self.first_baud if is_fast else self.fast_baud)
            tries += 1
            self.retries += 0 if isinstance(request, wire.Hello) else 1
            self._send(wire.DELIMITER + frame)

    def _no_answer(self, request: wire.Message, tries: int, heard: bool, count: int) -> BoardError:
        """What to raise: whoever looks for a device wants to know only that nobody answered."""
        what = f"{tries} tries of {type(request).__name__}"
        if heard and not isinstance(request, wire.Hello):
            hint = "check the line, or use a lower baud rate"
            return BoardError(f"{what} in vain, {count:,} B came meanwhile", where=self.where, hint=hint)
        noise = f"; {count:,} B came that are no answer" if count else ""
        return SilenceError(
            f"the board does not answer ({what}{noise})",
            where=self.where,
            hint="check the port and the baud rate, that the firmware is flashed, and reset the board",
        )

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

    def _answer(self, wait_s: float, give_up: float) -> wire.Message | None:
        """The answer to the request under way; None after `wait_s`; _DAMAGED if only something unreadable came.

        One frame may fall into several, each of them refused: that asks for one more try, not several, so what is
        damaged is answered only when the line has been quiet, or has not for another `wait_s`.
        """
        reply = self._await(min(time.monotonic() + wait_s, give_up))
        until = min(time.monotonic() + wait_s, give_up)
        while reply is _DAMAGED and (left_s := until - time.monotonic()) > 0:
            later = self._await(time.monotonic() + min(_QUIET_S, left_s))
            if later is None:
                break
            reply = later
        return reply

    def _await(self, until: float) -> wire.Message | None:
        """The answer to the request under way; None after `until`; _DAMAGED if something unreadable came."""
        while (reply := self.next_reply(until)) is not None:
            if reply[0] is _DAMAGED or reply[1] == self._sequence:
                return reply[0]
            if time.monotonic() >= until:
                break  # frames that nobody asked for, without end
        return None

    def drain(self) -> None:
        """Hear until nothing comes any more, or for some seconds."""
        until = min(time.monotonic() + _LONGEST_DRAIN_S, self._image_until)
        while (now := time.monotonic()) < until and self.next_reply(min(now + _SILENCE_S, until)) is not None:
            pass

    def next_reply(self, until: float) -> tuple[wire.Message, int] | None:
        """Whatever comes next, and its sequence number; None after `until`.

        Something unreadable, or the device's word that it could not read, is _DAMAGED with number 0.
        raises  BoardError when the firmware has crashed, or the line is gone
        """
        while not self._frames:
            # At least one look: what has come while nobody could look is no less there.
            left_s = max(until - time.monotonic(), 0.0)
            self._take(self.transport.read(min(left_s, 1.0)))
            if not self._frames and time.monotonic() >= until:
                return None
        return self._decoded(self._frames.popleft())

    def _take(self, data: bytes) -> None:
        """Bytes from the line. Of a frame that is longer than any reply only so much is kept that it is damaged."""
        self.received_bytes += len(data)
        *whole, partial = (self._partial + data).split(wire.DELIMITER)
        self._frames += filter(None, whole)
        self._partial = partial[: _LONGEST_REPLY_BYTES + 1]

    def _decoded(self, frame: bytes) -> tuple[wire.Message, int]:
        if len(frame) > _LONGEST_REPLY_BYTES:
            return _DAMAGED, 0
        try:
            message, sequence = wire.decode(frame)
        except wire.ProtocolError:
            raise
        except BoardError:
            return _DAMAGED, 0
        if isinstance(message, wire.Refused) and message.reason == _FAULT:
            raise DeviceFaultError(
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
        if reason in ("run", "state") and hasattr(request, "run"):
            raise RunLostError(f"it refused {type(request).__name__}: {reason} ({refused.detail})")
        if reason == "network":
            code = refused.detail - 2**32 if refused.detail >= 2**31 else refused.detail
            what = f"the network on the board failed with code {code}"
            if code == _E_CPU:
                hint = "`mbn2c targets` lists the family's target that asks the processor"
                raise DeviceFaultError(f"{what}: its processor lacks instructions", where=self.where, hint=hint)
            raise DeviceFaultError(what, where=self.where)
        raise DeviceFaultError(
            f"the board refused {type(request).__name__}: {reason} ({refused.detail})",
            where=self.where,
            hint="host and firmware of the same mbn2c version",
        )
