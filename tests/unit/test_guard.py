"""What ends a command unforeseen: one message and an exit code, a saved report for a bug, never a traceback."""

from __future__ import annotations

import errno
import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from mbn2c.cli import main
from mbn2c.errors import InternalError


def raising(error: BaseException) -> Callable[..., int]:
    def run(options: object) -> int:
        raise error

    return run


@pytest.fixture
def fails(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path):  # type: ignore[no-untyped-def]
    """Runs a command that raises an error: exit code and what is said."""

    def run(error: BaseException) -> tuple[int, str]:
        monkeypatch.setattr("mbn2c.cli.listings._targets", raising(error))
        monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
        code = main(["targets"])
        captured = capsys.readouterr()
        assert captured.out == ""
        assert "Traceback" not in captured.err
        return code, captured.err

    return run


KNOWN = [
    # (error, exit code, first line)
    (MemoryError(), 5, "error: this computer has too little memory"),
    (OSError(errno.ENOSPC, "No space left on device"), 5, "error: this computer refuses: No space left on device"),
    (PermissionError(errno.EACCES, "Permission denied", "/x"), 5, "error: this computer refuses: Permission denied"),
    (KeyboardInterrupt(), 130, "error: interrupted"),
]


@pytest.mark.parametrize(("error", "code", "line"), KNOWN, ids=lambda value: type(value).__name__)
def test_no_bug(error: BaseException, code: int, line: str, fails, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    got, said = fails(error)
    assert (got, said.splitlines()[0]) == (code, line)
    assert not list(tmp_path.iterdir())


BUGS = [
    (ZeroDivisionError("division by zero"), "error: bug in mbn2c: ZeroDivisionError"),
    (RecursionError(), "error: bug in mbn2c: something is nested deeper than mbn2c can follow"),
    (OSError(errno.EINVAL, "Invalid argument"), "error: bug in mbn2c: OSError"),
    (InternalError("two rows in one place"), "error: two rows in one place"),
]


@pytest.mark.parametrize(("error", "line"), BUGS, ids=lambda value: type(value).__name__)
def test_a_bug_leaves_a_report(error: BaseException, line: str, fails, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    code, said = fails(error)
    assert (code, said.splitlines()[0]) == (70, line)
    [report] = tmp_path.iterdir()
    assert said.splitlines()[-1] == f"report: {report}"
    text = report.read_text()
    assert re.match(r"mbn2c \S+, Python 3\.\d+\.\d+, \S+\n.*onnxruntime \d", text)
    assert "command: mbn2c targets" in text and "Traceback" in text and type(error).__name__ in text


def test_a_report_that_cannot_be_written(fails, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setattr("tempfile.NamedTemporaryFile", lambda *_, **__: raising(OSError(28, "No space left"))(None))
    code, said = fails(ValueError("x"))
    assert code == 70 and said.splitlines()[-1] == "report: could not be written: No space left"


def test_errors_under_json_are_an_object_on_the_last_line(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["inspect", str(tmp_path / "none.onnx"), "--json"]) == 2
    captured = capsys.readouterr()
    error = json.loads(captured.err.splitlines()[-1])["error"]
    assert captured.out == "" and captured.err.startswith("error: no such model file")
    assert error == {
        "what": "no such model file",
        "where": str(tmp_path / "none.onnx"),
        "hint": "check the path",
        "exit_code": 2,
        "report": "",
    }
