"""A folder -> its image files, flat or one folder per class, and the class that each class folder stands for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from mbn2c.errors import UsageError

SUFFIXES = (".png", ".jpg", ".jpeg")
_NO_CLASSES = ("__MACOSX",)
_NAMED = 6


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


@dataclass(frozen=True)
class FolderClasses:
    """What class folders say of the images in them.

    index  class index by folder name; None if they are no classes of the model
    note   in words, how that was found
    """

    index: dict[str, int] | None
    note: str

    def labels(self, names: Sequence[str]) -> list[int] | None:
        """The class index of samples by name, "folder/file"."""
        return None if self.index is None else [self.index[PurePosixPath(name).parts[0]] for name in names]


def classes_of_folders(folders: Sequence[str], class_names: Sequence[str], count: int) -> FolderClasses:
    """Which class each folder is: by name among `class_names`, else by sorted order, as Keras and PyTorch number them.

    folders      sorted names
    class_names  in index order; empty: not known
    count        classes that the model has; 0 if its output says no class of an image
    """
    if count == 0:
        return FolderClasses(None, "folder names are not used: the output says no class of the image")
    known = [name for name in folders if name in class_names]
    unknown = [name for name in folders if name not in class_names]
    doubled = [name for name in known if list(class_names).count(name) > 1]
    if doubled:
        return FolderClasses(None, f"folder names are not used: two classes are called '{doubled[0]}'")
    if known and unknown:
        return FolderClasses(None, f"folder names are not used: '{unknown[0]}' is no class name of the model")
    if known:
        index = {name: list(class_names).index(name) for name in folders}
        return FolderClasses(index, f"folder names, by the model's class names: {_listed(index)}")
    if len(folders) != count:
        return FolderClasses(None, f"folder names are not used: {len(folders)} folders for {count} classes")
    if all(name.isascii() and name.isdigit() for name in folders) and sorted(folders, key=int) != list(folders):
        return FolderClasses(
            None, "folder names are not used: sorted as text (1, 10, 2) or as numbers they are other classes"
        )
    index = {name: number for number, name in enumerate(folders)}
    return FolderClasses(index, f"folder names, in sorted order as in Keras and PyTorch: {_listed(index)}")


def _listed(index: dict[str, int]) -> str:
    pairs = [f"{number} {name}" for name, number in sorted(index.items(), key=lambda pair: pair[1])]
    more = len(pairs) - _NAMED
    return ", ".join(pairs[:_NAMED]) + (f" and {more} more" if more > 0 else "")
