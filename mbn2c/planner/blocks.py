"""A Plan of whole rows -> the same loops, of which some calls make several rows in a run.

The rows of a run can be shared between threads. Rings are longer for it: only where a run has enough work for two.
"""

from __future__ import annotations

from collections.abc import Mapping

from mbn2c.ir.kernel import Kernel
from mbn2c.ir.plan import Plan
from mbn2c.planner.cost import node_instructions
from mbn2c.planner.memory import allocate
from mbn2c.planner.overlap import check_overlaps
from mbn2c.planner.schedule import make_schedule

# Half of it is what two threads lose where they meet, about 1.5 us.
_LEAST_INSTRUCTIONS = 24_000


def in_blocks(
    plan: Plan, kernels: Mapping[str, Kernel], rows: int, least_instructions: int = _LEAST_INSTRUCTIONS
) -> Plan:
    """The Plan with `rows` rows in each run, or all of a layer that has less than twice as many, where that pays.

    It stays as it is where rows are made in pieces or phase by phase, where one is wanted, or nowhere it pays.

    least_instructions  estimated, of a run that pays
    raises  InternalError if the result is wrong
    """
    has_phases = any(buffer.phases > 1 for buffer in plan.buffers.values())
    if rows == 1 or has_phases or any(call.pieces for call in plan.calls):
        return plan
    graph, instructions = plan.graph, node_instructions(plan, kernels)
    most: dict[str, int] = {}
    for node in graph.nodes:
        height = graph.tensors[node.outputs[0]].shape[1]
        run = height if height < 2 * rows else rows
        if run > 1 and instructions[node.name] * run >= least_instructions * height:
            most[node.name] = run
    if not most:
        return plan
    segments = [[call.node for call in loop.calls if call.node] for loop in plan.loops]
    waits = [any(call.on_demand for call in loop.calls) for loop in plan.loops]
    blocks = allocate(make_schedule(graph, kernels, segments, rows_per_run=most, waits=waits), plan.schedule)
    check_overlaps(blocks)
    return blocks
