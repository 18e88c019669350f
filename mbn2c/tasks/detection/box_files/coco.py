"""COCO's JSON: images, annotations with bbox (x, y, width, height), and categories."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mbn2c.errors import UsageError
from mbn2c.files.typed_json import parse
from mbn2c.files.user_files import read_text
from mbn2c.tasks.detection.box_files.boxes import Boxes, WrittenBox
from mbn2c.tasks.detection.true_box import COUNTED, CROWD

WORDS = "COCO's JSON of images, annotations, categories"


def read(path: Path, images: Mapping[str, tuple[int, int]], class_names: Sequence[str]) -> Boxes:
    """A class is its category's name if the network has a name of a category, else its place in the order of their ids.

    raises  UsageError for what is not of that form
    """
    try:
        plain: Any = parse(read_text(path, "labels file", WORDS))
        files = {image["id"]: str(image["file_name"]) for image in plain["images"]}
        categories = sorted(plain["categories"], key=lambda one: int(one["id"]))
        names = [str(one.get("name", "")) for one in categories]
        are_known = not set(names).isdisjoint(class_names)
        what = {one["id"]: names[n] if are_known else str(n) for n, one in enumerate(categories)}
        found: Boxes = {name: [] for name in files.values()}
        for one in plain["annotations"]:
            x, y, width, height = (float(number) for number in one["bbox"])
            if not (width >= 0 and height >= 0):
                raise ValueError(f"a bbox of {width:g} x {height:g}")
            rule = CROWD if one.get("iscrowd") else COUNTED
            box = WrittenBox(what[one["category_id"]], (x, y, x + width, y + height), rule)
            found[files[one["image_id"]]].append(box)
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        raise UsageError(f"not COCO's JSON: {type(error).__name__}: {error}", where=str(path), hint=WORDS) from None
    return found
