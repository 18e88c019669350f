"""What README.md says, typed by a new user: a network that PyTorch exported, built for a NUCLEO, proved on an emulator.

The network is the bundled one (`torch.onnx.export`, commands/demo/train_digits.py), under the names that README uses.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from firmware import missing_tool
from places import ROOT

from mbn2c.commands import demo
from mbn2c.targets import load_board, load_core

HEADING = "## Your model in three commands"
# In place of the port of a board that is not here: README says that an emulated one does as well.
EMULATED = "qemu-netduinoplus2"


def commands() -> list[list[str]]:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    [block] = re.findall(rf"^{HEADING}\n+```sh\n(.*?)```", text, re.DOTALL | re.MULTILINE)
    return [shlex.split(line, comments=True) for line in block.splitlines()]


@pytest.fixture
def desk(tmp_path: Path) -> Path:
    """A folder as the user has it: model.onnx, images/, labels.csv."""
    if missing := missing_tool(load_core("cortex-m4"), load_board(EMULATED)):
        pytest.skip(missing)
    shutil.copy(demo.MODEL_FILE, tmp_path / "model.onnx")
    (tmp_path / "images").mkdir()
    header, *rows = demo.TEST_LABELS.read_text().splitlines()
    for row in rows[:20]:
        shutil.copy(demo.TEST_FOLDER / row.split(",")[0], tmp_path / "images")
    (tmp_path / "labels.csv").write_text("\n".join([header, *rows[:20]]) + "\n")
    return tmp_path


def typed(words: list[str], desk: Path) -> str:
    """What the command prints, run in its own process where the user sits."""
    assert words[0] == "mbn2c"
    command = [sys.executable, "-m", "mbn2c", *words[1:]]
    done = subprocess.run(
        command, cwd=desk, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)}
    )
    assert done.returncode == 0, f"{shlex.join(words)}\n{done.stdout}{done.stderr}"
    return done.stdout


def test_readme_in_order(desk: Path) -> None:
    build, flash, verify = commands()
    assert (build[3], build[4]) == ("--board", "nucleo-f446re") and verify[3:5] == ["--port", "/dev/ttyACM0"]
    told = typed(build, desk)
    assert "not compiled" not in told and "mbn2c flash out/person" in told, "build names the command that comes next"
    assert "out/person" in typed([*flash, "--dry-run"], desk)
    result = json.loads(typed([*verify[:3], "--board", EMULATED, *verify[5:], "--json"], desk))
    assert (result["board"], result["images"], result["core"]) == ("qemu-netduinoplus2", 20, "cortex-m4")
    assert result["device_vs_reference_mismatches"] == result["reference_vs_ort_int8_mismatches"] == 0
    assert result["verified"].startswith("OUT's own C"), result["verified"]
    assert (desk / "out/person/results/index.html").is_file() and (desk / "out/person/person.h").is_file()
