"""int8 Graph, core and goal -> what one inference takes: instructions in the emulator, RAM, flash, wrong bytes."""

from __future__ import annotations

import hashlib
import re
import subprocess
from collections.abc import Mapping, Sequence
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
# Each instruction has the line of C it comes of, and no two lines share one: so each belongs to a step. Where variables
# live is left out: of a long run function GCC 12 takes minutes and gigabytes to say it.
STEP_CFLAGS = ("-g", "-fno-var-tracking", "-fno-crossjumping", "-fno-tree-tail-merge")
_FUNCTIONS = ("begin", "push_rows", "finish", "forward", "run")
_CASE = re.compile(r"^ +case +(\d+):")


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
        """Arena, context and worst-case stack."""
        return self.arena_bytes + self.context_bytes + self.stack_bytes

    @property
    def other_flash_bytes(self) -> int:
        """The network's flash without its int8 weights."""
        return self.constants_bytes + self.code_bytes

    @property
    def flash_bytes(self) -> int:
        """All that the network has in flash."""
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
    table = step_table(built.path, core, names.prefix, folder) if steps else None
    with EmulatedBoard(board, built.path, count=True, table=table) as transport:
        output = Session(transport, digest=names.digest, timing=EMULATED).run(image.tobytes())
        instructions = sum(transport.instruction_counts())
    reference = run_graph(graph, {graph.inputs[0].tensor: image})
    expected = b"".join(reference[port.tensor].tobytes() for port in graph.outputs)
    constants = packed_constants(choice.plan, choice.kernels).values()
    weights = sum(packed.weight_bytes for packed in constants)
    arrays = sum(packed.size_bytes for packed in constants)
    sources = [path for path in bundle if path.endswith(".c") and "/" not in path]
    sizes = network_sizes(folder, names.prefix, sources, built, arrays)
    return Measured(
        instructions=instructions,
        mismatches=sum(a != b for a, b in zip(output, expected, strict=True)),
        arena_bytes=choice.plan.arena_bytes,
        context_bytes=choice.plan.context_bytes(core.bits, core.asks_cpu),
        stack_bytes=sizes.stack_bytes,
        weights_bytes=weights,
        constants_bytes=arrays - weights,
        code_bytes=sizes.code_bytes,
        by_step=table.read() if table else {},
    )


def step_table(elf: Path, core: Core, prefix: str, folder: Path) -> Table:
    """What counts each step of a firmware by itself, with its cycles where the core has a model of them.

    prefix  of the network's C
    raises  InternalError if the instructions of a step are not known: STEP_CFLAGS were not used
    """
    ranges = _step_ranges(elf, core, prefix, folder)
    return Table(ranges, folder / "table.txt", write_costs(elf, core, folder / "costs.txt"))


def _step_ranges(elf: Path, core: Core, prefix: str, folder: Path) -> Path:
    """The file that tells the plugin which instructions of the network's own functions belong to which step.

    An instruction belongs to the step in whose `case` it stands, also if it comes of a function inlined there.
    """
    functions = [f"{prefix}_{name}" for name in _FUNCTIONS]
    nm = [_tool(core, "nm"), "-S", "--defined-only", str(elf)]
    addresses: list[int] = []
    for line in subprocess.run(nm, capture_output=True, text=True, check=True).stdout.splitlines():
        words = line.split()
        if len(words) == 4 and words[2] in "tT" and words[3].split(".")[0] in functions:
            first = int(words[0], 16) & ~1
            addresses += range(first, first + int(words[1], 16), 2)
    lines = _lines_of(elf, core, f"{prefix}.c", addresses)
    ranges: list[tuple[int, int, str]] = []
    for address in sorted(addresses):
        name = lines.get(address, SCHEDULE)
        if ranges and ranges[-1][1:] == (address, name):
            ranges[-1] = (ranges[-1][0], address + 2, name)
        else:
            ranges.append((address, address + 2, name))
    if len({name for _, _, name in ranges}) < 2:
        raise InternalError("the firmware does not say which instruction belongs to which step", where=str(elf))
    file = folder / "ranges.txt"
    file.write_text("".join(f"{first:x} {last:x} {name}\n" for first, last, name in ranges))
    return file


def _lines_of(elf: Path, core: Core, source: str, addresses: Sequence[int]) -> dict[int, str]:
    """The number of the step that each address belongs to, of those that belong to one."""
    command = [_tool(core, "addr2line"), "-a", "-i", "-e", str(elf)]
    asked = "".join(f"{address:#x}\n" for address in addresses)
    answer = subprocess.run(command, input=asked, capture_output=True, text=True, check=True).stdout
    cases: dict[str, list[str]] = {}
    found: dict[int, str] = {}
    address = -1
    for line in answer.splitlines():
        if line.startswith("0x"):
            address = int(line, 16)
            continue
        # Where a function was inlined, the places of its callers follow; the last one is the network's own.
        path, _, number = line.split(" ")[0].rpartition(":")
        if Path(path).name == source and number.isdigit():
            if path not in cases:
                cases[path] = _cases(Path(path))
            if step := cases[path][int(number)]:
                found[address] = step
    return found


def _cases(source: Path) -> list[str]:
    """For each line of a network's C, from 1 on, the step whose `case` it belongs to, or ""."""
    steps, step = [""], ""
    for line in source.read_text(encoding="utf-8").splitlines():
        if match := _CASE.match(line):
            step = match[1]
        elif line == "        }":
            step = ""  # the switch ends
        steps.append(step)
    return steps


def _tool(core: Core, name: str) -> str:
    """A program of the compiler's binutils."""
    return find_compiler(core).removesuffix("gcc") + name
