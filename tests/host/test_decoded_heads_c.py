"""Detectors whose files decode their boxes: the C returns the reference's boxes, and these are the float model's."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx_models.anchor_free import fastestdet, fcos
from onnx_models.detectors import Decoding, centroids, decoded, heat_maps
from onnx_models.net import Net

from mbn2c.cli import main

FORMS = {
    "softmax of four classes": Decoding(form="xy", unit=32, score="Softmax", classes=4, limits=(20, 0.6, 0.3)),
    "sizes of 16 values": Decoding("sizes", (8, 8), "xy", classes=1, first=0, values=16, limits=(20, 0.3, 0.5)),
    "distances": Decoding("distances", (2.0, 2.0), "xy", 32, classes=2, first=0, limits=(20, 0.5, 0.6)),
}


def net_of(form: str) -> Net:
    others = {
        "heat maps": heat_maps,
        "products": lambda: fcos().net,
        "products of a softmax": lambda: fastestdet().net,
        "centroids": lambda: centroids(64),
    }
    return others[form]() if form in others else decoded(FORMS[form])


@pytest.mark.parametrize(
    "form",
    [
        *FORMS,
        "heat maps",
        "centroids",
        "products of a softmax",
        pytest.param("products", marks=pytest.mark.slow),
    ],
)
def test_boxes_are_the_reference_s(form: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    net = net_of(form)
    onnx.save(net.model(), tmp_path / "net.onnx")
    images = str(tmp_path / "images.npz")
    np.savez(images, np.random.default_rng(3).normal(0, 1, (4, *net.shape[1:])).astype(np.float32))
    words = ["--calib", images, "--quantize", "fast", "--board", "host", "-o", str(tmp_path / "out")]
    words += ["--task", "detection", "--score-threshold", "0.4"] if form == "centroids" else []
    # All of them: of random offsets many make boxes without an area, which are candidates all the same.
    assert main(["build", str(tmp_path / "net.onnx"), *words, "--max-candidates", "480"]) == 0
    capsys.readouterr()
    assert main(["verify", str(tmp_path / "out"), "--host", "--images", images, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["device_vs_reference_mismatches"], found["reference_vs_ort_int8_mismatches"]) == (0, 0)
    assert found["detections_compared"] > 3, "nothing was found, so nothing was compared"
    # Random offsets make thin boxes of a softmax's anchors, which a code beside them is enough to move apart.
    assert found["box_agreement"] > (0.6 if form == "products of a softmax" else 0.7)
