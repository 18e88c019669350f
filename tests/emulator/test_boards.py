"""The bundled network on every emulated board: its own firmware, over its own serial line, bit by bit."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from devices import assert_exact, build_folder, demo_options, verify_on

from mbn2c.commands import demo
from mbn2c.commands.output_folder import OutputFolder
from mbn2c.commands.verify import VerifyOptions
from mbn2c.errors import BoardError
from mbn2c.firmware.toolchain import find_compiler
from mbn2c.targets import all_boards, load_board, load_core

BOARDS = [board.name for board in all_boards() if board.emulated]


def _need_tools(name: str) -> None:
    """Skips, in words, where the compiler or the emulator of a board is not installed."""
    board = load_board(name)
    assert board.emulator is not None
    try:
        find_compiler(load_core(board.core))
    except BoardError as error:
        pytest.skip(f"{error.what}: {error.hint}")
    if board.emulator.program and shutil.which(board.emulator.program) is None:
        pytest.skip(f"{board.emulator.program} is not installed: apt install {board.emulator.apt}")


@pytest.fixture(scope="module")
def output(tmp_path_factory: pytest.TempPathFactory) -> OutputFolder:
    """The bundled network, quantized once; each board gets firmware for its own core from it."""
    return build_folder(tmp_path_factory.mktemp("network"), demo_options("host"))


@pytest.mark.parametrize("name", BOARDS)
def test_board_runs_the_bundled_network_bit_exact(name: str, output: OutputFolder, tmp_path: Path) -> None:
    _need_tools(name)
    options = VerifyOptions(demo.TEST_FOLDER, demo.TEST_LABELS, limit=3, layers=True)
    result = verify_on(output, name, tmp_path, options)
    assert_exact(result, 3)
    assert (result["core"], result["top1_agreement"]) == (load_board(name).core, 1.0)


@pytest.mark.parametrize("name", ["qemu-mps2-an500", "qemu-riscv32-virt", "aarch64-user"])
def test_instruction_count_is_the_same_on_every_run(name: str, output: OutputFolder, tmp_path: Path) -> None:
    _need_tools(name)
    runs = [verify_on(output, name, tmp_path, VerifyOptions(demo.TEST_FOLDER, limit=2)) for _ in range(2)]
    counts = [run["instructions_per_inference"] for run in runs]
    assert counts[0] == counts[1]
    assert counts[0] > output.report["model"]["macs"] / 10
