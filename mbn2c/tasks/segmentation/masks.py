"""A folder of PNG masks -> what is true of each pixel of the network's input."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from mbn2c.errors import UsageError
from mbn2c.files.csv_table import has_column, read_csv
from mbn2c.tasks.images import resized_mask, upright_size
from mbn2c.tasks.segmentation.intersection import IGNORED
from mbn2c.tasks.truths import files_of_images

# Beside the masks, or inside their folder: what their values are called.
NAMES_FILE = "mask_classes.csv"
_HEADER = "value,name"


@dataclass(frozen=True)
class ScaledImage:
    """An image file, and how it is brought to the network's size: one of `images.RESIZES`."""

    file: Path
    resize: str


def read_masks(
    folder: Path,
    names: Sequence[str],
    size: tuple[int, int],
    images: Mapping[str, ScaledImage],
    class_names: Sequence[str],
) -> list[np.ndarray]:
    """The mask of each image, uint8 [height, width]: the network's class, or IGNORED.

    folder       a PNG for each image, of its name; pixels are classes, or values of a mask_classes.csv, whose names
                 are those of the network's classes; what the network has no class for is class 0
    size         height and width of the network's input
    images       by name; a mask has the size of its image, or the network's
    class_names  of the network
    raises       UsageError naming the file and what to do
    """
    if not folder.is_dir():
        raise UsageError("no folder of masks", where=str(folder), hint="a PNG for each image, of the same name")
    table = _values(folder, class_names)
    files = files_of_images(folder, names, ".png")
    return [_read(files[name], size, images[name], table) for name in names]


def _read(file: Path, size: tuple[int, int], image: ScaledImage, table: np.ndarray | None) -> np.ndarray:
    try:
        with Image.open(file) as opened:
            if opened.mode not in ("L", "P", "1"):
                raise UsageError(f"a mask of {opened.mode} pixels", where=str(file), hint="a PNG of 8 bits a pixel")
            mask = opened.convert("L") if opened.mode == "1" else opened.copy()
    except (OSError, SyntaxError, ValueError) as error:
        hint = "a PNG for each image, of the same name"
        raise UsageError(f"cannot read the mask: {error}", where=str(file), hint=hint) from None
    if mask.size != size[::-1] and mask.size != (wanted := upright_size(image.file)):
        what = f"a mask of {mask.width} x {mask.height} pixels for an image of {wanted[0]} x {wanted[1]}"
        raise UsageError(what, where=str(file), hint="a mask of the size of its image, or of the network's input")
    values = np.asarray(resized_mask(mask, *size, image.resize, str(file)), np.uint8)
    return values if table is None else table[values]


def _values(folder: Path, class_names: Sequence[str]) -> np.ndarray | None:
    """By value of a mask the network's class; None where they are the same."""
    file = next((one for one in (folder / NAMES_FILE, folder.parent / NAMES_FILE) if one.is_file()), None)
    if file is None:
        return None
    if not class_names:
        hint = "build with --labels FILE, a name for each class; or masks of the network's own numbers"
        raise UsageError("masks whose values have names, and classes that have none", where=str(file), hint=hint)
    rows = read_csv(file, _HEADER)
    if not (has_column(rows, "value") and has_column(rows, "name")):
        raise UsageError("no table of a mask's values", where=str(file), hint=f"first line: {_HEADER}")
    numbers = {_plain(name): number for number, name in enumerate(class_names)}
    table = np.zeros(256, np.uint8)
    table[IGNORED] = IGNORED
    known = 0
    for line, row in rows.items():
        value = row["value"].strip()
        if not value.isdecimal() or int(value) > 255:
            raise UsageError(f"'{value[:20]}' is no value of a mask", where=f"{file}, line {line}", hint="0 to 255")
        number = numbers.get(_plain(row["name"]))
        known += number is not None and number > 0
        table[int(value)] = number or 0
    if not known:
        raise UsageError("of its names the network has none", where=str(file), hint=f"it has {', '.join(class_names)}")
    return table


def _plain(name: str) -> str:
    """Without what two lists spell differently."""
    return "".join(name.lower().split())
