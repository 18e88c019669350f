"""`build --max-drop`: what is measured on images held back, and what the gate says."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from answers import Said, held_back
from quantized_zoo import NETS, Dialect, quantize

from mbn2c.cli import main
from mbn2c.commands import demo
from mbn2c.commands.output_folder import OutputFolder
from mbn2c.errors import GateError
from mbn2c.frontend.runtime import Oracle
from mbn2c.report.build_text import build_text
from mbn2c.report.record import TriedFacts
from mbn2c.tasks.classification import Classification
from mbn2c.tasks.images import open_samples
from mbn2c.tasks.inputs import InputSpec, Preprocess
from mbn2c.tasks.protocol import Limits
from mbn2c.tasks.statistics import paired_drop

GRAY = InputSpec((1, 1, 32, 32), (0, 3, 1, 2))
COSTS = {"first": 0.1, "middle": 0.6, "last": 0.2, "input": 0.05, "other": 0.05}
SAME, LOST, GAINED, BOTH_WRONG = Said(1, 1, 1), Said(1, 2, 1), Said(2, 1, 1), Said(2, 3, 1)
UNLABELLED = [Said(1, 1), Said(1, 2)]

# (case, answers, agreement, lost and gained images that the bound is made from)
MEASURED = [
    ("all the same", [SAME] * 20, 1.0, (0, 0)),
    ("one lost", [SAME] * 19 + [LOST], 0.95, (1, 0)),
    ("lost and gained", [SAME] * 18 + [LOST, GAINED], 0.9, (1, 1)),
    ("wrong before and after", [SAME] * 19 + [BOTH_WRONG], 0.95, (0, 0)),
    ("without labels each change is a loss", UNLABELLED * 5, 0.5, (5, 0)),
    ("a label missing", [LOST, GAINED, *UNLABELLED], 0.25, (3, 0)),
]


@pytest.mark.parametrize(("answers", "agreement", "changed"), [c[1:] for c in MEASURED], ids=[c[0] for c in MEASURED])
def test_measured(answers: list[Said], agreement: float, changed: tuple[int, int]) -> None:
    found = held_back(answers)
    assert found["agreement"] == found["outputs"][0]["value"] == agreement
    assert (found["drop"], found["drop_upper_95"]) == paired_drop(*changed, len(answers))
    assert found["labelled"] is (None not in [one.label for one in answers])


def test_gate_names_layers_and_what_to_try() -> None:
    answers = [Said(1, 1)] * 390 + [Said(1, 2)] * 10
    Classification.check_held_back(held_back(answers), Limits(max_drop=5.0), COSTS)
    with pytest.raises(GateError) as raised:
        Classification.check_held_back(held_back(answers), Limits(max_drop=3.0), COSTS)
    assert raised.value.exit_code == 1
    assert "400 images held back" in raised.value.what and "3 % is allowed" in raised.value.what
    assert raised.value.where is not None and raised.value.where.endswith("middle (60 %), last (20 %), first (10 %)")
    assert raised.value.hint is not None
    assert "--quantize best" in raised.value.hint and "--calib-labels" in raised.value.hint


def test_gate_says_when_images_are_too_few() -> None:
    with pytest.raises(GateError) as raised:
        Classification.check_held_back(held_back([SAME] * 50), Limits(max_drop=1.0), COSTS)
    assert raised.value.hint is not None and "50 could not show less" in raised.value.hint


def build(output: Path, *words: str) -> int:
    return main(
        [
            *("build", str(demo.MODEL_FILE), "--target", "host", "-o", str(output), "--quantize", "fast"),
            *("--calib", str(demo.CALIBRATION_FOLDER), "--calib-limit", "12", "--preprocess", "pm1", *words),
        ]
    )


def test_build_reports_what_was_held_back(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Every image of a small calibration set is held back once; those that --calib-limit leaves out are judged too."""
    assert build(tmp_path / "out", "--max-drop", "30") == 0
    capsys.readouterr()
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    facts = report["quantization"]["held_back"]
    assert facts["images"] == 100 and not facts["labelled"]
    assert facts["agreement"] >= 0.97 and facts["agreement_95"][0] < facts["agreement"]
    shares = [layer["noise_share"] for layer in report["layers"]]
    assert 0.5 < sum(shares) <= 1 and min(shares) >= 0
    worst = report["quantization"]["worst_layers"]
    assert worst[0]["noise_share"] == max(shares)
    assert all(layer["activation_sqnr_db"] > 20 for layer in worst)
    for layer in report["layers"]:
        seen, step = layer["seen"], layer["scale"]
        assert len(seen["thousandths"]) == 32 and 1000 <= sum(seen["thousandths"]) < 1032, layer["name"]
        assert layer["high"] - layer["low"] == pytest.approx(255 * step)
        # The range is of these very values: fast builds take all that was seen, the output's is wider.
        assert seen["beyond"] < 0.001 and layer["low"] - step < seen["low"] and seen["high"] < layer["high"] + step


def test_build_tells_briefly_what_was_tried(tmp_path: Path) -> None:
    """However much was tried: at most eight lines, the first and the last method kept among them."""
    assert build(tmp_path / "out") == 0
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert [set(line) for line in report["quantization"]["tried"]] == [
        {"method", "sqnr_db", "agreement", "kept"}
    ] * len(report["quantization"]["tried"])
    record = OutputFolder(tmp_path / "out").record
    tried = tuple(TriedFacts(f"method {number}", 20.0 + number, 1.0, number % 3 != 1) for number in range(18))
    record = replace(record, quantization=replace(record.quantization, tried=tried))
    text = build_text(record, "out", "")
    lines = [line for line in text.splitlines() if "dB on held-back images" in line and "method" in line]
    assert len(lines) <= 7
    assert lines[0] == "quantization    method 0: 20.00 dB on held-back images"
    last, _, dropped = " ".join(text.split()).partition(" dropped: method 1 21.00 dB")
    assert last.endswith("method 17: 37.00 dB on held-back images, kept") and "2 more in report.json" in dropped


def test_build_fails_and_writes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert build(tmp_path / "out", "--max-drop", "0.5") == 1
    error = capsys.readouterr().err
    assert error.startswith("error: accuracy drops by") and "where: most of the rounding noise" in error
    assert not (tmp_path / "out").exists()


def test_labels_count_only_real_losses(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = sorted(path.name for path in Path(demo.CALIBRATION_FOLDER).glob("*.png"))
    (tmp_path / "labels.csv").write_text("file,index\n" + "".join(f"{name},11\n" for name in names))
    words = ["--max-drop", "5", "--calib-labels", str(tmp_path / "labels.csv")]
    assert build(tmp_path / "out", *words) == 2
    assert "11" in capsys.readouterr().err
    (tmp_path / "labels.csv").write_text("file,index\n" + "".join(f"{name},3\n" for name in names))
    assert build(tmp_path / "out", *words) == 1, "against labels that are never right nothing can be lost"
    assert "no better than chance" in capsys.readouterr().err
    oracle, pixels = Oracle(demo.MODEL_FILE), open_samples(demo.CALIBRATION_FOLDER, GRAY)
    inputs = (one.model_input(GRAY, Preprocess.named(demo.PREPROCESS)) for one in pixels)
    answers = [next(iter(oracle.run({oracle.input_names[0]: one}).values())).argmax() for one in inputs]
    rows = (f"{name},{answer}\n" for name, answer in zip(names, answers, strict=True))
    (tmp_path / "labels.csv").write_text("file,index\n" + "".join(rows))
    assert build(tmp_path / "out", *words) == 0
    facts = json.loads((tmp_path / "out" / "report.json").read_text())["quantization"]["held_back"]
    assert facts["labelled"] and facts["images"] == 100


# (case, words, what the message says)
REFUSED = [
    ("no images", ["--calib", "random", "--max-drop", "1"], "needs images"),
    ("no gate", ["--calib-labels", "labels.csv"], "serves --max-drop only"),
]


@pytest.mark.parametrize(("words", "what"), [c[1:] for c in REFUSED], ids=[c[0] for c in REFUSED])
def test_refused(words: list[str], what: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert build(tmp_path / "out", *words) == 2
    assert what in capsys.readouterr().err


# What only a float file can be asked for, and what the message says.
NOT_OF_PREQUANTIZED = [
    (["--max-drop", "1"], "--max-drop compares with the float model, and this model is prequantized"),
    (["--task", "detection"], "--task detection reads how a float file ends, and this model is prequantized"),
    (["--task", "segmentation"], "--task segmentation reads how a float file ends"),
    (["--anchors", "anchors.npy", "--box-coder", "tf"], "--anchors reads how a float file ends"),
    (["--max-boxes", "3"], "--max-boxes is of detection"),
]


@pytest.mark.parametrize(("words", "what"), NOT_OF_PREQUANTIZED)
def test_what_a_prequantized_model_has_not(
    words: list[str], what: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = tmp_path / "model.onnx"
    model.write_bytes(quantize(NETS["gray"](), Dialect()))
    assert main(["build", str(model), "--target", "host", "-o", str(tmp_path / "out"), *words]) == 2
    assert what in capsys.readouterr().err
