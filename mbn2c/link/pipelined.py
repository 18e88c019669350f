"""Input frames one behind the other, without waiting for each answer -> output tensors.

The line is full while the device works: as many requests are on the way as the device has said it can hold. Nothing is
repeated here: whatever is lost or refused fails all frames on the way, and the session runs them stop-and-wait.
"""

from __future__ import annotations

import os
import time
import zlib
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property

from mbn2c.link import wire
from mbn2c.link.dialogue import READ_BYTES, Dialogue
from mbn2c.link.packing import LARGEST_RATIO, MOST_CHANNELS, Packer
from mbn2c.link.reply_checks import check_data, check_state
from mbn2c.link.stop_and_wait import other_buffer, other_input

# Frames that are on the way or wait to be: the one whose answer is due, the one whose rows go out, the next.
_MOST_FRAMES = 3
# What unpacking takes the slowest core, per input byte (benchmarks/packing.py).
_UNPACK_CYCLES = 120

_AWAITING_INPUT, _DONE = wire.STATES.index("awaiting_input"), wire.STATES.index("done")
_PLAIN, _OUTPUT = wire.MODES.index("plain"), wire.BUFFERS.index("output")


@dataclass(frozen=True)
class RunResult:
    """What became of a frame.

    output  None if the frame is lost; b"" if only the digest was asked for
    crc     of the output
    cycles  of the device, 0 if they are not counted
    fault   in what the device contradicted itself on the way, in words; "" for nothing
    """

    output: bytes | None
    crc: int = 0
    cycles: int = 0
    fault: str = ""


@dataclass
class _Run:
    """A frame on its way: its name, what must come back of its input, and the output so far."""

    run: int
    frame: bytes
    facts: wire.Facts
    output: bytearray = field(default_factory=bytearray)

    @cached_property
    def crc(self) -> int:
        return zlib.crc32(self.frame)

    @cached_property
    def packer(self) -> Packer:
        return Packer(self.frame, self.facts.row_bytes, self.facts.pixel_bytes)


@dataclass(frozen=True)
class _Request:
    """One request of a run, and how many input bytes the device has then received."""

    run: _Run
    message: wire.Begin | wire.Input | wire.Compressed | wire.Fetch
    received: int


class Pipeline:
    """Frames in order through one device.

    facts       of the device; its `window_bytes` is how much may be unanswered
    patience_s  for the next answer, besides the time of what is on the line before it
    digests     whether only the outputs' CRC-32 are fetched
    """

    def __init__(self, line: Dialogue, facts: wire.Facts, patience_s: float, *, digests: bool = False) -> None:
        self._line, self._facts, self._digests = line, facts, digests
        self._patience_s = patience_s + line.seconds(facts.window_bytes)
        # Two frames on the line fit into the window: one that is being worked on, one that arrives.
        body_bytes = min(facts.buffer_bytes, wire.largest_body(facts.window_bytes // 2))
        self._chunk = wire.largest_tail(wire.Input, body_bytes)
        self._packed_chunk = wire.largest_tail(wire.Compressed, body_bytes)
        self._waiting: deque[Iterator[_Request]] = deque()
        self._next: _Request | None = None
        self._cycles = 0  # of the last inference
        self._asked: deque[tuple[int, int, _Request]] = deque()  # sequence, bytes on the line, what
        self._asked_bytes = 0
        self._runs: deque[_Run] = deque()
        self._heard_at = time.monotonic()

    @property
    def frames(self) -> int:
        """Frames whose answers are still due."""
        return len(self._runs)

    def wants_more(self) -> bool:
        """Whether another frame may go out before the answers to those on their way."""
        return len(self._runs) < _MOST_FRAMES

    def offer(self, frame: bytes) -> None:
        """The next frame to send."""
        run = _Run(int.from_bytes(os.urandom(4), "little") or 1, frame, self._facts)
        if not self._runs:
            self._heard_at = time.monotonic()
        self._runs.append(run)
        self._waiting.append(self._requests(run))

    def _requests(self, run: _Run) -> Iterator[_Request]:
        """All requests of a run, each made when it is its turn."""
        yield _Request(run, wire.Begin(run.run, _PLAIN, 0), 0)
        start, end = 0, len(run.frame)
        while start < end:
            message, start = self._input_from(run, start)
            yield _Request(run, message, start)
        whole, part = self._facts.output_bytes, READ_BYTES
        for start in range(0, 1 if self._digests else whole, part):
            yield _Request(run, wire.Fetch(run.run, _OUTPUT, start, 0 if self._digests else part), end)

    def _input_from(self, run: _Run, start: int) -> tuple[wire.Input | wire.Compressed, int]:
        """The request with the input bytes from `start` on, and where it ends: packed if that saves time."""
        data = run.frame[start : start + self._chunk]
        if self._packing_pays(1 / LARGEST_RATIO):
            count, packed = run.packer.pack(start, self._packed_chunk)
            if count > len(data) and self._packing_pays(len(packed) / count):
                return wire.Compressed(run.run, start, count, packed), start + count
        return wire.Input(run.run, start, data), start + len(data)

    def _packing_pays(self, share: float) -> bool:
        """Whether frames go faster with so much of their bytes left: what is busy longer, line or device, decides."""
        facts, line_s = self._facts, self._line.seconds(self._facts.input_bytes)
        if not (line_s and facts.clock_hz and 0 < facts.pixel_bytes <= MOST_CHANNELS):
            return False
        device_s = self._cycles / facts.clock_hz
        unpacked_s = device_s + _UNPACK_CYCLES * facts.input_bytes / facts.clock_hz
        return max(line_s, device_s) > max(share * line_s, unpacked_s)

    def step(self, wait_s: float) -> list[RunResult]:
        """Send what there is room for, and hear one reply if it comes within `wait_s`; the frames that are finished.

        raises  BoardError when the line is gone, the firmware has crashed or tells what cannot be, or an image takes
                too long
        """
        self._line.check_image()
        self._send()
        give_up = self._heard_at + self._patience_s
        reply = self._line.next_reply(min(time.monotonic() + wait_s, give_up))
        is_late = time.monotonic() >= give_up
        if reply is None:
            return self._give_up() if is_late else []
        message, sequence = reply
        if not self._asked or sequence != self._asked[0][0]:
            known = any(sequence == asked for asked, _, _ in self._asked)
            is_refusal = isinstance(message, wire.Refused)
            # Else a late answer to something before.
            return self._give_up() if known or is_refusal or is_late else []
        self._heard_at = time.monotonic()
        _, size, request = self._asked.popleft()
        self._asked_bytes -= size
        if not self._is_right(request, message):
            return self._give_up(request.run, self._fault(request, message))
        if isinstance(message, wire.Data) and (self._digests or len(request.run.output) == message.total):
            if not self._digests and (crc := zlib.crc32(request.run.output)) != message.crc:
                return self._give_up(request.run, other_buffer("output", crc, message.crc))
            self._runs.popleft()
            self._cycles = message.cycles
            # Before anything is sent: an answer that has come is not lost with a line that fails then.
            return [RunResult(bytes(request.run.output), message.crc, message.cycles)]
        self._send()
        return []

    def _send(self) -> None:
        while self._waiting:
            request = self._next = self._next or next(self._waiting[0], None)
            if request is None:
                self._waiting.popleft()
                continue
            if self._asked and self._asked_bytes + wire.most_bytes(request.message) > self._facts.window_bytes:
                return
            sequence, size = self._line.post(request.message)
            self._next = None
            self._asked.append((sequence, size, request))
            self._asked_bytes += size

    def _is_right(self, request: _Request, reply: wire.Message) -> bool:
        run = request.run
        if isinstance(request.message, wire.Fetch):
            if not isinstance(reply, wire.Data) or (reply.run, reply.buffer) != (run.run, _OUTPUT):
                return False
            if (reply.offset, request.message.offset) != (len(run.output), len(run.output)):
                return False
            run.output += check_data(reply, self._facts, request.message, self._facts.output_bytes)
            return True
        if isinstance(reply, wire.State):
            check_state(reply, self._facts, "plain")
        if not isinstance(reply, wire.State) or (reply.run, reply.received) != (run.run, request.received):
            return False
        if request.received == len(run.frame):
            return reply.state == _DONE and reply.crc == run.crc
        return reply.state == _AWAITING_INPUT

    def _fault(self, request: _Request, reply: wire.Message) -> str:
        """Where all of a reply is right but the CRC-32 of the whole input, in words: no line makes that wrong."""
        crc = request.run.crc
        if isinstance(reply, wire.State) and self._is_right(request, replace(reply, crc=crc)):
            return other_input(crc, reply.crc)
        return ""

    def _give_up(self, faulty: _Run | None = None, fault: str = "") -> list[RunResult]:
        """All frames on the way have failed; the line is quiet afterwards, as far as possible.

        fault  of the device, in the run `faulty`
        """
        failed = [RunResult(None, fault=fault if run is faulty else "") for run in self._runs]
        self._runs.clear()
        self._waiting.clear()
        self._next = None
        self._asked.clear()
        self._asked_bytes = 0
        self._line.retries += 1
        self._line.drain()
        return failed
