"""Pascal VOC: a folder with an XML file for each image, of its name.

source  The PASCAL Visual Object Classes Challenge development kit: bndbox counts pixels from 1, and its last ones are
        part of the box; objects that are `difficult` count neither when they are found nor when they are not
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from xml.etree import ElementTree

from mbn2c.errors import UsageError
from mbn2c.files.user_files import read_text
from mbn2c.tasks.detection.box_files.boxes import Boxes, WrittenBox
from mbn2c.tasks.detection.true_box import COUNTED, DIFFICULT
from mbn2c.tasks.truths import files_of_images

WORDS = "a folder of VOC's XML files, one for each image"
_CORNERS = ("xmin", "ymin", "xmax", "ymax")


class _Builder(ElementTree.TreeBuilder):
    """Refuses document types, which bring entities that unfold without end."""

    def doctype(self, name: str, pubid: str | None, system: str | None) -> None:
        """Of `<!DOCTYPE`, before anything in it is read."""
        raise ValueError("it has a document type")


def read(path: Path, images: Mapping[str, tuple[int, int]], class_names: Sequence[str]) -> Boxes:
    """raises  UsageError naming the file and its object"""
    files = files_of_images(path, list(images), ".xml")
    return {name: _of_file(file) for name, file in files.items() if file.is_file()}


def _of_file(file: Path) -> list[WrittenBox]:
    text = read_text(file, "labels file", WORDS)
    try:
        root = ElementTree.fromstring(text, ElementTree.XMLParser(target=_Builder()))
        if root.tag != "annotation":
            raise ValueError(f"its root is '{root.tag[:40]}', not 'annotation'")
    except (ElementTree.ParseError, ValueError) as error:
        raise UsageError(f"not VOC's XML: {error}", where=str(file), hint=WORDS) from None
    boxes = []
    for number, one in enumerate(root.iterfind("object"), 1):
        try:
            boxes.append(_of_object(one))
        except ValueError as error:
            raise UsageError(f"not VOC's XML: {error}", where=f"{file}, object {number}", hint=WORDS) from None
    return boxes


def _of_object(one: ElementTree.Element) -> WrittenBox:
    name, difficult = _text(one, "name"), (one.findtext("difficult") or "0").strip()
    if difficult not in ("0", "1"):
        raise ValueError(f"difficult is '{difficult[:40]}'")
    try:
        x0, y0, x1, y1 = (float(_text(one, f"bndbox/{corner}")) for corner in _CORNERS)
    except ValueError as error:
        raise ValueError(f"a corner of bndbox: {error}") from None
    if not (x0 <= x1 and y0 <= y1):
        raise ValueError(f"a bndbox from {x0:g}, {y0:g} to {x1:g}, {y1:g}")
    return WrittenBox(name, (x0 - 1, y0 - 1, x1, y1), DIFFICULT if difficult == "1" else COUNTED)


def _text(one: ElementTree.Element, path: str) -> str:
    found = (one.findtext(path) or "").strip()
    if not found:
        raise ValueError(f"no '{path}'")
    return found
