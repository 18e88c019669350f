"""A line between host and device on which everything goes wrong at a known rate, frame by frame, from a seed."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable

from mbn2c.link.transport import Transport

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
