"""The firmware answers on every emulated board: outputs, digests and rows of layers, stack, cycles."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from dummy_model import DummyModel, step_digests
from firmware import build_firmware

from mbn2c.firmware.stack import worst_case_stack
from mbn2c.firmware.toolchain import memory_use
from mbn2c.link.session import EMULATED, Session
from mbn2c.link.transports.emulator import EmulatedBoard
from mbn2c.targets import all_boards, load_board

MODEL = DummyModel()
CASES = [(board.name, board.core) for board in all_boards() if board.emulated] + [("qemu-mps2-an385", "cortex-m0plus")]


@pytest.mark.parametrize("board_name, core", CASES, ids=[f"{board}-{core}" for board, core in CASES])
def test_board(board_name: str, core: str, tmp_path: Path) -> None:
    board = load_board(board_name)
    built = build_firmware(MODEL, board, tmp_path, core)
    counts: list[list[int]] = []
    for _ in range(2):
        with EmulatedBoard(board, built.path, count=True) as emulated:
            session = Session(emulated, digest=MODEL.digest, timing=EMULATED)
            facts = session.hello()
            assert (facts.name, facts.core, facts.board) == ("person", core, board.name)
            for seed in range(3):
                frame = MODEL.frame(seed)
                assert session.run(frame) == MODEL.output(frame)
            counts.append(emulated.instruction_counts())
            assert session.layer_digests(frame) == step_digests(MODEL, frame)
            assert [session.layer_dump(frame, step) for step in range(2)] == MODEL.steps(frame)
            vitals = session.vitals()
            session.reset()
            assert session.run(frame) == MODEL.output(frame)
            assert session.retries == 0
    brackets_per_run = 1 + MODEL.rows + 1
    if board.emulator is not None and board.emulator.kind != "process":
        assert counts[0] == counts[1] and len(counts[0]) == 3 * brackets_per_run
    if board.memories:
        worst = worst_case_stack(
            tmp_path.glob("build/*.ci"),
            ["main"],
            {"person_push_rows": ("observe",), "person_finish": ("observe",), "mbn_board_setup": ()},
        )
        # An interrupt saves up to 26 words and alignment (Armv7-M, B1.5.7), and its handler has some of its own.
        interrupted = 140 if board.console.interrupt is not None else 0
        assert 64 < vitals.stack_used_bytes <= worst.bytes + 16 + interrupted <= vitals.stack_bytes
        used = memory_use(built.path, board)
        assert MODEL.arena < used[board.memory("arena").name] <= board.memory("arena").size_bytes


def test_cycles_of_a_counter(tmp_path: Path) -> None:
    board = load_board("qemu-riscv32-virt")
    with EmulatedBoard(board, build_firmware(MODEL, board, tmp_path).path) as emulated:
        cycles = Session(emulated, timing=EMULATED).layer_cycles(MODEL.frame(0))
    assert len(cycles) == 2 and cycles[0] > 0


def test_cmake_builds_the_same_firmware(tmp_path: Path) -> None:
    board = load_board("qemu-mps2-an500")
    build_firmware(MODEL, board, tmp_path)
    try:
        subprocess.run(["cmake", "-B", "cmake", "."], cwd=tmp_path, check=True, capture_output=True)
        subprocess.run(["cmake", "--build", "cmake"], cwd=tmp_path, check=True, capture_output=True)
    except FileNotFoundError:
        pytest.skip("cmake is not installed")
    with EmulatedBoard(board, tmp_path / "cmake" / "person.elf") as emulated:
        frame = MODEL.frame(5)
        assert Session(emulated, digest=MODEL.digest, timing=EMULATED).run(frame) == MODEL.output(frame)
