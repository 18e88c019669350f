"""The host's end of a session, against a device that a script plays."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from dummy_model import DummyModel

from mbn2c.errors import BoardError, UsageError
from mbn2c.link import wire
from mbn2c.link.session import Session, Timing, board_timing
from mbn2c.link.transports.serial_port import SerialPort

MODEL = DummyModel()


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
