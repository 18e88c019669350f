"""--max-drop: what it takes, and what is said of a drop that is a gain."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import pytest

from mbn2c.cli import main
from mbn2c.cli.words import percent
from mbn2c.errors import GateError
from mbn2c.network_drop import Answer, HeldBack, check_drop
from mbn2c.output_folder import OWN_FIRMWARE
from mbn2c.results import paired_drop
from mbn2c.texts import verify_text
from mbn2c.verify import check_gates

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
    """As `verify` with labels gives it."""
    drop, upper = paired_drop(losses, gains, images)
    shares = dict.fromkeys(("top1_agreement", "top1_device", "top1_ort_float32"), 0.5)
    output = {"name": "logits", "kind": "classes", "largest_error": 1.0, "metric": "top1_agreement", "value": 0.5,
              "interval_95": [0.4, 0.6], "sqnr_db": 30.0}  # fmt: skip
    counts = dict.fromkeys(("device_vs_reference_mismatches", "reference_vs_ort_int8_mismatches", "unstable_images"), 0)
    others = dict.fromkeys(
        ("images_per_s", "line_share", "sqnr_db", "instructions_per_inference", "cycles_per_inference", "layer_cycles",
         "stack_used_bytes", "first_mismatch"))  # fmt: skip
    return {
        **shares, **{f"{key}_interval_95": [0.4, 0.6] for key in shares}, **counts, **others,
        "drop": drop, "drop_upper_95": upper, "images": images, "outputs_compared": images, "wall_s": 1.0, "retries": 0,
        "board": "host", "line_bytes": 0, "devices": 1, "devices_lost": [], "resumed_images": 0,
        "calibration": "images", "verified": OWN_FIRMWARE, "outputs": [output], "main_output": "logits",
    }  # fmt: skip


CASES = [
    # (losses, gains, images, row of the text, what the gate says)
    (3, 1, 60, "accuracy drop 3.33 %, below 10.59 %", "accuracy drops by 3.33 %, at most 10.59 %"),
    (1, 3, 60, "accuracy gain 3.33 %; a drop is below 3.92 %", "accuracy gains 3.33 %, but may drop by up to 3.92 %"),
    (2, 2, 60, "accuracy drop 0.00 %, below 7.30 %", "accuracy drops by 0.00 %, at most 7.30 %"),
]


@pytest.mark.parametrize(("losses", "gains", "images", "row", "said"), CASES)
def test_a_gain_is_called_a_gain(losses: int, gains: int, images: int, row: str, said: str) -> None:
    found = result(losses, gains, images)
    assert row in " ".join(verify_text(found).split())
    with pytest.raises(GateError, match=said):
        check_gates(found, 1.0)
    answers = [(True, False)] * losses + [(False, True)] * gains + [(True, True)] * (images - losses - gains)
    held_back = HeldBack([Answer(int(one), int(two), 1) for one, two in answers])
    with pytest.raises(GateError, match=said):
        check_drop(held_back, 1.0, {"layer": 1.0})


def test_a_gain_beyond_doubt() -> None:
    assert "accuracy gain 50.00 %, above 36.93 % with 95 % confidence" in " ".join(
        verify_text(result(0, 30, 60)).split()
    )
    check_gates(result(0, 30, 60), 0.0)


def test_no_number_passes_no_gate() -> None:
    """Who calls the functions may pass anything."""
    with pytest.raises(GateError, match="nan % is allowed"):
        check_gates(result(0, 0, 10), float("nan"))
