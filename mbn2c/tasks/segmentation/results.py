"""Images and maps of classes -> what a verify leaves to look at: two pictures of each image, and a table.

<image>.png          the image as the network sees it, each class of the device in its colour
<image>_classes.png  the device's map, a number for each pixel: of the form that --labels reads
images.csv           of each image how many pixels are as the float model and as the masks say, of 1
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

import numpy as np
from PIL import Image

from mbn2c.files.csv_table import csv_bytes
from mbn2c.files.user_files import text_of
from mbn2c.tasks.images import png_of
from mbn2c.tasks.segmentation.intersection import IGNORED
from mbn2c.tasks.segmentation.maps import overlay, palette

_COLUMNS = ("file", "picture", "same_as_float", "right")


@dataclass(frozen=True)
class SeenMap:
    """An image, and what device, float model and masks say of its pixels, all [height, width].

    pixels         uint8 [height, width, 1 or 3]
    float32, true  None where it is not known
    """

    name: str
    pixels: np.ndarray
    device: np.ndarray
    float32: np.ndarray | None
    true: np.ndarray | None


def map_files(images: Iterator[SeenMap]) -> Iterator[tuple[str, bytes]]:
    """Names and contents."""
    rows: list[Sequence[object]] = []
    for image in images:
        stem = PurePosixPath(text_of(image.name).replace("/", "_")).stem
        yield f"{stem}.png", png_of(Image.fromarray(overlay(image.pixels, image.device)))
        classes = Image.fromarray(image.device)
        classes.putpalette(palette(256).tobytes())
        yield f"{stem}_classes.png", png_of(classes)
        rows.append((text_of(image.name), f"{stem}.png", *_shares(image)))
    yield "images.csv", csv_bytes(_COLUMNS, rows)


def _shares(image: SeenMap) -> tuple[object, ...]:
    same: object = "" if image.float32 is None else round(float((image.device == image.float32).mean()), 5)
    right: object = ""
    if image.true is not None:
        counted = image.true != IGNORED
        right = round(float((image.device == image.true)[counted].mean()), 5) if counted.any() else ""
    return same, right
