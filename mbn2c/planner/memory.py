"""Schedule -> Plan: rings and full buffers get their sizes and places."""

from __future__ import annotations

from mbn2c.ir.plan import Buffer, Plan, Scratch
from mbn2c.planner.arena import arena_bytes, place
from mbn2c.planner.lifetimes import Block, live_bytes, scratch_block, slots_needed, tensor_block
from mbn2c.planner.schedule import Schedule, simulate


def allocate(schedule: Schedule, name: str) -> Plan:
    """The Plan of a schedule; `name` says how the schedule was made."""
    timeline = simulate(schedule)
    graph = schedule.graph
    row_bytes = {tensor: _row_bytes(schedule, tensor) for tensor in schedule.pads}
    slots = {tensor: slots_needed(schedule, timeline, tensor) for tensor in schedule.pads}
    blocks: dict[str, Block] = {
        tensor: tensor_block(schedule, timeline, tensor, row_bytes[tensor], slots[tensor]) for tensor in schedule.pads
    }
    scratch_blocks: dict[int, Block] = {}
    nodes = {node.name: node for node in graph.nodes}
    for loop in schedule.loops:
        for call in loop.calls:
            size = schedule.kernels[call.node].scratch_bytes(nodes[call.node], graph) if call.node else 0
            if size:
                block = scratch_block(timeline, call.step, size)
                scratch_blocks[call.step] = blocks[block.name] = block
    offsets = place(blocks)
    live = live_bytes(blocks, len(timeline.ran))
    fullest = int(live.argmax())
    return Plan(
        graph=graph,
        loops=schedule.loops,
        buffers={
            tensor: _buffer(schedule, tensor, offsets[tensor], row_bytes[tensor], slots[tensor])
            for tensor in schedule.pads
        },
        scratch={step: Scratch(offsets[block.name], block.size_bytes, step) for step, block in scratch_blocks.items()},
        arena_bytes=arena_bytes(blocks, offsets),
        lower_bound_bytes=int(live.max()),
        peak_step=timeline.ran[min(fullest, len(timeline.ran) - 1)],
        schedule=name,
    )


def _row_bytes(schedule: Schedule, tensor: str) -> int:
    _, _, width, channels = schedule.graph.tensors[tensor].shape
    pad = schedule.pads[tensor]
    return (pad[1] + width + pad[3]) * channels


def _buffer(schedule: Schedule, tensor: str, offset: int, row_bytes: int, slots: int) -> Buffer:
    _, height, width, channels = schedule.graph.tensors[tensor].shape
    calls = [call for loop in schedule.loops for call in loop.calls]
    touching = [c.step for c in calls if c.write == tensor or any(read.tensor == tensor for read in c.reads)]
    return Buffer(
        tensor=tensor,
        offset=offset,
        row_bytes=row_bytes,
        pixel_bytes=channels,
        slots=slots,
        pad=schedule.pads[tensor],
        height=height,
        width=width,
        first_step=min(touching),
        last_step=calls[-1].step if schedule.graph.is_output(tensor) else max(touching),
    )
