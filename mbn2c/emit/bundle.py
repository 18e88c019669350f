"""The Bundle: path -> bytes of everything a build writes, and writing it without touching what is unchanged."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from mbn2c.errors import UsageError

Bundle = dict[str, bytes]


def write_bundle(bundle: Mapping[str, bytes], folder: Path) -> list[str]:
    """Write the files that differ; returns their paths.

    raises  UsageError if the folder or a file cannot be written
    """
    written = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path, content in sorted(bundle.items()):
            target = folder / path
            if target.is_file() and target.read_bytes() == content:
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
            written.append(path)
    except OSError as error:
        raise UsageError(f"cannot write {error.filename}: {error.strerror}", hint="choose another -o folder") from error
    return written
