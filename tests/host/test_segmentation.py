"""A small segmenter from its file to the map of a device: what verify compares and shows, and the C of the page."""

from __future__ import annotations

import ctypes
import json
import re
import subprocess
from pathlib import Path

import numpy as np
import onnx
import pytest
from ecosystems import STUBS
from host_c import STRICT
from onnx_models.segmenters import segmenter
from PIL import Image
from places import ROOT

from mbn2c.cli import main

SIZE, CLASSES = 17, 16


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("segmenter")
    onnx.save(segmenter(("Resize",), CLASSES), folder / "net.onnx")
    for name in ("images", "masks"):
        (folder / name).mkdir()
    generator = np.random.default_rng(3)
    for number in range(4):
        pixels = generator.integers(0, 256, (SIZE, SIZE, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / "images" / f"{number}.png")
        Image.fromarray(pixels[:, :, 0] % CLASSES).save(folder / "masks" / f"{number}.png")
    build = ["build", str(folder / "net.onnx"), "--calib", str(folder / "images"), "--preprocess", "pm1"]
    assert main([*build, "--quantize", "fast", "--name", "person", "--board", "host", "-o", str(folder / "out")]) == 0
    return folder


def verify(folder: Path, *words: str) -> int:
    return main(["verify", str(folder / "out"), "--images", str(folder / "images"), "--json", *words])


def test_the_map_is_compared_and_judged(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert verify(folder, "--labels", str(folder / "masks")) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["task"] == "segmentation" and found["outputs_compared"] == 4 * SIZE * SIZE
    zeros = ("device_vs_reference_mismatches", "reference_vs_ort_int8_mismatches", "pixel_mismatches")
    assert [found[name] for name in zeros] == [0, 0, 0]
    assert 0.9 < found["pixel_agreement"] <= 1 and 0 <= found["miou_device"] < 0.3


def test_what_it_shows_is_right_in_every_pixel(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The device's own maps, given as masks."""
    assert verify(folder, "--labels", str(folder / "masks")) == 0
    (folder / "own").mkdir()
    for number in range(4):
        shown = folder / "out" / "results" / f"{number}_classes.png"
        (folder / "own" / f"{number}.png").write_bytes(shown.read_bytes())
    capsys.readouterr()
    assert verify(folder, "--labels", str(folder / "own"), "--max-drop", "0") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["miou_device"] == found["pixel_accuracy_device"] == 1 and found["drop"] <= 0


def test_the_c_of_the_page_counts_a_class(folder: Path) -> None:
    (text,) = re.findall(r"```c\n(.*?)```", (ROOT / "docs" / "segmentation.md").read_text(), re.DOTALL)
    whole = "int8_t map[PERSON_OUTPUT_BYTES];\nint whole(const person_input_t *picture)\n{\n"
    whole += "    return person_run(&net, picture, map);\n}\nint pixels(void)\n{\n    return pixels_of_persons;\n}\n"
    (folder / "page.c").write_text(text + whole)
    sources = [str(path) for path in (folder / "out").rglob("*.c") if "firmware" not in str(path)]
    command = ["gcc", "-std=c99", "-O1", *STRICT, "-fPIC", "-shared", f"-I{Path(sources[0]).parent}"]
    subprocess.run([*command, "-o", str(folder / "page.so"), str(folder / "page.c"), *sources], check=True)
    page = ctypes.CDLL(str(folder / "page.so"))
    generator = np.random.default_rng(5)
    for _ in range(3):
        image = generator.integers(-128, 128, SIZE * SIZE * 3).astype(np.int8).tobytes()
        assert page.count_persons(image) == 0 and page.whole(image) == 0
        found = np.frombuffer((ctypes.c_uint8 * (SIZE * SIZE)).in_dll(page, "map"), np.uint8)
        assert page.pixels() == (found == 15).sum()


def test_examples_receive_the_map(folder: Path, tmp_path: Path) -> None:
    """And not the largest of its bytes as a class. It runs on this computer; Arduino's is held to its grammar."""
    build = ["build", str(folder / "net.onnx"), "--calib", str(folder / "images"), "--preprocess", "pm1"]
    build += ["--quantize", "fast", "--name", "person", "--board", "host", "--emit", "arduino,single-header"]
    assert main([*build, "-o", str(folder / "packed")]) == 0
    single, arduino = (folder / "packed" / emit / "person" for emit in ("single-header", "arduino"))
    command = ["gcc", "-std=c99", *STRICT, f"-I{single}", "-o", str(tmp_path / "example")]
    subprocess.run([*command, str(single / "examples/classify/main.c")], check=True)
    said = subprocess.run([tmp_path / "example"], check=True, capture_output=True, text=True).stdout
    [pixels] = re.findall(r"person: error 0, (\d+) pixels that are not of class 0", said)
    assert 0 < int(pixels) <= SIZE * SIZE
    (tmp_path / "Arduino.h").write_text(STUBS["stub/Arduino.h"])
    words = ["-Wall", "-Wextra", "-Werror", "-fsyntax-only", f"-I{tmp_path}", "-include", "Arduino.h", "-x", "c++"]
    subprocess.run(["g++", *words, f"-I{arduino}/src", str(arduino / "examples/classify/classify.ino")], check=True)
