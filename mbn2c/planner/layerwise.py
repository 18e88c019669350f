"""Graph -> Plan, layer by layer: every loop holds one node, every tensor between them exists in full."""

from __future__ import annotations

from collections.abc import Mapping

from mbn2c.ir.graph import Graph
from mbn2c.ir.kernel import Kernel
from mbn2c.ir.plan import Plan
from mbn2c.planner.memory import allocate
from mbn2c.planner.schedule import Schedule, make_schedule

LAYERWISE = "layerwise"


def plan_layerwise(graph: Graph, kernels: Mapping[str, Kernel]) -> Plan:
    """The plan with one loop per node; kernels: by node name."""
    return allocate(schedule_layerwise(graph, kernels), LAYERWISE)


def schedule_layerwise(
    graph: Graph, kernels: Mapping[str, Kernel], scratch: Mapping[str, int] | None = None
) -> Schedule:
    """Its schedule; scratch: `schedule.scratch_sizes`, where they are known."""
    return make_schedule(graph, kernels, [[node.name] for node in graph.nodes], scratch=scratch)
