"""Builds the dummy model's firmware for a board, for tests of the line and of the boards."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from dummy_model import DummyModel

from mbn2c.firmware.files import firmware_files, package_files
from mbn2c.firmware.toolchain import Built, build
from mbn2c.link.transports.emulator import EmulatedBoard
from mbn2c.targets import Board, Core, load_board, load_core


def missing_tool(core: Core, board: Board) -> str:
    """What this computer lacks to build and run `core` code on `board`, in words; "" for nothing."""
    tools = {core.prefix + "gcc": core.apt, "make": "make"}
    if board.emulator is not None and board.emulator.program:
        tools[board.emulator.program] = board.emulator.apt
    lacking = [f"{tool} (apt install {apt})" for tool, apt in tools.items() if shutil.which(tool) is None]
    return ", ".join(lacking)


def write_firmware(model: DummyModel, core: Core, board: Board | None, folder: Path) -> None:
    firmware = {}
    if board is not None:
        firmware = firmware_files(name="person", core=core, board=board, network=model.files())
    package = package_files(name="person", core=core, sources=["person.c"], board=board, firmware=firmware or None)
    for path, data in {**model.files(), **firmware, **package}.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)


def build_firmware(model: DummyModel, board: Board, folder: Path, core: str = "") -> Built:
    """Skips the test in words if a tool is missing."""
    code = load_core(core or board.core)
    if lacking := missing_tool(code, board):
        pytest.skip(f"{board.name}: not installed: {lacking}")
    write_firmware(model, code, board, folder)
    return build(folder, "person", code, board)


def open_host(elf: Path) -> EmulatedBoard:
    """A firmware that is a program of this computer."""
    return EmulatedBoard(load_board("host"), elf)
