"""Plan -> the arena as a drawing of text: steps downward, addresses to the right."""

from __future__ import annotations

from mbn2c.ir.plan import Plan

_COLUMNS = 64


def drawing(plan: Plan) -> list[str]:
    """One line per step: '#' tensors kept in full, 'o' rings, '.' free; a column is arena_bytes / 64."""
    total = max(plan.arena_bytes, 1)
    lines = [f"one column = {total / _COLUMNS:.0f} bytes; # a tensor in full, o a ring of rows, s scratch, . free"]
    for call in plan.calls:
        cells = ["."] * _COLUMNS
        for buffer in plan.buffers.values():
            if buffer.first_step <= call.step <= buffer.last_step:
                _fill(cells, buffer.offset, buffer.end, total, "o" if buffer.is_ring else "#")
        scratch = plan.scratch.get(call.step)
        if scratch:
            _fill(cells, scratch.offset, scratch.end, total, "s")
        lines.append(f"step {call.step:>3} |{''.join(cells)}|")
    return lines


def _fill(cells: list[str], start: int, end: int, total: int, mark: str) -> None:
    first = start * _COLUMNS // total
    last = max(first + 1, -(-end * _COLUMNS // total))
    for column in range(first, min(last, _COLUMNS)):
        cells[column] = mark
