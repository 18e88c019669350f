"""mbn2c.toml beside a model, and --quiet."""

from __future__ import annotations

import argparse
from pathlib import Path
from types import SimpleNamespace

import pytest
from command_line import run

from mbn2c.cli import config, main
from mbn2c.cli.command_table import all_commands
from mbn2c.cli.devices import BOARD_VARIABLE, PORT_VARIABLE


@pytest.fixture
def model(tmp_path: Path) -> Path:
    (tmp_path / "images").mkdir()
    return tmp_path / "model.onnx"


def built_with(model: Path, text: str, *words: str, monkeypatch: pytest.MonkeyPatch) -> argparse.Namespace:
    """The options that `build` runs with."""
    seen: list[argparse.Namespace] = []

    def build(options: argparse.Namespace) -> int:
        seen.append(options)
        return 0

    (model.parent / config.CONFIG).write_text(text)
    monkeypatch.setattr("mbn2c.cli.build._build", build)
    assert main(["build", str(model), *words]) == 0
    return seen[0]


TABLE = """
[build]
board = "nucleo-f446re"
calib = "images"
preprocess = "pm1"
percentile = 99.9
max_drop = 1
output_kind = ["a=logits", "b=vector"]
labels = "classes.txt"
"""


def test_options_come_from_the_file_and_give_way_to_words(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    options = built_with(model, TABLE, "-b", "pico", "--max-drop", "2", "-q", monkeypatch=monkeypatch)
    assert (options.board, options.preprocess, options.percentile, options.max_drop) == ("pico", "pm1", 99.9, 2.0)
    assert options.calib == str(model.parent / "images") and options.labels == model.parent / "classes.txt"
    assert options.output_kind == ["a=logits", "b=vector"] and options.quiet


def test_a_word_that_is_no_path_stays(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert built_with(model, '[build]\ncalib = "random"', monkeypatch=monkeypatch).calib == "random"
    assert built_with(model, "[inspect]\nplan = true", monkeypatch=monkeypatch).calib is None


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("[build", "not a TOML file"),
        ("[build]\ncolour = 1", "'colour' is nothing"),
        ("[build]\nforce = true", "'force' is nothing"),
        ("[build]\nboard = {a = 1}", "no text, number"),
    ],
)
def test_what_the_file_cannot_say_is_refused(
    text: str, what: str, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (model.parent / config.CONFIG).write_text(text)
    code, out, err = run("build", str(model), "-t", "host", capsys=capsys)
    assert (code, out) == (2, "") and what in err and config.CONFIG in err


VERIFY = """
[verify]
images = "images"
board = "qemu-netduinoplus2"
labels = "labels.csv"
limit = 20
output_kind = ["a=logits", "b=vector"]
no_results = true

[bench]
board = "qemu-mps2-an386"
"""


@pytest.fixture
def out(model: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An output folder of a model with a configuration; nothing of it but the model's name is read."""
    model.write_bytes(b"")
    (model.parent / config.CONFIG).write_text(VERIFY)
    record = SimpleNamespace(model=SimpleNamespace(file=model.name))
    monkeypatch.setattr("mbn2c.cli.devices.OutputFolder", lambda path: SimpleNamespace(record=record))
    for variable in (PORT_VARIABLE, BOARD_VARIABLE):
        monkeypatch.delenv(variable, raising=False)
    folder = model.parent / "out" / "person"
    folder.mkdir(parents=True)
    return folder


def run_with(command: str, out: Path, *words: str, monkeypatch: pytest.MonkeyPatch) -> argparse.Namespace:
    """The options that a command on an output folder runs with."""
    seen: list[argparse.Namespace] = []
    monkeypatch.setattr(f"mbn2c.cli.devices._{command}", lambda options: seen.append(options) or 0)
    assert main([command, str(out), *words]) == 0
    return seen[0]


def test_verify_has_a_table_beside_the_model(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    options = run_with("verify", out, monkeypatch=monkeypatch)
    folder = out.parents[1]
    assert (options.images, options.labels) == (folder / "images", folder / "labels.csv")
    assert (options.board, options.limit, options.no_results, options.port) == ("qemu-netduinoplus2", 20, True, None)
    assert run_with("bench", out, monkeypatch=monkeypatch).board == "qemu-mps2-an386"
    assert run_with("flash", out, monkeypatch=monkeypatch).board is None


@pytest.mark.parametrize("words", [("--host",), ("-p", "/dev/ttyACM0"), ("--boards", "lab.toml"), ("-b", "pico")])
def test_another_device_on_the_command_line_takes_its_place(
    words: tuple[str, ...], out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = run_with("verify", out, *words, "--output-kind", "a=vector", monkeypatch=monkeypatch)
    assert options.board == ("pico" if words[0] == "-b" else None) and options.limit == 20
    assert options.output_kind == ["a=vector"]


@pytest.mark.parametrize("variable", [PORT_VARIABLE, BOARD_VARIABLE])
def test_a_device_of_the_environment_takes_its_place(variable: str, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variable, "one")
    options = run_with("verify", out, monkeypatch=monkeypatch)
    assert options.board is None and options.limit == 20


def test_a_file_beside_no_model_of_this_folder_is_not_read(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (out.parents[1] / "model.onnx").rename(out.parents[1] / "other.onnx")
    assert run_with("verify", out, monkeypatch=monkeypatch).images is None


def test_verify_without_images_says_where_they_may_stand(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (out.parents[1] / config.CONFIG).unlink()
    code, _, err = run("verify", str(out), "--host", capsys=capsys)
    assert code == 2 and "no images" in err and "[verify]" in err


def test_what_is_of_one_run_only_is_refused(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (out.parents[1] / config.CONFIG).write_text("[flash]\nunlock = true")
    code, _, err = run("flash", str(out), capsys=capsys)
    assert code == 2 and "'unlock' is nothing" in err


def test_every_command_can_be_quiet() -> None:
    assert not all_commands().parse_args(["targets"]).quiet and all_commands().parse_args(["targets", "-q"]).quiet
