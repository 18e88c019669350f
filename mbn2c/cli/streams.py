"""What is said on standard output and error, whatever they are connected to: nothing here raises.

What a command found decides its exit code. So a pipe that nobody reads any more is no error, and a disk without room
is one only if nothing else is: it is remembered, and `settled` tells it when the command has ended.
"""

from __future__ import annotations

import contextlib
import os
import re
import sys
from typing import TextIO

from mbn2c.errors import UsageError
from mbn2c.printable import printable

_lost: list[str] = []
# Not empty: --quiet, --verbose.
_quiet: list[bool] = []
_verbose: list[bool] = []
# Words that begin a line of standard error, and their colour on a terminal.
_COLOURS = {"error:": "1;31", "warning:": "1;33", "where:": "1", "try:": "1;32"}
_COLOURED = re.compile(rf"^({'|'.join(_COLOURS)})", re.MULTILINE)


def open_streams() -> None:
    """Make both streams fit to be written to, before the first word.

    A stream that the caller closed becomes the null device, so that no file opened later is taken for it; a character
    that the terminal's encoding lacks is written as its escape.
    """
    _lost.clear()
    if None in (sys.stdin, sys.stdout, sys.stderr):
        while (number := os.open(os.devnull, os.O_RDWR)) <= 2:
            os.set_inheritable(number, True)
        os.close(number)
    # Not closed before this process is: they are its standard streams.
    sys.stdin = sys.stdin or open(os.devnull)  # noqa: SIM115
    sys.stdout = sys.stdout or open(os.devnull, "w")  # noqa: SIM115
    sys.stderr = sys.stderr or open(os.devnull, "w")  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def say(text: str) -> None:
    """Lines on standard output, at once."""
    _write(sys.stdout, printable(text, lines=True) + "\n")


def complain(text: str) -> None:
    """Lines on standard error; on a terminal the words that they begin with are coloured."""
    shown = printable(text, lines=True)
    with contextlib.suppress(OSError):
        if _takes_colour(sys.stderr):
            shown = _COLOURED.sub(lambda found: f"\x1b[{_COLOURS[found[0]]}m{found[0]}\x1b[0m", shown)
        print(shown, file=sys.stderr, flush=True)


def _takes_colour(stream: TextIO) -> bool:
    """source  no-color.org: NO_COLOR that is not empty turns colours off."""
    return is_terminal(stream) and not os.environ.get("NO_COLOR")


def is_terminal(stream: TextIO) -> bool:
    """Whether it takes more than lines."""
    return stream.isatty() and os.environ.get("TERM") != "dumb"


def warn(text: str) -> None:
    """A line on standard error that --quiet leaves out."""
    if not _quiet:
        complain(f"warning: {text}")


def be_quiet(quiet: bool, verbose: bool = False) -> None:
    """Whether this command leaves warnings and progress out, or says how long each stage of its work took."""
    for told, asked in ((_quiet, quiet), (_verbose, verbose)):
        told.clear()
        told.extend([True] if asked else [])


def is_quiet() -> bool:
    """Whether it does."""
    return bool(_quiet)


def tell_stage(text: str) -> None:
    """A line on standard error that only --verbose asks for."""
    if _verbose:
        complain(text)


def settled(code: int) -> int:
    """The exit code of a command that ended with `code`: another one only if all was well but its output is lost."""
    _write(sys.stdout, "")
    if _lost and code == 0:
        complain(str(UsageError(f"cannot write to standard output: {_lost[0]}", hint="free space, or another file")))
        code = UsageError.exit_code
    _flush_to_nowhere(sys.stderr)
    return code


def _write(stream: TextIO, text: str) -> None:
    try:
        stream.write(text)
        stream.flush()
    except OSError as error:
        if not isinstance(error, BrokenPipeError):
            _lost.append(error.strerror or str(error))
        _flush_to_nowhere(stream)


def _flush_to_nowhere(stream: TextIO) -> None:
    """Leave nothing in the stream that Python would fail to write when it ends, with an exit code of its own.

    source  Python's documentation of SIGPIPE, module signal
    """
    try:
        stream.flush()
    except OSError:
        with contextlib.suppress(OSError):  # a test's stream has no number
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, stream.fileno())
            os.close(null)
