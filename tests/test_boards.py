"""The bundled network on every emulated board: its own firmware, over its own serial line, bit by bit."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from devices import assert_exact, build_folder, demo_options, verify_on

from mbn2c import demo
from mbn2c.build.toolchain import find_compiler
from mbn2c.errors import BoardError, FitError
from mbn2c.target import all_boards, load_board, load_core
from mbn2c.verify import VerifyOptions

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


@pytest.mark.parametrize("name", BOARDS)
def test_board_runs_the_bundled_network_bit_exact(name: str, tmp_path: Path) -> None:
    _need_tools(name)
    board = load_board(name)
    output = build_folder(tmp_path / "out", demo_options(board.core))
    options = VerifyOptions(demo.TEST_FOLDER, demo.TEST_LABELS, limit=3, layers=True)
    try:
        result = verify_on(output, name, tmp_path / "firmware", options)
    except FitError as error:
        # Refusing is right where the network does not fit; the message must say which memory.
        assert board.name == "qemu-microbit", error
        assert "ram" in error.what
        return
    assert_exact(result, 3)
    assert result["top1_agreement"] == 1.0


@pytest.mark.parametrize("name", ["qemu-mps2-an500", "qemu-riscv32-virt", "aarch64-user"])
def test_instruction_count_is_the_same_on_every_run(name: str, tmp_path: Path) -> None:
    _need_tools(name)
    output = build_folder(tmp_path / "out", demo_options(load_board(name).core))
    runs = [verify_on(output, name, tmp_path / "firmware", VerifyOptions(demo.TEST_FOLDER, limit=2)) for _ in range(2)]
    counts = [run["instructions_per_inference"] for run in runs]
    assert counts[0] == counts[1]
    assert counts[0] > output.report["model"]["macs"] / 10
