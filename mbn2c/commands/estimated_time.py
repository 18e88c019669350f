"""Plan, core and board -> instructions, cycles and milliseconds of one inference before anything runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from mbn2c.ir.kernel import Kernel
from mbn2c.ir.plan import Plan
from mbn2c.kernels.sections import Sections
from mbn2c.kernels.worst_case import worst_case
from mbn2c.planner.cost import bytes_read_by_section, plan_instructions
from mbn2c.report.time_facts import TimeFacts
from mbn2c.targets import Board, Core, Memory


def time_of(
    plan: Plan, kernels: Mapping[str, Kernel], core: Core, board: Board | None = None, sections: Sections | None = None
) -> TimeFacts:
    """What the planner's estimate of the instructions takes on a core.

    board     at whose clock it runs. The most counts its wait for every line of weights that a run reads, as if no
              cache kept one from run to run; the least counts none
    sections  of weights that lie apart
    """
    instructions = plan_instructions(plan, kernels)
    reads = {} if board is None else bytes_read_by_section(plan, sections or {})
    return replace(timed(instructions, core, board, reads), worst_case=worst_case(plan, core))


def timed(instructions: float, core: Core, board: Board | None, reads: Mapping[str, int] | None = None) -> TimeFacts:
    """The same for instructions that are known; reads: bytes of weights in one inference, by section ("": none)."""
    rate = core.cycles
    if rate is None:
        return TimeFacts(round(instructions), None, None, None, "")
    waits, source = 0, rate.source
    if board is not None and board.memories:
        for memory, read_bytes in _reads_of_memories(board, reads or {"": 0}).items():
            if not (memory.wait_bytes or board.emulated):
                source += f"; how long '{memory.name}' waits is not known"
            if memory.wait_cycles:
                waits += -(-read_bytes // memory.wait_bytes) * memory.wait_cycles
                source += (
                    f"; {memory.wait_cycles} cycles for {memory.wait_bytes} B of '{memory.name}' ({board.name}.toml)"
                )
    cycles = round(instructions * rate.least), round(instructions * rate.most) + waits
    clock_hz = board.clock_hz if board is not None and board.clock_hz else None
    ms = None if clock_hz is None else (1e3 * cycles[0] / clock_hz, 1e3 * cycles[1] / clock_hz)
    return TimeFacts(round(instructions), cycles, clock_hz, ms, source)


def _reads_of_memories(board: Board, reads: Mapping[str, int]) -> dict[Memory, int]:
    """Bytes read of each memory that weights lie in."""
    found: dict[Memory, int] = {}
    for section, read_bytes in reads.items():
        memory = board.flash_called(section) or board.memory("constants")
        found[memory] = found.get(memory, 0) + read_bytes
    return found
