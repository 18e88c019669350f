"""True boxes as users write them, one module a form -> of each image classes and corners in pixels of its file.

FORMS is all that `find_form` knows: a new form is a module with a `read` and a line here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mbn2c.errors import UsageError
from mbn2c.files.user_files import regular_file
from mbn2c.tasks.detection.box_files import coco, csv_table, voc, yolo
from mbn2c.tasks.detection.box_files.boxes import Boxes

# File, columns and rows of each image file by its name, class names of the network -> boxes by name of the image file.
Read = Callable[[Path, Mapping[str, tuple[int, int]], Sequence[str]], Boxes]


@dataclass(frozen=True)
class BoxForm:
    """A form of files.

    suffix     of the file; of the files in the folder where each image has one of its own
    is_folder  what the user names
    names_all  it names images without a box, too: of one that it does not name nothing is known
    words      what it looks like, for people
    """

    name: str
    suffix: str
    is_folder: bool
    names_all: bool
    words: str
    read: Read


FORMS = (
    BoxForm("csv", ".csv", False, False, csv_table.WORDS, csv_table.read),
    BoxForm("coco", ".json", False, True, coco.WORDS, coco.read),
    BoxForm("voc", ".xml", True, True, voc.WORDS, voc.read),
    BoxForm("yolo", ".txt", True, False, yolo.WORDS, yolo.read),
)
ANY_FORM = "; ".join(form.words for form in FORMS)


def _with_suffix_of(files: Sequence[Path]) -> list[BoxForm]:
    suffixes = {file.suffix.lower() for file in files}
    return [form for form in FORMS if form.is_folder and form.suffix in suffixes]


def find_form(path: Path) -> BoxForm:
    """The form of a file or folder. Raises UsageError if it is none, or a folder may be two."""
    if path.is_dir():
        try:
            inside = list(path.iterdir())
            deeper = [file for folder in inside if folder.is_dir() for file in folder.iterdir()]
        except OSError as error:
            what = f"cannot read the folder: {error.strerror}"
            raise UsageError(what, where=str(path), hint="check its rights") from None
        found = _with_suffix_of(inside) or _with_suffix_of(deeper)
    else:
        found = [form for form in FORMS if not form.is_folder and form.suffix == path.suffix.lower()]
        regular_file(path, "labels file", ANY_FORM)
        if not found:
            what = f"true boxes in a file that ends in '{path.suffix[:40]}'"
            raise UsageError(what, where=str(path), hint=ANY_FORM)
    if len(found) == 1:
        return found[0]
    forms = " and ".join(f"*{form.suffix}" for form in found) or "no true boxes"
    raise UsageError(f"a folder with {forms}", where=str(path), hint=ANY_FORM)
