"""Images, found and true boxes -> what a verify leaves to look at: a picture of each image, and two tables.

boxes.csv   each box of the device in pixels of its image file, in the form that --labels reads, with its score
images.csv  of each image how many boxes there are, how many the float model has too, and how many are right
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageDraw

from mbn2c.files.csv_table import csv_bytes
from mbn2c.files.user_files import text_of
from mbn2c.tasks.detection.decode import FoundBox
from mbn2c.tasks.detection.labels import Placement
from mbn2c.tasks.detection.true_box import COUNTED, TrueBox, counted, same_boxes
from mbn2c.tasks.images import upright_image

_LEAST_PIXELS, _MOST_PIXELS = 480, 1280  # of a picture's longer side
_DEVICE, _TRUE, _IGNORED = (255, 64, 32), (64, 224, 64), (160, 160, 160)
_BOX_COLUMNS = ("file", "class", "x1", "y1", "x2", "y2", "score")
_IMAGE_COLUMNS = ("file", "picture", "boxes", "float_boxes", "same_boxes", "true_boxes", "found", "false")


@dataclass(frozen=True)
class SeenImage:
    """An image file, and what device, float model and the user say is in it.

    float32  None without a float model
    true     None where it is not known
    """

    name: str
    file: Path
    placement: Placement
    device: Sequence[FoundBox]
    float32: Sequence[FoundBox] | None
    true: Sequence[TrueBox] | None


def result_files(images: Sequence[SeenImage], class_names: Sequence[str]) -> Iterator[tuple[str, bytes]]:
    """Names and contents. Raises UsageError for an image that cannot be read any more."""
    names = dict(enumerate(class_names))
    boxes: list[Sequence[object]] = []
    table: list[Sequence[object]] = []
    for image in images:
        picture = _picture_name(image.name)
        yield picture, _picture(image, names)
        for box in image.device:
            corners = (round(one, 3) for one in image.placement.in_file(box.corners))
            boxes.append((text_of(image.name), names.get(box.label, box.label), *corners, round(box.score, 4)))
        table.append((text_of(image.name), picture, *_counts(image)))
    yield "boxes.csv", csv_bytes(_BOX_COLUMNS, boxes)
    yield "images.csv", csv_bytes(_IMAGE_COLUMNS, table)


def _picture_name(name: str) -> str:
    flat = text_of(name).replace("/", "_")
    return flat if flat.lower().endswith((".jpg", ".jpeg")) else f"{flat}.jpg"


def _counts(image: SeenImage) -> tuple[object, ...]:
    """As _IMAGE_COLUMNS has them, "" where something is not known."""
    floats: tuple[object, ...] = ("", "")
    if image.float32 is not None:
        floats = len(image.float32), same_boxes(image.device, image.float32)
    truths: tuple[object, ...] = ("", "", "")
    if image.true is not None:
        wanted = counted(image.true)
        right = same_boxes(image.device, wanted)
        truths = len(wanted), right, len(image.device) - right
    return len(image.device), *floats, *truths


def _picture(image: SeenImage, names: Mapping[int, str]) -> bytes:
    """A JPEG: what is true in green (gray where it is ignored), what the device found in red, with score."""
    canvas = upright_image(image.file)
    columns, rows = canvas.size
    canvas.thumbnail((_MOST_PIXELS, _MOST_PIXELS))
    times = -(-_LEAST_PIXELS // max(canvas.size))
    canvas = canvas.resize((times * canvas.width, times * canvas.height), Image.Resampling.NEAREST)
    draw = ImageDraw.Draw(canvas)
    line = max(2, max(canvas.size) // 300)

    def place(corners: Sequence[float]) -> tuple[float, float, float, float]:
        x0, y0, x1, y1 = image.placement.in_file(corners)
        across, down = canvas.width / columns, canvas.height / rows
        return x0 * across, y0 * down, x1 * across, y1 * down

    for truth in image.true or ():
        draw.rectangle(place(truth.corners), outline=_TRUE if truth.rule == COUNTED else _IGNORED, width=line)
    for box in reversed(image.device):  # the best one last, on top of the others
        x0, y0, x1, y1 = place(box.corners)
        draw.rectangle((x0, y0, x1, y1), outline=_DEVICE, width=line)
        words = f"{names.get(box.label, box.label)} {box.score:.2f}".encode("ascii", "replace").decode()
        left, top, right, bottom = draw.textbbox((x0 + line, 0), words)
        above = y0 - bottom - line if y0 > bottom + line else y0 + line  # within the box where there is no room
        draw.rectangle((left - line, above + top - line, right + line, above + bottom + line), fill=_DEVICE)
        draw.text((x0 + line, above), words, fill=(0, 0, 0))
    out = io.BytesIO()
    canvas.save(out, "JPEG", quality=85, subsampling=0)  # else thin lines lose their colours
    return out.getvalue()
