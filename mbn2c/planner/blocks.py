"""A Plan of whole rows -> the same loops, whose calls make several rows in a run.

The rows of a run can be shared between threads, and weights stay in a cache for all of them; rings are longer for it.
"""

from __future__ import annotations

from collections.abc import Mapping

from mbn2c.ir.kernel import Kernel
from mbn2c.ir.plan import Plan
from mbn2c.planner.memory import allocate
from mbn2c.planner.overlap import check_overlaps
from mbn2c.planner.schedule import make_schedule


def in_blocks(plan: Plan, kernels: Mapping[str, Kernel], rows: int) -> Plan:
    """The Plan with `rows` rows in each run, or all of a layer that has less than twice as many.

    It stays as it is where rows are made in pieces or phase by phase, or one is wanted.

    raises  InternalError if the result is wrong
    """
    has_phases = any(buffer.phases > 1 for buffer in plan.buffers.values())
    if rows == 1 or has_phases or any(call.pieces for call in plan.calls):
        return plan
    graph = plan.graph
    segments = [[call.node for call in loop.calls if call.node] for loop in plan.loops]
    heights = {node.name: graph.tensors[node.outputs[0]].shape[1] for node in graph.nodes}
    most = {name: height if height < 2 * rows else rows for name, height in heights.items()}
    blocks = allocate(make_schedule(graph, kernels, segments, rows_per_run=most), plan.schedule)
    check_overlaps(blocks)
    return blocks
