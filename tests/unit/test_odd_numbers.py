"""Numbers on the command line that are none, or far out of range: exit code 2 and a short message."""

from __future__ import annotations

from pathlib import Path

import pytest

from mbn2c.cli import main

NUMBERS = [
    # (more words, value, option, part of what is said)
    ([], "12\u00b2", "--ram-limit", "is no size"),
    ([], "9" * 5000, "--ram-limit", "is no size"),
    ([], "0K", "--ram-limit", "is no size"),
    ([], "\u0661\u0662", "--ram-limit", "is no size"),
    ([], "9" * 5000, "--calib-limit", "is not a whole number"),
    ([], "1\u00b2", "--calib-limit", "is not a whole number"),
    ([], "0", "--calib-limit", "is not a whole number"),
    ([], "nan", "--percentile", "is not a decimal number"),
    ([], "inf", "--percentile", "is not a decimal number"),
    ([], "1e999", "--percentile", "is not a decimal number"),
    ([], "9" * 5000, "--percentile", "is not a decimal number"),
    ([], "nan", "--max-drop", "is not between 0 and 100"),
    (["--std", "1"], "nan", "--mean", "is not a list of numbers"),
    (["--std", "1"], "9" * 5000, "--mean", "is not a list of numbers"),
    (["--std", "1"], "1e30", "--mean", "leave no pixel values"),
    (["--mean", "0"], "1e-40", "--std", "leave no pixel values"),
    (["--mean", "0"], "0", "--std", "must be positive"),
]


@pytest.mark.parametrize(("more", "value", "option", "said"), NUMBERS, ids=lambda value: str(value)[:20])
def test_odd_numbers(
    more: list[str], value: str, option: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["build", "m.onnx", "--target", "host", "-o", str(tmp_path / "out"), *more, option, value]
    assert _code(words) == 2
    err = capsys.readouterr().err
    assert said in err and "Traceback" not in err
    assert len(err) < 5000 and "9" * 100 not in err


@pytest.mark.parametrize(
    "words",
    [
        ["verify", "out", "--host", "--images", "x", "--limit", "-1"],
        ["verify", "out", "--host", "--images", "x", "--max-drop", "inf"],
        ["verify", "out", "--images", "x", "--port", "p", "--baud", "0"],
        ["verify", "out", "--images", "x", "--port", "p", "--baud", "9" * 5000],
        ["bench", "out", "--port", "p", "--baud", "1e5"],
        ["demo", "--images", "0"],
        ["demo", "--images", "\u00b2"],
    ],
    ids=lambda words: " ".join(words)[-25:],
)
def test_odd_numbers_elsewhere(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert _code(words) == 2
    assert f"argument {words[-2]}: " in capsys.readouterr().err


def _code(words: list[str]) -> object:
    try:
        return main(words)
    except SystemExit as end:  # argparse
        return end.code
