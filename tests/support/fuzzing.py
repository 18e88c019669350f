"""Bytes of files flipped at random, and commands run on them in this process: no traceback, no exit code 70."""

from __future__ import annotations

import collections
import contextlib
import io
import random
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

from mbn2c.cli import main

Command = Callable[[bytes], list[str]]


def flips(content: bytes, count: int, seed: int) -> Iterator[tuple[int, bytes]]:
    """`count` copies with one byte changed each, with its place: a bit, a byte of any value, or 0 and 255."""
    chance = random.Random(seed)
    for _ in range(count):
        place = chance.randrange(len(content))
        old = content[place]
        new = chance.choice((old ^ 1 << chance.randrange(8), chance.randrange(256), 0, 255))
        yield place, content[:place] + bytes([new if new != old else old ^ 1]) + content[place + 1 :]


def run(words: list[str]) -> tuple[int, str]:
    """Exit code and all that is said; fails on whatever no user should see."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)  # numpy's would be printed between the lines
        code = main(words)
    said = err.getvalue()
    assert "Traceback" not in said + out.getvalue(), said
    assert code != 70, said + _report(said)
    assert code == 0 or said.startswith("error: "), (code, said)
    return code, said


def _report(said: str) -> str:
    return Path(said.rpartition("report: ")[2].strip()).read_text()


def outcomes(codes: list[int]) -> str:
    return ", ".join(f"{count} x exit {code}" for code, count in sorted(collections.Counter(codes).items()))
