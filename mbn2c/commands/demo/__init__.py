"""The bundled demos: a MobileNetV2 for handwritten digits, a detector of digits on canvases and a segmenter of drawn
shapes, each with its calibration images and its labelled test images.

`train_digits`, `boxes.train_boxes` and `shapes.train_shapes` make these files; nothing else imports them, since they
need PyTorch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

from mbn2c.tasks.segmentation.maps import as_lines

_FOLDER = Path(__file__).resolve().parent

MODEL_FILE = _FOLDER / "digits_mobilenet_v2.onnx"
CALIBRATION_FOLDER = _FOLDER / "calibration"
TEST_FOLDER = _FOLDER / "images"
TEST_LABELS = _FOLDER / "labels.csv"
CLASS_NAMES_FILE = _FOLDER / "classes.txt"
PREPROCESS = "pm1"
_LINES = 9


@dataclass(frozen=True)
class Demo:
    """A model with its images.

    name          prefix of the C
    labels        what is true of the images
    classes       names of the classes, one a line
    task_options  of the build
    shown         what of the results of `verify` is printed: a table's first lines, a map's classes; "": nothing
    """

    name: str
    model: Path
    calibration: Path
    images: Path
    labels: Path
    classes: Path = CLASS_NAMES_FILE
    task_options: Mapping[str, float] = field(default_factory=dict)
    shown: str = ""

    def first_lines(self, results: Path) -> list[str]:
        """Of the table that is shown, its header and what is of the first images; of the map all of it."""
        if not self.shown:
            return []
        file = results / self.shown
        if file.suffix == ".png":
            with Image.open(file) as opened:
                return as_lines(np.asarray(opened))
        return file.read_text(encoding="utf-8").splitlines()[:_LINES]


DIGITS = Demo("digits", MODEL_FILE, CALIBRATION_FOLDER, TEST_FOLDER, TEST_LABELS)
BOXES = Demo(
    "boxes",
    _FOLDER / "boxes" / "digit_boxes.onnx",
    _FOLDER / "boxes" / "calibration",
    _FOLDER / "boxes" / "images",
    _FOLDER / "boxes" / "boxes.csv",
    task_options={"score_threshold": 0.2},
    shown="boxes.csv",
)
SHAPES = Demo(
    "shapes",
    _FOLDER / "shapes" / "drawn_shapes.onnx",
    _FOLDER / "shapes" / "calibration",
    _FOLDER / "shapes" / "images",
    _FOLDER / "shapes" / "masks",
    _FOLDER / "shapes" / "classes.txt",
    shown="shapes_00_classes.png",
)
# By the task that `demo --task` names.
DEMOS = {"classification": DIGITS, "detection": BOXES, "segmentation": SHAPES}
