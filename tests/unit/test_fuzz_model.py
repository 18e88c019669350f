"""A model of 7 KB with flipped bytes: refused in words, or built, and then equal to ONNX Runtime in every tensor.

The build compares its integer reference with ONNX Runtime on the exported model, and the float Graph with ONNX Runtime
on the flipped file itself; either comparison that fails is exit code 70.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from fuzzing import flips, outcomes, run
from hostile_models import quantized_model, small_mobilenet
from onnx import ModelProto

from mbn2c.errors import BoardError

FLIPS = 30  # of the 300 of the slow test, for each model


@pytest.fixture(autouse=True)
def no_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    """The C is not compiled, which takes a second."""

    def compile_folder(folder: Path) -> None:
        raise BoardError("no compiler", hint="")

    monkeypatch.setattr("mbn2c.commands.output_folder.building.compile_folder", compile_folder)


def fuzz(model: ModelProto, count: int, seed: int, folder: Path) -> list[int]:
    content = model.SerializeToString()
    codes = []
    for place, flipped in flips(content, count, seed):
        (folder / "flipped.onnx").write_bytes(flipped)
        out = folder / "out"
        words = ["build", str(folder / "flipped.onnx"), "--target", "host", "--calib", "random", "--name", "flipped"]
        try:
            code, said = run([*words, "-o", str(out)])
        except Exception as error:
            raise AssertionError(f"byte {place} of {len(content)} flipped with seed {seed}") from error
        codes.append(code)
        assert code in (0, 2, 3), (place, said)
        if code == 0:
            json.loads((out / "report.json").read_text())
    return codes


@pytest.mark.parametrize("make", [small_mobilenet, quantized_model])
def test_some_flips(make, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    codes = fuzz(make(), FLIPS, 1, tmp_path)
    assert 0 < codes.count(0) < FLIPS, outcomes(codes)  # weights are most of the file


@pytest.mark.slow
@pytest.mark.parametrize("make", [small_mobilenet, quantized_model])
def test_three_hundred_flips(make, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    codes = fuzz(make(), 300, 2, tmp_path)
    print(f"{make.__name__}: {outcomes(codes)}")
    assert len(codes) == 300
