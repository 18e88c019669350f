"""Broken and greedy inputs: one message and the right exit code, at once. The files of ../shared/faults, and their
kinds built in code."""

from __future__ import annotations

import contextlib
import os
import resource
from collections.abc import Iterator
from pathlib import Path

import pytest
from hostile_models import FAULTS, hostile, quantized_hostile, quantized_model, small_mobilenet
from shared import shared

from mbn2c.cli import main
from mbn2c.commands.inspect import inspect_model
from mbn2c.network.lowered import import_lowered
from mbn2c.planner.choice import choose_plan
from mbn2c.planner.columns import MAX_PIECES
from mbn2c.quantize.calibrate import Range
from mbn2c.quantize.quantize import quantize
from mbn2c.targets import load_core

# Above what the process has mapped already: a bomb ends in exit code 5 here and not in the computer's swap space.
_MORE_BYTES = 3 << 30


@contextlib.contextmanager
def bounded_memory() -> Iterator[None]:
    old = resource.getrlimit(resource.RLIMIT_AS)
    mapped = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (mapped + _MORE_BYTES, old[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, old)


def refusal(words: list[str], capfd: pytest.CaptureFixture[str]) -> tuple[int, str]:
    """Exit code and message of a refused command, checked to be one message and nothing else."""
    with bounded_memory():
        code = main(words)
    out, err = capfd.readouterr()
    assert out == ""
    lines = err.splitlines()
    assert 1 <= len(lines) <= 3 and lines[0].startswith("error: "), err
    assert [line.split(":")[0] for line in lines[1:]] in ([], ["where"], ["try"], ["where", "try"]), err
    assert len(err) < 3 * 2600
    return code, lines[0]


def build(model: Path, folder: Path, calib: str = "random") -> list[str]:
    return ["build", str(model), "--target", "host", "--calib", calib, "--quantize", "fast", "-o", str(folder / "out")]


FILES = [
    # (file, exit code, part of the message)
    ("huge_weight.onnx", 3, "weights of up to 1e+30"),
    ("nan_report.onnx", 3, "weights of up to 2.62e+19"),
    ("gemm_alpha_nan.onnx", 3, "attribute alpha is nan"),
    ("same_output_twice.onnx", 3, "is named twice"),
    ("bomb_concat.onnx", 3, "the model is too large"),
    ("hdrcorrupt.npz", 2, "cannot read the file"),
    ("hugedecl.npz", 2, "cannot read the file"),
    ("npy_renamed.npz", 2, "numpy.savez writes an .npz"),
    ("zip_txt.npz", 2, "is no array"),
]


@pytest.mark.parametrize(("name", "code", "message"), FILES, ids=[each[0] for each in FILES])
def test_shared_file(name: str, code: int, message: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    file = shared(f"faults/{name}")
    model = tmp_path / "small.onnx"
    model.write_bytes(small_mobilenet().SerializeToString())
    words = build(model, tmp_path, str(file)) if name.endswith(".npz") else build(file, tmp_path)
    got, said = refusal(words, capfd)
    assert got == code and message in said
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("fault", FAULTS)
def test_built_in_code(fault: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "hostile.onnx").write_bytes(hostile(fault))
    (tmp_path / "weights.bin").write_bytes(bytes(100))
    code, said = refusal(build(tmp_path / "hostile.onnx", tmp_path), capfd)
    assert code == 3 and FAULTS[fault][1] in said


QUANTIZED = [fault for fault in FAULTS if fault.startswith(("bomb", "outer", "many", "a size", "a loop", "nested"))]


@pytest.mark.parametrize("fault", QUANTIZED)
def test_in_a_quantized_model(fault: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "hostile.onnx").write_bytes(quantized_hostile(fault))
    code, said = refusal(build(tmp_path / "hostile.onnx", tmp_path), capfd)
    assert code == 3 and FAULTS[fault][1] in said


def test_the_models_are_good_without_the_fault(tmp_path: Path) -> None:
    for model in (small_mobilenet(), quantized_model()):
        (tmp_path / "good.onnx").write_bytes(model.SerializeToString())
        assert main(build(tmp_path / "good.onnx", tmp_path)) == 0


def test_wide_rows_are_cut_into_few_pieces(tmp_path: Path) -> None:
    """in_wide.onnx took 68 s, most of them for rows in 50,000 pieces; now 5 s."""
    (tmp_path / "wide.onnx").write_bytes(small_mobilenet((1, 3, 1, 20_000)).SerializeToString())
    graph = import_lowered(tmp_path / "wide.onnx")
    ranges = {name: Range(-1.0, 1.0) for name, tensor in graph.tensors.items() if tensor.data is None}
    choice = choose_plan(quantize(graph, ranges), load_core("host"), "ram")
    most = max(len(call.pieces) for point in choice.curve for call in point.plan.calls)
    assert 1 < most <= MAX_PIECES


@pytest.mark.slow
def test_the_shared_wide_input_is_inspected() -> None:
    facts = inspect_model(shared("faults/in_wide.onnx"))
    assert facts.model.input.width == 100_000
    assert all(row.ram_bytes > 0 for row in facts.targets)


NO_FILES = ["/dev/zero", "/dev/full", "pipe", "folder", "nowhere", "in a circle", "n" * 300, "n" * 5000, "good.onnx/x"]


@pytest.mark.parametrize("option", ["--target", "--board", "--ram-limit", "--mean", "--emit"])
def test_empty_words(option: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "good.onnx").write_bytes(small_mobilenet().SerializeToString())
    words = [*build(tmp_path / "good.onnx", tmp_path), *(["--std", "1"] if option == "--mean" else [])]
    assert refusal([*words, option, ""], capfd)[0] == 2


@pytest.mark.parametrize("name", NO_FILES, ids=lambda name: name[:20])
def test_what_is_no_file(name: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    (tmp_path / "in a circle").symlink_to("in a circle")
    (tmp_path / "good.onnx").write_bytes(small_mobilenet().SerializeToString())
    file = name if name.startswith("/") else str(tmp_path / name)
    good = build(tmp_path / "good.onnx", tmp_path)
    for words in (
        ["inspect", file],
        build(Path(file), tmp_path),
        [*good, "--labels", file],
        [*good[:4], "--calib", file, "--preprocess", "unit", "-o", str(tmp_path / "out")],
        [*good, "--beside", file],
        [*good[:4], "--calib", file, "--calib-labels", file, "--max-drop", "1", "-o", str(tmp_path / "out")],
        ["verify", file, "--host", "--images", str(tmp_path)],
        ["flash", file],
        ["bench", file],
    ):
        code, _ = refusal(words, capfd)
        assert code == 2, words
    assert not (tmp_path / "out").exists()
