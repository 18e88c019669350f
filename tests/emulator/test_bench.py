"""`mbn2c bench`: every counted instruction belongs to a step or to the schedule, and has its cycles."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from devices import build_folder, demo_options

from mbn2c.commands.bench import SCHEDULE, bench
from mbn2c.commands.bench.cycles import MODELS, Instruction
from mbn2c.errors import BoardError
from mbn2c.network.options import RANDOM
from mbn2c.report.bench_text import bench_text
from mbn2c.targets import load_board, load_core

# Reads at least one byte in a hundred instructions, multiplies, and stores what it made.
BUSY = ("load", "store", "mac", "branch")


@pytest.mark.parametrize(
    ("core", "board"),
    [("cortex-m4", "qemu-mps2-an386"), ("rv32imc", "qemu-riscv32-virt"), ("aarch64", "aarch64-user")],
)
def test_layers_add_up_to_the_total(tmp_path: Path, core: str, board: str, need_tool: Callable[[str], str]) -> None:
    emulator = load_board(board).emulator
    assert emulator is not None
    for tool in (emulator.program, f"{load_core(core).prefix}gcc"):
        need_tool(tool)
    output = build_folder(tmp_path / "out", replace(demo_options(core), calib=RANDOM))
    result = bench(output, load_board(board), tmp_path / "firmware")
    layers = result["layers"]
    assert [layer["step"] for layer in layers] == [*range(len(layers) - 1), None]
    assert layers[-1]["op"] == SCHEDULE
    assert sum(layer["instructions"] for layer in layers) == result["instructions_per_inference"]
    for layer in layers:
        assert sum(layer["classes"].values()) == layer["instructions"]
        if layer["macs"]:
            for kind in BUSY:
                assert layer["classes"][kind] > layer["instructions"] // 500, (layer["name"], kind)
    assert sum(layer["macs"] for layer in layers) == output.report["model"]["macs"]

    estimates = [layer["estimated_cycles"] for layer in layers]
    rate, total = load_core(core).cycles, result["instructions_per_inference"]
    if core not in MODELS:
        assert set(map(str, estimates)) == {"None"}
        wanted = None if rate is None else [round(total * rate.least), round(total * rate.most)]
        assert result["estimated_cycles_per_inference"] == wanted
        return
    assert [sum(column) for column in zip(*estimates, strict=True)] == result["estimated_cycles_per_inference"]
    for layer, (least, most) in zip(layers, estimates, strict=True):
        # The schedule is nothing but loads and jumps, of up to three cycles each.
        bound = 3 if layer["step"] is None else 2
        assert layer["instructions"] < least <= most < bound * layer["instructions"], layer["name"]
    least, most = result["estimated_cycles_per_inference"]
    assert f"; about {least:,} to {most:,} cycles" in bench_text(result).splitlines()[-1]
    # What is said before anything runs holds what each instruction's own cycles add up to.
    assert rate is not None and rate.least * total <= least <= most <= rate.most * total
    clock_hz = load_board(board).clock_hz
    assert result["ms_per_inference"] == pytest.approx([1e3 * end / clock_hz for end in (least, most)], abs=1e-3)


def test_a_board_that_does_not_count_is_refused(tmp_path: Path) -> None:
    output = build_folder(tmp_path / "out", replace(demo_options("host"), calib=RANDOM))
    with pytest.raises(BoardError, match="counts no instructions"):
        bench(output, load_board("host"), tmp_path / "firmware")


# core, instructions, (least, most) of each where the flow goes on
CYCLES = [
    ("cortex-m4", "add r0, r1, r2; smlad r3, r4, r5, r3; smlal r0, r1, r2, r3", [(1, 1), (1, 1), (1, 1)]),
    ("cortex-m4", "ldr r0, [r1, #4]; ldr r2, [r3]; ldr r4, [r2]", [(2, 2), (1, 1), (2, 2)]),
    ("cortex-m4", "ldrd r0, r1, [r2], #8; ldr r3, [r4]", [(3, 3), (2, 2)]),
    ("cortex-m4", "ldmia lr!, {r1, r3, r8, r9}; push {r4, r5, lr}", [(5, 5), (4, 4)]),
    ("cortex-m4", "add r1, r2, r3; ldr r0, [r1]; str r0, [r5, #4]", [(1, 1), (3, 3), (1, 1)]),
    ("cortex-m4", "strb r0, [r1, r2]; ldr r3, [pc, #8]", [(1, 2), (2, 3)]),
    ("cortex-m3", "mla r0, r1, r2, r3; smlal r0, r1, r2, r3; udiv r0, r1, r2", [(2, 2), (4, 7), (2, 12)]),
    ("cortex-m33", "ldr r0, [r1]; ldrd r2, r3, [r1]; smlad r3, r4, r5, r3", [(1, 2), (2, 3), (1, 1)]),
    ("cortex-m0plus", "ldr r0, [r1]; muls r0, r2; ldmia r1!, {r2, r3, r4}", [(2, 2), (1, 1), (4, 4)]),
    ("cortex-m7", "smlad r3, r4, r5, r3; add r0, r1, r2; add r6, r0, #1", [(1, 1), (0, 1), (1, 1)]),
    ("cortex-m7", "add r0, r1, r2; smlad r3, r4, r5, r3", [(1, 1), (1, 1)]),
    ("cortex-m7", "add r0, r1, r2; add r3, r0, r2; ldr r5, [r6]", [(1, 1), (1, 1), (0, 1)]),
]
# core, instruction, (least, most) that a jump adds
JUMPS = [
    ("cortex-m4", "bne 1234", (1, 3)),
    ("cortex-m4", "pop {r4, pc}", (1, 3)),
    ("cortex-m4", "add r0, pc, #4", (0, 0)),
    ("cortex-m33", "b 1234", (1, 2)),
    ("cortex-m0plus", "bl 1234", (2, 2)),
    ("cortex-m0plus", "bx lr", (1, 1)),
    ("cortex-m7", "cbz r0, 1234", (0, 2)),
]


def instructions(text: str) -> list[Instruction]:
    lines = [line.strip().partition(" ") for line in text.split(";")]
    return [Instruction(4 * index, 4, name, operands) for index, (name, _, operands) in enumerate(lines)]


@pytest.mark.parametrize(("core", "text", "expected"), CYCLES)
def test_cycles_of_straight_code(core: str, text: str, expected: list[tuple[int, int]]) -> None:
    assert [(cost.least, cost.most) for cost in MODELS[core](instructions(text))] == expected


@pytest.mark.parametrize(("core", "text", "expected"), JUMPS)
def test_cycles_of_jumps(core: str, text: str, expected: tuple[int, int]) -> None:
    (cost,) = MODELS[core](instructions(text))
    assert (cost.taken_least, cost.taken_most) == expected


def test_popping_the_program_counter_takes_longer() -> None:
    (cost,) = MODELS["cortex-m0plus"](instructions("pop {r4, pc}"))
    assert (cost.least, cost.taken_least) == (5, 0)
