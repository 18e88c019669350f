"""Timeline -> ring sizes, live bytes, and how far apart two buffers must lie.

All at the granularity of rows: an output row may overwrite input rows that were read for the last time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from mbn2c.planner.timeline import Timeline

_NEVER = -(2**31)


@dataclass(frozen=True, eq=False)
class Block:
    """Memory that needs a place: a tensor's rows, or a call's scratch.

    starts, ends    byte ranges of the slots, relative to the block
    births, deaths  first and last moment each slot holds something. Where other blocks may use a slot between two of
                    its rows, it stands here once for each row
    """

    name: str
    size_bytes: int
    starts: np.ndarray
    ends: np.ndarray
    births: np.ndarray
    deaths: np.ndarray


def shared(timeline: Timeline, sharing: Mapping[str, Sequence[str]]) -> Timeline:
    """The timeline with each host's rows written as early, and read as late, as those of any tensor that lies in it."""
    written, last_read = dict(timeline.written), dict(timeline.last_read)
    for host, names in sharing.items():
        written[host] = np.minimum.reduce([written[name] for name in names])
        last_read[host] = np.maximum.reduce([last_read[name] for name in names])
    return replace(timeline, written=written, last_read=last_read)


def slots_needed(written: np.ndarray, last_read: np.ndarray) -> int:
    """Rows a ring must keep: when row v is written, every row from the oldest still wanted to v."""
    # Rows die in order, so the oldest row alive at a moment is the first whose last reading is not over.
    died = np.maximum.accumulate(last_read)
    oldest = np.searchsorted(died, written, side="left")
    return int((np.arange(len(written)) - np.minimum(oldest, np.arange(len(written)))).max()) + 1


def tensor_block(
    timeline: Timeline,
    tensor: str,
    row_bytes: int,
    slots: int,
    places: np.ndarray | None = None,
    *,
    fresh: bool = False,
) -> Block:
    """The block of one tensor with `slots` rows.

    places  of each row, in the order in which they are made, its place in the order in which they lie; None: the same
    fresh   all bytes of a row are written anew, so that a single slot is free between its rows; those of more slots are
            so seldom free that it would not pay
    """
    written, last_read = timeline.written[tensor], timeline.last_read[tensor]
    if fresh and slots == 1:
        starts = np.zeros(len(written), np.int64)
        return Block(tensor, row_bytes, starts, starts + row_bytes, written, last_read)
    slot = (np.arange(len(written)) if places is None else places) % slots
    births, deaths = np.full(slots, np.iinfo(np.int64).max), np.full(slots, -1, np.int64)
    np.minimum.at(births, slot, written)
    np.maximum.at(deaths, slot, last_read)
    starts = np.arange(slots, dtype=np.int64) * row_bytes
    return Block(tensor, slots * row_bytes, starts, starts + row_bytes, births, deaths)


def strip_block(timeline: Timeline, tensor: str, size_bytes: int) -> Block:
    """The block of a tensor that streams in pieces; its columns move, so all of it lives from first to last."""
    return _whole(tensor, size_bytes, int(timeline.written[tensor].min()), int(timeline.last_read[tensor].max()))


def scratch_block(timeline: Timeline, steps: Sequence[int], size_bytes: int) -> Block:
    """The block of the scratch that some calls share; it lives from their first run to their last."""
    first, last = min(timeline.first_run[step] for step in steps), max(timeline.last_run[step] for step in steps)
    return _whole(f"scratch of steps {', '.join(map(str, steps))}", size_bytes, first, last)


def _whole(name: str, size_bytes: int, birth: int, death: int) -> Block:
    return Block(name, size_bytes, np.array([0]), np.array([size_bytes]), np.array([birth]), np.array([death]))


def distance_above(lower: Block, upper: Block) -> int:
    """How far `upper` must start above the start of `lower`, if it lies above it; hugely negative if it need not.

    Two slots that live at the same moment must not share a byte.
    """
    together = (lower.births[:, None] <= upper.deaths[None, :]) & (upper.births[None, :] <= lower.deaths[:, None])
    if not together.any():
        return _NEVER
    return int((lower.ends[:, None] - upper.starts[None, :])[together].max())


def live_bytes(blocks: Mapping[str, Block], moments: int) -> np.ndarray:
    """Bytes of slots alive at each moment; int [moments + 1]."""
    change = np.zeros(moments + 2, np.int64)
    for block in blocks.values():
        sizes = block.ends - block.starts
        np.add.at(change, block.births, sizes)
        np.add.at(change, block.deaths + 1, -sizes)
    return np.cumsum(change)[: moments + 1]
