"""What nobody foresaw -> one message, an exit code, and for a bug a report to send in; never a traceback."""

from __future__ import annotations

import errno
import json
import os
import platform
import shlex
import sys
import tempfile
import traceback
from collections.abc import Sequence
from importlib import metadata

from mbn2c import __version__
from mbn2c.cli.streams import complain
from mbn2c.errors import BoardError, InternalError, Mbn2cError, UsageError
from mbn2c.printable import printable

# The computer's own state, which the user can mend and a bug of ours cannot cause: full disk, missing rights, limits.
_COMPUTER = {errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS, errno.EMFILE, errno.ENFILE, errno.EIO}
# A path that leads nowhere; ENOENT is not among them, for a missing file of ours is a bug.
_NAME = {errno.ENAMETOOLONG, errno.ELOOP, errno.ENOTDIR}
_REPORTED_PACKAGES = ("numpy", "onnx", "onnxruntime", "pillow", "pyserial")


def exit_code_of(error: Exception, arguments: Sequence[str] | None) -> int:
    """Print the message of an error that ends a command; returns the exit code.

    With --json its parts follow as one JSON object, the last line of standard error.

    arguments  of the command line, without the program's name; None: those of this process
    """
    known = _known(error)
    complain(str(known))
    report = _save_report(error, arguments) if isinstance(known, InternalError) else ""
    if report:
        complain(f"report: {report}")
    if "--json" in (sys.argv[1:] if arguments is None else arguments):
        facts = {"what": known.what, "where": known.where, "hint": known.hint, "exit_code": known.exit_code}
        complain(json.dumps({"error": facts | {"report": report}}))
    return known.exit_code


def _known(error: Exception) -> Mbn2cError:
    if isinstance(error, Mbn2cError):
        return error
    if isinstance(error, MemoryError):
        hint = "end other programs; a smaller model or fewer images need less"
        return BoardError("this computer has too little memory", hint=hint)
    if isinstance(error, OSError) and error.errno in _COMPUTER:
        return BoardError(f"this computer refuses: {error.strerror}", where=str(error.filename or ""), hint="")
    if isinstance(error, OSError) and error.errno in _NAME:
        return UsageError(f"no such file name: {error.strerror}", where=str(error.filename), hint="check the path")
    what = type(error).__name__
    if isinstance(error, RecursionError):
        what = "something is nested deeper than mbn2c can follow"
    return InternalError(f"bug in mbn2c: {what}", hint="please report it with the file named below, and the model")


def _save_report(error: Exception, arguments: Sequence[str] | None) -> str:
    """Write what a bug report needs into the temporary folder; returns the file's path, or why there is none."""
    words = sys.argv[1:] if arguments is None else arguments
    lines = [
        f"mbn2c {__version__}, Python {platform.python_version()}, {platform.platform()}",
        ", ".join(f"{name} {_version(name)}" for name in _REPORTED_PACKAGES),
        f"command: mbn2c {shlex.join(words)}",
        "",
        "".join(traceback.format_exception(error)),
    ]
    try:
        with tempfile.NamedTemporaryFile(
            "w",
            dir=_outside(),
            prefix="mbn2c-bug-",
            suffix=".txt",
            delete=False,
            encoding="utf-8",
            errors="backslashreplace",
        ) as file:
            file.write(printable("\n".join(lines), lines=True))
            return file.name
    except OSError as problem:
        return f"could not be written: {problem.strerror}"


def _outside() -> str:
    """The temporary folder, not the one in it that `__main__` removes at the end."""
    folder = tempfile.gettempdir()
    parent, name = os.path.split(folder)
    return parent if name.startswith("mbn2c-") else folder


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "unknown"
