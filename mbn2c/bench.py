"""Output folder and emulated board -> instructions of one inference, layer by layer and class by class.

The firmware is built with every step as a function of its own, so that each instruction can be given to the step
that ran it; that costs a call per row, which is counted for the schedule.
"""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from mbn2c.build.toolchain import find_compiler
from mbn2c.errors import BoardError, InternalError
from mbn2c.ir.graph import Graph
from mbn2c.link.emulator import EmulatedBoard
from mbn2c.link.instruction_counter import Table
from mbn2c.link.session import EMULATED, Session
from mbn2c.ops import OPERATORS
from mbn2c.output_folder import OutputFolder, firmware_for
from mbn2c.target import Board, Core, load_core

SCHEDULE = "schedule"
CLASSES = ("load", "store", "mac", "extend", "branch", "other")
# One function per step, none merged into its caller.
_CFLAGS = ("-fno-inline-functions-called-once", "-fno-inline-small-functions", "-fno-partial-inlining")


def bench(output: OutputFolder, board: Board, folder: Path) -> dict[str, Any]:
    """Run one inference of noise on the emulated board.

    folder  where the firmware is built
    raises  BoardError if the board has no emulator that counts
    """
    if board.emulator is None or board.emulator.kind == "process":
        raise BoardError(f"board '{board.name}' counts no instructions", hint="an emulated board; see `mbn2c boards`")
    core = output.core if output.core.name in board.cores else load_core(board.core)
    elf = firmware_for(output, board, folder, _CFLAGS)
    steps = [call.step for call in output.layout(core).plan.calls]
    table = Table(_ranges(elf, core, steps, folder), folder / "table.txt")
    graph = output.graph
    shape = graph.tensors[graph.inputs[0].tensor].shape
    frame = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8).tobytes()
    with EmulatedBoard(board, elf, count=True, table=table) as transport:
        Session(transport, digest=output.digest, timing=EMULATED).run(frame)
        total = sum(transport.instruction_counts())
    return _result(output, board, core, table.read(), total)


def _ranges(elf: Path, core: Core, steps: list[int], folder: Path) -> Path:
    """The file that tells the plugin where each step's function lies; the first range is the schedule."""
    nm = find_compiler(core).removesuffix("gcc") + "nm"
    listing = subprocess.run([nm, "-S", "--defined-only", str(elf)], capture_output=True, text=True, check=True).stdout
    schedule, found = [], {}
    for line in listing.splitlines():
        words = line.split()
        if len(words) != 4 or words[2] not in "tT":
            continue
        first, size, name = int(words[0], 16) & ~1, int(words[1], 16), words[3].split(".")[0]
        if name.startswith("step") and name[4:].isdigit():
            found[int(name[4:])] = f"{first:x} {first + size:x} {name[4:]}"
        elif name.startswith("loop") or name.endswith(("_push_rows", "_finish", "_begin")):
            schedule.append(f"{first:x} {first + size:x} {SCHEDULE}")
    missing = sorted(set(steps) - set(found))
    if missing or not schedule:
        raise InternalError(f"steps {missing} are no functions of their own in the firmware", where=str(elf))
    file = folder / "ranges.txt"
    file.write_text("\n".join([*schedule, *(found[step] for step in steps)]) + "\n")
    return file


def _result(
    output: OutputFolder, board: Board, core: Core, counts: Mapping[str, tuple[int, ...]], total: int
) -> dict[str, Any]:
    graph = output.graph
    rows = []
    for call in output.layout(core).plan.calls:
        classes = counts[str(call.step)]
        macs = OPERATORS[graph.producer[call.write].op].macs(graph.producer[call.write], graph) if call.node else 0
        rows.append(_row(call.step, call.node or "input", _op(graph, call.write, call.node), macs, classes, total))
    rows.append(_row(None, SCHEDULE, SCHEDULE, 0, counts[SCHEDULE], total))
    macs = output.report["model"]["macs"]
    return {
        "board": board.name,
        "core": core.name,
        "instructions_per_inference": total,
        "instructions_per_mac": round(total / macs, 3) if macs else None,
        "layers": rows,
        "cycles_per_inference": None,
    }


def _op(graph: Graph, tensor: str, node: str) -> str:
    return graph.producer[tensor].op if node else "input"


def _row(step: int | None, name: str, op: str, macs: int, classes: tuple[int, ...], total: int) -> dict[str, Any]:
    instructions = sum(classes)
    return {
        "step": step,
        "name": name,
        "op": op,
        "macs": macs,
        "instructions": instructions,
        "instructions_per_mac": round(instructions / macs, 3) if macs else None,
        "share": round(instructions / total, 4),
        "classes": dict(zip(CLASSES, classes, strict=True)),
    }
