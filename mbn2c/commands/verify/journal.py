"""What a verification has found so far <-> a file with one line per image, to go on after either end was killed.

    first line   CRC-32 of what follows, a space, {"verify": what is verified}
    each other   CRC-32 of what follows, continuing that of the first line, a space,
                 {"image": position, "sha256": of the image, "result": ...}

Results of anything else are never mixed in, and a line that is not as it was written is refused. Only a last line
that was not written to its end does not count: its image is run again.
"""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

from mbn2c.errors import UsageError

_HINT = "leave --resume out to begin anew"


@dataclass(frozen=True)
class Entry:
    """The result of one image; sha256: of what the image was made of."""

    sha256: str
    result: dict[str, Any]


class Journal:
    """Results by position of the image.

    file    the journal; None to remember nothing
    subject what is verified, by kind: plain JSON; a kind that differs is named
    resume  go on with what the file holds; otherwise it begins anew
    raises  UsageError if the file cannot be read or written, is damaged, or belongs to another verification
    """

    def __init__(self, file: Path | None, subject: Mapping[str, Any], *, resume: bool = False) -> None:
        self.done: dict[int, Entry] = {}
        self._file = file
        self._out: BinaryIO | None = None
        if file is None:
            return
        head = _line({"verify": subject}, 0)
        self._seed = _crc(head)
        try:
            kept = self._read(file, subject) if resume and file.is_file() else head
            temporary = file.with_name(file.name + ".new")
            temporary.unlink(missing_ok=True)  # a symbolic link there is not followed
            temporary.write_bytes(kept)
            temporary.replace(file)
            self._out = file.open("ab")
        except OSError as error:
            raise UsageError(f"cannot read or write the journal: {error.strerror}", where=str(file)) from error

    def _read(self, file: Path, subject: Mapping[str, Any]) -> bytes:
        """The whole lines of the file; their results go into `done`."""
        *lines, _unfinished = file.read_bytes().split(b"\n")
        first = _content(lines[0], 0) if lines else None
        if first is None or set(first) != {"verify"} or not isinstance(first["verify"], dict):
            raise UsageError("the journal is damaged, or is none", where=f"{file}, line 1", hint=_HINT)
        was = first["verify"]
        others = [kind for kind in {**was, **subject} if was.get(kind) != json.loads(json.dumps(subject.get(kind)))]
        if others:
            raise UsageError(
                f"what was broken off was another verification: other {', other '.join(others)}",
                where=str(file),
                hint=f"give the same images, firmware and options, or {_HINT}",
            )
        for number, line in enumerate(lines[1:], 2):
            entry = _entry(_content(line, self._seed))
            if entry is None or entry[0] in self.done:
                what = "the journal holds an image twice" if entry else "the journal was damaged or edited"
                raise UsageError(what, where=f"{file}, line {number}", hint=_HINT)
            self.done[entry[0]] = entry[1]
        return b"".join(line + b"\n" for line in lines)

    def write(self, position: int, sha256: str, result: Mapping[str, Any]) -> None:
        """Remember the result of one image, beyond the end of this process."""
        if self._out is not None:
            self._out.write(_line({"image": position, "sha256": sha256, "result": result}, self._seed))
            self._out.flush()
            os.fsync(self._out.fileno())

    def finish(self) -> None:
        """The verification is complete: there is nothing to go on with."""
        self.close()
        if self._file is not None:
            self._file.unlink(missing_ok=True)

    def close(self) -> None:
        """Close the file, if it is open. May be called twice."""
        if self._out is not None:
            self._out.close()
        self._out = None

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.close()


def _line(content: Mapping[str, Any], seed: int) -> bytes:
    body = json.dumps(content, sort_keys=True).encode()
    return b"%08x %s\n" % (zlib.crc32(body, seed), body)


def _crc(line: bytes) -> int:
    return int(line[:8], 16)


def _content(line: bytes, seed: int) -> dict[str, Any] | None:
    """What a line says; None if it is not as it was written. seed: the CRC-32 it continues."""
    body = line[9:]
    if line[:9] != b"%08x " % zlib.crc32(body, seed):
        return None
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) else None


def _entry(content: dict[str, Any] | None) -> tuple[int, Entry] | None:
    """Position and result; None if the content is anything else."""
    if content is None or set(content) != {"image", "sha256", "result"}:
        return None
    position, sha256, result = content["image"], content["sha256"], content["result"]
    if type(position) is not int or not isinstance(sha256, str) or not isinstance(result, dict):
        return None
    return position, Entry(sha256, result)
