"""Frames without waiting for each answer: right and in order on every board, with faults, and the line stays full."""

from __future__ import annotations

import os
import subprocess
import threading
import time
import tty
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from dummy_model import DummyModel
from faulty_line import FaultyLine, slow_session
from firmware import build_firmware
from wrong_device import WrongDevice, is_data, nth

from mbn2c.errors import BoardError
from mbn2c.link import wire
from mbn2c.link.session import EMULATED, Session, Timing
from mbn2c.link.transports.emulator import EmulatedBoard
from mbn2c.link.transports.serial_port import SerialPort
from mbn2c.link.transports.transport import Transport
from mbn2c.targets import load_board

MODEL = DummyModel(rows=24, row_bytes=288)
HASTY = Timing(hello_s=20.0, reply_s=0.05, rows_s=0.05, give_up_s=30.0)
PICTURE = DummyModel(rows=96, row_bytes=288)  # as large as visual wake words
HOST = load_board("host")
SMALL = replace(HOST, console=replace(HOST.console, line_bytes=1024, window_bytes=4096))
COUNT = 5
BOARDS = [
    "qemu-mps2-an385",
    "qemu-mps2-an505",
    "qemu-mps3-an547",
    "qemu-netduinoplus2",
    "qemu-riscv32-virt",
    "qemu-microbit",
]


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_firmware(MODEL, load_board("host"), tmp_path_factory.mktemp("host")).path


def frames(count: int, every: int = 1) -> Callable[[float], bytes | None]:
    """Hands out so many frames; only each `every`-th time that it is asked."""
    asked = -1

    def take(wait_s: float) -> bytes | None:
        nonlocal asked
        asked += 1
        number, rest = divmod(asked, every)
        if number >= count:
            return b""
        return MODEL.frame(number) if rest == 0 else None

    return take


def outputs(count: int) -> list[bytes]:
    return [MODEL.output(MODEL.frame(number)) for number in range(count)]


@pytest.mark.parametrize("every", [1, 3])
def test_in_order(host: Path, every: int) -> None:
    with EmulatedBoard(load_board("host"), host) as line:
        session = Session(line, digest=MODEL.digest, timing=EMULATED)
        assert list(session.run_many(frames(40, every))) == outputs(40)
        assert (session.retries, session.runs) == (0, 40)
        assert session.run(MODEL.frame(7)) == MODEL.output(MODEL.frame(7))
        assert list(session.run_many(frames(2))) == outputs(2)
        assert list(session.run_many(lambda wait_s: b"")) == []


def test_digests_only(host: Path) -> None:
    with EmulatedBoard(load_board("host"), host) as line:
        session = Session(line, digest=MODEL.digest, timing=EMULATED)
        session.hello()
        received = session.received_bytes
        assert list(session.digest_many(frames(20))) == [zlib.crc32(output) for output in outputs(20)]
        by_digest = session.received_bytes - received
        assert list(session.run_many(frames(20))) == outputs(20)
        assert session.retries == 0 and session.received_bytes - received - by_digest > by_digest


@pytest.mark.parametrize("name, count", [("host", 8), ("qemu-mps2-an385", 3)])  # a pty and a socket
def test_large_outputs_and_inputs_at_once(name: str, count: int, tmp_path: Path) -> None:
    """The device writes an output while the host writes the next input: more than both buffers of a pty hold."""
    model, board = DummyModel(rows=4, row_bytes=4096, output_bytes=60_000), load_board(name)
    with EmulatedBoard(board, build_firmware(model, board, tmp_path).path) as line:
        session = Session(line, digest=model.digest, timing=EMULATED)
        pictures = iter([model.frame(number) for number in range(count)])
        got = list(session.run_many(lambda wait_s: next(pictures, b"")))
        assert got == [model.output(model.frame(number)) for number in range(count)] and session.retries == 0


@pytest.mark.parametrize("name", BOARDS)
def test_a_board_keeps_what_comes_while_it_works(name: str, tmp_path: Path) -> None:
    """No byte is lost: the interrupt takes them in. An emulated line is faster than any real one."""
    board = load_board(name)
    model = MODEL if board.console.window_bytes else DummyModel(rows=3, row_bytes=40)
    elf = build_firmware(model, board, tmp_path).path
    with EmulatedBoard(board, elf) as line:
        session = Session(line, digest=model.digest, timing=EMULATED)
        session.hello()
        before = session.vitals().damaged  # a board that boots may hear half a frame
        pictures = iter([model.frame(number) for number in range(6)])
        got = list(session.run_many(lambda wait_s: next(pictures, b"")))
        assert got == [model.output(model.frame(number)) for number in range(6)]
        assert session.retries == 0 and session.vitals().damaged == before


def test_faults_cost_retries_only(host: Path) -> None:
    line = FaultyLine(
        lambda: EmulatedBoard(load_board("host"), host), 0.005, 5, frames_per_run=8, delay_s=0.02, pull_s=0.05
    )
    try:
        session = Session(line, digest=MODEL.digest, timing=HASTY)
        assert list(session.run_many(frames(40))) == outputs(40)
        assert list(session.digest_many(frames(20))) == [zlib.crc32(output) for output in outputs(20)]
        assert session.retries > 0 and sum(line.faults.values()) > 10
    finally:
        line.close()


def test_an_answer_that_came_is_not_lost_with_the_line(tmp_path: Path) -> None:
    """The line fails when the next request goes out, for which the answer has just made room in the window."""
    model = DummyModel(rows=6, row_bytes=288)
    board = replace(HOST, console=replace(HOST.console, line_bytes=1024, window_bytes=3600))
    with EmulatedBoard(board, build_firmware(model, board, tmp_path).path) as emulated:
        line = WrongDevice(emulated, nth(is_data, 0, lambda message: fail(message)))

        def fail(message: wire.Message) -> wire.Message:
            line.write = gone
            return message

        def gone(data: bytes) -> None:
            raise BoardError("port is gone")

        session, got = Session(line, digest=model.digest, timing=EMULATED), []
        left = iter([model.frame(number) for number in range(5)])
        with pytest.raises(BoardError, match="port is gone"):
            for output in session.run_many(lambda wait_s: next(left, b"")):
                got.append(output)
        assert got == [model.output(model.frame(0))]


class Loses:
    """A line that loses the request number `number`, or the answer to it."""

    baud = 0

    def __init__(self, line: Transport, number: int, is_answer: bool) -> None:
        self.line, self.left, self.is_answer = line, number, is_answer
        self.set_baud, self.close = line.set_baud, line.close

    def write(self, data: bytes) -> None:
        self.left -= not self.is_answer
        if self.is_answer or self.left:
            self.line.write(data)

    def read(self, timeout_s: float) -> bytes:
        data = self.line.read(timeout_s)
        if self.is_answer and self.left > 0:
            self.left -= data.count(0)
            return data if self.left > 0 else data[: len(data) // 2]
        return data


@pytest.mark.parametrize("is_answer", [False, True])
@pytest.mark.parametrize("number", range(2, 8))
def test_what_is_lost_comes_again(host: Path, number: int, is_answer: bool) -> None:
    with EmulatedBoard(load_board("host"), host) as emulated:
        session = Session(Loses(emulated, number, is_answer), digest=MODEL.digest, timing=HASTY)
        assert list(session.run_many(frames(5))) == outputs(5)
        assert session.retries > 0


def line_share(elf: Path, baud: int, work: Callable[[Session], Iterable[bytes]]) -> float:
    """Of the line's capacity towards the device, how much the inferences use, overhead counted."""
    with EmulatedBoard(SMALL, elf) as emulated, slow_session(emulated, baud, PICTURE.digest) as (session, line):
        sent_bytes = session.sent_bytes
        assert list(work(session)) == [PICTURE.output(PICTURE.frame(number)) for number in range(COUNT)]
        assert session.retries == 0 and line.held_bytes <= session.facts.window_bytes
        return 10 * (session.sent_bytes - sent_bytes) / baud / session.line_s


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_firmware(PICTURE, SMALL, tmp_path_factory.mktemp("small")).path


@pytest.mark.parametrize("baud", [9600, 115_200, 921_600, 2_000_000])
def test_the_line_is_full(small: Path, baud: int) -> None:
    """At least 90 % at any rate, on a board with the buffers of our boards that works half of the time."""

    def one_by_one(session: Session) -> Iterator[bytes]:
        return (session.run(PICTURE.frame(number)) for number in range(COUNT))

    pictures = iter([PICTURE.frame(number) for number in range(COUNT)])
    ahead = line_share(small, baud, lambda session: session.run_many(lambda wait_s: next(pictures, b"")))
    waiting = line_share(small, baud, one_by_one)
    print(f"{baud} baud: {ahead:.1%} of the line, {waiting:.1%} with one request at a time")
    assert ahead >= 0.9 > waiting


class Throttle:
    """A port at whose other end a program hears and says no more than `baud` allows, by the clock on the wall."""

    def __init__(self, program: Path, baud: int) -> None:
        self.end, other = os.openpty()
        tty.setraw(other)
        self.port, self._other = os.ttyname(other), other
        self._process = subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
        assert self._process.stdin is not None and self._process.stdout is not None
        self._byte_s = 10 / baud
        ends = (self.end, self._process.stdin.fileno()), (self._process.stdout.fileno(), self.end)
        for source, sink in ends:
            threading.Thread(target=self._carry, args=(source, sink), daemon=True).start()

    def _carry(self, source: int, sink: int) -> None:
        free_at = 0.0
        with suppress(OSError):
            while data := os.read(source, 64):
                free_at = max(free_at, time.monotonic()) + len(data) * self._byte_s
                time.sleep(max(0.0, free_at - time.monotonic()))
                os.write(sink, data)

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._other)
        os.close(self.end)


@pytest.mark.slow
def test_a_port_is_full_by_the_clock_on_the_wall(small: Path) -> None:
    throttle = Throttle(small, 115_200)
    port = SerialPort(throttle.port)
    try:
        session = Session(port, digest=PICTURE.digest)
        session.hello()
        sent_bytes = session.sent_bytes
        pictures = iter([PICTURE.frame(number) for number in range(COUNT)])
        got = list(session.run_many(lambda wait_s: next(pictures, b"")))
        share = 10 * (session.sent_bytes - sent_bytes) / 115_200 / session.line_s
    finally:
        port.close()
        throttle.close()
    print(f"{share:.1%} of 115200 baud in {session.line_s:.1f} s")
    assert got == [PICTURE.output(PICTURE.frame(number)) for number in range(COUNT)]
    assert 0.9 <= share <= 1.1 and session.retries == 0


def test_most_of_it_is_pixels() -> None:
    chunk = wire.largest_tail(wire.Input, 1024)
    frame = PICTURE.frame(0)
    rows = [wire.Input(1, start, frame[start : start + chunk]) for start in range(0, len(frame), chunk)]
    requests = [wire.Begin(1, 0, 0), *rows, wire.Fetch(1, 0, 0, 2048)]
    assert len(frame) / sum(wire.most_bytes(request) for request in requests) > 0.97
