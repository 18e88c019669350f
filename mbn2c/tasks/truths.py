"""What tasks ask whose truths lie in the pixels of image files: which image is which of them."""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence
from pathlib import Path, PurePosixPath

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


def same_images(names: Sequence[str], written: Iterable[str], file: Path) -> dict[str, str]:
    """By image the name that a file of truths has for it, as far as it has one.

    names    of images: "1.jpg", or "a/1.jpg" where they lie in folders
    written  with more folders, or with fewer: those that both have must be the same
    raises   UsageError if two images could be one name's, or an image has two names
    """
    by_last: dict[str, list[str]] = {}
    for one in dict.fromkeys(written):
        by_last.setdefault(_folders_and_name(one)[0], []).append(one)
    found: dict[str, str] = {}
    owners: dict[str, str] = {}
    for name in names:
        mine = _folders_and_name(name)
        for one in by_last.get(mine[0], []):
            if all(ours == theirs for ours, theirs in zip(mine, _folders_and_name(one), strict=False)):
                _check_is_one(file, name, found.setdefault(name, one), one)
                _check_is_one(file, one, owners.setdefault(one, name), name)
    return found


def files_of_images(folder: Path, names: Sequence[str], suffix: str) -> dict[str, Path]:
    """By image the file of the same name with another suffix, which need not be there: in the image's own folder inside
    this one if it is, else right in this one.

    raises  UsageError if two images have the same
    """
    found: dict[str, Path] = {}
    owners: dict[Path, str] = {}
    for name in names:
        inside, flat = (
            folder / one.with_suffix(suffix) for one in (PurePosixPath(name), PurePosixPath(Path(name).name))
        )
        found[name] = inside if inside.is_file() else flat
        _check_is_one(folder, found[name].name, owners.setdefault(found[name], name), name)
    return found


def _check_is_one(file: Path, of: str, one: str, other: str) -> None:
    if one != other:
        what = f"'{of}' could be '{one}' and '{other}'"
        raise UsageError(what, where=str(file), hint="name the images with their folders, as in a/1.jpg")


def _folders_and_name(path: str) -> tuple[str, ...]:
    """From the last to the first."""
    return tuple(part for part in PurePosixPath(path).parts[::-1] if part not in ("/", ".."))
