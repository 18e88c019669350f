"""A Plan of whole rows -> the same loops, of which some calls make several rows in a run.

The rows of a run can be shared between threads, and weights in a slow memory that is cached are read once for all of
them. Rings are longer for it: only where a run has enough work for two, or what it saves is worth the RAM.
"""

from __future__ import annotations

from collections.abc import Mapping

from mbn2c.ir.kernel import Kernel
from mbn2c.ir.plan import Plan
from mbn2c.planner.cost import node_instructions, plan_instructions, weight_bytes_read
from mbn2c.planner.memory import allocate
from mbn2c.planner.overlap import check_overlaps
from mbn2c.planner.schedule import make_schedule

# Half of it is what two threads lose where they meet, about 1.5 us.
_LEAST_INSTRUCTIONS = 24_000
# Of a whole inference: what a layer must wait for its weights before its rows are worth RAM.
_LEAST_WAIT = 0.01


def in_blocks(
    plan: Plan, kernels: Mapping[str, Kernel], rows: int, least_instructions: int = _LEAST_INSTRUCTIONS
) -> Plan:
    """The Plan with `rows` rows in each run, or all of a layer that has less than twice as many, where that pays.

    It stays as it is where rows are made in pieces or phase by phase, where one is wanted, or nowhere it pays.

    least_instructions  estimated, of a run that pays
    raises  InternalError if the result is wrong
    """
    if rows == 1 or not _has_whole_rows(plan):
        return plan
    graph, instructions = plan.graph, node_instructions(plan, kernels)
    most: dict[str, int] = {}
    for node in graph.nodes:
        height = graph.tensors[node.outputs[0]].shape[1]
        run = height if height < 2 * rows else rows
        if run > 1 and instructions[node.name] * run >= least_instructions * height:
            most[node.name] = run
    return _made(plan, kernels, most) if most else plan


def with_fewer_reads(
    plan: Plan, kernels: Mapping[str, Kernel], slow: Mapping[str, float], most_bytes: float
) -> list[Plan]:
    """Plans whose calls of slow layers make 2, 4, ... rows in a run, and so read their weights as much less often.

    None where rows are made in pieces, phase by phase or on demand, or where no layer waits long enough.

    slow        node -> price of a byte of its weights that a run reads, as in `cost.Surroundings`
    most_bytes  of the arena
    raises      InternalError if a Plan is wrong
    """
    if not slow or not _has_whole_rows(plan) or any(call.on_demand for call in plan.calls):
        return []
    graph, least = plan.graph, _LEAST_WAIT * plan_instructions(plan, kernels, slow)
    waits = {call.node: slow.get(call.node, 0.0) * weight_bytes_read(call, graph) for call in plan.calls}
    heights = {call.node: graph.tensors[call.write].shape[1] for call in plan.calls if waits[call.node] >= least}
    plans: list[Plan] = []
    rows = 2
    while rows < 2 * max(heights.values(), default=0):
        blocks = _made(plan, kernels, {name: min(rows, height) for name, height in heights.items()})
        plans += [blocks] if blocks.arena_bytes <= most_bytes else []
        rows *= 2
    return plans


def _has_whole_rows(plan: Plan) -> bool:
    has_phases = any(buffer.phases > 1 for buffer in plan.buffers.values())
    return not has_phases and not any(call.pieces for call in plan.calls)


def _made(plan: Plan, kernels: Mapping[str, Kernel], most: Mapping[str, int]) -> Plan:
    """With so many rows in each run of these nodes."""
    segments = [[call.node for call in loop.calls if call.node] for loop in plan.loops]
    waits = [any(call.on_demand for call in loop.calls) for loop in plan.loops]
    blocks = allocate(make_schedule(plan.graph, kernels, segments, rows_per_run=most, waits=waits), plan.schedule)
    check_overlaps(blocks)
    return blocks
