"""A second task, in tests/support/beacon.py alone: build, verify, reports, C and pytest fixture follow."""

from __future__ import annotations

import ctypes
import json
import subprocess
import xml.etree.ElementTree as Xml
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from beacon import Beacon, BeaconRecord, Sighting
from host_c import STRICT
from onnx_models import Net
from users_pytest import run_pytest

from mbn2c.cli import main
from mbn2c.commands.output_folder import OutputFolder
from mbn2c.commands.verify.one_image import Tally
from mbn2c.commands.verify.result import records_of
from mbn2c.emit.network.model import model_files
from mbn2c.errors import GateError, InternalError, UsageError
from mbn2c.frontend.runtime import Oracle
from mbn2c.targets import load_core
from mbn2c.tasks.outputs import Output
from mbn2c.tasks.protocol import Answers, HeldBack, Labels, Limits
from mbn2c.tasks.registry import all_kinds, all_tasks, forget, recognise, register, task_named

IMAGES, CELLS = 12, 36
THERE = Output("there", (1, 1), (0, 3), "")
HEAT = Output("heat", (1, 1, 6, 6), (0, 3, 1, 2), "")
FOG = replace(HEAT, name="fog")


@pytest.fixture(autouse=True)
def second_task() -> Iterator[None]:
    register(Beacon)
    yield
    forget(Beacon)


def network() -> Net:
    """Random weights; the logit's are centred, so that its sign is the image's."""
    net = Net(shape=(1, 3, 12, 12)).conv(3, 4, strides=[2, 2]).then("Relu")
    features = net.x
    net.conv(4, 1, k=1).output()
    net.x = features
    net.then("GlobalAveragePool").then("Flatten")
    weights = net.rng.normal(0, 2, (1, 4))
    return net.then("Gemm", net.weight(weights - weights.mean()), net.weight(np.zeros(1)), transB=1).output()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Model, images, true cells, and what the command line builds of them."""
    folder = tmp_path_factory.mktemp("beacon")
    onnx.save(network().model(), folder / "model.onnx")
    rise = np.linspace(-1, 1, IMAGES).reshape(-1, 1, 1, 1)
    images = (np.random.default_rng(2).normal(0, 1, (IMAGES, 3, 12, 12)) + rise).astype(np.float32)
    np.savez(folder / "images.npz", images)
    oracle = Oracle(folder / "model.onnx")
    heat, there = zip(*(oracle.run({oracle.input_names[0]: one[None]}).values() for one in images), strict=True)
    cells = [int(map_.argmax()) if logit.item() > 0 else -1 for map_, logit in zip(heat, there, strict=True)]
    assert 3 < cells.count(-1) < 9 and len(set(cells)) > 3, "beacons must come and go, or the test says nothing"
    write_cells(folder / "cells.csv", cells)
    register(Beacon)
    try:
        assert build(folder, folder / "out", "--board", "host") == 0
    finally:
        forget(Beacon)
    return folder


def write_cells(file: Path, cells: list[int]) -> None:
    rows = [f"{row},{cell if cell >= 0 else ''}" for row, cell in enumerate(cells)]
    file.write_text("\n".join(["file,cell", *rows]) + "\n")


def build(folder: Path, out: Path, *words: str) -> int:
    calibration = ["--calib", str(folder / "images.npz"), "--quantize", "fast", "--name", "net"]
    return main(["build", str(folder / "model.onnx"), *calibration, "-o", str(out), *words])


def verify(folder: Path, *words: str) -> int:
    return main(["verify", str(folder / "out"), "--host", "--images", str(folder / "images.npz"), *words])


# --- which task ----------------------------------------------------------------------------------


def test_the_first_task_that_takes_the_outputs_has_them() -> None:
    assert isinstance(recognise([HEAT, THERE], {}), Beacon)
    assert recognise([HEAT, THERE], {}).because == "a logit and a map of one channel"
    assert [recognise(some, {}).name for some in ([HEAT], [HEAT, FOG, THERE])] == 2 * ["classification"]


def test_the_users_word_wins() -> None:
    assert recognise([HEAT, THERE], {"there": "logits"}).name == "classification"
    assert recognise([HEAT, THERE], {"heat": "heat"}).because == "--output-kind"
    assert recognise([HEAT, THERE], {}, name="classification").name == "classification"


# (kinds, name of the only task, what is said)
REFUSED = [
    ({"heat": "heat", "there": "logits"}, "", "are of no task"),
    ({"heat": "there"}, "", "are of no task"),
    ({"heat": "boxes"}, "", "no kind of output is called 'boxes'"),
    ({"heat": "heat"}, "classification", "no kind of output is called 'heat'"),
    ({"smoke": "heat"}, "", "no output is called 'smoke'"),
    ({}, "weather", "no task is called 'weather'"),
]


@pytest.mark.parametrize(("kinds", "name", "said"), REFUSED)
def test_what_fits_no_task_is_refused(kinds: dict[str, str], name: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        recognise([HEAT, THERE], kinds, name=name)


def test_tasks_have_names_of_their_own() -> None:
    assert [task.name for task in all_tasks()] == ["beacon", "detection", "segmentation", "classification"]
    assert all_kinds() == ["there", "heat", "classes", "logits", "vector"]
    with pytest.raises(ValueError, match="there is a task called 'beacon'"):
        register(Beacon)


def test_the_page_says_what_each_task_is() -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "accuracy.md").read_text()
    for task in all_tasks():
        assert task is Beacon or f"| `{task.name}` | {task.about} |" in page


# --- build, verify, C ----------------------------------------------------------------------------


def test_build_reports_it(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report = json.loads((folder / "out" / "report.json").read_text())
    assert (report["build"]["task"], report["build"]["task_because"]) == ("beacon", "a logit and a map of one channel")
    assert [one["kind"] for one in report["outputs"]] == ["heat", "there"]
    held_back = report["quantization"]["held_back"]
    assert held_back["images"] == IMAGES and held_back["same_cell"] >= 0.75 and held_back["folds"] == 4
    assert report["quantization"]["tried"][0]["agreement"] == held_back["same_cell"]
    assert main(["inspect", str(folder / "model.onnx")]) == 0
    assert "6x6, the beacon's cell is its hottest" in capsys.readouterr().out.replace("1x1x6x6", "6x6")
    assert build(folder, tmp_path / "out", "--target", "host") == 0
    share = 100 * held_back["same_cell"]
    assert f"beacon in the same cell as float32 in {share:.1f} %" in capsys.readouterr().out


def test_gates_of_build(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert build(folder, tmp_path / "out", "--target", "host", "--min-sqnr", "90") == 1
    assert "90 dB is asked for" in capsys.readouterr().err
    assert build(folder, tmp_path / "out", "--target", "host", "--max-drop", "100") == 0


def test_verify_judges_it(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    labels = ["--labels", str(folder / "cells.csv")]
    assert verify(folder, *labels, "--max-drop", "40", "--json") == 0
    result = json.loads(capsys.readouterr().out)
    assert result["task"] == "beacon" and result["images"] == IMAGES
    assert result["device_vs_reference_mismatches"] == result["reference_vs_ort_int8_mismatches"] == 0
    assert result["same_cell"] >= 0.75 and result["found_device"] >= 0.75
    assert result["labels"] == {"source": "csv", "note": "cells of beacons"}
    assert result["sqnr_db"] == min(one["sqnr_db"] for one in result["outputs"]) > 15
    assert verify(folder, *labels) == 0
    lines = [line.split("  ")[0] for line in capsys.readouterr().out.splitlines()]
    assert {"beacon in the float model's cell", "beacons found"} <= set(lines)


def test_wrong_labels_are_seen(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_cells(tmp_path / "wrong.csv", [(7 * row) % CELLS for row in range(IMAGES)])
    assert verify(folder, "--labels", str(tmp_path / "wrong.csv"), "--json") == 0
    assert json.loads(capsys.readouterr().out)["found_device"] < 0.25
    assert verify(folder, "--labels", str(folder / "out" / "report.json")) == 2


def test_gates_of_verify(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert verify(folder, "--min-sqnr", "90") == 1
    assert "90 dB is asked for" in capsys.readouterr().err
    assert verify(folder, "--output-kind", "t2=classes") == 2
    assert "no kind of output is called 'classes'" in capsys.readouterr().err


def test_its_c_function_is_in_the_header_and_right(folder: Path, tmp_path: Path) -> None:
    """Beside the network's own: compiled as C99 without a warning, on outputs around the logit's zero point."""
    out, report = folder / "out", json.loads((folder / "out" / "report.json").read_text())
    assert "int net_beacon(const int8_t *output);" in (out / "net.h").read_text()
    assert "net_beacon.c" in report["sources"]
    library = tmp_path / "beacon.so"
    command = ["gcc", "-std=c99", *STRICT, "-shared", "-fPIC", "-I", str(out), "-o", str(library)]
    subprocess.run([*command, str(out / "net_beacon.c")], check=True)
    function, zero_point = ctypes.CDLL(str(library)).net_beacon, report["outputs"][1]["zero_point"]
    chance = np.random.default_rng(3)
    for logit in (-128, zero_point - 1, zero_point, zero_point + 1, 127):
        heat = chance.integers(-128, 128, CELLS).astype(np.int8)
        output = heat.tobytes() + np.int8(logit).tobytes()
        assert function(output) == (int(heat.argmax()) if logit > zero_point else -1)


def test_c_made_anew_of_the_folder_has_it_too(folder: Path) -> None:
    """As for another board, and for `build --beside`."""
    planned = OutputFolder(folder / "out").planned(load_core("cortex-m7"))
    files = model_files(planned.plan, planned.kernels, planned.names)
    assert files["net_beacon.c"] == (folder / "out" / "net_beacon.c").read_bytes()
    assert b"int net_beacon(const int8_t *output);" in files["net.h"]


def test_a_folder_of_a_task_that_is_not_there_is_refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    forget(Beacon)
    try:
        assert verify(folder) == 2
    finally:
        register(Beacon)
    assert "no task is called 'beacon'" in capsys.readouterr().err


USERS_CONFTEST = """
import sys
sys.path.insert(0, {support!r})
from beacon import Beacon
from mbn2c.tasks.registry import register
register(Beacon)
"""
USERS_TEST = """
def test_beacons(mbn2c_board):
    result = mbn2c_board.verify("images.npz", labels="cells.csv")
    assert result["device_vs_reference_mismatches"] == 0
    assert result["found_device"] >= {least}
"""


@pytest.mark.parametrize(("least", "code"), [(0.75, 0), (1.01, 1)])
def test_the_fixture_of_pytest(folder: Path, least: float, code: int) -> None:
    support = str(Path(__file__).resolve().parent.parent / "support")
    (folder / "conftest.py").write_text(USERS_CONFTEST.format(support=support))
    (folder / "test_mine.py").write_text(USERS_TEST.format(least=least))
    done = run_pytest(folder, "--mbn2c-out", "out", "--junitxml", "junit.xml")
    assert done.returncode == code, done.stdout + done.stderr
    names = {entry.get("name"): entry.get("value") for entry in Xml.parse(folder / "junit.xml").iter("property")}
    assert float(names["mbn2c_same_cell"] or 0) >= 0.75 and float(names["mbn2c_found_device"] or 0) >= 0.75


# --- planted faults ------------------------------------------------------------------------------


def records(moved: int) -> list[BeaconRecord]:
    """Of 10 images; in so many of them int8 sees the beacon elsewhere."""
    task = recognise([HEAT, THERE], {})
    found = []
    for row in range(10):
        heat, there = np.eye(CELLS)[row].reshape(1, 6, 6, 1), np.ones((1, 1, 1, 1))
        found.append(task.compare(Answers([np.roll(heat, row < moved, axis=1), there], [heat, there])))
    return found


@pytest.mark.parametrize(("moved", "passes"), [(0, True), (2, True), (3, False), (10, False)])
def test_its_gate_counts_what_moves(moved: int, passes: bool) -> None:
    task = recognise([HEAT, THERE], {})
    judged = HeldBack(records(moved)).to_json(task)
    assert judged["same_cell"] == 1 - moved / 10
    if passes:
        task.check_held_back(judged, Limits(max_drop=25), {})
    else:
        with pytest.raises(GateError, match=f"moves in {10 * moved}.0 % of the images; 25 % is allowed"):
            task.check_held_back(judged, Limits(max_drop=25), {})


def test_a_lost_record_is_noticed() -> None:
    """It would move every label behind it."""
    task, whole = recognise([HEAT, THERE], {}), Tally(images=10, records=[asdict(one) for one in records(0)])
    assert records_of(whole, task) == records(0)
    del whole.records[4]
    with pytest.raises(InternalError, match="9 records of 10 images"):
        records_of(whole, task)
    truths: list[Any] = list(range(10))
    assert task.judge_verified(records(0), Labels(truths), has_float=True)["found_device"] == 1.0
    with pytest.raises(ValueError, match="zip"):
        task.judge_verified(records(0)[1:], Labels(truths), has_float=True)


def test_a_record_that_cannot_be_is_none() -> None:
    task, right = recognise([HEAT, THERE], {}), records(0)[3]
    assert task.is_possible(right, has_float=True) and not task.is_possible(right, has_float=False)
    assert not task.is_possible(replace(right, int8=Sighting(1, CELLS)), has_float=True)
    assert not task.is_possible(replace(right, noise=[]), has_float=True)
    assert task_named("beacon").record is BeaconRecord
