"""The last words before a reset or a change of rate leave whole: every UART driver, on a model of its registers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from dummy_model import DummyModel
from firmware import build_firmware
from model_board import UARTS, ModelBoard

from mbn2c.link import wire
from mbn2c.link.session import EMULATED, Session
from mbn2c.targets import DRIVERS, HOSTED_DRIVERS, load_board

MODEL = DummyModel(rows=2, row_bytes=40)
BOARD = load_board("qemu-mps2-an385")  # whose core and memories every driver is given


@pytest.fixture(scope="module")
def plug_in(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], ModelBoard]:
    unicorn = pytest.importorskip("unicorn", reason="unicorn is not installed (pip install unicorn)")
    made: dict[str, Path] = {}

    def plug(driver: str) -> ModelBoard:
        board = replace(BOARD, console=replace(BOARD.console, driver=driver))
        if driver not in made:
            made[driver] = build_firmware(MODEL, board, tmp_path_factory.mktemp(driver)).path
        return ModelBoard(board, made[driver], unicorn, unicorn.arm_const)

    return plug


def test_every_driver_is_modelled() -> None:
    assert set(UARTS) == set(DRIVERS) - set(HOSTED_DRIVERS)


@pytest.mark.parametrize("driver", UARTS)
def test_reset_is_answered_first(driver: str, plug_in: Callable[[str], ModelBoard]) -> None:
    board = plug_in(driver)
    session = Session(board, digest=MODEL.digest, timing=EMULATED)
    assert session.run(MODEL.frame(0)) == MODEL.output(MODEL.frame(0))
    session._line.ask(wire.Reset(), wire.Done, EMULATED.reply_s)
    assert (session.retries, board.resets) == (0, 1)
    assert session.run(MODEL.frame(1)) == MODEL.output(MODEL.frame(1))


@pytest.mark.parametrize("driver", UARTS)
def test_a_fault_is_told_first(driver: str, plug_in: Callable[[str], ModelBoard]) -> None:
    board = plug_in(driver)
    board.run()
    board.fault()
    message, _ = wire.decode(board.read(0).strip(wire.DELIMITER))
    assert isinstance(message, wire.Refused) and wire.REASONS[message.reason] == "fault"
    assert board.resets == 1


@pytest.mark.parametrize("driver", UARTS)
def test_a_rate_is_confirmed_at_the_old_one(driver: str, plug_in: Callable[[str], ModelBoard]) -> None:
    board = plug_in(driver)
    board.run()  # it drops what came before it was there
    session = Session(board, digest=MODEL.digest, timing=EMULATED)
    done = session._line.ask(wire.Baud(57_600), wire.Done, EMULATED.reply_s)
    assert (done.value, session.retries) == (57_600, 0)
