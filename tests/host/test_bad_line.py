"""A session over a line that damages bytes, and with a device that loses its run."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import pytest
from dummy_model import DummyModel, step_digests
from firmware import build_firmware, open_host

from mbn2c.errors import BoardError
from mbn2c.link import wire
from mbn2c.link.session import Session, Timing
from mbn2c.link.transports.transport import Transport
from mbn2c.targets import load_board

MODEL = DummyModel()
HASTY = Timing(hello_s=10.0, reply_s=0.05, rows_s=0.05, give_up_s=30.0)


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_firmware(MODEL, load_board("host"), tmp_path_factory.mktemp("host")).path


def test_cycles_are_refused_without_a_counter(host: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with open_host(host) as line:
        session = Session(line)
        monkeypatch.setattr(session, "_facts", replace(session.hello(), has_cycles=0))  # as emulated boards say
        with pytest.raises(BoardError, match="no cycle counter"):
            session.layer_cycles(MODEL.frame(0))


class BadLine:
    """Bytes get lost, doubled, flipped, swapped and split, in both directions, at the given rate."""

    baud = 0

    def __init__(self, line: Transport, rate: float, seed: int, kinds: str) -> None:
        self.line, self.rate, self.kinds = line, rate, kinds
        self.random = random.Random(seed)
        self.damages = 0

    def read(self, timeout_s: float) -> bytes:
        data = self.line.read(timeout_s)
        while data and not (data := self.damage(data)):
            data = self.line.read(timeout_s)
        return data

    def write(self, data: bytes) -> None:
        data = self.damage(data)
        while data:
            cut = self.random.randint(1, len(data))
            self.line.write(data[:cut])
            data = data[cut:]

    def damage(self, data: bytes) -> bytes:
        out = bytearray()
        for byte in data:
            if self.random.random() >= self.rate:
                out.append(byte)
                continue
            self.damages += 1
            kind = self.random.choice(self.kinds)
            if kind == "f":
                out.append(byte ^ 1 << self.random.randrange(8))
            elif kind == "2":
                out += bytes([byte, byte])
            elif kind == "s":
                out.insert(max(len(out) - 1, 0), byte)
            elif kind == "z":
                out += bytes([byte, 0])
        return bytes(out)

    def set_baud(self, rate: int) -> None:
        self.line.set_baud(rate)

    def close(self) -> None:
        self.line.close()


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("kinds", ["f", "2", "s", "z", "d", "f2szd"])
def test_a_bad_line_costs_retries_only(host: Path, kinds: str, seed: int) -> None:
    with open_host(host) as emulated:
        line = BadLine(emulated, 0.002, seed, kinds)
        session = Session(line, digest=MODEL.digest, timing=HASTY)
        for number in range(4):
            frame = MODEL.frame(number)
            assert session.run(frame) == MODEL.output(frame)
        assert session.layer_digests(frame) == step_digests(MODEL, frame)
        assert session.layer_dump(frame, 0) == MODEL.steps(frame)[0]
        assert line.damages > 0
        assert session.retries > 0


def test_a_hopeless_line_is_an_error(host: Path) -> None:
    with open_host(host) as emulated:
        session = Session(emulated, timing=Timing(hello_s=1.0, reply_s=0.02, rows_s=0.02, give_up_s=1.0))
        session.hello()
        session._line.transport = BadLine(emulated, 0.5, 0, "f2szd")
        with pytest.raises(BoardError, match=r"does not answer|in vain"):
            session.run(MODEL.frame(0))


class Meddler:
    """A line on which somebody else begins a run of their own after `after` requests, as a second host would."""

    baud = 0

    def __init__(self, line: Transport, after: int) -> None:
        self.line, self.left = line, after
        self.read, self.close, self.set_baud = line.read, line.close, line.set_baud

    def write(self, data: bytes) -> None:
        self.left -= 1
        if self.left == 0:
            self.line.write(wire.encode(wire.Begin(1, 0, 0), 0))
        self.line.write(data)


@pytest.mark.parametrize("after", [2, 3, 4])
def test_a_lost_run_starts_again(host: Path, after: int) -> None:
    with open_host(host) as emulated:
        session = Session(Meddler(emulated, after), timing=HASTY)
        frame = MODEL.frame(3)
        assert session.run(frame) == MODEL.output(frame)
        assert session.retries == (0 if after == 2 else 1)


def test_a_new_run_ends_a_dump_that_nobody_reads_on(host: Path) -> None:
    with open_host(host) as emulated:
        first = Session(emulated, timing=HASTY)
        facts = first.hello()
        begin = wire.Begin(9, wire.MODES.index("dump"), 0)
        assert first._line.ask(begin, wire.State, 1.0).state == wire.STATES.index("awaiting_input")
        frame = MODEL.frame(0)
        state = first._line.ask(wire.Input(9, 0, frame[: facts.row_bytes]), wire.State, 1.0)
        assert state.state == wire.STATES.index("row_waiting") and state.row_bytes == facts.row_bytes
        second = Session(emulated, timing=HASTY)
        assert second.run(frame) == MODEL.output(frame)
