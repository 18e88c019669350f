"""Plan and call -> which row, and which piece of it, the call works on now, and what it needs; for `run_plan.py`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from mbn2c.ir.plan import Call, Plan
from mbn2c.ops import OPERATORS
from mbn2c.reference.simulated_arena import in_phases


class Progress:
    """What one call works on now: a row of its output (or of what it sums up), and a piece of that row."""

    def __init__(self, plan: Plan, call: Call) -> None:
        self.call, self.plan = call, plan
        self.output = plan.buffers[call.write]
        over = plan.buffers[call.reads[0].tensor] if call.accumulates else self.output
        self.count = over.height if call.accumulates else over.rows
        self.left, self.width = (0 if call.accumulates else over.pad[1]), over.width
        if call.is_view:  # its rows and columns are counted with padding
            self.left, self.width = 0, over.columns
        self.ends = call.pieces or (over.width if call.accumulates else over.columns,)
        self.sources = frozenset(read.tensor for read in call.reads)
        # The rows in their order; of a call that sums up, padding not counted.
        self.order: Sequence[int] = in_phases(self.count, over.phases, 0 if call.accumulates else over.pad[0])
        self.position = self.piece = 0
        # For each read the rows that each row needs, and the columns that each column does, padding counted.
        height = over.rows if call.is_view else over.height
        self.rows = [self._needs(number, 0, height) for number in range(len(call.reads))]
        self.columns = [self._needs(number, 1, self.width) for number in range(len(call.reads))]

    def _needs(self, number: int, axis: int, size: int) -> list[list[int]]:
        """By what the operator means; what the Plan says of it is not asked."""
        if self.call.is_view:
            return [[position] for position in range(size)]
        padding = self.plan.buffers[self.call.reads[number].tensor].pad[axis]
        if self.call.accumulates:
            return [[position + padding] for position in range(size)]
        node = self.plan.graph.producer[self.call.write]
        needs = OPERATORS[node.op].needs
        return [
            [one + padding for one in needs(node, self.plan.graph, number, axis, position)] for position in range(size)
        ]

    def columns_needed(self, number: int, count: int) -> int:
        """How many columns of a read there must be for the first `count` that are made of them."""
        return max(self.columns[number][count - 1]) + 1

    @property
    def row(self) -> int:
        """The row that it works on; behind the last one a row that is not there."""
        return self.order[self.position] if self.position < self.count else self.count

    @property
    def before(self) -> int:
        """The row that it worked on before; -1: none."""
        return self.order[self.position - 1] if self.position else -1

    def has_made(self, rows: Iterable[int]) -> bool:
        """Whether these rows are complete."""
        made = self.order[: self.position]
        return all(row in made for row in rows)

    @property
    def run(self) -> range:
        """The rows that the next run makes, or sums up."""
        count = 1
        if self.call.rows_per_run > 1 and not self.is_padding:
            count = min(self.call.rows_per_run, self.output.height - self.y)
        return range(self.row, self.row + count)

    def advance(self) -> None:
        """Go on to the next piece, or to the first piece of the next rows."""
        rows = self.run
        self.piece = (self.piece + 1) % len(self.ends)
        if self.piece == 0:
            self.position += len(rows)

    @property
    def is_over(self) -> bool:
        """Whether all rows are done."""
        return self.position == self.count

    @property
    def is_last(self) -> bool:
        """Whether this is the last piece of the last row."""
        return self.position == self.count - 1 and self.piece == len(self.ends) - 1

    @property
    def y(self) -> int:
        """The row without padding: negative above the output, its height or more below."""
        return self.row - (0 if self.call.accumulates or self.call.is_view else self.output.pad[0])

    @property
    def is_padding(self) -> bool:
        """Whether the row is one of padding."""
        return not (self.call.accumulates or self.call.is_view) and not 0 <= self.y < self.output.height

    @property
    def start(self) -> int:
        """First column of the piece, padding counted."""
        return self.ends[self.piece - 1] if self.piece else 0

    def inner(self, piece: int) -> tuple[int, int]:
        """The columns of a piece, padding not counted."""
        first = self.ends[piece - 1] - self.left if piece else 0
        return first, min(self.ends[piece] - self.left, self.width)


def where_of(call: Call) -> str:
    """Which call it is, for messages."""
    return f"step {call.step}, {call.node or 'input'}"
