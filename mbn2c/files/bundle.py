"""The Bundle: path -> bytes of everything a build writes, and writing it without touching what is unchanged."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from mbn2c.errors import UsageError

Bundle = dict[str, bytes]


def write_bundle(bundle: Mapping[str, bytes], folder: Path) -> list[str]:
    """Write the files that differ; returns their paths. A symbolic link in a file's place is replaced, not followed.

    raises  UsageError if the folder or a file cannot be written
    """
    written = []
    target = folder
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path, content in sorted(bundle.items()):
            target = folder / path
            if target.is_symlink():
                target.unlink()
            elif target.is_file() and target.read_bytes() == content:
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
            written.append(path)
    except OSError as error:
        # A write that fails, as on a full disk, does not say on which file.
        where = error.filename or target
        raise UsageError(
            f"cannot write {where}: {error.strerror}", hint="make room, or check the rights there"
        ) from error
    return written
