"""`mbn2c demo --task segmentation`: the bundled segmenter on an emulated board, a map printed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mbn2c.cli import main
from mbn2c.commands import demo
from mbn2c.frontend.runtime import Oracle
from mbn2c.tasks.segmentation.intersection import count, mean_iou


def pixels(file: Path) -> np.ndarray:
    return np.asarray(Image.open(file))


@pytest.mark.slow
def test_maps_are_the_reference_s_and_nearly_all_right(
    tmp_path: Path, need_tool: Callable[[str], str], capsys: pytest.CaptureFixture[str]
) -> None:
    need_tool("qemu-system-arm")
    need_tool("arm-none-eabi-gcc")
    words = ["demo", "--task", "segmentation", "--images", "6", "-o", str(tmp_path / "out")]
    assert main([*words, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["verify"]
    assert (found["images"], found["device_vs_reference_mismatches"], found["pixel_mismatches"]) == (6, 0, 0)
    assert found["pixel_agreement"] > 0.99 and found["miou_device"] > 0.7
    lines = demo.SHAPES.first_lines(tmp_path / "out" / "results")
    assert [len(line) for line in lines] == [64] * 32
    shown = pixels(tmp_path / "out" / "results" / "shapes_00_classes.png")
    assert "".join(lines) == "".join(".123"[number] for number in shown[::2].reshape(-1))


def test_the_float_model_finds_what_the_readme_says() -> None:
    oracle, found, masks = Oracle(demo.SHAPES.model), [], []
    for file in sorted(demo.SHAPES.images.glob("*.png")):
        image = pixels(file).astype(np.float32)[None, None] / 127.5 - 1
        found.append(oracle.run({"image": image})["classes"][0].argmax(0).astype(np.uint8))
        masks.append(pixels(demo.SHAPES.labels / file.name))
    mean = mean_iou(count(found, masks, 4))
    assert mean == pytest.approx(0.825, abs=0.001)
    assert f"mean IoU {100 * mean:.1f}" in (demo.SHAPES.model.parents[1] / "README.md").read_text(encoding="utf-8")


def test_calibration_and_test_images_differ() -> None:
    """Each test image has a mask, and each class a name."""
    folders = (demo.SHAPES.calibration, demo.SHAPES.images)
    seen = [{pixels(file).tobytes() for file in folder.glob("*.png")} for folder in folders]
    assert (len(seen[0]), len(seen[1])) == (24, 24) and not seen[0] & seen[1]
    masks = [pixels(demo.SHAPES.labels / file.name) for file in demo.SHAPES.images.glob("*.png")]
    names = demo.SHAPES.classes.read_text(encoding="utf-8").split()
    assert names[0] == "background" and {*np.unique(masks)} == {*range(len(names))}
