"""Builds without images: drawn images look natural, batch norms tell the preprocessing, every output says it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from command_line import MODEL, run
from shared import shared

from mbn2c.commands import demo
from mbn2c.frontend import import_model
from mbn2c.ir.graph import Graph
from mbn2c.network.estimated import estimate
from mbn2c.network.inputs import input_spec
from mbn2c.ops import operator_of
from mbn2c.tasks.drawn_images import draw_image
from mbn2c.tasks.inputs import USUAL, InputSpec, Preprocess

WARNING = "ranges estimated without images, accuracy not measured"
# What ../shared/models/README.md says that they were trained with; pm1 stands for (x - 127) / 128, too.
TRAINED_WITH = {
    "vww_96": "unit",
    "mobilenet_v1_0.25_224": "pm1",
    "mobilenet_v2_1.0_224_bn": "imagenet",
    "classification/efficientnet_lite0_224_bn": "pm1",
    "mobilenet_v2_0.35_128_flowers_tf2onnx": "pm1",
    "classification/pplcnet_x1.0_text_orientation_224_paddle2onnx": "imagenet",
}


RGB = InputSpec((1, 3, 24, 24), (0, 3, 1, 2))


def folded_by_the_exporter() -> Graph:
    """A network in which no node says what it was trained on."""
    graph = import_model(demo.MODEL_FILE)
    taught = [node for node in graph.nodes if operator_of(node).trained_on(node)]
    silent = {one.name: replace(one, attributes=replace(one.attributes, mean=(), variance=())) for one in taught}
    nodes = [silent.get(node.name, node) for node in graph.nodes]
    return graph.rebuild(nodes=nodes)


def test_drawn_images_are_the_same_on_every_run_and_differ_from_each_other() -> None:
    first, again, other = draw_image(3, 32, 40, 3), draw_image(3, 32, 40, 3), draw_image(4, 32, 40, 3)
    assert first.shape == (1, 32, 40, 3) and first.dtype == np.uint8
    assert (first == again).all()
    assert (first != other).mean() > 0.5


def test_the_amplitude_of_drawn_images_falls_with_the_frequency_as_that_of_photographs() -> None:
    """About as 1 / f: Field, Relations between the statistics of natural images (1987); noise would give 0."""
    size = 128
    powers = [np.abs(np.fft.fft2(draw_image(n, size, size, 1)[0, :, :, 0] / 255.0)) ** 2 for n in range(8)]
    frequency = np.rint(np.hypot(*np.meshgrid(np.fft.fftfreq(size), np.fft.fftfreq(size))) * size).astype(int)
    rings = np.arange(2, size // 2)
    means = [np.mean(powers, axis=0)[frequency == ring].mean() for ring in rings]
    slope = np.polyfit(np.log(rings), np.log(np.sqrt(means)), 1)[0]
    assert -1.5 < slope < -0.8


@pytest.mark.parametrize("name", TRAINED_WITH)
def test_batch_norms_tell_the_preprocessing(name: str) -> None:
    graph = import_model(shared(f"models/{name}.onnx"))
    found = estimate(graph, input_spec(graph), None)
    assert found.preprocess == USUAL[TRAINED_WITH[name]]
    assert TRAINED_WITH[name] in found.words


def test_without_batch_norms_images_take_every_usual_preprocessing() -> None:
    found = estimate(folded_by_the_exporter(), RGB, None)
    values = [found.samples[number].model_input(RGB, Preprocess()) for number in range(3)]
    assert found.preprocess is None and "unit, pm1, imagenet in turn" in found.words
    assert values[0].min() >= 0 and values[1].min() < -0.5 and values[2].max() > 1.2


def test_the_input_range_holds_every_usual_preprocessing_unless_one_is_given() -> None:
    found = estimate(folded_by_the_exporter(), RGB, None).input_range
    assert (round(found.low, 2), round(found.high, 2)) == (-2.12, 2.64)
    found = estimate(folded_by_the_exporter(), RGB, Preprocess.named("pm1")).input_range
    assert (found.low, found.high) == (-1, 1)


def test_the_plain_command_works_and_every_output_says_what_it_does_not_know(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, err = run("build", MODEL, "--target", "cortex-m7", "--quantize", "fast", capsys=capsys)
    assert code == 0
    folder = Path("out") / demo.MODEL_FILE.stem
    assert f"mbn2c verify {folder} --images FOLDER --board qemu-mps2-an500" in out
    assert "drawn images, preprocessed as pm1" in out and WARNING in err
    report = json.loads((folder / "report.json").read_text())
    assert report["build"]["calibration"]["source"] == "drawn" and report["quantization"]["held_back"] is None
    low, high = (report["input"]["scale"] * (end - report["input"]["zero_point"]) for end in (-128, 127))
    assert low < 0.01 and high > 0.99
    assert WARNING in (folder / "report.html").read_text()
    images = str(demo.TEST_FOLDER)
    code, out, _ = run("verify", str(folder), "--host", "--images", images, "--limit", "2", "--json", capsys=capsys)
    assert code == 0 and json.loads(out)["warning"].startswith(WARNING)


def test_verify_does_not_guess_how_the_model_wants_its_pixels(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = str(tmp_path / "out")
    assert run("build", MODEL, "--target", "host", "--calib", "random", "-o", folder, capsys=capsys)[0] == 0
    code, _, err = run("verify", folder, "--host", "--images", str(demo.TEST_FOLDER), capsys=capsys)
    assert code == 2 and "how the model wants its pixels" in err and "--preprocess" in err
