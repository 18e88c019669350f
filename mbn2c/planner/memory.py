"""Schedule -> Plan: rings, strips and full buffers get their sizes and places."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from mbn2c.ir.plan import Buffer, Plan, Scratch
from mbn2c.planner.arena import ARENA_ALIGNMENT_BYTES, aligned, arena_bytes, place
from mbn2c.planner.columns import Strip
from mbn2c.planner.lifetimes import Block, live_bytes, scratch_block, shared, slots_needed, strip_block, tensor_block
from mbn2c.planner.schedule import Schedule
from mbn2c.planner.timeline import Timeline, simulate

_NO_STRIP = Strip(0, 0, ())


def allocate(schedule: Schedule, name: str, *, is_placed: bool = True) -> Plan:
    """The Plan of a schedule.

    name       says how the schedule was made
    is_placed  False: all buffers at 0, for who asks what the Plan costs, and what it takes at least
    """
    timeline = shared(simulate(schedule), schedule.views.sharing())
    host = {tensor: schedule.views.host(tensor) for tensor in schedule.pads}
    slots = {tensor: _slots(schedule, timeline, tensor) for tensor in set(host.values())}
    blocks = {t: _block(schedule, timeline, t, slots[t]) for t in schedule.pads if host[t] == t}
    scratch = _scratch(schedule, timeline)
    blocks |= {block.name: block for block, _ in scratch.values()}
    live = live_bytes(blocks, len(timeline.ran))
    lower_bound_bytes = int(live.max())
    offsets = place(blocks, lower_bound_bytes) if is_placed else dict.fromkeys(blocks, 0)
    buffers = {t: _buffer(schedule, t, offsets[h], slots[h], _moments(timeline, blocks[h])) for t, h in host.items()}
    return Plan(
        graph=schedule.graph,
        loops=schedule.loops,
        buffers=buffers,
        scratch={
            step: Scratch(offsets[block.name], size, step, *_moments(timeline, block))
            for step, (block, size) in scratch.items()
        },
        arena_bytes=max(
            arena_bytes(blocks, offsets), aligned(_last_byte_read(schedule, buffers), ARENA_ALIGNMENT_BYTES)
        ),
        lower_bound_bytes=lower_bound_bytes,
        peak_step=timeline.ran[min(int(live.argmax()), len(timeline.ran) - 1)],
        schedule=name,
        live_bytes=_live_by_step(timeline, live),
        live_by_moment=tuple(live[: len(timeline.ran)].tolist()),
        loop_ends=tuple(max(timeline.last_run[call.step] for call in loop.calls) + 1 for loop in schedule.loops),
    )


def _moments(timeline: Timeline, block: Block) -> tuple[int, int]:
    """The first and last moment a block is in use; an output's rows wait for the caller after the last run."""
    return int(block.births.min()), min(int(block.deaths.max()), len(timeline.ran) - 1)


def _last_byte_read(schedule: Schedule, buffers: Mapping[str, Buffer]) -> int:
    """Where the arena must not end before: kernels may read, but not use, some bytes behind their rows."""
    calls = [call for loop in schedule.loops for call in loop.calls if call.node]
    return max(
        (
            buffers[read.tensor].end + schedule.kernels[call.node].reads_past_bytes
            for call in calls
            for read in call.reads
        ),
        default=0,
    )


def _live_by_step(timeline: Timeline, live: np.ndarray) -> dict[int, int]:
    ran = np.array(timeline.ran)
    return {step: int(live[: len(ran)][ran == step].max()) for step in timeline.first_run}


def _slots(schedule: Schedule, timeline: Timeline, tensor: str) -> int:
    strip = schedule.strips.get(tensor)
    return slots_needed(timeline.written[tensor], timeline.last_read[tensor]) if strip is None else strip.slots


def _block(schedule: Schedule, timeline: Timeline, tensor: str, slots: int) -> Block:
    row_bytes = schedule.row_bytes(tensor)
    strip = schedule.strips.get(tensor)
    if strip is None:
        slot_phases, order = _slot_phases(schedule, tensor, slots), schedule.order(tensor)
        if slot_phases == order.phases:
            return tensor_block(timeline, tensor, row_bytes, slots, fresh=schedule.is_fresh(tensor))
        lie = np.array(replace(order, phases=slot_phases).positions)
        return tensor_block(timeline, tensor, row_bytes, slots, lie[order.in_order])
    return strip_block(timeline, tensor, slots * row_bytes + strip.columns * schedule.pixel_bytes(tensor))


def _slot_phases(schedule: Schedule, tensor: str, slots: int) -> int:
    """In which order its rows lie: of a tensor that is kept in full as its first reader with phases takes them."""
    graph, phases = schedule.graph, schedule.phases
    if slots < schedule.rows(tensor) or tensor in schedule.strips:
        return phases.get(tensor, 1)
    if graph.is_output(tensor) or schedule.views.host(tensor) in schedule.views.sharing():
        return 1
    readers = [phases.get(reader.outputs[0], 1) for reader in graph.consumers[tensor]]
    return next((one for one in readers if one > 1), phases.get(tensor, 1))


def _scratch(schedule: Schedule, timeline: Timeline) -> dict[int, tuple[Block, int]]:
    """By step the block its scratch lies in, and its size; calls of a loop share one, but sums must last."""
    found: dict[int, tuple[Block, int]] = {}
    for loop in schedule.loops:
        sizes = {call.step: schedule.scratch[call.node] for call in loop.calls if call.node}
        shared = [call.step for call in loop.calls if not call.accumulates and sizes.get(call.step)]
        alone = [[call.step] for call in loop.calls if call.accumulates and sizes[call.step]]
        for steps in [shared, *alone] if shared else alone:
            block = scratch_block(timeline, steps, max(sizes[step] for step in steps))
            found |= {step: (block, sizes[step]) for step in steps}
    return found


def _buffer(schedule: Schedule, tensor: str, offset: int, slots: int, moments: tuple[int, int]) -> Buffer:
    _, height, width, _ = schedule.graph.tensors[tensor].shape
    calls = [call for loop in schedule.loops for call in loop.calls]
    touching = [c.step for c in calls if c.write == tensor or any(read.tensor == tensor for read in c.reads)]
    strip = schedule.strips.get(tensor, _NO_STRIP)
    place = schedule.views.inside.get(tensor)
    channel_bytes = np.dtype(schedule.graph.tensors[tensor].dtype).itemsize
    return Buffer(
        tensor=tensor,
        offset=offset,
        row_bytes=schedule.row_bytes(tensor),
        pixel_bytes=schedule.pixel_bytes(tensor),
        pixel_stride_bytes=schedule.pixel_bytes(schedule.views.host(tensor)),
        slots=slots,
        pad=schedule.pads[tensor],
        height=height,
        width=width,
        first_step=min(touching),
        last_step=calls[-1].step if tensor in schedule.graph.kept_outputs else max(touching),
        first_moment=moments[0],
        last_moment=moments[1],
        strip_columns=strip.columns,
        kept=strip.kept,
        planar=schedule.is_planar(tensor),
        dtype=schedule.graph.tensors[tensor].dtype,
        view_of=place.host if place else "",
        channel_offset_bytes=place.channel * channel_bytes if place else 0,
        phases=schedule.phases.get(tensor, 1),
        slot_phases=_slot_phases(schedule, tensor, slots),
    )
