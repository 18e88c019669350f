"""Manners of the command line: help, completion, lines of 100 columns."""

from __future__ import annotations

import argparse
import io
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from command_line import MODEL, run

from mbn2c.cli import main
from mbn2c.cli.command_table import all_commands
from mbn2c.cli.completion import SHELLS, all_actions
from mbn2c.commands.inspect import INSPECT_STAGES
from mbn2c.errors import UsageError
from mbn2c.report.table import MOST_COLUMNS, shortened, table


def options_with_values() -> Iterator[tuple[str, argparse.ArgumentParser, argparse.Action]]:
    commands = next(one for one in all_commands()._actions if isinstance(one, argparse._SubParsersAction))
    for name, command in commands.choices.items():
        for action in all_actions(command):
            yield name, command, action


def test_every_option_has_help_with_its_default() -> None:
    for name, command, action in options_with_values():
        assert action.help, f"{name} {action.dest}"
        shown = command._get_formatter()._expand_help(action)
        if action.option_strings and action.nargs != 0 and not action.required:
            assert "default" in shown, f"{name} {action.option_strings}"


# Of an option that takes a number: what it counts or is measured in.
_UNITS = "images|instructions|%|share|dB|bytes|bits|flash|RAM|boxes|anchors|from 0 to 1|milli|channels"
_UNITS += "|height and width|classifier"


def test_every_number_has_its_unit() -> None:
    numbers = 0
    for name, command, action in options_with_values():
        kind = action.type
        if kind not in (None, str, Path) or action.metavar in ("BYTES", "FACTOR,...", "PIXELS,..."):
            numbers += 1
            assert re.search(_UNITS, command._get_formatter()._expand_help(action)), f"{name} {action.option_strings}"
    assert numbers > 15


# Run one command line, then print the modules that it took.
IMPORTED = """
import contextlib, io, sys
from mbn2c.__main__ import main
with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):
    main()
print(*sys.modules)
"""


@pytest.mark.parametrize("words", [(), ("--help",), ("--version",), ("buidl",), ("devices", "--help")])
def test_what_needs_no_network_imports_none(words: tuple[str, ...]) -> None:
    done = subprocess.run([sys.executable, "-c", IMPORTED, *words], capture_output=True, text=True)
    modules = set(done.stdout.split())
    assert "mbn2c.cli.command_table" in modules, done.stderr
    heavy = modules & {"numpy", "onnx", "onnxruntime", "PIL", "jinja2", "msgspec", "rich", "tqdm"}
    own = [name for name in modules if name.startswith("mbn2c")]
    assert words[:1] == ("devices",) or (heavy == set() and len(own) < 12), (heavy, own)
    assert not heavy & {"onnx", "onnxruntime"}


@pytest.mark.parametrize("shell", SHELLS)
def test_completion_knows_commands_options_and_boards(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run("completion", shell, capsys=capsys)
    assert (code, err) == (0, "")
    for word in ("bisect", "calib-limit", "nucleo-f446re", "cortex-m55", "segmentation"):
        assert word in out


# Words of a command line and what the last of them may become.
COMPLETED = [
    ("mbn2c bis", {"bisect"}),
    ("mbn2c build --calib-", {"--calib-limit", "--calib-labels"}),
    ("mbn2c verify --board qemu-mps2-an38", {"qemu-mps2-an385", "qemu-mps2-an386"}),
    ("mbn2c explore --target cortex-m5", {"cortex-m55"}),
]


def test_bash_completes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    script = tmp_path / "mbn2c.bash"
    script.write_text(run("completion", "bash", capsys=capsys)[1])
    asked = [f"source {script}"]
    for line, _ in COMPLETED:
        asked.append(f"COMP_WORDS=({line}); COMP_CWORD={line.count(' ')}; COMPREPLY=(); _shtab_mbn2c")
        asked.append('echo "${COMPREPLY[@]}"')
    done = subprocess.run(["bash", "-c", "\n".join(asked)], capture_output=True, text=True, check=True)
    assert [set(line.split()) for line in done.stdout.splitlines()] == [words for _, words in COMPLETED]


def test_verbose_says_how_long_each_stage_and_loop_took(capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = run("inspect", MODEL, "-v", capsys=capsys)
    assert code == 0 and re.search(r"^plan: 1?\d in \d+\.\d s$", err, re.MULTILINE), err
    stages = [re.sub(r": \d+\.\d s$", "", line) for line in err.splitlines() if line.startswith("stage ")]
    assert stages == [f"stage {number} of 2, {name}" for number, name in enumerate(INSPECT_STAGES, 1)]
    assert run("targets", capsys=capsys)[2] == run("inspect", MODEL, "-t", "host", capsys=capsys)[2] == ""


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("stream", "variables", "coloured"),
    [
        (Terminal(), {}, True),
        (Terminal(), {"NO_COLOR": "1"}, False),
        (Terminal(), {"NO_COLOR": ""}, True),
        (Terminal(), {"TERM": "dumb"}, False),
        (io.StringIO(), {}, False),
    ],
)
def test_errors_are_coloured_on_a_terminal_only(
    stream: io.StringIO, variables: dict[str, str], coloured: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("NO_COLOR", "TERM"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "stderr", stream)
    assert main(["inspect", "-q", "nowhere\x1b[2K.onnx"]) == UsageError.exit_code
    lines = stream.getvalue().splitlines()
    assert lines[0].startswith("\x1b[1;31merror:\x1b[0m " if coloured else "error: "), lines
    assert stream.getvalue().count("\x1b") == (2 * len(lines) if coloured else 0), "of the user's words none"


def widest(text: str) -> str:
    return max(text.splitlines(), key=len)


@pytest.mark.parametrize("words", ["targets", "boards", "doctor", f"inspect {MODEL} -t cortex-m4"])
def test_tables_fit_100_columns(words: str, capsys: pytest.CaptureFixture[str]) -> None:
    out = run(*words.split(), capsys=capsys)[1]
    assert len(out.splitlines()) > 5 and len(widest(out)) <= MOST_COLUMNS, widest(out)


def test_wide_cells_go_on_below_and_names_lose_their_middle() -> None:
    name = "/".join(f"part{number}" for number in range(30))
    text = table([("noise", name, " ".join(["word"] * 40)), ("short", "", "b")])
    assert len(widest(text)) <= MOST_COLUMNS and text.count("word") == 40 and "part29" in text and "..." in text
    assert text.splitlines()[-1].split() == ["short", "b"]
    assert [len(shortened(name, most)) for most in (12, 33, 50, 1000)] == [12, 33, 50, len(name)]


def test_what_is_copied_stays_whole() -> None:
    path, command = "/".join(["folder"] * 30), f"mbn2c verify {'x' * 90} --images FOLDER --board host"
    lines = table([("written to", path), ("next", command), ("", " ".join(["word"] * 30))]).splitlines()
    assert lines[0].split() == ["written", "to", path] and lines[1] == f"next        {command}"
    assert len(lines) == 4 and max(map(len, lines[2:])) <= MOST_COLUMNS
