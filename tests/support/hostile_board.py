"""A board in Python on a line with a computed clock: it answers well, but for what a test makes it do wrong."""

from __future__ import annotations

import random
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import fields, replace

import pytest

from mbn2c.link import wire
from mbn2c.link.session import Session, TensorSizes, Timing

DIGEST = bytes(range(32))
FRAME = bytes(range(96))
OUTPUT = FRAME[:10]
SIZES = TensorSizes(len(FRAME), len(OUTPUT))
QUICK = Timing(hello_s=2.0, reply_s=0.05, rows_s=0.05, give_up_s=1.0)
IMAGE_S = 2 * QUICK.give_up_s
"""As docs/protocol.md states it, for a line without a rate."""
FACTS = wire.Facts(
    protocol=wire.PROTOCOL, buffer_bytes=80, window_bytes=400, digest=DIGEST, build=0, input_bytes=len(FRAME),
    row_bytes=32, pixel_bytes=0, output_bytes=len(OUTPUT), arena_bytes=64, clock_hz=0, steps=2, has_cycles=1,
    name="person", core="host", board="hostile", version="0",
)  # fmt: skip
Wrong = Callable[[wire.Message, wire.Message], wire.Message | bytes | None]


class Board:
    """Step 0 copies each input row, step 1 is the first 10 bytes of the input, and the output."""

    def __init__(self) -> None:
        self.begun = wire.Begin(0, 0, 0)
        self.input = b""
        self.row = 0
        self.row_data = b""
        self.state = "idle"

    def answer(self, request: wire.Message) -> wire.Message:
        match request:
            case wire.Hello():
                return FACTS
            case wire.Health():
                return wire.Vitals(100, 4096, 0)
            case wire.Constant():
                return wire.Checksum(request.index, 100, 0x1234)
            case wire.Baud():
                return wire.Done(request.rate)
            case wire.Reset():
                return wire.Done(0)
            case wire.Begin():
                if request.run != self.begun.run or self.state == "idle":
                    self.begun, self.input, self.row, self.row_data, self.state = request, b"", 0, b"", "awaiting_input"
            case wire.Input() | wire.Advance() | wire.Fetch() if request.run != self.begun.run:
                return wire.Refused(wire.REASONS.index("run"), self.begun.run)
            case wire.Input() if self.state == "awaiting_input" and request.offset == len(self.input):
                self.input += request.data
                self._compute()
            case wire.Advance() if self.state == "row_waiting" and request.row == self.row:
                self.row, self.row_data = self.row + 1, b""
                self.state = "done" if len(self.input) == len(FRAME) else "awaiting_input"
            case wire.Fetch():
                return self._data(request)
        crc = zlib.crc32(self.input)
        state = wire.STATES.index(self.state)
        return wire.State(self.begun.run, state, len(self.input), self.row, len(self.row_data), crc)

    def _compute(self) -> None:
        self.state = "done" if len(self.input) == len(FRAME) else "awaiting_input"
        is_dumped = wire.MODES[self.begun.mode] == "dump" and self.begun.step == 0
        if is_dumped and len(self.input) % FACTS.row_bytes == 0:
            self.state, self.row_data = "row_waiting", self.input[-FACTS.row_bytes :]

    def _data(self, request: wire.Fetch) -> wire.Message:
        buffer = wire.BUFFERS[request.buffer]
        whole = {"output": self.input[:10], "row": self.row_data, "table": bytes(8)}[buffer]
        if self.state != ("row_waiting" if buffer == "row" else "done"):
            return wire.Refused(wire.REASONS.index("state"), wire.STATES.index(self.state))
        part = whole[request.offset : request.offset + request.length]
        facts = (request.run, request.buffer, request.offset, len(whole), zlib.crc32(whole), 1000)
        if len(part) > 2 and len(set(part)) == 1:
            return wire.Repeats(*facts, bytes([len(part), part[0]]))
        return wire.Data(*facts, part)


class HostileLine:
    """A Transport to a Board; seconds pass only in `read`, `tick_s` for whatever comes.

    wrong  (request, right reply) -> what the board says instead; bytes go out as they are, None is silence
    flood  what comes when nothing else does; b"" for silence
    delay_s  the board's work on each request
    """

    def __init__(
        self, wrong: Wrong = lambda request, reply: reply, flood: Callable[[], bytes] = bytes, delay_s: float = 0.0
    ) -> None:
        self.baud = 0
        self.board, self.wrong, self.flood, self.delay_s = Board(), wrong, flood, delay_s
        self.now, self.tick_s = 1.0, 0.001
        self.due: list[tuple[float, bytes]] = []

    def monotonic(self) -> float:
        return self.now

    def write(self, data: bytes) -> None:
        for frame in filter(None, data.split(wire.DELIMITER)):
            request, sequence = wire.decode(frame)
            reply = self.wrong(request, self.board.answer(request))
            if reply is not None:
                at = max(self.now, self.due[-1][0] if self.due else 0.0) + self.delay_s
                self.due.append((at, reply if isinstance(reply, bytes) else wire.encode(reply, sequence)))

    def read(self, timeout_s: float) -> bytes:
        if self.due and self.due[0][0] <= self.now + timeout_s:
            at, data = self.due.pop(0)
            self.now = max(self.now, at) + self.tick_s
            return data
        data = self.flood()
        self.now += self.tick_s if data else max(timeout_s, 1e-6)
        return data

    def set_baud(self, rate: int) -> None:
        self.baud = rate if self.baud else 0

    def close(self) -> None: ...


@contextmanager
def session_on(line: HostileLine, timing: Timing = QUICK, sizes: TensorSizes | None = SIZES) -> Iterator[Session]:
    with pytest.MonkeyPatch.context() as patch:
        for module in ("session", "dialogue", "pipelined"):
            patch.setattr(f"mbn2c.link.{module}.time", line)
        yield Session(line, digest=DIGEST, sizes=sizes, timing=timing)


def ahead(session: Session) -> list[bytes]:
    """The pipelined way."""
    left = iter([FRAME] * 3)
    return list(session.run_many(lambda wait_s: next(left, b"")))


def one_by_one(session: Session) -> list[bytes]:
    """The stop-and-wait way."""
    return [session.run(FRAME)]


def fuzzing(seed: int) -> HostileLine:
    """A line on which each answer goes wrong at a rate of its own: noise, damage, absurd numbers, floods, silence."""
    chance = random.Random(seed)
    rate, drip_s = chance.choice((0.02, 0.2, 1.0)), chance.choice((0.0, 0.0, 0.04, 0.6))
    kinds = chance.sample((_noise, _damaged, _absurd, _absurd, _other, _silent, _twice, _random_message), 3)

    def wrong(request: wire.Message, reply: wire.Message) -> wire.Message | bytes | None:
        return chance.choice(kinds)(chance, reply) if chance.random() < rate else reply

    floods: tuple[Callable[[], bytes], ...] = (
        bytes, bytes, bytes, lambda: bytes(50), lambda: b"\x01" * 300, lambda: chance.randbytes(100),
        lambda: wire.encode(FACTS, chance.randrange(2**16)), lambda: wire.encode(_random_message(chance, FACTS), 7),
    )  # fmt: skip
    line = HostileLine(wrong, chance.choice(floods), drip_s)
    line.tick_s = 0.01  # a flood costs the test time
    return line


def _noise(chance: random.Random, reply: wire.Message) -> bytes:
    return chance.randbytes(chance.randrange(200)) + chance.choice((b"", b"\x00"))


def _damaged(chance: random.Random, reply: wire.Message) -> bytes:
    frame = bytearray(wire.encode(reply, 1))
    frame[chance.randrange(len(frame))] ^= 1 << chance.randrange(8)
    return bytes(frame)


def _absurd(chance: random.Random, reply: wire.Message) -> wire.Message:
    """One or two fields are any number, or one that is often forgotten."""
    for field in chance.sample(fields(reply), min(len(fields(reply)), chance.randint(1, 2))):
        layout = next(entry for entry in wire.layout(type(reply)) if entry.name == field.name)
        most, value = 256**layout.size_bytes - 1, getattr(reply, field.name)
        if isinstance(value, int):
            near = (0, 1, most, most // 2, value + 1, value - 1, 2 * value, chance.randint(0, most))
            changed: object = min(max(chance.choice(near), 0), most)
        elif isinstance(value, str):
            changed = chance.choice(("", "\x1b[2J", "x" * 24, "a\nb"))
        else:
            changed = chance.choice((b"", value[:-1], 2 * value, chance.randbytes(3000)))[:3000]
            changed = value if layout.format == "32s" else changed
        reply = replace(reply, **{field.name: changed})  # type: ignore[arg-type]
    return reply


def _random_message(chance: random.Random, reply: wire.Message) -> wire.Message:
    kind = chance.choice(wire.REPLIES)
    values: dict[str, object] = {}
    for entry in wire.layout(kind):
        if entry.format in ("", "32s", "24s"):
            values[entry.name] = "" if entry.format == "24s" else chance.randbytes(32 if entry.format else 9)
        else:
            values[entry.name] = chance.choice((0, 1, 256**entry.size_bytes - 1))
    return kind(**values)  # type: ignore[arg-type]


def _other(chance: random.Random, reply: wire.Message) -> wire.Message:
    return wire.Refused(chance.randrange(9), chance.randrange(2**32))


def _silent(chance: random.Random, reply: wire.Message) -> None:
    return None


def _twice(chance: random.Random, reply: wire.Message) -> bytes:
    return 2 * wire.encode(reply, chance.randrange(2**16))
