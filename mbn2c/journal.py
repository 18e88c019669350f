"""What a verification has found so far <-> a file with one line per image, to go on after either end was killed.

The first line says what is verified; results of anything else are never mixed in. A line that was not written to its
end does not count, and its image is run again.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, TextIO

from mbn2c.errors import UsageError


class Journal:
    """Results by position of the image.

    file    the journal; None to remember nothing
    subject what is verified: model, images, options
    resume  go on with what the file holds; otherwise it begins anew
    raises  UsageError if the file cannot be written, or belongs to another verification
    """

    def __init__(self, file: Path | None, subject: Mapping[str, Any], *, resume: bool = False) -> None:
        self.done: dict[int, dict[str, Any]] = {}
        self._file = file
        self._out: TextIO | None = None
        if file is None:
            return
        head = json.dumps({"verify": subject}, sort_keys=True) + "\n"
        kept = self._read(file, head) if resume and file.is_file() else head
        try:
            temporary = file.with_name(file.name + ".new")
            temporary.write_text(kept, encoding="utf-8")
            temporary.replace(file)
            self._out = file.open("a", encoding="utf-8")
        except OSError as error:
            raise UsageError(f"cannot write the journal: {error.strerror}", where=str(file)) from error

    def _read(self, file: Path, head: str) -> str:
        """The whole lines of the file; their results go into `done`."""
        lines = file.read_text(encoding="utf-8", errors="replace").splitlines(keepends=True)
        if not lines or lines[0] != head:
            raise UsageError(
                "what was broken off was another verification: other model, images, labels or options",
                where=str(file),
                hint="give the same images and options, or leave --resume out to begin anew",
            )
        kept = [head]
        for line in lines[1:]:
            try:
                entry = json.loads(line)
                position, result = entry["image"], entry["result"]
            except (ValueError, KeyError, TypeError):
                continue
            if line.endswith("\n") and position not in self.done:
                self.done[position] = result
                kept.append(line)
        return "".join(kept)

    def write(self, position: int, result: Mapping[str, Any]) -> None:
        """Remember the result of one image, beyond the end of this process."""
        if self._out is not None:
            self._out.write(json.dumps({"image": position, "result": result}) + "\n")
            self._out.flush()
            os.fsync(self._out.fileno())

    def finish(self) -> None:
        """The verification is complete: there is nothing to go on with."""
        self.close()
        if self._file is not None:
            self._file.unlink(missing_ok=True)

    def close(self) -> None:
        if self._out is not None:
            self._out.close()
        self._out = None

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.close()
