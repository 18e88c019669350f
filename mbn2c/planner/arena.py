"""Blocks -> offsets in one arena.

Greedy first fit in several orders, the best one kept. Two blocks whose slots never live together may share
bytes; an output may lie over the input rows it no longer needs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mbn2c.planner.lifetimes import Block, distance_above

ALIGNMENT_BYTES = 16


def place(blocks: Mapping[str, Block]) -> dict[str, int]:
    """Offsets by block name, multiples of 16 bytes."""
    names = list(blocks)
    above = {
        (low, high): distance_above(blocks[low], blocks[high]) for low in names for high in names if low != high
    }
    by_size = sorted(names, key=lambda name: -blocks[name].size_bytes)
    by_birth = sorted(names, key=lambda name: int(blocks[name].births.min()))
    orders = [by_size, by_birth, by_birth[::-1], sorted(by_size, key=lambda name: -_weight(blocks[name]))]
    placements = [_first_fit(blocks, above, order) for order in orders]
    return min(placements, key=lambda offsets: arena_bytes(blocks, offsets))


def arena_bytes(blocks: Mapping[str, Block], offsets: Mapping[str, int]) -> int:
    """Size of the arena that holds the placed blocks."""
    return _aligned(max((offsets[name] + blocks[name].size_bytes for name in offsets), default=0))


def _weight(block: Block) -> int:
    return block.size_bytes * int(block.deaths.max() - block.births.min() + 1)


def _aligned(offset: int) -> int:
    return -(-offset // ALIGNMENT_BYTES) * ALIGNMENT_BYTES


def _first_fit(
    blocks: Mapping[str, Block], above: Mapping[tuple[str, str], int], order: Sequence[str]
) -> dict[str, int]:
    """Each block at the lowest offset that keeps its distance to all placed ones."""
    offsets: dict[str, int] = {}
    for name in order:
        forbidden = []
        for placed, offset in offsets.items():
            # Forbidden: closer than `above` on the upper side and on the lower side at once.
            high, low = offset + above[placed, name], offset - above[name, placed]
            if low < high:
                forbidden.append((low, high))
        offsets[name] = _lowest_allowed(forbidden)
    return offsets


def _lowest_allowed(forbidden: Sequence[tuple[int, int]]) -> int:
    """The lowest aligned offset that lies strictly inside no forbidden interval."""
    candidate = 0
    for low, high in sorted(forbidden):
        if low < candidate < high:
            candidate = _aligned(high)
    return candidate


