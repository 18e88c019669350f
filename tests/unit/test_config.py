"""mbn2c.toml beside a model, and --quiet."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest
from command_line import run

from mbn2c.cli import config, main
from mbn2c.cli.command_table import all_commands


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


def test_every_command_can_be_quiet() -> None:
    assert not all_commands().parse_args(["targets"]).quiet and all_commands().parse_args(["targets", "-q"]).quiet
