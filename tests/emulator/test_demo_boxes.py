"""`mbn2c demo --task detection`: the bundled detector on an emulated board, boxes printed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mbn2c.cli import main
from mbn2c.commands import demo
from mbn2c.files.csv_table import read_csv
from mbn2c.frontend.runtime import Oracle
from mbn2c.tasks.detection.average_precision import average_precision
from mbn2c.tasks.detection.decode import FoundBox, iou
from mbn2c.tasks.detection.true_box import TrueBox


@pytest.mark.slow
def test_boxes_are_the_reference_s_and_nearly_all_right(
    tmp_path: Path, need_tool: Callable[[str], str], capsys: pytest.CaptureFixture[str]
) -> None:
    need_tool("qemu-system-arm")
    need_tool("arm-none-eabi-gcc")
    words = ["demo", "--task", "detection", "--images", "6", "-o", str(tmp_path / "out")]
    assert main([*words, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["verify"]
    assert found["images"] == 6 and found["detections_compared"] > 6
    assert (found["device_vs_reference_mismatches"], found["detection_mismatches"]) == (0, 0)
    assert found["ap50_ort_float32"] > 0.8 and found["ap50_device"] > 0.8
    lines = demo.BOXES.first_lines(tmp_path / "out" / "results")
    assert lines[0] == "file,class,x1,y1,x2,y2,score" and lines[1].startswith("canvas_00.png,")


def test_the_float_model_finds_what_the_readme_says() -> None:
    """What the file says of the test canvases, decoded here."""
    oracle, found, truths = Oracle(demo.BOXES.model), [], []
    names = demo.CLASS_NAMES_FILE.read_text(encoding="utf-8").split()
    written = read_csv(demo.BOXES.labels, "")
    for file in sorted(demo.BOXES.images.glob("*.png")):
        rows = [row for row in written.values() if row["file"] == file.name]
        truths.append(
            [TrueBox(names.index(row["class"]), *(float(row[x]) for x in ("x1", "y1", "x2", "y2"))) for row in rows]
        )
        image = np.asarray(Image.open(file), np.float32)[None, None] / 127.5 - 1
        scores, offsets, anchors = (one[0] for one in oracle.run({"image": image}).values())
        corners = np.clip(anchors + offsets * np.tile(anchors[:, 2:] - anchors[:, :2], 2), 0, 1) * 96
        kept: list[FoundBox] = []
        for place, label in zip(*np.nonzero(scores >= 0.2), strict=True):
            kept.append(FoundBox(*map(float, corners[place]), int(label), float(scores[place, label])))
        kept.sort(key=lambda box: -box.score)
        alone: list[FoundBox] = []
        for box in kept:
            if all(box.label != one.label or iou(box.corners, one.corners) <= 0.5 for one in alone):
                alone.append(box)
        found.append(alone)
    precision = average_precision(found, truths)
    assert precision == pytest.approx(0.924, abs=0.001)
    assert f"AP50 {100 * precision:.1f}" in (demo.BOXES.model.parents[1] / "README.md").read_text(encoding="utf-8")


def test_calibration_and_test_canvases_differ() -> None:
    """And each class of the labels has a name."""
    names = set(demo.CLASS_NAMES_FILE.read_text(encoding="utf-8").split())
    lines = demo.BOXES.labels.read_text(encoding="utf-8").splitlines()[1:]
    assert {line.split(",")[1] for line in lines} == names
    pixels = [
        {Image.open(file).tobytes() for file in folder.glob("*.png")}
        for folder in (demo.BOXES.calibration, demo.BOXES.images)
    ]
    assert (len(pixels[0]), len(pixels[1])) == (24, 40) and not pixels[0] & pixels[1]
