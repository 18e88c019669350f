"""Plan and call -> what it needs of a tensor that it reads, row by row and column by column; for `replay.py`.

That is asked of the operator, and the Plan's own word for it, which the C goes by, must say the same.
"""

from __future__ import annotations

from mbn2c.errors import InternalError
from mbn2c.ir.plan import Call, Plan, Read
from mbn2c.ops import OPERATORS

HINT = "this is a bug in mbn2c; please report it with the model"


class Needs:
    """What a call needs of one of the tensors it reads, row by row and column by column, padding counted."""

    def __init__(self, plan: Plan, call: Call, number: int) -> None:
        self.read = read = call.reads[number]
        self.where = f"step {call.step}, {call.node}"
        self.buffer, made = plan.buffers[read.tensor], plan.buffers[call.write]
        axes = (self.buffer.height, self.buffer.width) if call.accumulates else (made.height, made.width)
        if call.is_view:
            axes = (made.rows, made.columns)
        self.rows, self.columns = (
            [self._of(plan, call, number, axis, position) for position in range(size)] for axis, size in enumerate(axes)
        )

    def _of(self, plan: Plan, call: Call, number: int, axis: int, position: int) -> tuple[int, ...]:
        needed: tuple[int, ...] = (position,)
        if not call.accumulates and not call.is_view:
            node = plan.graph.producer[call.write]
            needed = OPERATORS[node.op].needs(node, plan.graph, number, axis, position)
        if not call.is_view:  # whose rows are counted with padding
            needed = tuple(one + self.buffer.pad[axis] for one in needed)
        said = _said(self.read, axis, position)
        if said != needed:
            what = ("row", "column")[axis]
            raise InternalError(
                f"{what} {position} of {call.write} needs {what}s {needed} of {self.read.tensor}, the plan says {said}",
                where=self.where,
                hint=HINT,
            )
        return needed

    def first_column(self, column: int) -> int:
        """The first column of the tensor that an output column reads."""
        return min(self.columns[column])

    def end_column(self, column: int) -> int:
        """One behind the last that output columns up to this one need."""
        return max(self.columns[column]) + 1


def _said(read: Read, axis: int, position: int) -> tuple[int, ...]:
    """What the Plan says that an output row or column needs."""
    one = (read.row_map, read.column_map)[axis]
    start = (position * one.numerator + one.phase) // one.denominator
    positions = [start + k * one.dilation for k in range(one.count)]
    if one.highest is not None:
        positions = [min(one.highest, p) for p in positions]
    if one.lowest is not None:
        positions = [max(one.lowest, p) for p in positions]
    return tuple(positions)
