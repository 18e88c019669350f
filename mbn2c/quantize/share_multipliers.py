"""Whether all layers shall share few multipliers, which costs their weights' steps up to four hundredths.

A channel then takes a byte in flash instead of four, where the target's kernels read it.
"""

from __future__ import annotations

from collections.abc import Callable

from mbn2c.ir.graph import Graph
from mbn2c.quantize.four_bits import surely_fits
from mbn2c.quantize.int16 import PlanOf

# int8 Graph, what it would be -> whether it shall be that
ChooseSharing = Callable[[Graph, Callable[[], Graph]], bool]


def sharing_within_flash(plan_of: PlanOf, limit_bytes: int) -> ChooseSharing:
    """Where a limit of flash is not kept without, and the network gets smaller by it."""

    def choose(int8_graph: Graph, sharing: Callable[[], Graph]) -> bool:
        if surely_fits(int8_graph, limit_bytes):
            return False
        taken = plan_of(int8_graph).flash_bytes
        return taken > limit_bytes and plan_of(sharing()).flash_bytes < taken

    return choose
