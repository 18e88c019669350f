"""The command line in this process, on the bundled model."""

from __future__ import annotations

import pytest

from mbn2c.cli import main
from mbn2c.commands import demo

MODEL = str(demo.MODEL_FILE)
# quantized quickly: tests ask what is said and written, not for accuracy
CALIB = ["--calib", str(demo.CALIBRATION_FOLDER), "--preprocess", "pm1", "--quantize", "fast"]


def run(*words: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    """Exit code, standard output and error of `mbn2c WORDS`."""
    code = main(list(words))
    captured = capsys.readouterr()
    return code, captured.out, captured.err
