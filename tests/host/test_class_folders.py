"""One folder per class, as --calib and --images: its name is the label; photos are turned upright; both are said."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from PIL import ExifTags, Image

from mbn2c.cli import main
from mbn2c.commands import demo

COUNT = 20


def digits(folder: Path, names: dict[int, str]) -> Path:
    """Test images of the demo in one folder per class; names: of the folder of each digit."""
    with demo.TEST_LABELS.open(newline="") as file:
        rows = list(csv.DictReader(file))[:COUNT]
    for name in names.values():
        (folder / name).mkdir(parents=True, exist_ok=True)
    for row in rows:
        shutil.copy(demo.TEST_FOLDER / row["file"], folder / names[int(row["index"])] / row["file"])
    return folder


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo's network for this computer, calibrated with class folders, without class names."""
    folder = tmp_path_factory.mktemp("digits")
    images = digits(folder / "images", {digit: str(digit) for digit in range(10)})
    words = ["--calib", str(images), "--preprocess", demo.PREPROCESS, "--quantize", "fast", "--name", "digits"]
    assert main(["build", str(demo.MODEL_FILE), "--board", "host", *words, "-o", str(folder / "out")]) == 0
    return folder


def verified(built: Path, capsys: pytest.CaptureFixture[str], images: Path, *more: str) -> dict[str, Any]:
    capsys.readouterr()
    assert main(["verify", str(built / "out"), "--host", "--images", str(images), "--json", *more]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_build_counts_by_folder_names(built: Path) -> None:
    report = json.loads((built / "out" / "report.json").read_text())
    assert report["build"]["calibration"]["folders"] == [str(digit) for digit in range(10)]
    held_back = report["quantization"]["held_back"]
    assert held_back["labelled"] and held_back["labels"]["source"] == "folders"
    assert held_back["images"] == COUNT and held_back["accuracy_float32"] > 0.9


def test_verify_counts_by_folder_names_as_by_a_csv(built: Path, capsys: pytest.CaptureFixture[str]) -> None:
    by_folder = verified(built, capsys, built / "images", "--max-drop", "100")
    by_csv = verified(built, capsys, built / "images", "--labels", str(demo.TEST_LABELS))
    assert (
        by_folder["labels"]["note"].startswith("folder names, in sorted order") and by_csv["labels"]["source"] == "csv"
    )
    for key in ("images", "top1_device", "top1_ort_float32", "top1_ort_int8", "drop", "drop_upper_95"):
        assert by_folder[key] == by_csv[key]
    assert by_folder["top1_device"] > 0.9


def test_folders_that_are_no_classes_are_said(built: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    images = digits(tmp_path / "images", {digit: "odd" if digit % 2 else "even" for digit in range(10)})
    found = verified(built, capsys, images)
    assert found["top1_device"] is None and found["labels"]["note"].endswith("2 folders for 10 classes")
    assert main(["verify", str(built / "out"), "--host", "--images", str(images), "--max-drop", "5"]) == 1
    said = capsys.readouterr()
    assert "2 folders for 10 classes" in said.out and "--max-drop needs labels" in said.err


def test_wrong_classes_are_doubted(built: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """In sorted order "zero" to "nine" are other digits: against labels that are never right nothing can be lost."""
    words = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
    images = digits(tmp_path / "images", dict(enumerate(words)))
    assert main(["verify", str(built / "out"), "--host", "--images", str(images)]) == 0
    said = " ".join(capsys.readouterr().out.split())  # tables keep to 100 columns
    assert "no better than chance: do labels and classes belong together?" in said
    assert main(["verify", str(built / "out"), "--host", "--images", str(images), "--max-drop", "50"]) == 1
    assert "no drop can be measured against these labels" in capsys.readouterr().err


def test_rotated_photos_are_counted_once(built: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    images = digits(tmp_path / "images", dict.fromkeys(range(10), "all"))
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    for file in sorted((images / "all").iterdir())[:3]:
        with Image.open(file) as image:
            image.transpose(Image.Transpose.ROTATE_90).save(file, exif=exif)
    found = verified(built, capsys, images)
    assert found["exif_rotated_images"] == 3
    upright = verified(built, capsys, digits(tmp_path / "upright", dict.fromkeys(range(10), "all")))
    assert upright["exif_rotated_images"] == 0 and found["outputs"] == upright["outputs"]
    assert main(["verify", str(built / "out"), "--host", "--images", str(images)]) == 0
    assert f"3 of {COUNT} rotated as their EXIF data says" in capsys.readouterr().out
