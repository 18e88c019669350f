"""What an output folder holds."""

from __future__ import annotations

from pathlib import Path

from mbn2c.commands.output_folder.manifest import MANIFEST


def content(folder: Path) -> dict[str, bytes]:
    """All files but the manifest."""
    paths = [path for path in folder.rglob("*") if path.is_file() and path.name != MANIFEST]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}
