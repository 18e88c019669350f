"""Plan -> the table that says how threads share each step, for templates/runtime/mbn_shares.h.

Threads meet where a step needs what another thread made, or writes where another may still read. A step that goes on
from the one before it pixel by pixel, in memory of its own, does neither: each thread goes on with its own pixels.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from mbn2c.emit.network.c_tables import Row
from mbn2c.ir.kernel import Packed, Parts
from mbn2c.ir.plan import Buffer, Call, Plan, Read


def sharing_rows(plan: Plan, constants: Mapping[int, Packed]) -> list[Row]:
    """An `mbn_sharing` for each step: one of a row a run is small, for else the planner would have given it more."""
    small = {call.step for call in plan.calls if call.node and not call.is_view and call.rows_per_run == 1}
    for call in plan.calls:
        readers = [other.step for other in plan.calls if any(read.tensor == call.write for read in other.reads)]
        if not call.node and small.issuperset(readers):
            small.add(call.step)
    whole = {call.step for call in plan.calls if not _can_split(plan, call, constants.get(call.step))}
    rows: list[Row] = []
    for call in plan.calls:
        after = call.step + 1
        for other in reversed(plan.calls[:after]):
            if (call.step in whole) != (other.step in whole) or not _can_join(plan, call, other):
                break
            after = other.step
        rows.append({"after": after, "is_small": int(call.step in small), "is_whole": int(call.step in whole)})
    return rows


def _can_split(plan: Plan, call: Call, packed: Packed | None) -> bool:
    """Whether a row can be made a few pixels at a time, from any on."""
    if call.accumulates or call.is_view or (packed and any(isinstance(one, Parts) for one in packed.fields.values())):
        return False
    buffers = [plan.buffers[call.write], *(plan.buffers[read.tensor] for read in call.reads)]
    slides = all(read.column_map.is_window or read.column_map.numerator == 0 for read in call.reads)
    return slides and not any(buffer.planar for buffer in buffers)


def _can_join(plan: Plan, call: Call, other: Call) -> bool:
    """Whether a thread can make its pixels of a run of `call` as soon as it has made those of a run of `other`.

    other  the same step, or one before it whose run has the same pixels
    """
    if any(one.accumulates or one.is_view for one in (call, other)):
        return False
    write, made = plan.buffers[call.write], plan.buffers[other.write]
    if write.width != made.width:
        return False
    needed = [read for read in call.reads if read.tensor != other.write or not _is_pixel_by_pixel(read, made)]
    written, written_before = _places(plan, [call.write], call), _places(plan, [other.write], other)
    read_before = _places(plan, [read.tensor for read in other.reads])
    hazards = [(written, read_before), (_places(plan, [read.tensor for read in needed]), written_before)]
    if call is not other:
        hazards.append((written, written_before))
    elif write.is_ring and not _is_read_in_full(plan, call.write):
        return False  # a row may be written over one of the same round
    return not any(_overlap(some, others) for some, others in hazards)


def _is_read_in_full(plan: Plan, tensor: str) -> bool:
    """Whether all rows but perhaps the last ones are read by some step, and so stay until then."""
    maps = [read.row_map for call in plan.calls for read in call.reads if read.tensor == tensor]
    return any(one.is_window and one.dilation == 1 and one.count >= one.numerator for one in maps)


def _is_pixel_by_pixel(read: Read, buffer: Buffer) -> bool:
    """Whether row y and column x of the result need those of the tensor, and no other."""
    maps = ((read.row_map, buffer.pad[0]), (read.column_map, buffer.pad[1]))
    return all(one.is_window and (one.count, one.numerator, one.phase) == (1, 1, padding) for one, padding in maps)


def _places(plan: Plan, tensors: Iterable[str], worker: Call | None = None) -> list[tuple[int, int]]:
    """First byte, and the one behind the last, of tensors' buffers and of a call's working memory in the arena."""
    places = [(buffer.offset, buffer.end) for buffer in (plan.buffers[tensor] for tensor in tensors)]
    if worker and worker.step in plan.scratch:
        places.append((plan.scratch[worker.step].offset, plan.scratch[worker.step].end))
    return places


def _overlap(some: Sequence[tuple[int, int]], others: Sequence[tuple[int, int]]) -> bool:
    return any(start < end and other < stop for start, stop in some for other, end in others)
