"""A cable that is pulled, and a port that comes back or stays away."""

from __future__ import annotations

import os
import subprocess
import tty
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from dummy_model import DummyModel
from firmware import build_firmware

from mbn2c.errors import BoardError
from mbn2c.link.session import Session, Timing
from mbn2c.link.transports.serial_port import SerialPort
from mbn2c.targets import load_board

MODEL = DummyModel()
HASTY = Timing(hello_s=10.0, reply_s=0.05, rows_s=0.05, give_up_s=30.0)


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_firmware(MODEL, load_board("host"), tmp_path_factory.mktemp("host")).path


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
