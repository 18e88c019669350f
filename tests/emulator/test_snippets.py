"""Every C snippet of README.md and docs/ that classifies, compiled into a firmware and run on an emulated Arm board.

Those of docs/detection.md and docs/segmentation.md are compiled by tests/host/test_detection and test_segmentation."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import numpy as np
import pytest
from firmware import missing_tool
from models import tiny_mobilenet_v1
from networks import int8_inputs, quantized
from places import ROOT

from mbn2c.emit.c_files import c_files
from mbn2c.emit.network.model import Names
from mbn2c.files.bundle import write_bundle
from mbn2c.firmware import toolchain
from mbn2c.link.transports.emulator import EmulatedBoard
from mbn2c.planner.choice import choose_plan
from mbn2c.reference.run_graph import run_graph
from mbn2c.targets import load_board, load_core

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), *sorted(ROOT.glob("firmware_examples/**/*.md"))]
SNIPPETS = {
    f"{page.name}-{number}": text
    for page in PAGES
    for number, text in enumerate(re.findall(r"```c\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL))
    if page.name not in ("detection.md", "segmentation.md")
}
# Around a snippet, which offers `classify`: pictures come over the line, the error code and the scores go back.
PROGRAM = """
#include "mbn_port.h"

int main(void)
{
    static person_input_t picture[PERSON_INPUT_BYTES];
    static int8_t answer[1 + PERSON_OUTPUT_BYTES];
    mbn_board_setup();
    mbn_port_open();
    for (;;) {
        for (uint32_t i = 0; i < PERSON_INPUT_BYTES; i++) {
            picture[i] = (person_input_t)mbn_port_get();
        }
        answer[0] = (int8_t)classify(picture, &answer[1]);
        mbn_port_put((const uint8_t *)answer, sizeof answer);
    }
}
"""
STRICT = ("-std=c99", "-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Werror", "-fdata-sections")


def test_there_are_snippets() -> None:
    assert any(name.startswith("README.md") for name in SNIPPETS)


@pytest.mark.parametrize("text", SNIPPETS.values(), ids=SNIPPETS)
def test_snippet(text: str, tmp_path: Path) -> None:
    core, board = load_core("cortex-m4"), load_board("qemu-mps2-an386")
    if lacking := missing_tool(core, board):
        pytest.skip(f"not installed: {lacking}")
    graph = quantized(tiny_mobilenet_v1())
    choice = choose_plan(graph, core, "balanced")
    write_bundle(c_files(choice.plan, choice.kernels, Names("person", "tiny.onnx", bytes(32)), core, board), tmp_path)
    (tmp_path / "firmware" / "main.c").write_text(text + PROGRAM)
    elf = toolchain.build(tmp_path, "person", core, board).path
    strict = [f"{core.prefix}gcc", *core.cflags, *STRICT, "-I.", "-Ifirmware", "-c", "firmware/main.c", "-o", "main.o"]
    subprocess.run(strict, cwd=tmp_path, check=True)
    # Chance may align an array; the object file says what the snippet asks for.
    sections = subprocess.check_output([f"{core.prefix}objdump", "-h", "main.o"], cwd=tmp_path, text=True)
    found = re.search(r" \.bss\.arena .* 2\*\*(\d+)$", sections, re.MULTILINE)
    assert found and 2 ** int(found.group(1)) >= 16, "the arena is not aligned"
    with EmulatedBoard(board, elf) as line:
        for values in int8_inputs(graph, 3):
            scores = run_graph(graph, {graph.inputs[0].tensor: values})[graph.outputs[0].tensor].reshape(-1)
            line.write(values.tobytes())
            answer = b""
            while len(answer) < 1 + scores.size:
                data = line.read(60.0)
                assert data, "no answer"
                answer += data
            assert answer[0] == 0 and np.array_equal(np.frombuffer(answer[1:], np.int8), scores)
