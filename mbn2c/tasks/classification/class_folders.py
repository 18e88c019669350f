"""Names of class folders -> the class that each stands for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

_NAMED = 6


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
