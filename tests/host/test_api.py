"""The Python API: the commands as functions, typed; `import mbn2c` itself stays light."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import mbn2c
from mbn2c.commands import api, demo
from mbn2c.commands.output_folder import OutputFolder
from mbn2c.errors import UsageError
from mbn2c.report.build_text import build_text


def test_the_import_is_light() -> None:
    heavy = "{'numpy', 'onnx', 'msgspec', 'jinja2'}"
    code = f"import sys, mbn2c; print(mbn2c.__version__, *{heavy} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [mbn2c.__version__]


def test_types_are_told_of_all_that_is_offered() -> None:
    home = Path(mbn2c.__file__).parent
    assert (home / "py.typed").is_file()
    stub = (home / "__init__.pyi").read_text()
    for name in mbn2c.__all__:
        assert name in stub
        assert name == "__version__" or getattr(mbn2c, name) is getattr(api, name)
    with pytest.raises(AttributeError, match="no attribute 'explode'"):
        mbn2c.explode  # noqa: B018


def test_explore_and_inspect_take_one_board() -> None:
    found = mbn2c.explore(board="nucleo-f446re", families=["v1"], widths=[0.25], sizes=[32], classes=2)
    assert [(one.family, one.size, one.fits) for one in found.points] == [("v1", 32, True)]
    [target] = mbn2c.inspect(demo.MODEL_FILE, board="nucleo-f446re").targets
    assert (target.target, target.board) == ("cortex-m4", "nucleo-f446re") and target.time.ms is not None
    with pytest.raises(UsageError, match="no family is called"):
        mbn2c.explore(board="nucleo-f446re", families=["v9"])


# The first layer of the digits' network.
INT16_LAYERS = ("/features/features.0/features.0.0/Conv",)


def test_build_and_verify(tmp_path: Path) -> None:
    record = mbn2c.build(
        demo.MODEL_FILE,
        tmp_path / "out",
        target="host",
        board="host",
        calib=demo.CALIBRATION_FOLDER,
        preprocess=demo.PREPROCESS,
        effort="fast",
        input_kind="uint8",
        name="digits",
        int16=INT16_LAYERS,
    )
    assert record == OutputFolder(tmp_path / "out").record
    assert record.ram.total_bytes is not None and record.prefix == "digits"
    int16 = record.quantization.int16
    assert int16 is not None and tuple(one.name for one in int16.layers) == INT16_LAYERS
    assert int16.arena_bytes == record.ram.arena_bytes and int16.int8_arena_bytes > 0
    assert int16.instructions > int16.int8_instructions
    assert all(one.buffer_bytes > 0 for one in int16.layers) and any(one.instructions > 0 for one in int16.layers)
    text = build_text(record, "out", "")
    first = max(int16.layers, key=lambda one: one.instructions)
    grown = int16.arena_bytes - int16.int8_arena_bytes
    assert f"int16           {len(int16.layers)} layers for {grown:+,} B of arena" in text
    assert f" {first.name}: {first.buffer_bytes:+,} B, {first.instructions:+,}\n" in text
    found = mbn2c.verify(tmp_path / "out", demo.TEST_FOLDER, labels=demo.TEST_LABELS, limit=5, layers=True)
    assert found.is_exact and found.images == 5 and found.board == "host"
    assert json.dumps(dict(found.result)) and found.result["top1_device"] >= 0.8


def test_inspect() -> None:
    facts = mbn2c.inspect(demo.MODEL_FILE)
    assert "MobileNetV2" in facts.model.architecture and facts.model.input.height == 32
    assert sum(layer.macs for layer in facts.layers) == facts.model.macs


def test_what_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no target"):
        mbn2c.build(demo.MODEL_FILE, tmp_path / "out")
    with pytest.raises(UsageError, match="does not run code of rv32imc"):
        mbn2c.build(demo.MODEL_FILE, tmp_path / "out", target="rv32imc", board="host")
    with pytest.raises(TypeError, match=r"no option \['optimise'\]"):
        mbn2c.build(demo.MODEL_FILE, tmp_path / "out", target="host", optimise="ram")
    with pytest.raises(UsageError, match=r"no mbn2c\.json"):
        mbn2c.verify(tmp_path, demo.TEST_FOLDER)
