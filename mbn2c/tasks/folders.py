"""A folder -> its image files, flat or one folder per class."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mbn2c.errors import UsageError

SUFFIXES = (".png", ".jpg", ".jpeg")
_NO_CLASSES = ("__MACOSX",)


@dataclass(frozen=True)
class ImageFiles:
    """files    in sorted order, by folder first
    folders  names of the class folders in sorted order, those without an image too; () for a flat folder
    """

    files: tuple[Path, ...]
    folders: tuple[str, ...] = ()


def find_images(path: Path) -> ImageFiles:
    """PNG and JPEG files right in a folder, or right in its folders.

    raises  UsageError if there are none, or if files and folders of files are mixed
    """
    files, folders = _entries(path)
    inside = {folder: _entries(folder) for folder in folders}
    below = [inner for _, deeper in inside.values() for inner in deeper if _entries(inner)[0]]
    full = [folder for folder in folders if inside[folder][0]]
    if files and full:
        raise UsageError(
            f"images lie beside folders of images: {files[0].name}, {full[0].name}/",
            where=str(path),
            hint="either images only, or one folder per class with images only",
        )
    if files:
        return ImageFiles(tuple(files))
    if not full:
        inner = below[0].parent if below else None
        hint = f"name one of its folders, e.g. {inner.name}" if inner else "put PNG or JPEG files there"
        raise UsageError("the folder holds no PNG or JPEG file", where=str(path), hint=hint)
    if below:
        raise UsageError(
            f"a folder of images lies in a class folder: {below[0].parent.name}/{below[0].name}/",
            where=str(path),
            hint="one folder per class, with images only",
        )
    return ImageFiles(
        tuple(file for folder in folders for file in inside[folder][0]), tuple(folder.name for folder in folders)
    )


def _entries(path: Path) -> tuple[list[Path], list[Path]]:
    """(image files, folders), each sorted by name; hidden ones are left out."""
    try:
        entries = sorted(path.iterdir(), key=lambda entry: entry.name)
        shown = [entry for entry in entries if not entry.name.startswith(".")]
        files = [entry for entry in shown if entry.suffix.lower() in SUFFIXES and entry.is_file()]
        return files, [entry for entry in shown if entry.is_dir() and entry.name not in _NO_CLASSES]
    except OSError as error:
        raise UsageError(
            f"cannot read the folder: {error.strerror}", where=str(path), hint="check its rights"
        ) from None
