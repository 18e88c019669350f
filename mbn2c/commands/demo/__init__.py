"""The bundled demos: a MobileNetV2 for handwritten digits, and a detector of digits on canvases, each with its
calibration images and its labelled test images.

`train_digits` and `boxes.train_boxes` make these files; nothing else imports them, since they need PyTorch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

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
    task_options  of the build
    shown         table among the results of `verify` whose first lines are printed; "": none
    """

    name: str
    model: Path
    calibration: Path
    images: Path
    labels: Path
    task_options: Mapping[str, float] = field(default_factory=dict)
    shown: str = ""

    def first_lines(self, results: Path) -> list[str]:
        """Of the table that is shown, its header and what is of the first images."""
        if not self.shown:
            return []
        return (results / self.shown).read_text(encoding="utf-8").splitlines()[:_LINES]


DIGITS = Demo("digits", MODEL_FILE, CALIBRATION_FOLDER, TEST_FOLDER, TEST_LABELS)
BOXES = Demo(
    "boxes",
    _FOLDER / "boxes" / "digit_boxes.onnx",
    _FOLDER / "boxes" / "calibration",
    _FOLDER / "boxes" / "images",
    _FOLDER / "boxes" / "boxes.csv",
    {"score_threshold": 0.2},
    "boxes.csv",
)
# By the task that `demo --task` names.
DEMOS = {"classification": DIGITS, "detection": BOXES}
