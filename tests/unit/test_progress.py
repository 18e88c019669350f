"""Stages of a command's work: k of n is true, shown on a terminal only, and never on standard output."""

from __future__ import annotations

import io
import json
import re
import sys
from collections.abc import Sequence

import pytest
from command_line import MODEL

from mbn2c.cli import main
from mbn2c.cli.stage_display import shown_stages
from mbn2c.commands.demo import TEST_FOLDER
from mbn2c.commands.verify import VerifyOptions, verify_stages
from mbn2c.errors import InternalError
from mbn2c.progress import Stages

NAMES = ("read", "plan", "write")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def terminal_for(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """Standard error; pytest puts its own there between a fixture and its test."""
    for name, value in {"TERM": "xterm", "COLUMNS": "100", "NO_COLOR": ""}.items():
        monkeypatch.setenv(name, value)
    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    return screen


def run_all(names: Sequence[str]) -> None:
    with shown_stages(names) as stages:
        for name in names:
            for _ in stages.begin(name)(range(4), "images", 4):
                pass


@pytest.mark.parametrize(
    ("begun", "what"),
    [
        (("plan",), "'plan' begins as number 1"),
        (("read", "write"), "'write' begins as number 2"),
        (("read", "read"), "'read' begins as number 2"),
        (("read", "plan"), "'write' never began"),
        ((*NAMES, "more"), "'more' begins as number 4"),
    ],
)
def test_a_stage_that_is_skipped_or_not_announced_is_a_bug(begun: Sequence[str], what: str) -> None:
    with pytest.raises(InternalError, match=what), shown_stages(NAMES) as stages:
        for name in begun:
            stages.begin(name)


def test_an_error_ends_the_stages_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = terminal_for(monkeypatch)
    with pytest.raises(ValueError, match="mine"), shown_stages(NAMES) as stages:
        stages.begin("read")
        raise ValueError("mine")
    assert "[1/3]" in terminal.getvalue() and "\x1b[?25h" in terminal.getvalue(), "the cursor is back"


def test_a_terminal_shows_stage_loop_and_time(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = terminal_for(monkeypatch)
    run_all(NAMES)
    shown = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", terminal.getvalue())
    for number, name in enumerate(NAMES, 1):
        assert re.search(rf"\[{number}/3\] {name} .* 0:00:0\d", shown), shown
    assert max(map(len, re.split("[\r\n]", shown))) <= 100


def test_standard_output_has_the_result_alone(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    terminal = terminal_for(monkeypatch)
    assert main(["inspect", MODEL, "-t", "cortex-m4", "--json"]) == 0
    out = capsys.readouterr().out
    assert "[1/2]" in terminal.getvalue() and "[2/2]" in terminal.getvalue() and "\x1b" not in out
    assert json.loads(out)["layers"]


@pytest.mark.parametrize("quiet", [True, False])
def test_no_terminal_or_quiet_shows_nothing(quiet: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    screen = terminal_for(monkeypatch) if quiet else io.StringIO()
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setattr("mbn2c.cli.streams._quiet", [True] if quiet else [])
    run_all(NAMES)
    assert screen.getvalue() == ""


def test_a_dumb_terminal_gets_no_escapes(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = terminal_for(monkeypatch)
    monkeypatch.setenv("TERM", "dumb")
    run_all(NAMES)
    assert "\x1b" not in terminal.getvalue()


def test_stages_of_a_verify_are_those_that_are_asked_for() -> None:
    least = verify_stages(VerifyOptions(TEST_FOLDER, stress=False))
    most = verify_stages(VerifyOptions(TEST_FOLDER, layers=True, results=TEST_FOLDER))
    assert len(most) == len(least) + 3 and set(least) < set(most)


def test_without_a_display_the_law_is_the_same() -> None:
    stages = Stages(NAMES)
    assert list(stages.begin("read")(range(3), "images", 3)) == [0, 1, 2]
    with pytest.raises(InternalError):
        stages.end()
