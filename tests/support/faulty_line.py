"""Lines between host and device: one on which everything goes wrong at a known rate, from a seed, and a slow one."""

from __future__ import annotations

import random
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from mbn2c.link.session import Session
from mbn2c.link.transports.transport import Transport

FRAME_FAULTS = ("drop", "duplicate", "flip", "split", "delay", "reorder")
RUN_FAULTS = ("garbage", "reset", "pull")
FAULTS = FRAME_FAULTS + RUN_FAULTS


class FaultyLine:
    """Wraps what `plug_in` opens.

    Each frame that passes, in either direction, suffers each of FRAME_FAULTS with probability `rate`. Before a frame
    towards the device, with probability `rate / frames_per_run` each: the device is restarted, and sends garbage first
    ("garbage"), or has just received half a frame ("reset"); or the cable is pulled for `pull_s` and nothing passes
    ("pull").
    """

    baud = 0

    def __init__(
        self,
        plug_in: Callable[[], Transport],
        rate: float,
        seed: int,
        *,
        frames_per_run: int,
        delay_s: float,
        pull_s: float,
    ) -> None:
        self.plug_in, self.line = plug_in, plug_in()
        self.rate, self.run_rate = rate, rate / frames_per_run
        self.delay_s, self.pull_s = delay_s, pull_s
        self.random = random.Random(seed)
        self.faults: Counter[str] = Counter()
        self.pulled_until = 0.0
        self.arrived = b""  # from the device, not whole frames yet
        self.ready: list[tuple[float, bytes]] = []  # due time, frame
        self.held = b""  # towards the device: reordered behind the next frame

    def read(self, timeout_s: float) -> bytes:
        until = time.monotonic() + timeout_s
        while True:
            now = time.monotonic()
            due = b"".join(frame for at, frame in self.ready if at <= now)
            self.ready = [(at, frame) for at, frame in self.ready if at > now]
            if due and now >= self.pulled_until:
                return due
            if now >= until:
                return b""
            next_due = min((at for at, _ in self.ready), default=until)
            self._collect(self.line.read(max(0.001, min(until, next_due) - now)))

    def _collect(self, data: bytes) -> None:
        *frames, self.arrived = (self.arrived + data).split(b"\x00")
        passed: list[tuple[float, bytes]] = []
        for frame in frames:
            passed += self._spoil(frame + b"\x00")
        if len(passed) > 1 and self._happens("reorder"):
            passed.reverse()
        self.ready += passed

    def write(self, data: bytes) -> None:
        if self._happens("garbage", self.run_rate):
            self._restart()
            self.arrived += self.random.randbytes(self.random.randint(1, 40))
        if self._happens("reset", self.run_rate):
            self.line.write(data[: len(data) // 2])
            self._restart()
        if self._happens("pull", self.run_rate):
            self.pulled_until = time.monotonic() + self.pull_s
        if time.monotonic() < self.pulled_until:
            return
        if not self.held and self._happens("reorder"):
            self.held = data
            return
        for at, frame in self._spoil(data):
            if at > time.monotonic():
                time.sleep(self.delay_s)
            self.line.write(frame)
        if self.held:
            self.line.write(self.held)
            self.held = b""

    def _restart(self) -> None:
        self.line.close()
        self.line = self.plug_in()
        self.arrived = b""

    def _spoil(self, frame: bytes) -> list[tuple[float, bytes]]:
        """What arrives of a frame, and when."""
        now = time.monotonic()
        if now < self.pulled_until or self._happens("drop"):
            return []
        if self._happens("flip"):
            place = self.random.randrange(len(frame))
            frame = frame[:place] + bytes([frame[place] ^ 1 << self.random.randrange(8)]) + frame[place + 1 :]
        if self._happens("split") and len(frame) > 1:
            cut = self.random.randint(1, len(frame) - 1)
            return [(now, frame[:cut] + b"\x00"), (now, frame[cut:])]
        copies = 2 if self._happens("duplicate") else 1
        return [(now + self.delay_s if self._happens("delay") else now, frame)] * copies

    def _happens(self, fault: str, rate: float | None = None) -> bool:
        if self.random.random() >= (self.rate if rate is None else rate):
            return False
        self.faults[fault] += 1
        return True

    def set_baud(self, rate: int) -> None:
        self.line.set_baud(rate)

    def close(self) -> None:
        self.line.close()


class SlowLine:
    """A serial line of limited rate in front of a device that answers each frame at once: its clock is a computed one.

    now         seconds; only `read` lets them pass
    latency_s   of an adapter, each way
    load        the device's work on a request, in units of its time on the line; it holds what arrives meanwhile
    held_bytes  the most it ever held
    """

    def __init__(self, line: Transport, baud: int, latency_s: float, load: float) -> None:
        self.line, self.baud, self.latency_s, self.load = line, baud, latency_s, load
        self.now = 1.0
        self.sent_at = self.worked_until = self.answered_at = 0.0
        self.replies: deque[tuple[float, bytes]] = deque()
        self.held: list[tuple[float, int]] = []  # until when, how many bytes
        self.held_bytes = 0

    def monotonic(self) -> float:
        return self.now

    def write(self, data: bytes) -> None:
        for frame in filter(None, data.split(b"\x00")):  # what is empty gets no answer
            self.sent_at = max(self.sent_at, self.now) + self._seconds(len(frame) + 1)
            arrived = self.sent_at + self.latency_s
            self.held = [(until, size) for until, size in self.held if until > arrived]
            self.worked_until = max(self.worked_until, arrived) + self.load * self._seconds(len(frame) + 1)
            self.held.append((self.worked_until, len(frame) + 1))
            self.held_bytes = max(self.held_bytes, sum(size for _, size in self.held))
            self.line.write(frame + b"\x00")
            reply = b""
            while not reply.endswith(b"\x00"):
                reply += self.line.read(10.0)
            self.answered_at = max(self.answered_at, self.worked_until) + self._seconds(len(reply))
            self.replies.append((self.answered_at + self.latency_s, reply))

    def _seconds(self, count: int) -> float:
        return 10 * count / self.baud

    def read(self, timeout_s: float) -> bytes:
        until = self.now + max(timeout_s, 1e-6)
        if self.replies and self.replies[0][0] <= until:
            due, reply = self.replies.popleft()
            self.now = max(self.now, due)
            return reply
        self.now = until
        return b""

    def set_baud(self, rate: int) -> None:
        self.baud = rate

    def close(self) -> None:
        self.line.close()


@contextmanager
def slow_session(device: Transport, baud: int, digest: bytes) -> Iterator[tuple[Session, SlowLine]]:
    """A conversation that has begun, on a line of limited rate, with a device that works half of the time."""
    line = SlowLine(device, baud, latency_s=0.001, load=0.5)
    with pytest.MonkeyPatch.context() as patch:
        for module in ("session", "dialogue", "pipelined"):
            patch.setattr(f"mbn2c.link.{module}.time", line)
        session = Session(line, digest=digest)
        session.hello()
        yield session, line
