"""The RAM that the planner leaves to the firmware is enough for it."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
from mobilenets import mobilenet_v1
from networks import quantized

from mbn2c.emit.c_files import c_files
from mbn2c.emit.network.model import Names
from mbn2c.files.bundle import write_bundle
from mbn2c.firmware.toolchain import build
from mbn2c.ir.graph import Graph
from mbn2c.planner.choice import choose_plan, firmware_bytes
from mbn2c.targets import load_board, load_core


@cache
def graph() -> Graph:
    return quantized(mobilenet_v1(0.25, 96, classes=2), 1)


@pytest.mark.parametrize("name", ["qemu-microbit", "qemu-mps2-an500", "qemu-riscv32-virt", "nucleo-g0b1re", "pico"])
def test_the_firmware_takes_what_is_kept_free_for_it(
    name: str, tmp_path: Path, need_tool: Callable[[str], str]
) -> None:
    """What the linker says of all variables but arena and context; a plan chosen for a board must then link."""
    board = load_board(name)
    core = load_core(board.core)
    need_tool(f"{core.prefix}gcc")
    choice = choose_plan(graph(), core, "ram", board=board)
    write_bundle(c_files(choice.plan, choice.kernels, Names("net", "net", bytes(32)), core, board), tmp_path)
    pieces = build(tmp_path, "net", core, board).pieces
    own = [piece for piece in pieces if piece.section not in (".arena", ".bss.net")]
    taken = sum(piece.size_bytes for piece in own if piece.kind in ("data", "zero"))
    assert taken + 32 <= firmware_bytes(graph(), board), [(piece.section, piece.size_bytes) for piece in own]
