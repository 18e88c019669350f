"""The command line as a user sees it: exit codes, messages, JSON, and nothing written when something is refused."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
from command_line import CALIB, MODEL, run

from mbn2c.cli import devices, main
from mbn2c.cli.command_table import all_commands
from mbn2c.commands import demo
from mbn2c.commands.estimated_time import time_of
from mbn2c.commands.inspect import INSPECT_STAGES, ModelInspection, inspect_model
from mbn2c.commands.output_folder import OutputFolder
from mbn2c.commands.sized_graph import sized_model
from mbn2c.planner.choice import choose_plan
from mbn2c.planner.estimate import Estimates
from mbn2c.planner.overlap import check_overlaps
from mbn2c.progress import Stages
from mbn2c.targets import load_board, load_core

REFUSALS = [
    # (case, arguments after `build MODEL -o OUT`, exit code, word in the message, word in the hint)
    ("no target", CALIB, 2, "no target", "--target"),
    ("unknown target", [*CALIB, "--target", "cortex-m99"], 2, "cortex-m99", "cortex-m"),
    ("unknown board", [*CALIB, "--board", "qemu-mps2-an50"], 2, "qemu-mps2-an50", "qemu-mps2-an500"),
    (
        "board of another core",
        [*CALIB, "--board", "qemu-riscv32-virt", "--target", "cortex-m4"],
        2,
        "cortex-m4",
        "rv32imc",
    ),
    ("a limit of no images", ["--target", "host", "--calib-limit", "4"], 2, "images", "--calib"),
    ("a gate without images", ["--target", "host", "--max-drop", "1"], 2, "images", "--calib"),
    ("no preprocessing", ["--target", "host", "--calib", CALIB[1]], 2, "pixels", "--preprocess"),
    ("mean without std", ["--target", "host", "--calib", "random", "--mean", "0.5"], 2, "--std", "both"),
    (
        "a slice too small",
        ["--target", "host", "--calib", "random", "--slice", "9"],
        2,
        "more than a slice of 9",
        "is the smallest",
    ),
    ("no camera", ["--target", "host", "--calib", "random", "--camera", "rgb"], 2, "no camera", "rgb565:320x240"),
    ("bad mean", ["--target", "host", "--calib", "random", "--mean", "x", "--std", "1"], 2, "--mean", "0.485"),
    (
        "three channels' numbers",
        ["--target", "host", "--calib", CALIB[1], "--preprocess", "imagenet"],
        2,
        "3 numbers",
        "pm1",
    ),
    ("no such folder", ["--target", "host", "--calib", "nowhere", "--preprocess", "pm1"], 2, "no such", "folder"),
    ("bad name", [*CALIB, "--target", "host", "--name", "9lives"], 2, "9lives", "letter"),
    ("a keyword", [*CALIB, "--target", "host", "--name", "int"], 2, "int", "no word of C"),
    ("labels of another model", [*CALIB, "--target", "host", "--labels", "LABELS"], 2, "2 class names", "one name"),
    (
        "raw pixels without preprocessing",
        ["--target", "host", "--calib", "random", "--input", "uint8"],
        2,
        "uint8",
        "--pre",
    ),
]


@pytest.mark.parametrize(("words", "code", "what", "hint"), [c[1:] for c in REFUSALS], ids=[c[0] for c in REFUSALS])
def test_build_refuses(
    words: list[str], code: int, what: str, hint: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "labels.txt").write_text("cat\ndog\n")
    words = [str(tmp_path / "labels.txt") if word == "LABELS" else word for word in words]
    got, out, err = run("build", MODEL, "-o", str(tmp_path / "out"), *words, capsys=capsys)
    assert got == code
    assert out == ""
    lines = err.splitlines()
    assert lines[0].startswith("error: ") and what in lines[0]
    assert lines[-1].startswith("try:") and hint in lines[-1]
    assert not (tmp_path / "out").exists()


def test_model_that_is_not_onnx(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = tmp_path / "model.onnx"
    model.write_bytes(b"\x89PNG\r\n")
    code, out, err = run(
        "build", str(model), "--target", "host", "--calib", "random", "-o", str(tmp_path / "out"), capsys=capsys
    )
    assert (code, out) == (3, "")
    assert err.startswith("error: ")
    assert not (tmp_path / "out").exists()


def test_building_twice_changes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("build", MODEL, "--target", "host", *CALIB, "--calib-limit", "5", "-o")
    for name in ("first", "second"):
        assert run(*words, str(tmp_path / name), capsys=capsys)[0] == 0
    files = {
        path.relative_to(tmp_path / "first"): path.read_bytes()
        for path in (tmp_path / "first").rglob("*")
        if path.is_file() and "build" not in path.parts
    }
    assert len(files) > 10
    for path, content in files.items():
        assert (tmp_path / "second" / path).read_bytes() == content, path
        assert str(tmp_path).encode() not in content, f"{path} holds an absolute path"


def test_verify_refuses_a_folder_that_build_did_not_write(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run("verify", str(tmp_path), "--host", "--images", str(demo.TEST_FOLDER), capsys=capsys)
    assert (code, out) == (2, "")
    assert "no mbn2c.json" in err


def test_random_calibration_is_said_everywhere(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(
        "build", MODEL, "--target", "host", "--calib", "random", "-o", str(tmp_path / "out"), capsys=capsys
    )
    assert code == 0
    assert "random" in out and "noise" in err
    assert json.loads((tmp_path / "out" / "report.json").read_text())["build"]["calibration"]["source"] == "random"


@pytest.mark.parametrize("command", ["targets", "boards"])
def test_listing_as_text_and_json(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, text, _ = run(command, capsys=capsys)
    assert code == 0 and len(text.splitlines()) > 5
    code, out, _ = run(command, "--json", capsys=capsys)
    assert code == 0
    assert json.loads(out)


def run_all(stages: Stages, found: ModelInspection) -> ModelInspection:
    """What `inspect_model` found, told as it tells it."""
    for name in INSPECT_STAGES:
        stages.begin(name)
    return found


def test_inspect_recognises_the_bundled_model(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = inspect_model(demo.MODEL_FILE)  # which takes its time: once is enough
    monkeypatch.setattr("mbn2c.cli.inspect.inspect_model", lambda *arguments: run_all(arguments[-1], found))
    code, text, _ = run("inspect", MODEL, capsys=capsys)
    assert code == 0 and "MobileNetV2" in text.splitlines()[0]
    assert "1x10, judged as classes (10 values)" in text.splitlines()[2]
    code, out, _ = run("inspect", MODEL, "--json", capsys=capsys)
    assert code == 0
    result = json.loads(out)
    assert result["model"]["input"]["height"] == 32
    assert [(one["kind"], one["kind_assumed"]) for one in result["model"]["outputs"]] == [("classes", True)]
    assert sum(layer["macs"] for layer in result["layers"]) == result["model"]["macs"]
    assert {row["target"] for row in result["targets"]} >= {"cortex-m0plus", "cortex-m7", "rv32imc"}


@pytest.mark.parametrize(("words", "target"), [("--target cortex-m4", "cortex-m4"), ("-b nucleo-f446re", "cortex-m4")])
def test_inspect_takes_one_target(words: str, target: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run("inspect", MODEL, *words.split(), "--json", capsys=capsys)
    [found] = json.loads(out)["targets"]
    assert code == 0 and found["target"] == target
    time = found["time"]
    assert 0.5 < time["instructions"] / json.loads(out)["model"]["macs"] < 5 and found["is_planned"]
    least, most = (end / time["instructions"] for end in time["cycles"])
    assert 1.19 < least <= 1.2 and (1.49 < most <= 1.5 if "--target" in words else 1.5 < most < 3)
    assert time["source"] and (time["ms"] is None) == ("--target" in words)
    if time["ms"] is not None:
        assert time["ms"] == [1e3 * end / 180e6 for end in time["cycles"]]


def test_inspect_is_quick_for_all_targets_and_near_a_plan() -> None:
    """RAM times instructions at most a tenth beside what the whole search finds."""
    graph = sized_model(demo.MODEL_FILE)
    estimates = Estimates(graph)
    for core in map(load_core, ("cortex-m7", "cortex-m0plus")):
        about, planned = estimates.of(core), choose_plan(graph, core, "balanced")
        times = [time_of(one.plan, one.kernels, core).instructions for one in (about, planned)]
        assert about.plan.arena_bytes * times[0] == pytest.approx(planned.plan.arena_bytes * times[1], rel=0.1)
        check_overlaps(about.plan)


def test_inspect_refuses_a_board_that_is_too_small(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    board = load_board("nucleo-f446re")
    small = replace(board, memories=tuple(replace(one, size_bytes=4096) for one in board.memories))
    monkeypatch.setattr("mbn2c.cli.inspect.core_and_board", lambda target, board: (load_core("cortex-m4"), small))
    code, out, err = run("inspect", MODEL, "-b", "nucleo-f446re", capsys=capsys)
    assert code == 4 and out == "" and "arena and context take at least" in err


def test_every_command_has_help(capsys: pytest.CaptureFixture[str]) -> None:
    result = subprocess.run([sys.executable, "-m", "mbn2c", "--help"], capture_output=True, text=True, check=True)
    for command in ("inspect", "explore", "build", "verify", "diff", "targets", "boards", "doctor", "demo"):
        assert command in result.stdout
        with pytest.raises(SystemExit) as ended:
            main([command, "--help"])
        assert ended.value.code == 0
        assert "--json" in capsys.readouterr().out


def test_without_a_command_help_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys=capsys)
    assert code == 2 and "usage: mbn2c" in out and "verify" in out and err == ""


# (words, MBN2C_PORT, MBN2C_BOARD) and what is looked for
PLACES = [
    ([], None, None, "own"),
    ([], None, "of-environment", "of-environment"),
    ([], "/dev/port", "of-environment", "/dev/port"),
    ([], "", "of-environment", "of-environment"),
    (["-b", "said"], "/dev/port", "of-environment", "said"),
    (["--host"], "/dev/port", "of-environment", "host"),
    (["-p", "/dev/said"], "/dev/port", None, "/dev/said"),
]


@pytest.mark.parametrize(("words", "port", "board", "device"), PLACES)
def test_the_environment_names_a_device_where_the_command_line_does_not(
    words: list[str], port: str | None, board: str | None, device: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("MBN2C_PORT", port), ("MBN2C_BOARD", board)):
        monkeypatch.delenv(name, raising=False) if value is None else monkeypatch.setenv(name, value)
    monkeypatch.setattr("mbn2c.cli.devices.emulated_board", lambda name: SimpleNamespace(name=name))
    options = all_commands().parse_args(["verify", "out", "--images", "images", *words])
    output = SimpleNamespace(record=SimpleNamespace(board="own"))
    [place] = devices._places(options, cast(OutputFolder, output))
    assert device in (place.port, place.emulated)
