"""What tasks ask whose truths lie in the pixels of image files."""

from __future__ import annotations

from collections.abc import Container, Sequence
from pathlib import Path

from mbn2c.errors import UsageError


def check_are_files(names: Sequence[str], opened: Container[str], file: Path, what: str) -> None:
    """Raises UsageError if an image is no file that was opened, so that nobody knows its size.

    file, what  the truths, and what they are in words
    """
    missing = next((name for name in names if name not in opened), None)
    if missing is not None:
        raise UsageError(
            f"{what} need image files; '{missing}' is none", where=str(file), hint="give a folder of images"
        )
