"""Images and the classes chosen for them -> what a verify leaves to look at: two tables, and the worst images.

images.csv     of each image the class that the device says, the float model's, the true one, and the noise
confusion.csv  how often the device says which class (columns) for images of a class (rows): the true one, else the
               float model's; classes that occur
wrong_N_<image>.png, noisy_N_<image>.png  the worst images as the network sees them: those for which the device says
               another class than the true one, or else than the float model; then the noisiest
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from PIL import Image

from mbn2c.files.csv_table import csv_bytes
from mbn2c.files.user_files import text_of
from mbn2c.tasks.images import Samples, png_of

_MOST_WORST = 20
_COLUMNS = ("file", "device", "float32", "true", "sqnr_db", "right")


@dataclass(frozen=True)
class SeenClass:
    """The position of an image, and the class that is said of it; None where none is.

    sqnr_db  of the outputs against the float model; None without one
    """

    position: int
    name: str
    device: int | None
    float32: int | None
    true: int | None
    sqnr_db: float | None

    @property
    def wanted(self) -> int | None:
        """The class to be said: the true one, else the float model's."""
        return self.float32 if self.true is None else self.true

    @property
    def is_wrong(self) -> bool:
        """Whether the device says another."""
        return self.wanted is not None and self.device != self.wanted


def class_files(samples: Samples, seen: Sequence[SeenClass], class_names: Sequence[str]) -> Iterator[tuple[str, bytes]]:
    """Names and contents, as the module says. Raises UsageError for an image that cannot be read any more."""

    def name(number: int | None) -> str:
        if number is None:
            return ""
        return class_names[number] if number < len(class_names) else str(number)

    rows = []
    for one in seen:
        right = "" if one.wanted is None else "no" if one.is_wrong else "yes"
        noise = "" if one.sqnr_db is None else round(one.sqnr_db, 2)
        rows.append((text_of(one.name), name(one.device), name(one.float32), name(one.true), noise, right))
    yield "images.csv", csv_bytes(_COLUMNS, rows)
    counts = Counter((one.wanted, one.device) for one in seen if one.wanted is not None and one.device is not None)
    occurring = sorted({number for pair in counts for number in pair if number is not None})
    if occurring:
        table = [(name(row), *(counts[row, column] for column in occurring)) for row in occurring]
        yield "confusion.csv", csv_bytes(("", *map(name, occurring)), table)
    if samples.are_pixels:
        told = [one for one in seen if one.is_wrong or one.sqnr_db is not None]
        for number, one in enumerate(sorted(told, key=_badness)[:_MOST_WORST], 1):
            sample = samples[one.position]
            assert sample.pixels is not None
            pixels, stem = sample.pixels[0], PurePosixPath(text_of(one.name).replace("/", "_")).stem
            picture = Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)
            yield f"{'wrong' if one.is_wrong else 'noisy'}_{number:02}_{stem}.png", png_of(picture)


def _badness(image: SeenClass) -> tuple[bool, float]:
    """The worst first."""
    return not image.is_wrong, math.inf if image.sqnr_db is None else image.sqnr_db
