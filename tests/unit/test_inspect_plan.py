"""`mbn2c inspect OUT`, and `--plan` for a model: the Plan in print, and the same Plan as JSON."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from devices import build_folder, demo_options

from mbn2c.cli import main
from mbn2c.commands import demo
from mbn2c.commands.output_folder import OutputFolder
from mbn2c.ir.text import print_plan

Said = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def output(tmp_path_factory: pytest.TempPathFactory) -> OutputFolder:
    return build_folder(tmp_path_factory.mktemp("digits"), demo_options("cortex-m7", "qemu-mps2-an500"))


def test_the_saved_plan_is_printed(output: OutputFolder, capsys: Said) -> None:
    assert main(["inspect", str(output.path)]) == 0
    said = capsys.readouterr().out
    ram = output.record.ram
    assert said.startswith("target  cortex-m7, board qemu-mps2-an500\n")
    assert f"arena   {ram.arena_bytes:,} B, and {ram.context_bytes:,} B of context" in said
    assert f"alive in step {ram.peak_step}, {ram.peak_layer}" in said
    assert print_plan(output.own_choice.plan) in said
    for layer in output.record.layers:
        assert any(line.split()[-1:] == [layer.kernel] for line in said.splitlines()), layer.name


def test_json_holds_the_plan_of_the_file(output: OutputFolder, capsys: Said) -> None:
    assert main(["inspect", str(output.path), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    saved = json.loads((output.path / "model/plan.json").read_bytes())
    assert said["plan"] == saved["plan"] and said["kernels"] == saved["kernels"]
    assert (said["target"], said["board"]) == ("cortex-m7", "qemu-mps2-an500")
    assert said["arena_bytes"] == output.record.ram.arena_bytes and "text" not in said


def test_the_plan_of_a_model_is_that_of_its_build(output: OutputFolder, capsys: Said) -> None:
    assert main(["inspect", str(demo.MODEL_FILE), "--plan", "--target", "cortex-m7", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["plan"] == json.loads((output.path / "model/plan.json").read_bytes())["plan"] and said["board"] is None


# words after `inspect` (OUT: the folder, MODEL: the file), what is said
REFUSED = {
    "MODEL --plan": "no target",
    "OUT --target cortex-m7": "--target and --board belong to a model",
    "OUT --board qemu-mps2-an500": "--target and --board belong to a model",
    "MODEL --board qemu-mps2-an500 --target cortex-m55": "board 'qemu-mps2-an500' does not run code of cortex-m55",
    "MODEL --plan --target z80": "no target is called 'z80'",
    ". --plan": "no mbn2c.json",
}


@pytest.mark.parametrize("words", REFUSED)
def test_what_is_no_plan_is_refused(words: str, output: OutputFolder, capsys: Said, tmp_path: Path) -> None:
    places = {"MODEL": str(demo.MODEL_FILE), "OUT": str(output.path), ".": str(tmp_path)}
    assert main(["inspect", *(places.get(word, word) for word in words.split())]) == 2
    assert capsys.readouterr().err.startswith(f"error: {REFUSED[words]}")


def test_a_changed_plan_is_not_printed(output: OutputFolder, capsys: Said, tmp_path: Path) -> None:
    out = shutil.copytree(output.path, tmp_path / "out")
    (out / "model/plan.json").write_text((out / "model/plan.json").read_text().replace("28", "29", 1))
    assert main(["inspect", str(out)]) == 2
    assert capsys.readouterr().err.startswith("error: model/plan.json is not what the build wrote")
