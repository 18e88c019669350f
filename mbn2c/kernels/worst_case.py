"""Plan and core -> instructions of steps whose work depends on the values: at most, whatever an image shows.

An operator says how often its C does each kind of work at most (`Operator.most_work`); what one of a kind takes was
counted in the emulator, and is a little more than the most that was seen.
"""

from __future__ import annotations

from mbn2c.ir.plan import Plan
from mbn2c.ops import OPERATORS
from mbn2c.targets import Core

# Instructions of a piece of work on cores with 32-bit multiplication and division, and on Cortex-M0+ without.
_PRICES = {
    "row": (300, 600),
    "score": (12, 30),
    "share": (36, 130),
    "product": (24, 64),
    "enter": (70, 200),
    "sift": (42, 125),
    "level": (24, 60),
    "decode": (420, 1200),
    "overlap": (56, 200),
    "beside": (40, 260),
    "group": (10, 24),
    "box": (24, 40),
}
# The cores that count instructions, by an ISA that they have; those of others are not known.
_COLUMNS = {"armv6m": 1, "armv7m": 0, "rv32im": 0, "arm_neon": 0}


def worst_case(plan: Plan, core: Core) -> int | None:
    """Instructions of one inference in these steps; 0: there are none; None for a core that is not counted."""
    graph, column = plan.graph, next((_COLUMNS[isa] for isa in core.isas if isa in _COLUMNS), None)
    total, is_any = 0, False
    for call in plan.calls:
        node = graph.producer[call.write] if call.node else None
        work = OPERATORS[node.op].most_work(node, graph) if node else {}
        is_any |= bool(work)
        if column is not None:
            pieces = {"row": max(1, len(call.pieces))}
            total += sum(_PRICES[kind][column] * times * pieces.get(kind, 1) for kind, times in work.items())
    return None if is_any and column is None else total
