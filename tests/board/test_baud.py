"""Baud rates: up, back down, and found again, with a real board's driver on modelled registers at the other end."""

from __future__ import annotations

import random
import time
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from dummy_model import DummyModel
from firmware import build_firmware
from model_board import ModelBoard

from mbn2c.errors import BoardError
from mbn2c.link.session import Session, Timing
from mbn2c.targets import load_board

MODEL = DummyModel(rows=3, row_bytes=40)
HASTY = Timing(hello_s=12.0, reply_s=0.02, rows_s=0.02, give_up_s=10.0)


class RatedLine:
    """A line to a board, on which bytes are junk if both ends have different rates, or one above `carries`."""

    def __init__(self, board: ModelBoard, carries: float = 1e9) -> None:
        self.board, self.carries, self.baud = board, carries, 115200
        self.random = random.Random(0)

    def _carried(self, data: bytes, rate: float) -> bytes:
        if abs(rate / self.baud - 1) < 0.03 and self.baud <= self.carries:
            return data
        return bytes(self.random.choice((0, byte)) for byte in self.random.randbytes(len(data)))

    def write(self, data: bytes) -> None:
        self.board.read(0)  # the firmware has read all that came at the old rate
        self.board.write(self._carried(data, self.board.line_rate()))

    def read(self, timeout_s: float) -> bytes:
        rate = self.board.line_rate()  # what is sent before a change of rate leaves at the old one
        data = self._carried(self.board.read(timeout_s), rate)
        if not data:
            time.sleep(min(timeout_s, 0.005))
        return data

    def set_baud(self, rate: int) -> None:
        self.board.run()
        self.baud = rate

    def close(self) -> None:
        pass


@pytest.fixture(scope="module")
def elf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_firmware(MODEL, load_board("nucleo-l4r5zi"), tmp_path_factory.mktemp("l4r5")).path


@pytest.fixture
def line(elf: Path) -> Callable[..., RatedLine]:
    unicorn = pytest.importorskip("unicorn", reason="unicorn is not installed (pip install unicorn)")
    board = load_board("nucleo-l4r5zi")
    return lambda **how: RatedLine(ModelBoard(board, elf, unicorn, unicorn.arm_const), **how)


def infer(session: Session) -> None:
    assert session.run(MODEL.frame(0)) == MODEL.output(MODEL.frame(0))


def test_up_and_back(line: Callable[..., RatedLine]) -> None:
    wire = line()
    session = Session(wire, digest=MODEL.digest, timing=HASTY)
    session.connect(921600)
    assert session.baud == 921600 and wire.board.line_rate() == pytest.approx(921600, rel=0.02)
    infer(session)
    session.close()
    wire.board.run()
    assert wire.board.line_rate() == pytest.approx(115200, rel=0.02)


def test_a_rate_left_by_a_killed_session_is_found(line: Callable[..., RatedLine]) -> None:
    wire = line()
    Session(wire, timing=HASTY).connect(921600)
    wire.baud = 115200  # a new process opens the port
    session = Session(wire, digest=MODEL.digest, timing=HASTY)
    session.connect(921600)
    assert session.baud == 921600
    infer(session)


def test_a_rate_that_the_line_does_not_carry(line: Callable[..., RatedLine]) -> None:
    wire = line(carries=500_000)
    session = Session(wire, digest=MODEL.digest, timing=HASTY)
    session.connect(921600)
    assert session.baud == 115200
    infer(session)


def test_a_rate_that_the_line_ceases_to_carry(line: Callable[..., RatedLine]) -> None:
    wire = line()
    session = Session(wire, digest=MODEL.digest, timing=HASTY)
    session.connect(921600)
    infer(session)
    wire.carries = 500_000
    infer(session)
    assert session.baud == 115200 and session.retries > 0
    assert wire.board.line_rate() == pytest.approx(115200, rel=0.02)


def test_a_rate_that_the_board_cannot_make(line: Callable[..., RatedLine]) -> None:
    session = Session(line(), digest=MODEL.digest, timing=HASTY)
    session.connect(12_000_000)
    assert session.baud == 115200
    with pytest.raises(BoardError, match="cannot do 12000000 baud"):
        session.set_baud(12_000_000)


def test_only_the_digest_comes_back(line: Callable[..., RatedLine]) -> None:
    session = Session(line(), digest=MODEL.digest, timing=HASTY)
    assert session.run_digest(MODEL.frame(1)) == zlib.crc32(MODEL.output(MODEL.frame(1)))
