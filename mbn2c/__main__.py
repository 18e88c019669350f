"""The command `mbn2c`, also as `python -m mbn2c`: what must hold from the first import on.

The command is imported inside `main`: numpy and ONNX Runtime take a second, in which Ctrl-C must end in one line too.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import tempfile
from collections.abc import Iterator
from types import FrameType
from typing import NoReturn

_INTERRUPTED = 130
# Ended from outside: by `kill`, a scheduler, a closed terminal. SIGHUP is missing on Windows.
_ENDING = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]


def main() -> int:
    """Run one command; returns its exit code."""
    signal.signal(signal.SIGINT, _interrupted_early)
    from mbn2c.cli import load
    from mbn2c.cli import main as run

    load(sys.argv[1:])
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in _ENDING:
        if signal.getsignal(number) == signal.SIG_DFL:  # nohup sets SIGHUP to be ignored, which stays so
            signal.signal(number, _ended)
    try:
        with _own_temporary_folder():
            return run()
    except KeyboardInterrupt:  # in the moment before the command starts
        _interrupted_early(signal.SIGINT, None)


def _interrupted_early(number: int, frame: FrameType | None) -> NoReturn:
    """Ctrl-C during the imports: an exception there would come out of other packages' code, as any error."""
    os.write(2, b"error: interrupted\n")
    os._exit(_INTERRUPTED)


def _ended(number: int, frame: FrameType | None) -> NoReturn:
    """Leave every `with` on the way out: temporary folders are removed, emulators ended.

    `timeout` sends the signal twice, so further ones are ignored.
    """
    for each in _ENDING:
        signal.signal(each, signal.SIG_IGN)
    raise SystemExit(128 + number)


@contextlib.contextmanager
def _own_temporary_folder() -> Iterator[None]:
    """One folder in which all others are made, so that none is left, whenever a signal comes.

    Between making a folder and entering its `with` an exception would leave it; so signals wait while this one is made.
    """
    waiting = {signal.SIGINT, *_ENDING}
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_BLOCK, waiting)
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(OSError):  # what needs no temporary folder works without
            tempfile.tempdir = stack.enter_context(tempfile.TemporaryDirectory(prefix="mbn2c-"))
        stack.callback(setattr, tempfile, "tempdir", None)
        if hasattr(signal, "pthread_sigmask"):
            signal.pthread_sigmask(signal.SIG_UNBLOCK, waiting)
        yield


if __name__ == "__main__":
    sys.exit(main())
