"""The bundled demo: a MobileNetV2 for handwritten digits, its calibration images and its labelled test images.

`train_digits` makes these files; nothing else imports it, since it needs PyTorch.
"""

from __future__ import annotations

from pathlib import Path

_FOLDER = Path(__file__).resolve().parent

MODEL_FILE = _FOLDER / "digits_mobilenet_v2.onnx"
CALIBRATION_FOLDER = _FOLDER / "calibration"
TEST_FOLDER = _FOLDER / "images"
TEST_LABELS = _FOLDER / "labels.csv"
CLASS_NAMES_FILE = _FOLDER / "classes.txt"
PREPROCESS = "pm1"
