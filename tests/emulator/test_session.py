"""The firmware answers on every emulated board, and a bad line costs retries, never a wrong byte."""

from __future__ import annotations

import os
import random
import subprocess
import time
import tty
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from dummy_model import DummyModel
from firmware import build_firmware, write_firmware

from mbn2c.errors import BoardError, FitError, UsageError
from mbn2c.firmware.stack import worst_case_stack
from mbn2c.firmware.toolchain import build, memory_use
from mbn2c.link import wire
from mbn2c.link.session import EMULATED, Session, Timing, board_timing
from mbn2c.link.transports.emulator import EmulatedBoard
from mbn2c.link.transports.serial_port import SerialPort
from mbn2c.link.transports.transport import Transport
from mbn2c.targets import all_boards, load_board, load_core

MODEL = DummyModel()
HASTY = Timing(hello_s=10.0, reply_s=0.05, rows_s=0.05, give_up_s=30.0)
CASES = [(board.name, board.core) for board in all_boards() if board.emulated] + [("qemu-mps2-an385", "cortex-m0plus")]


def step_digests(model: DummyModel, frame: bytes) -> list[int]:
    return [zlib.crc32(b"".join(rows)) for rows in model.steps(frame)]


@pytest.mark.parametrize("board_name, core", CASES, ids=[f"{board}-{core}" for board, core in CASES])
def test_board(board_name: str, core: str, tmp_path: Path) -> None:
    board = load_board(board_name)
    built = build_firmware(MODEL, board, tmp_path, core)
    counts: list[list[int]] = []
    for _ in range(2):
        with EmulatedBoard(board, built.path, count=True) as emulated:
            session = Session(emulated, digest=MODEL.digest, timing=EMULATED)
            facts = session.hello()
            assert (facts.name, facts.core, facts.board) == ("person", core, board.name)
            for seed in range(3):
                frame = MODEL.frame(seed)
                assert session.run(frame) == MODEL.output(frame)
            counts.append(emulated.instruction_counts())
            assert session.layer_digests(frame) == step_digests(MODEL, frame)
            assert [session.layer_dump(frame, step) for step in range(2)] == MODEL.steps(frame)
            vitals = session.vitals()
            session.reset()
            assert session.run(frame) == MODEL.output(frame)
            assert session.retries == 0
    brackets_per_run = 1 + MODEL.rows + 1
    if board.emulator is not None and board.emulator.kind != "process":
        assert counts[0] == counts[1] and len(counts[0]) == 3 * brackets_per_run
    if board.memories:
        worst = worst_case_stack(
            tmp_path.glob("build/*.ci"),
            ["main"],
            {"person_push_rows": ("observe",), "person_finish": ("observe",), "mbn_board_setup": ()},
        )
        # An interrupt saves up to 26 words and alignment (Armv7-M, B1.5.7), and its handler has some of its own.
        interrupted = 140 if board.console.interrupt is not None else 0
        assert 64 < vitals.stack_used_bytes <= worst.bytes + 16 + interrupted <= vitals.stack_bytes
        used = memory_use(built.path, board)
        assert MODEL.arena < used[board.memory("arena").name] <= board.memory("arena").size_bytes


def test_cycles_are_refused_without_a_counter(host: Path) -> None:
    with open_host(host) as line, pytest.raises(BoardError, match="no cycle counter"):
        Session(line).layer_cycles(MODEL.frame(0))


def test_cycles_of_a_counter(tmp_path: Path) -> None:
    board = load_board("qemu-riscv32-virt")
    with EmulatedBoard(board, build_firmware(MODEL, board, tmp_path).path) as emulated:
        cycles = Session(emulated, timing=EMULATED).layer_cycles(MODEL.frame(0))
    assert len(cycles) == 2 and cycles[0] > 0


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("host")
    return build_firmware(MODEL, load_board("host"), folder).path


def open_host(elf: Path) -> EmulatedBoard:
    return EmulatedBoard(load_board("host"), elf)


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


class Scripted:
    """A device in Python: answers each request with what the script says; None is silence."""

    def __init__(self, script: Callable[[wire.Message], wire.Message | None], baud: int = 115200) -> None:
        self.script, self.baud, self.out = script, baud, b""
        self.bauds: list[int] = []

    def write(self, data: bytes) -> None:
        for frame in filter(None, data.split(wire.DELIMITER)):
            request, sequence = wire.decode(frame)
            reply = self.script(request)
            if reply is not None:
                self.out += wire.encode(reply, sequence)

    def read(self, timeout_s: float) -> bytes:
        data, self.out = self.out, b""
        if not data:
            time.sleep(min(timeout_s, 0.01))
        return data

    def set_baud(self, rate: int) -> None:
        self.bauds.append(rate)
        self.baud = rate

    def close(self) -> None:
        pass


def facts(**changes: object) -> wire.Facts:
    values: dict[str, object] = {
        "protocol": wire.PROTOCOL, "buffer_bytes": 64, "window_bytes": 0, "digest": MODEL.digest, "build": 0,
        "input_bytes": 4, "row_bytes": 2, "pixel_bytes": 0, "output_bytes": 1, "arena_bytes": 8, "clock_hz": 0,
        "steps": 1, "has_cycles": 0,
        "name": "person", "core": "host", "board": "fake", "version": "0",
    }  # fmt: skip
    return wire.Facts(**{**values, **changes})  # type: ignore[arg-type]


QUICK = Timing(hello_s=0.3, reply_s=0.05, rows_s=0.05, give_up_s=0.3)


def test_patience_grows_with_the_network() -> None:
    assert board_timing(0, 0).rows_s == Timing().rows_s
    assert board_timing(7_500_000, 16_000_000).rows_s > 10
    assert board_timing(300_000_000, 16_000_000).give_up_s > 1000


def refused(reason: str, detail: int = 0) -> wire.Refused:
    return wire.Refused(wire.REASONS.index(reason), detail)


ERRORS = {
    "silence": (lambda request: None, "does not answer"),
    "protocol": (lambda request: facts(protocol=99), "speaks protocol 99"),
    "model": (lambda request: facts(digest=bytes(32)), "runs another model"),
    "rows": (lambda request: facts(row_bytes=3), "has rows of 3 B"),
    "fault": (lambda request: refused("fault", 3), r"processor fault \(exception 3\)"),
    "refusal": (lambda request: refused("unknown", 1), "refused Hello: unknown"),
    "network": (
        lambda request: facts() if isinstance(request, wire.Hello) else refused("network", 2),
        "failed with code 2",
    ),
    "never the run": (
        lambda request: facts() if isinstance(request, wire.Hello) else refused("run"),
        "lost the frame 5 times",
    ),
    "always damaged": (
        lambda request: facts() if isinstance(request, wire.Hello) else refused("damaged"),
        "in vain",
    ),
}


@pytest.mark.parametrize("script, message", ERRORS.values(), ids=ERRORS)
def test_session_errors(script: Callable[[wire.Message], wire.Message | None], message: str) -> None:
    with pytest.raises(BoardError, match=message):
        Session(Scripted(script), digest=MODEL.digest, timing=QUICK).run(bytes(4))


def test_a_frame_of_the_wrong_size_is_refused() -> None:
    with pytest.raises(UsageError, match="has 4 B, not 5"):
        Session(Scripted(lambda request: facts())).run(bytes(5))


def test_a_step_that_is_not_there_is_refused() -> None:
    with pytest.raises(BoardError, match="no step 1"):
        Session(Scripted(lambda request: facts())).layer_dump(bytes(4), 1)


def test_baud_change() -> None:
    line = Scripted(lambda request: facts() if isinstance(request, wire.Hello) else wire.Done(921600))
    Session(line, timing=QUICK).set_baud(921600)
    assert line.bauds == [921600]


def test_baud_that_the_board_cannot_do() -> None:
    line = Scripted(lambda request: facts() if isinstance(request, wire.Hello) else wire.Done(0))
    with pytest.raises(BoardError, match="cannot do 12345 baud"):
        Session(line, timing=QUICK).set_baud(12345)
    assert line.bauds == []


def test_baud_that_nobody_understands_falls_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mbn2c.link.session._BAUD_TRIAL_S", 0.2)

    def script(request: wire.Message) -> wire.Message | None:
        if isinstance(request, wire.Baud):
            return wire.Done(request.rate)
        return facts() if line.baud == 115200 else None

    line = Scripted(script)
    with pytest.raises(BoardError, match="no understanding at 921600"):
        Session(line, timing=QUICK).set_baud(921600)
    assert line.baud == 115200


def test_missing_port() -> None:
    with pytest.raises(BoardError, match=r"cannot open port /dev/nothing-here"):
        SerialPort("/dev/nothing-here")
    with pytest.raises(BoardError, match=r"cannot open port socket://127.0.0.1:1"):
        SerialPort("socket://127.0.0.1:1")


@pytest.fixture
def pty() -> Iterator[Callable[[Path], int]]:
    """Makes a port called `name`, as a board plugged in would; returns the board's end."""
    ours: list[int] = []

    def plug_in(name: Path) -> int:
        board, port = os.openpty()
        tty.setraw(port)
        name.unlink(missing_ok=True)
        name.symlink_to(os.ttyname(port))
        ours.extend((board, port))  # with nobody at the port's end, the board would read an error
        return board

    yield plug_in
    for number in ours:
        os.close(number)


def test_a_pulled_cable_is_waited_for(pty: Callable[[Path], int], tmp_path: Path) -> None:
    name = tmp_path / "port"
    board = pty(name)
    port = SerialPort(str(name), reconnect_s=10)
    os.write(board, b"one")
    assert port.read(1.0) == b"one"
    os.dup2(os.open(os.devnull, os.O_RDWR), board)  # the board's end goes away
    name.unlink()
    assert port.read(0.05) == b""
    port.write(b"into the void")
    assert port.read(0.05) == b""
    again = pty(name)
    assert port.read(0.05) == b""
    os.write(again, b"two")
    assert port.read(1.0) == b"two"
    port.close()


@pytest.mark.parametrize("pull_at", [2, 3, 4])
def test_a_pulled_cable_costs_a_resume(host: Path, pty: Callable[[Path], int], tmp_path: Path, pull_at: int) -> None:
    name = tmp_path / "port"
    boards: list[subprocess.Popen[bytes]] = []

    def plug_in() -> int:
        end = pty(name)
        boards.append(subprocess.Popen([host], stdin=end, stdout=end))
        return end

    def pull(end: int) -> None:
        boards[0].kill()
        boards[0].wait()
        os.dup2(os.open(os.devnull, os.O_RDWR), end)

    end = plug_in()
    port = SerialPort(str(name), reconnect_s=10)
    write = port.write
    writes = 0

    def write_until_pulled(data: bytes) -> None:
        nonlocal writes
        writes += 1
        if writes == pull_at:
            pull(end)
            plug_in()
        write(data)

    port.write = write_until_pulled  # type: ignore[method-assign]
    try:
        session = Session(port, digest=MODEL.digest, timing=HASTY)
        frame = MODEL.frame(4)
        assert session.run(frame) == MODEL.output(frame)
        assert session.retries > 0
    finally:
        port.close()
        for board in boards:
            board.kill()
            board.wait()


def test_a_port_that_stays_away_is_an_error(pty: Callable[[Path], int], tmp_path: Path) -> None:
    name = tmp_path / "port"
    board = pty(name)
    port = SerialPort(str(name), reconnect_s=0.2)
    os.dup2(os.open(os.devnull, os.O_RDWR), board)
    name.unlink()
    with pytest.raises(BoardError, match="is gone"):
        for _ in range(20):
            port.read(0.05)


def test_a_program_that_ends_says_how(tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_text("#!/bin/sh\necho out of luck >&2\nexit 3\n")
    program.chmod(0o755)
    with pytest.raises(BoardError, match="ended with code 3") as caught, open_host(program) as emulated:
        Session(emulated, timing=QUICK).hello()
    assert "out of luck" in caught.value.where


def test_an_emulator_is_ended_with_its_board(host: Path) -> None:
    emulated = open_host(host)
    process = emulated._process
    assert process is not None and process.poll() is None
    emulated.close()
    emulated.close()
    assert process.poll() is not None
    with pytest.raises(BoardError, match="is closed"):
        emulated.read(0.1)


def test_missing_tools_are_named(host: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BoardError, match="qemu-system-arm is not installed") as caught:
        EmulatedBoard(load_board("qemu-mps2-an500"), host)
    assert "apt install qemu-system-arm" in caught.value.hint
    with pytest.raises(BoardError, match="arm-none-eabi-gcc is not installed") as caught:
        build(tmp_path, "person", load_core("cortex-m7"), load_board("qemu-mps2-an500"))
    assert "apt install gcc-arm-none-eabi" in caught.value.hint


def test_no_firmware(tmp_path: Path) -> None:
    with pytest.raises(BoardError, match="no firmware"):
        EmulatedBoard(load_board("host"), tmp_path / "nothing.elf")


def test_wrong_core_for_a_board(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="does not execute code of cortex-m7"):
        write_firmware(MODEL, load_core("cortex-m7"), load_board("qemu-microbit"), tmp_path)


def test_what_does_not_fit_names_the_memory(tmp_path: Path) -> None:
    with pytest.raises(FitError, match=r"do not fit 'ram' \(16,384 B\)"):
        build_firmware(DummyModel(arena=20000), load_board("qemu-microbit"), tmp_path)


def test_cmake_builds_the_same_firmware(tmp_path: Path) -> None:
    board = load_board("qemu-mps2-an500")
    build_firmware(MODEL, board, tmp_path)
    try:
        subprocess.run(["cmake", "-B", "cmake", "."], cwd=tmp_path, check=True, capture_output=True)
        subprocess.run(["cmake", "--build", "cmake"], cwd=tmp_path, check=True, capture_output=True)
    except FileNotFoundError:
        pytest.skip("cmake is not installed")
    with EmulatedBoard(board, tmp_path / "cmake" / "person.elf") as emulated:
        frame = MODEL.frame(5)
        assert Session(emulated, digest=MODEL.digest, timing=EMULATED).run(frame) == MODEL.output(frame)


def test_library(tmp_path: Path) -> None:
    core = load_core("host")
    write_firmware(MODEL, core, None, tmp_path)
    built = build(tmp_path, "person", core)
    assert built.path.is_file()
    assert built.size_bytes(("code",)) > 100
    assert {piece.section for piece in built.pieces if piece.kind == "constants"} >= {".rodata.person_weights"}
    stack = worst_case_stack(tmp_path.glob("build/*.ci"), ["person_push_rows"], {"person_push_rows": ()})
    assert 0 < stack.bytes < 500 and stack.path == ("person_push_rows",)
