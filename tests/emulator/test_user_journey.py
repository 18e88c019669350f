"""What README.md and the pages for newcomers say, typed by one: a network that PyTorch exported, built for a NUCLEO,
proved on an emulator, compiled into an STM32CubeIDE project.

The network is the bundled one (`torch.onnx.export`, commands/demo/train_digits.py), under the names that the pages use.
"""

from __future__ import annotations

import ast
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
from shared import shared

from mbn2c.commands import demo
from mbn2c.targets import load_board, load_core

# In place of the port of a board that is not here: the pages say that an emulated one does as well.
EMULATED = "qemu-netduinoplus2"
# Of a Cortex-M4 with FPU in a new project of STM32CubeIDE, Debug and Release.
CUBE_FLAGS = "-mcpu=cortex-m4 -std=gnu11 -ffunction-sections -fdata-sections -Wall -fstack-usage --specs=nano.specs"
CUBE_FLAGS += " -mfpu=fpv4-sp-d16 -mfloat-abi=hard -mthumb -O2"


def blocks(page: str, language: str) -> list[str]:
    """The text of a page's code blocks in a language."""
    return re.findall(
        rf"^```{language}\n(.*?)^```", (ROOT / page).read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE
    )


def commands(page: str) -> list[str]:
    """The commands of its sh blocks, in order."""
    return [line.partition(" #")[0].strip() for block in blocks(page, "sh") for line in block.splitlines() if line]


class Desk:
    """A folder as the user has it, and a shell in it. What was typed there is not typed again."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._said: dict[str, str] = {}

    def typed(self, command: str) -> str:
        """What it prints."""
        if command not in self._said:
            environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHON": sys.executable}
            script = f'set -eu\nmbn2c() {{ "$PYTHON" -m mbn2c "$@"; }}\n{command}'
            done = subprocess.run(
                ["bash", "-c", script], cwd=self.folder, capture_output=True, text=True, env=environment
            )
            assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
            self._said[command] = done.stdout
        return self._said[command]

    def typed_without_board(self, command: str) -> str:
        """The same, where a real board would be asked for."""
        if command.startswith("mbn2c flash "):
            command += " --dry-run"
        return self.typed(command.replace("--port /dev/ttyACM0", f"--board {EMULATED}"))


def desk_with(folder: Path, model: Path) -> Desk:
    """model.onnx, images/, labels.csv."""
    shutil.copy(model, folder / "model.onnx")
    (folder / "images").mkdir()
    header, *rows = demo.TEST_LABELS.read_text().splitlines()
    for row in rows[:20]:
        shutil.copy(demo.TEST_FOLDER / row.split(",")[0], folder / "images")
    (folder / "labels.csv").write_text("\n".join([header, *rows[:20]]) + "\n")
    return Desk(folder)


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    if missing := missing_tool(load_core("cortex-m4"), load_board(EMULATED)):
        pytest.skip(missing)
    return desk_with(tmp_path_factory.mktemp("desk"), demo.MODEL_FILE)


def test_pytorch_in_order(desk: Desk) -> None:
    lines = commands("docs/pytorch.md")
    said = {line: desk.typed_without_board(line) for line in lines}
    assert [line.split()[1] for line in lines] == ["inspect", "build", "verify", "flash", "verify", "bench"]
    build, verify = said[lines[1]], lines[2]
    assert "not compiled" not in build and "mbn2c flash out/person" in build, "build names the command that comes next"
    assert "out/person" in said[lines[3]]
    result = json.loads(desk.typed(f"{verify} --json"))
    assert (result["board"], result["images"], result["core"]) == (EMULATED, 20, "cortex-m4")
    assert result["device_vs_reference_mismatches"] == result["reference_vs_ort_int8_mismatches"] == 0
    assert result["verified"].startswith("OUT's own C"), result["verified"]
    out = desk.folder / "out/person"
    assert (out / "results/index.html").is_file() and (out / "person.h").is_file()


def test_readme_says_the_same() -> None:
    [block] = re.findall(
        r"^## Your model in three commands\n+```sh\n(.*?)```",
        (ROOT / "README.md").read_text(),
        re.DOTALL | re.MULTILINE,
    )
    lines = [line.partition(" #")[0].strip() for line in block.splitlines()]
    assert len(lines) == 3 and set(lines) <= set(commands("docs/pytorch.md"))


def export_call(text: str) -> dict[str, object]:
    """The constants that a program gives torch.onnx.export by name."""
    calls = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call)]
    [call] = [node for node in calls if ast.unparse(node.func) == "torch.onnx.export"]
    return {str(one.arg): ast.unparse(one.value) for one in call.keywords}


def test_pytorch_is_exported_as_the_bundled_model_was() -> None:
    """torch is not here: the page's call is that of the script whose file the tests build."""
    [text] = blocks("docs/pytorch.md", "python")
    ours = export_call((Path(demo.__file__).parent / "train_digits.py").read_text())
    assert export_call(text).items() <= ours.items() and len(export_call(text)) == 4


def test_cubeide_in_order(desk: Desk) -> None:
    """The copied sources compile beside a main.c with the page's C in it; the page's Python says the bytes."""
    for line in commands("docs/cubeide.md"):
        desk.typed(line)
    folder = desk.folder / "cube/Core/Network"
    [snippet] = blocks("docs/cubeide.md", "c")
    (folder.parent / "main.c").write_text(snippet + "int main(void) { return 0; }\n")
    sources = [str(path) for path in [*sorted(folder.glob("*.c")), folder.parent / "main.c"]]
    gcc, flags = f"{load_core('cortex-m4').prefix}gcc", [*shlex.split(CUBE_FLAGS), f"-I{folder}"]
    done = subprocess.run(
        [gcc, *flags, *sources, "-o", str(folder / "cube.elf"), "--specs=nosys.specs"], capture_output=True, text=True
    )
    assert done.returncode == 0 and folder.name not in done.stderr, done.stderr
    [text] = blocks("docs/cubeide.md", "python")
    (desk.folder / "check.py").write_text(text)
    assert re.match(r"\('digit_\d+\.png',\) \{'logits': \[-?\d+", desk.typed('"$PYTHON" check.py'))


@pytest.mark.slow
def test_keras_in_order(tmp_path: Path) -> None:
    lines = commands("docs/keras.md")
    desk = desk_with(tmp_path, shared("models/exporters/keras_tf2onnx_op11_v1_nhwc.onnx"))
    for line in lines:
        desk.typed(line)
    assert [line.split()[1] for line in lines] == ["inspect", "build", "verify"]
