"""What a command found decides its exit code, whatever its standard output and error are connected to."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from devices import build_folder, demo_options
from places import ROOT

from mbn2c.commands import demo
from mbn2c.commands.output_folder import OutputFolder


@contextmanager
def unread() -> Iterator[int]:
    """A pipe that nobody reads any more: `| head -1` after its line, `| grep -q` after its match."""
    reader, writer = os.pipe()
    os.close(reader)
    yield writer
    os.close(writer)


@contextmanager
def full() -> Iterator[int]:
    """A disk without room."""
    with open("/dev/full", "wb") as file:
        yield file.fileno()


@contextmanager
def fine() -> Iterator[int]:
    yield subprocess.PIPE


def run(words: list[str], out: str, err: str = "fine") -> tuple[int, str, str]:
    """Exit code, standard output and error, where they can be read, of a command with such streams."""
    streams = {"fine": fine, "unread": unread, "full": full, "closed": fine}
    closing = [f"{number}>&-" for number, stream in ((1, out), (2, err)) if stream == "closed"]
    command = ["sh", "-c", " ".join(['exec "$@"', *closing]), "sh", sys.executable, "-m", "mbn2c", *words]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
    with streams[out]() as stdout, streams[err]() as stderr:
        done = subprocess.run(command, stdout=stdout, stderr=stderr, text=True, env=environment, timeout=300)
    return done.returncode, done.stdout or "", done.stderr or ""


CASES = [
    # (command, standard output, standard error, exit code, word on standard error)
    (["targets"], "unread", "fine", 0, ""),
    (["targets", "--json"], "closed", "fine", 0, ""),
    (["targets"], "full", "fine", 2, "cannot write to standard output: No space left"),
    (["--help"], "unread", "fine", 0, ""),
    (["build", "--help"], "full", "fine", 2, "cannot write to standard output"),
    (["verify", "nowhere", "--images", "."], "full", "fine", 2, "where: nowhere"),
    (["inspect", "pyproject.toml"], "fine", "full", 3, ""),
    (["inspect", "pyproject.toml"], "fine", "unread", 3, ""),
    (["inspect", "pyproject.toml"], "fine", "closed", 3, ""),
    (["inspect", "pyproject.toml"], "full", "closed", 3, ""),
]


@pytest.mark.parametrize(
    ("words", "out", "err", "code", "said"), CASES, ids=[f"{' '.join(c[0])}, {c[1]}, {c[2]}" for c in CASES]
)
def test_exit_code(words: list[str], out: str, err: str, code: int, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    got, printed, complaints = run(words, out, err)
    assert got == code, complaints
    assert printed == ""
    assert said in complaints and complaints.count("error: ") == (1 if said else 0), complaints
    assert "Traceback" not in complaints and "Exception ignored" not in complaints


@pytest.fixture(scope="module")
def output(tmp_path_factory: pytest.TempPathFactory) -> OutputFolder:
    return build_folder(tmp_path_factory.mktemp("digits"), demo_options("host", "host"), compiled=True)


@pytest.mark.parametrize("out", ["unread", "full", "closed", "fine"])
def test_a_failed_gate_fails_whatever_becomes_of_the_output(out: str, output: OutputFolder) -> None:
    """Two images cannot show that no accuracy is lost: --max-drop 0 fails."""
    words = ["verify", str(output.path), "--host", "--images", str(demo.TEST_FOLDER), "--limit", "2"]
    code, printed, complaints = run([*words, "--labels", str(demo.TEST_LABELS), "--max-drop", "0"], out)
    assert code == 1, complaints
    assert "0 % is allowed" in complaints and ("2 images" in printed) == (out == "fine")
