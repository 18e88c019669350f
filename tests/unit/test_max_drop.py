"""--max-drop: what it takes, and what is said of a drop that is a gain."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import pytest
from answers import Said, held_back

from mbn2c.cli import main
from mbn2c.cli.words import percent
from mbn2c.commands.verify import check_gates
from mbn2c.errors import GateError
from mbn2c.tasks.classification import Classification
from mbn2c.tasks.protocol import Limits
from mbn2c.tasks.statistics import paired_drop

REFUSED = ["nan", "NaN", "inf", "-5", "-0.1", "200", "100.01", "1e400", "1e9", "x", "", " ", "1,5", "٣", "0x1"]


@pytest.mark.parametrize("text", REFUSED)
def test_what_is_no_share_of_accuracy_is_refused(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="is not between 0 and 100"):
        percent(text)


@pytest.mark.parametrize(
    ("text", "value"), [("0", 0), ("1", 1), ("0.5", 0.5), (".5", 0.5), ("100", 100), ("1e-1", 0.1)]
)
def test_what_is_one(text: str, value: float) -> None:
    assert percent(text) == value


@pytest.mark.parametrize("command", ["build", "verify"])
def test_both_commands_refuse_it_before_any_work(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = {
        "build": ["nowhere.onnx", "--target", "host", "-o", str(tmp_path)],
        "verify": [str(tmp_path), "--images", "."],
    }
    for text in ("nan", "inf", "-5", "200"):
        with pytest.raises(SystemExit) as end:
            main([command, *words[command], "--max-drop", text])
        assert end.value.code == 2
        assert f"argument --max-drop: '{text}' is not between 0 and 100" in capsys.readouterr().err


def result(losses: int, gains: int, images: int) -> dict[str, Any]:
    """What the gates ask of a verify with labels."""
    drop, upper = paired_drop(losses, gains, images)
    counts = dict.fromkeys(("unstable_images", "device_vs_reference_mismatches", "reference_vs_ort_int8_mismatches"), 0)
    output = {"name": "scores", "shape": [1, 1, 1, 10], "largest_error": 1.0}
    facts = {
        "task": "classification",
        "outputs": [output],
        "main_output": "scores",
        "labels": {"note": ""},
        "top1_ort_float32": 0.9,
    }
    return {**facts, "drop": drop, "drop_upper_95": upper, "images": images, "stress_mismatches": 0, **counts}


CASES = [
    # (losses, gains, images, what the gate says)
    (3, 1, 60, "accuracy drops by 3.33 %, at most 10.59 %"),
    (1, 3, 60, "accuracy gains 3.33 %, but may drop by up to 3.92 %"),
    (2, 2, 60, "accuracy drops by 0.00 %, at most 7.30 %"),
]


@pytest.mark.parametrize(("losses", "gains", "images", "said"), CASES)
def test_a_gain_is_called_a_gain(losses: int, gains: int, images: int, said: str) -> None:
    with pytest.raises(GateError, match=said):
        check_gates(result(losses, gains, images), 1.0)
    answers = [(True, False)] * losses + [(False, True)] * gains + [(True, True)] * (images - losses - gains)
    found = held_back([Said(int(one), int(two), 1) for one, two in answers])
    with pytest.raises(GateError, match=said):
        Classification.check_held_back(found, Limits(max_drop=1.0), {"layer": 1.0})


def test_a_gain_beyond_doubt_passes() -> None:
    check_gates(result(0, 30, 60), 0.0)


def test_no_number_passes_no_gate() -> None:
    """Who calls the functions may pass anything."""
    with pytest.raises(GateError, match="nan % is allowed"):
        check_gates(result(0, 0, 10), float("nan"))
