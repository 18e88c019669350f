"""The bundled demo model: complete, small, as accurate as its README says, batch norms unfolded, its split honest."""

from __future__ import annotations

import csv
from collections import Counter

import numpy as np
import onnx
import onnxruntime
from PIL import Image

from mbn2c.commands import demo


def labels() -> dict[str, int]:
    with demo.TEST_LABELS.open(encoding="utf-8") as file:
        return {row["file"]: int(row["index"]) for row in csv.DictReader(file)}


def pixels(folder_of: str) -> dict[str, bytes]:
    folder = {"calibration": demo.CALIBRATION_FOLDER, "test": demo.TEST_FOLDER}[folder_of]
    return {file.name: Image.open(file).tobytes() for file in folder.glob("*.png")}


def test_every_test_image_has_a_label_and_every_label_a_name() -> None:
    names = demo.CLASS_NAMES_FILE.read_text(encoding="utf-8").split()
    assert set(labels()) == {file.name for file in demo.TEST_FOLDER.iterdir()}
    assert set(labels().values()) == set(range(len(names)))


def test_no_calibration_image_is_a_test_image() -> None:
    calibration, test = pixels("calibration"), pixels("test")
    assert len(calibration) == 100 and len(test) == 360
    assert not calibration.keys() & test.keys()
    assert not set(calibration.values()) & set(test.values())


def test_all_files_together_are_small() -> None:
    """Model, images and labels of each demo."""
    folder = demo.MODEL_FILE.parent
    others = [one for one in folder.iterdir() if list(one.glob("*.onnx"))]
    own = [file for file in folder.rglob("*") if not any(file.is_relative_to(one) for one in others)]
    assert len(others) == len(demo.DEMOS) - 1
    for files in (own, *(one.rglob("*") for one in others)):
        sizes = [file.stat().st_size for file in files if file.suffix in {".onnx", ".png", ".csv"}]
        assert 100_000 < sum(sizes) < 1_000_000


def test_batch_norms_are_unfolded() -> None:
    operators = Counter(node.op_type for node in onnx.load(demo.MODEL_FILE).graph.node)
    assert operators["BatchNormalization"] == operators["Conv"] == 28


def test_accuracy_is_what_the_readme_says() -> None:
    session = onnxruntime.InferenceSession(demo.MODEL_FILE)
    correct = 0
    for file, index in labels().items():
        image = np.asarray(Image.open(demo.TEST_FOLDER / file), dtype=np.float32)
        (logits,) = session.run(None, {"image": image[None, None] / 127.5 - 1.0})
        correct += int(np.argmax(logits)) == index
    assert correct == 354
