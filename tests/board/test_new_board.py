"""docs/new-board.md, followed literally: a board that is not in the list, from the page's TOML to running firmware."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from chip_clocks import family_of
from dummy_model import DummyModel
from firmware import build_firmware
from model_board import ModelBoard
from places import ROOT

from mbn2c.firmware.flash.tools import flash
from mbn2c.link.session import EMULATED, Session
from mbn2c.resources.folders import targets
from mbn2c.targets import DRIVERS, Board, parse_board

PAGE = (ROOT / "docs" / "new-board.md").read_text(encoding="utf-8")


@pytest.fixture
def board() -> Board:
    found = re.search(r"`targets/boards/([\w-]+)\.toml`:\n\n```toml\n(.*?)```", PAGE, re.DOTALL)
    assert found is not None
    name, facts = found.groups()
    assert not (targets() / "boards" / f"{name}.toml").exists(), "the page's example must be a new board"
    return parse_board(name, tomllib.loads(facts))


def test_clock(board: Board) -> None:
    assert {clock.name: clock.hz for clock in board.clocks} == family_of(board).clocks(board)
    assert board.console.clock == family_of(board).uarts[board.console.base]


def test_firmware_runs(board: Board, tmp_path: Path) -> None:
    unicorn = pytest.importorskip("unicorn", reason="unicorn is not installed (pip install unicorn)")
    model = DummyModel()
    elf = build_firmware(model, board, tmp_path).path
    line = ModelBoard(board, elf, unicorn, unicorn.arm_const)
    session = Session(line, digest=model.digest, timing=EMULATED)
    assert session.hello().board == board.name
    assert session.run(model.frame(0)) == model.output(model.frame(0))
    said: list[str] = []
    flash(elf, board, said.append, dry_run=True)
    assert "stm32f411retx" in said[1]


def test_the_page_names_all_drivers_and_facts(board: Board) -> None:
    for driver in DRIVERS:
        assert driver in ("stdio", "tcp") or f"`{driver}`" in PAGE
