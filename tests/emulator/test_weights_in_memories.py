"""--weights-in on an emulated board: weights lie in the memory named, and every step is the reference's."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest
from emulated import first_wrong_step
from firmware import missing_tool
from models import tiny_mobilenet_v2
from networks import int8_inputs, quantized

from mbn2c.emit.c_files import c_files
from mbn2c.emit.network.model import Names
from mbn2c.files.bundle import write_bundle
from mbn2c.files.elf import read_elf
from mbn2c.firmware import toolchain
from mbn2c.kernels import packed_constants
from mbn2c.kernels.sections import bytes_in_sections, sections_of
from mbn2c.link.session import EMULATED, Session
from mbn2c.link.transports.emulator import EmulatedBoard
from mbn2c.planner.choice import choose_plan
from mbn2c.targets import load_board, load_core

# Boards whose other constants lie elsewhere; a memory that waits makes calls of several rows.
CASES = [
    ("cortex-m7", "qemu-mps2-an500", 0),
    ("cortex-m7", "qemu-mps2-an500", 400),
    ("cortex-m33", "qemu-mps2-an505", 0),
]


@pytest.mark.parametrize(("core_name", "board_name", "wait_cycles"), CASES)
def test_half_of_the_layers_lie_apart(tmp_path: Path, core_name: str, board_name: str, wait_cycles: int) -> None:
    core, board, memory_name = load_core(core_name), load_board(board_name), "ssram1"
    slow = replace(board.memories[0], wait_bytes=32, wait_cycles=wait_cycles, cache_bytes=2**16)
    board = replace(board, memories=(slow, *board.memories[1:]))
    if lacking := missing_tool(core, board):
        pytest.skip(f"not installed: {lacking}")
    graph = quantized(tiny_mobilenet_v2())
    layers = tuple(sections_of((memory_name,), graph))[::2]
    sections = sections_of(tuple(f"{name}={memory_name}" for name in layers), graph)
    choice = choose_plan(graph, core, "speed", board=board, sections=sections)
    assert (max(call.rows_per_run for call in choice.plan.calls) > 1) == (wait_cycles > 0)
    names = Names("net", "a test", hashlib.sha256(core_name.encode()).digest(), sections=sections, threads=False)
    write_bundle(c_files(choice.plan, choice.kernels, names, core, board), tmp_path)
    built = toolchain.build(tmp_path, "net", core, board)

    elf, memories = read_elf(built.path), {memory.name: memory for memory in board.memories}
    for step, packed in packed_constants(choice.plan, choice.kernels).items():
        node = choice.plan.calls[step].node
        for member in packed.arrays:
            named = member == "weights" and node in sections
            memory = memories[memory_name] if named else board.memory("constants")
            address = elf.address(f"net_step{step}_{member}")
            assert memory.origin <= address < memory.origin + memory.size_bytes, (node, member, hex(address))
    apart = bytes_in_sections(choice.plan, choice.kernels, sections)[memory_name]
    pieces = [piece for piece in built.pieces if piece.section == f".weights.{memory_name}"]
    assert sum(piece.size_bytes for piece in pieces) >= apart > 0
    assert {piece.kind for piece in pieces} == {"constants"}

    with EmulatedBoard(board, built.path) as transport:
        session = Session(transport, digest=names.digest, timing=EMULATED)
        for values in int8_inputs(graph, 3, seed=2):
            assert first_wrong_step(session, choice.plan, values) == ""
