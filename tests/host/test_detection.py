"""A small detector from its file to boxes of a device: what is cut off, what verify compares, what the C offers."""

from __future__ import annotations

import ast
import ctypes
import hashlib
import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from ecosystems import STUBS
from host_c import STRICT
from onnx_models.detectors import anchors_of, ssd
from onnx_models.net import Net
from PIL import Image
from places import ROOT
from shared import shared
from users_pytest import run_pytest

import mbn2c
from mbn2c.cli import main
from mbn2c.errors import ModelError, UsageError
from mbn2c.frontend import import_model
from mbn2c.frontend.runtime import Oracle
from mbn2c.tasks.detection.anchors import BOX_CODERS, GivenAnchors, given_anchors
from mbn2c.tasks.detection.decode import iou
from mbn2c.tasks.detection.detector import Detector

IMAGES = 6


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("detector")
    onnx.save(ssd().model(), folder / "ssd.onnx")
    images = np.random.default_rng(3).normal(0, 1, (IMAGES, 3, 32, 32)).astype(np.float32)
    np.savez(folder / "images.npz", images)
    assert build(folder, "out", "--score-threshold", "0.3", "--max-boxes", "12", "--preprocess", "pm1") == 0
    return folder


def build(folder: Path, out: str, *words: str) -> int:
    inputs = ["--calib", str(folder / "images.npz"), "--preprocess", "unit"]
    fixed = ["--quantize", "fast", "--name", "net", "--board", "host", "-o", str(folder / out)]
    return main(["build", str(folder / "ssd.onnx"), *inputs, *fixed, *words])


def test_the_decoding_is_cut_off_and_told(folder: Path) -> None:
    graph = import_model(folder / "ssd.onnx")
    assert graph.decoding is not None and len(graph.outputs) == 6
    facts = Detector.from_decoding(graph.decoding).facts
    assert [(one.height, one.width, one.anchors) for one in facts.levels] == [(8, 8, 2), (4, 4, 2), (1, 1, 2)]
    [note] = [note for note in graph.notes if note.kind == "decoding"]
    assert "162 anchors (8x8x2, 4x4x2, 1x1x2), 2 classes by softmax" in note.text


def test_heads_that_are_something_else_are_refused(tmp_path: Path) -> None:
    """Offsets whose rows are turned round before they are joined are not what lies in the maps."""
    model = ssd().model()
    reshape = next(node for node in model.graph.node if node.op_type == "Reshape")
    before = next(one for one in model.graph.initializer if one.name == reshape.input[1])
    before.CopyFrom(onnx.numpy_helper.from_array(np.array([1, 64, 4], np.int64), before.name))
    concat = next(node for node in model.graph.node if node.op_type == "Concat")
    for other in model.graph.node:
        if other.op_type == "Reshape" and other.output[0] in concat.input[1:]:
            shape = next(one for one in model.graph.initializer if one.name == other.input[1])
            values = onnx.numpy_helper.to_array(shape)
            shape.CopyFrom(onnx.numpy_helper.from_array(np.array([1, values[1] // 2, 4], np.int64), shape.name))
    onnx.save(model, tmp_path / "ssd.onnx")
    with pytest.raises(ModelError, match=r"a detector's head, read as .* is something else"):
        import_model(tmp_path / "ssd.onnx")


# What is done to the anchors, [1, 162, 4], and what is said of it: most of it would give boxes, of which none is right.
NOT_ANCHORS: dict[str, tuple[Callable[[np.ndarray], np.ndarray], str]] = {
    "nan": (lambda a: np.where(np.arange(162)[:, None] == 5, np.nan, a), "anchor 5 is not a number"),
    "one less": (lambda a: a[:, 1:], r"\(161, 4\) for 162 places"),
    "none": (lambda a: a[:, :0], r"\(0, 4\) for 162 places"),
    "a number": (lambda a: np.float32(1), r"\(1,\) for 162 places"),
    "five values": (lambda a: np.concatenate([a, a[..., :1]], axis=-1), r"\(162, 5\) for 162 places"),
    "corners turned": (lambda a: a[..., [2, 3, 0, 1]], "anchor 0 has no area"),
    "centre and size": (
        lambda a: np.concatenate([(a[..., :2] + a[..., 2:]) / 2, a[..., 2:] - a[..., :2]], axis=-1),
        "anchor 4 has no area",
    ),
    "pixels": (lambda a: a * 32, "centres from 2 to 30, in parts of the image"),
}


@pytest.mark.parametrize("damage", NOT_ANCHORS)
def test_anchors_that_are_something_else_are_refused(damage: str, tmp_path: Path) -> None:
    change, said = NOT_ANCHORS[damage]
    model = ssd().model()
    anchors = next(one for one in model.graph.initializer if list(one.dims) == [1, 162, 4])
    changed = np.asarray(change(onnx.numpy_helper.to_array(anchors)), np.float32)
    anchors.CopyFrom(onnx.numpy_helper.from_array(changed, anchors.name))
    onnx.save(model, tmp_path / "ssd.onnx")
    with pytest.raises(ModelError, match=f"is something else: .*{said}") as refused:
        import_model(tmp_path / "ssd.onnx")
    command = re.search(r"extract_model\(.*?, \['x'\], (\[.*?\])\)", str(refused.value.hint))
    assert command is not None
    del model.graph.output[:]
    for name in ast.literal_eval(command[1]):
        model.graph.output.append(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None))
    onnx.save(model, tmp_path / "cut.onnx")
    assert len(import_model(tmp_path / "cut.onnx").outputs) == 6


def test_heads_without_anchors_name_the_option(tmp_path: Path) -> None:
    model = ssd().model()
    del model.graph.output[2:]
    onnx.save(model, tmp_path / "ssd.onnx")
    with pytest.raises(ModelError, match="axis order") as refused:
        import_model(tmp_path / "ssd.onnx")
    assert "--anchors FILE.npy" in refused.value.hint


def test_scores_that_are_no_map_are_refused(tmp_path: Path) -> None:
    net = Net(shape=(1, 3, 8, 8)).conv(3, 8).then("GlobalAveragePool").then("Flatten", axis=1)
    vector = net.x
    scores, offsets = (
        [net.node("MatMul", vector, net.weight(np.ones((8, count), np.float32))) for _ in range(2)] for count in (2, 4)
    )
    net.node("Concat", *scores, axis=1)
    net.then("Softmax", axis=1).output()
    net.node("Concat", *offsets, axis=1)
    net.output()
    net.node("Identity", net.weight(np.ones((2, 4), np.float32)))
    onnx.save(net.output().model(), tmp_path / "heads.onnx")
    with pytest.raises(ModelError, match=r"of shape \(1, 2\) is no map"):
        import_model(tmp_path / "heads.onnx")


def test_verify_finds_the_same_boxes(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--host", "--images", str(folder / "images.npz"), "--json", "--layers"]
    assert main(["verify", str(folder / "out"), *words]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["task"] == "detection" and found["outputs_compared"] == IMAGES * 12 * 12
    assert (found["device_vs_reference_mismatches"], found["reference_vs_ort_int8_mismatches"]) == (0, 0)
    assert found["detections_compared"] > IMAGES and found["box_agreement"] > 0.5


@pytest.fixture(scope="module")
def pictures(folder: Path) -> Path:
    """Image files for the detector."""
    (folder / "pictures").mkdir()
    for number, pixels in enumerate(np.random.default_rng(4).integers(0, 256, (3, 40, 48, 3)).astype(np.uint8)):
        Image.fromarray(pixels).save(folder / "pictures" / f"{number}.png")
    return folder / "pictures"


def verify(folder: Path, pictures: Path, *words: str) -> int:
    return main(["verify", str(folder / "out"), "--host", "--images", str(pictures), "--no-stress", "--json", *words])


def test_results_hold_pictures_and_boxes_that_can_be_labels(
    folder: Path, pictures: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where the device's boxes are the truth, its average precision is 1, and nothing drops below the float model's."""
    assert verify(folder, pictures) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["detections_compared"] >= 3 and found["detection_mismatches"] == 0
    assert found["results"] == str(folder / "out" / "results") and found["ap50_device"] is None
    files = {file.name for file in (folder / "out" / "results").iterdir()}
    tables = {"index.html", "files.txt", "boxes.csv", "images.csv"}
    assert files == tables | {"0.png.jpg", "1.png.jpg", "2.png.jpg"}
    labels = folder / "labels.csv"
    labels.write_bytes((folder / "out" / "results" / "boxes.csv").read_bytes())
    assert verify(folder, pictures, "--labels", str(labels), "--max-drop", "0", "--no-results") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["ap50_device"] == found["ap_device"] == 1 and found["results"] is None
    assert found["ap50_device_interval_95"] == [1, 1] and found["labels"]["source"] == "csv"


USERS_TEST = """
def test_boxes(mbn2c_board):
    result = mbn2c_board.verify("pictures", labels="labels.csv", max_drop=0)
    assert result["detection_mismatches"] == 0 and result["ap50_device"] == 1

def test_a_drop(mbn2c_board):
    mbn2c_board.verify("pictures", labels="labels.csv", max_drop=-100)
"""


def test_the_fixture_judges_boxes(folder: Path, pictures: Path) -> None:
    assert verify(folder, pictures) == 0
    (folder / "labels.csv").write_bytes((folder / "out" / "results" / "boxes.csv").read_bytes())
    (folder / "test_mine.py").write_text(USERS_TEST)
    done = run_pytest(folder, "--mbn2c-out", "out", "--junitxml", "junit.xml")
    assert "1 failed, 1 passed" in done.stdout, done.stdout + done.stderr
    assert "GateError" in done.stdout and "-100 is allowed" in done.stdout
    junit = (folder / "junit.xml").read_text()
    assert '"mbn2c_ap50_device" value="1.0"' in junit and '"mbn2c_detection_mismatches" value="0"' in junit


def test_c_returns_what_the_float_model_finds(folder: Path) -> None:
    """The C of OUT in this process, beside the file's own scores, offsets and anchors decoded here, without mbn2c."""
    (folder / "caller.c").write_text('#include "net.h"\nnet_t net;\nnet_arena_t arena;\n')
    sources = [str(path) for path in (folder / "out" / "src").glob("*.c")] or [
        str(path) for path in (folder / "out").rglob("*.c") if "firmware" not in str(path)
    ]
    include = str(Path(sources[0]).parent)
    command = ["gcc", "-std=c99", "-O1", *STRICT, "-fPIC", "-shared", f"-I{include}", "-o", str(folder / "net.so")]
    subprocess.run([*command, str(folder / "caller.c"), *sources], check=True)
    library = ctypes.CDLL(str(folder / "net.so"))
    net, arena = (ctypes.c_char.in_dll(library, name) for name in ("net", "arena"))
    boxes = np.zeros((50, 6), np.int16)

    def found() -> np.ndarray:
        count = library.net_boxes(ctypes.byref(net), boxes.ctypes.data_as(ctypes.c_void_p), 50)
        return boxes[:count]

    assert len(found()) == 0  # before init
    report = json.loads((folder / "out" / "report.json").read_text())
    assert library.net_init(ctypes.byref(net), ctypes.byref(arena), report["ram"]["arena_bytes"]) == 0
    graph_input = report["inputs"][0] if "inputs" in report else report["input"]
    oracle = Oracle(folder / "ssd.onnx")
    same = total = 0
    for image in np.load(folder / "images.npz")["arr_0"]:
        codes = np.clip(np.rint(image / graph_input["scale"]) + graph_input["zero_point"], -128, 127).astype(np.int8)
        codes = np.ascontiguousarray(codes.transpose(1, 2, 0))
        output = np.zeros(12 * 12, np.int8)
        pointers = [array.ctypes.data_as(ctypes.c_void_p) for array in (codes, output)]
        assert library.net_run(ctypes.byref(net), *pointers) == 0
        assert output.view(np.int16).reshape(-1, 6)[: len(found())].tolist() == found().tolist()
        scores, offsets, anchors = oracle.run({"x": image[None]}).values()
        sizes = np.tile(anchors[0, :, 2:] - anchors[0, :, :2], 2)
        corners = np.clip((anchors[0] + offsets[0] * sizes) * 32, 0, 32)
        best = int(np.argmax(scores[0, :, 1] * ((corners[:, 2:] > corners[:, :2]).all(axis=1))))
        total += 1
        same += any(iou(corners[best], box[:4] / 16) > 0.5 for box in found())
    assert total == IMAGES and same >= IMAGES - 1


def test_the_header_says_what_the_bytes_are(folder: Path) -> None:
    header = (folder / "out" / "net.h").read_text()
    assert "/* Output, 12 net_box_t, the best first" in header and "#define NET_MAX_BOXES 12\n" in header
    assert header.count("real = scale") == 1  # of the input


def test_the_page_s_c_compiles(folder: Path) -> None:
    (text,) = re.findall(r"```c\n(.*?)```", (ROOT / "docs" / "detection.md").read_text(), re.DOTALL)
    (folder / "page.c").write_text(text.replace("person", "net").replace("PERSON", "NET"))
    subprocess.run(["gcc", "-std=c99", *STRICT, "-Iout", "-c", "page.c", "-o", "page.o"], cwd=folder, check=True)


def test_examples_print_boxes(folder: Path, tmp_path: Path) -> None:
    """And not the largest of their bytes as a class. It runs on this computer; Arduino's is held to its grammar."""
    assert build(folder, "packed", "--score-threshold", "0.3", "--emit", "arduino,single-header") == 0
    single, arduino = (folder / "packed" / emit / "net" for emit in ("single-header", "arduino"))
    program = tmp_path / "example"
    command = ["gcc", "-std=c99", *STRICT, f"-I{single}", "-o", str(program), str(single / "examples/classify/main.c")]
    subprocess.run(command, check=True)
    first, *lines = subprocess.run([program], check=True, capture_output=True, text=True).stdout.splitlines()
    assert first == f"net: error 0, {len(lines)} boxes" and len(lines) > 0
    found = [[int(number) for number in re.findall(r"-?\d+", line)] for line in lines]
    assert all(score >= 0.29 * of and 0 <= x0 <= x1 <= 32 and y0 <= y1 <= 32 for _, score, of, x0, y0, x1, y1 in found)
    assert [box[1] for box in found] == sorted((box[1] for box in found), reverse=True)
    (tmp_path / "Arduino.h").write_text(STUBS["stub/Arduino.h"])
    words = ["-Wall", "-Wextra", "-Werror", "-fsyntax-only", f"-I{tmp_path}", "-include", "Arduino.h", "-x", "c++"]
    subprocess.run(["g++", *words, f"-I{arduino}/src", str(arduino / "examples/classify/classify.ino")], check=True)


def test_examples_of_heads_print_values(folder: Path, tmp_path: Path) -> None:
    """The largest byte of several outputs is no class."""
    assert build(folder, "values", "--task", "raw", "--emit", "zephyr,single-header") == 0
    single = folder / "values" / "single-header" / "net"
    program = tmp_path / "example"
    command = ["gcc", "-std=c99", *STRICT, f"-I{single}", "-o", str(program), str(single / "examples/classify/main.c")]
    subprocess.run(command, check=True)
    first, *values = subprocess.run([program], check=True, capture_output=True, text=True).stdout.splitlines()
    assert first == f"net: error 0, {162 * 6} bytes" and len(values) == 8
    assert all(-128 <= int(value) <= 127 for value in values)
    sample = (folder / "values" / "zephyr" / "net" / "samples" / "classify" / "sample.yaml").read_text()
    assert '"net: error 0, (.*) bytes"' in sample


def test_raw_builds_the_heads(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert build(folder, "raw", "--task", "raw") == 0
    report = json.loads((folder / "raw" / "report.json").read_text())
    assert report["build"]["task"] == "classification" and len(report["outputs"]) == 6
    assert (report["build"]["is_raw"], report["build"]["task_options"]) == (True, {})
    assert main(["verify", str(folder / "raw"), "--host", "--images", str(folder / "images.npz"), "--limit", "1"]) == 0


def test_anchors_of_the_user(tmp_path: Path, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """TensorFlow's raw heads: logits, of which the first are the background's, and offsets of centres and sizes."""
    onnx.save(ssd(has_anchors=False).model(), tmp_path / "raw.onnx")
    corners = np.concatenate([anchors_of(side, (0.3, 0.6)) for side in (8, 4, 1)])
    centres = (corners[:, :2] + corners[:, 2:]) / 2
    np.save(
        tmp_path / "anchors.npy", np.concatenate([centres, corners[:, 2:] - corners[:, :2]], axis=1)[:, [1, 0, 3, 2]]
    )
    words = ["build", str(tmp_path / "raw.onnx"), "--calib", str(folder / "images.npz"), "--quantize", "fast"]
    words += ["--board", "host", "-o", str(tmp_path / "out"), "--anchors", str(tmp_path / "anchors.npy")]
    assert main(words) == 2
    assert "--anchors needs --box-coder" in capsys.readouterr().err and not (tmp_path / "out").exists()
    assert main([*words, "--box-coder", "tf"]) == 0
    assert "2 classes by sigmoid (assumed, the first being the background)" in capsys.readouterr().out
    facts = json.loads((tmp_path / "out" / "report.json").read_text())["build"]
    digest = hashlib.sha256((tmp_path / "anchors.npy").read_bytes()).hexdigest()
    assert (facts["is_raw"], facts["anchors"], facts["box_coder"]) == (False, digest, "tf")
    limits = {"max_boxes": 32, "max_candidates": 64, "score_threshold": 0.1, "iou_threshold": 0.5}
    assert facts["task_options"] == limits
    images = ["--images", str(folder / "images.npz")]
    assert main(["verify", str(tmp_path / "out"), "--host", *images, "--limit", "3", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["device_vs_reference_mismatches"], found["reference_vs_ort_int8_mismatches"]) == (0, 0)
    assert found["detections_compared"] > 3 and found["box_agreement"] > 0.5


# (array, what is said)
NO_ANCHORS = [
    (np.ones((5, 3)), "an array"),
    (np.full((5, 4), np.nan), "no boxes"),
    (np.array([[0.5, 0.5, 0, 0.1]]), "no boxes"),
    (np.array([["a", "b", "c", "d"]]), "an array"),
]


@pytest.mark.parametrize(("array", "said"), NO_ANCHORS)
def test_what_is_no_file_of_anchors_is_refused(tmp_path: Path, array: np.ndarray, said: str) -> None:
    np.save(tmp_path / "anchors.npy", array)
    with pytest.raises(UsageError, match=said):
        given_anchors(tmp_path / "anchors.npy", "tf")
    (tmp_path / "anchors.npy").write_bytes(b"no array")
    with pytest.raises(UsageError, match=r"not a \.npy file"):
        given_anchors(tmp_path / "anchors.npy", "tf")


def test_pytorch_s_anchors(tmp_path: Path) -> None:
    """Corners, offsets with x first, and logits of a softmax; TensorFlow's centres are no corners."""
    onnx.save(ssd(has_anchors=False).model(), tmp_path / "raw.onnx")
    corners = np.concatenate([anchors_of(side, (0.3, 0.6)) for side in (8, 4, 1)])
    np.save(tmp_path / "anchors.npy", corners)
    graph = import_model(tmp_path / "raw.onnx", given_anchors(tmp_path / "anchors.npy", "torchvision"))
    assert graph.decoding is not None
    detector = Detector.from_decoding(graph.decoding)
    facts = detector.facts
    assert (facts.score, facts.background, facts.order, facts.scales) == ("softmax", 0, (0, 1, 2, 3), (10, 10, 5, 5))
    assert np.abs(detector.anchors - corners).max() < 1e-6
    np.save(tmp_path / "anchors.npy", np.full((5, 4), 0.5))
    with pytest.raises(UsageError, match="no boxes"):
        given_anchors(tmp_path / "anchors.npy", "torchvision")


def test_the_shared_heads_of_pytorch_want_anchors(tmp_path: Path) -> None:
    """Without them the message has the options; with them the levels are found."""
    path = shared("models/exporters/pt_legacy_op13_ssdlite_v2.onnx")
    with pytest.raises(ModelError, match="axis order") as refused:
        import_model(path)
    assert "--anchors FILE.npy and --box-coder tf or torchvision" in refused.value.hint
    np.save(tmp_path / "anchors.npy", np.concatenate([anchors_of(side, (0.2, 0.3, 0.4)) for side in (8, 4, 2)]))
    graph = import_model(path, given_anchors(tmp_path / "anchors.npy", "torchvision"))
    assert graph.decoding is not None
    facts = Detector.from_decoding(graph.decoding).facts
    assert [(one.height, one.width, one.anchors) for one in facts.levels] == [(8, 8, 3), (4, 4, 3), (2, 2, 3)]
    assert (facts.score, facts.classes, facts.background) == ("softmax", 4, 0)


def test_anchors_for_no_head_are_refused(folder: Path) -> None:
    with pytest.raises(ModelError, match="no head is recognised that wants anchors"):
        import_model(folder / "ssd.onnx", GivenAnchors(np.ones((162, 4)), BOX_CODERS["tf"]))


# (words, what is said)
REFUSED = [
    (["--iou-threshold", "1.5"], "not from 0 to 1"),
    (["--box-coder", "tf"], "--box-coder says what heads with --anchors mean"),
    (["--labels", "CLASSES"], "2 class names for 1 classes"),
]


def test_more_than_the_board_keeps_is_refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        build(folder, "refused", "--max-candidates", "5000")
    assert "'5000' is not a whole number from 1 to 1,000" in capsys.readouterr().err
    with pytest.raises(UsageError, match="--max-candidates 5000 is more than 1000"):
        mbn2c.build(folder / "ssd.onnx", folder / "refused", board="host", task_options={"max_candidates": 5000})


@pytest.mark.parametrize(("words", "said"), REFUSED)
def test_options_that_do_not_fit_are_refused(
    folder: Path, words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "classes.txt").write_text("person\ncar\n")
    words = [str(folder / "classes.txt") if word == "CLASSES" else word for word in words]
    assert build(folder, "refused", *words) == 2
    assert said in capsys.readouterr().err
