"""Plan, core and board -> instructions, cycles and milliseconds of one inference before anything runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from mbn2c.ir.kernel import Kernel
from mbn2c.ir.plan import Plan
from mbn2c.kernels.worst_case import worst_case
from mbn2c.planner.cost import plan_instructions, weight_bytes_read
from mbn2c.report.time_facts import TimeFacts
from mbn2c.targets import Board, Core


def time_of(plan: Plan, kernels: Mapping[str, Kernel], core: Core, board: Board | None = None) -> TimeFacts:
    """What the planner's estimate of the instructions takes on a core.

    board   at whose clock it runs. The most counts its wait for every line of weights that a run reads, as if no cache
            ever held one; the least counts none
    """
    instructions = plan_instructions(plan, kernels)
    lines = 0 if board is None else sum(weight_bytes_read(call, plan.graph) for call in plan.calls)
    return replace(timed(instructions, core, board, weight_bytes=lines), worst_case=worst_case(plan, core))


def timed(instructions: float, core: Core, board: Board | None, *, weight_bytes: int = 0) -> TimeFacts:
    """The same for instructions that are known; weight_bytes: read in one inference, every one as often as it is."""
    rate = core.cycles
    if rate is None:
        return TimeFacts(round(instructions), None, None, None, "")
    waits, source = 0, rate.source
    if board is not None and board.memories:
        memory = board.memory("constants")
        if not (memory.wait_bytes or board.emulated):
            source += f"; how long '{memory.name}' waits is not known"
        if memory.wait_cycles:
            waits = -(-weight_bytes // memory.wait_bytes) * memory.wait_cycles
            source += f"; {memory.wait_cycles} cycles for {memory.wait_bytes} B of '{memory.name}' ({board.name}.toml)"
    cycles = round(instructions * rate.least), round(instructions * rate.most) + waits
    clock_hz = board.clock_hz if board is not None and board.clock_hz else None
    ms = None if clock_hz is None else (1e3 * cycles[0] / clock_hz, 1e3 * cycles[1] / clock_hz)
    return TimeFacts(round(instructions), cycles, clock_hz, ms, source)
