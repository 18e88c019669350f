"""int8 Graph, core and goal -> what one inference takes: instructions in the emulator, RAM, flash, wrong bytes."""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from mbn2c.commands.bench.cycles import write_costs
from mbn2c.emit.c_files import c_files
from mbn2c.emit.network.model import Names
from mbn2c.errors import InternalError
from mbn2c.files.bundle import write_bundle
from mbn2c.firmware.sizes import network_sizes
from mbn2c.firmware.toolchain import build, find_compiler
from mbn2c.ir.graph import Graph
from mbn2c.kernels import packed_constants
from mbn2c.link.instruction_counter import Table
from mbn2c.link.session import EMULATED, Session
from mbn2c.link.transports.emulator import EmulatedBoard
from mbn2c.planner.choice import Choice, choose_plan
from mbn2c.reference.run_graph import run_graph
from mbn2c.targets import Board, Core

SCHEDULE = "schedule"
CLASSES = ("load", "store", "mac", "extend", "branch", "other")
# One function per step, none merged into its caller: each instruction belongs to a step, for a call more per row.
STEP_CFLAGS = ("-fno-inline-functions-called-once", "-fno-inline-small-functions", "-fno-partial-inlining")


@dataclass(frozen=True)
class Measured:
    """One inference.

    instructions   of the network, from the first row to the output
    mismatches     bytes of the output that differ from the integer reference
    weights_bytes  int8 weights; all else the network has in flash is `other_flash_bytes`
    by_step        instructions of each class, least and most cycles, by step number or SCHEDULE; empty unless asked for
    """

    instructions: int
    mismatches: int
    arena_bytes: int
    context_bytes: int
    stack_bytes: int
    weights_bytes: int
    constants_bytes: int
    code_bytes: int
    by_step: Mapping[str, tuple[int, ...]] = field(default_factory=dict)

    @property
    def ram_bytes(self) -> int:
        return self.arena_bytes + self.context_bytes + self.stack_bytes

    @property
    def other_flash_bytes(self) -> int:
        return self.constants_bytes + self.code_bytes

    @property
    def flash_bytes(self) -> int:
        return self.weights_bytes + self.other_flash_bytes


def measure(
    graph: Graph, core: Core, board: Board, optimize: str, image: np.ndarray, folder: Path, *, steps: bool = False
) -> Measured:
    """Build the network for an emulated board and run one image through it.

    image   int8 NHWC, what the network starts from
    folder  where the firmware is built
    steps   count each step by itself, which costs a call per row
    raises  BoardError if a tool is missing or the board does not count, FitError
    """
    return measure_choice(choose_plan(graph, core, optimize), core, board, image, folder, steps=steps)


def measure_choice(
    choice: Choice, core: Core, board: Board, image: np.ndarray, folder: Path, *, steps: bool = False
) -> Measured:
    """The same for a network that is planned."""
    graph = choice.plan.graph
    names = Names("network", graph.name, hashlib.sha256(graph.name.encode()).digest())
    bundle = c_files(choice.plan, choice.kernels, names, core, board)
    write_bundle(bundle, folder)
    built = build(folder, names.prefix, core, board, cflags=STEP_CFLAGS if steps else ())
    table = step_table(built.path, core, choice, folder) if steps else None
    with EmulatedBoard(board, built.path, count=True, table=table) as transport:
        output = Session(transport, digest=names.digest, timing=EMULATED).run(image.tobytes())
        instructions = sum(transport.instruction_counts())
    reference = run_graph(graph, {graph.inputs[0].tensor: image})
    expected = b"".join(reference[port.tensor].tobytes() for port in graph.outputs)
    constants = packed_constants(choice.plan, choice.kernels).values()
    weights = sum(packed.weight_bytes for packed in constants)
    arrays = sum(packed.size_bytes for packed in constants)
    sources = [path for path in bundle if path.endswith(".c") and "/" not in path]
    sizes = network_sizes(folder, names.prefix, sources, len(choice.plan.calls), built, arrays)
    return Measured(
        instructions=instructions,
        mismatches=sum(a != b for a, b in zip(output, expected, strict=True)),
        arena_bytes=choice.plan.arena_bytes,
        context_bytes=choice.plan.context_bytes(core.bits),
        stack_bytes=sizes.stack_bytes,
        weights_bytes=weights,
        constants_bytes=arrays - weights,
        code_bytes=sizes.code_bytes,
        by_step=table.read() if table else {},
    )


def step_table(elf: Path, core: Core, choice: Choice, folder: Path) -> Table:
    """What counts each step of a firmware by itself, with its cycles where the core has a model of them.

    raises  InternalError if a step has no function of its own: STEP_CFLAGS were not used
    """
    ranges = _step_ranges(elf, core, choice, folder)
    return Table(ranges, folder / "table.txt", write_costs(elf, core, folder / "costs.txt"))


def _step_ranges(elf: Path, core: Core, choice: Choice, folder: Path) -> Path:
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
    steps = [call.step for call in choice.plan.calls]
    missing = sorted(set(steps) - set(found))
    if missing or not schedule:
        raise InternalError(f"steps {missing} are no functions of their own in the firmware", where=str(elf))
    file = folder / "ranges.txt"
    file.write_text("\n".join([*schedule, *(found[step] for step in steps)]) + "\n")
    return file
