"""`mbn2c build` and `mbn2c verify` as commands, with the firmware compiled for this computer."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from command_line import CALIB, MODEL, run

from mbn2c.commands import demo
from mbn2c.commands.output_folder import OutputFolder
from mbn2c.commands.output_folder.manifest import MANIFEST, Manifest, digest_of


def test_build_and_verify_print_one_json_object_each(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = str(tmp_path / "out")
    code, out, _ = run(
        "build", MODEL, "--target", "host", "--name", "digits", *CALIB, "-o", folder, "--json", capsys=capsys
    )
    assert code == 0
    report = json.loads(out)
    assert report == json.loads((tmp_path / "out" / "report.json").read_text())
    for part, fields in {
        "model": ("name", "sha256", "macs", "parameters"),
        "ram": ("arena_bytes", "context_bytes", "stack_bytes", "total_bytes", "lower_bound_bytes"),
        "flash": ("weights_bytes", "constants_bytes", "code_bytes", "total_bytes"),
    }.items():
        assert all(report[part][field] is not None for field in fields), part
    assert report["ram"]["lower_bound_bytes"] <= report["ram"]["arena_bytes"]
    assert report["recomputed_macs"] == 0
    assert report["folded"]["batch_norms"] == 28
    paths = report["quantization"]["channels_per_path"]
    assert sum(paths.values()) == report["quantization"]["proved_channels"] > 0
    code, out, _ = run(
        "verify", folder, "--host", "--images", str(demo.TEST_FOLDER), "--labels", str(demo.TEST_LABELS),
        "--limit", "4", "--json", capsys=capsys,
    )  # fmt: skip
    assert code == 0
    result = json.loads(out)
    assert result["images"] == 4
    assert result["device_vs_reference_mismatches"] == result["reference_vs_ort_int8_mismatches"] == 0


def test_verify_fails_on_a_wrong_reference(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The gate must be able to fail: the C of one build against the network of another."""
    for name, limit in (("one", "3"), ("two", "40")):
        words = ("build", MODEL, "--target", "host", "--name", "digits", *CALIB, "--calib-limit", limit)
        assert run(*words, "-o", str(tmp_path / name), capsys=capsys)[0] == 0
    other = (tmp_path / "two" / "model/model.int8.onnx").read_bytes()
    (tmp_path / "one" / "model/model.int8.onnx").write_bytes(other)
    words = ("verify", str(tmp_path / "one"), "--host", "--images", str(demo.TEST_FOLDER), "--limit", "2")
    code, _, err = run(*words, capsys=capsys)
    assert code == 2 and "model/model.int8.onnx is not what the build wrote" in err
    manifest = OutputFolder(tmp_path / "one").manifest
    forged = Manifest({**manifest.files, "model/model.int8.onnx": digest_of(other)})
    (tmp_path / "one" / MANIFEST).write_bytes(forged.to_bytes())
    code, _, err = run(*words, capsys=capsys)
    assert code == 1
    assert "bytes differ from ONNX Runtime" in err
