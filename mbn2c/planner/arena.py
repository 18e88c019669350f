"""Blocks -> offsets in one arena.

First fit in the best order that a local search from a few others finds. Two blocks whose slots never live together may
share bytes; an output may lie over the input rows it no longer needs.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from math import inf

from mbn2c.planner.lifetimes import Block, distance_above

ALIGNMENT_BYTES = 8
# An arena that some allocators will give must be so many times as long as its own alignment.
ARENA_ALIGNMENT_BYTES = 16
# Orders tried beyond the first few; five times as many made arenas of the tests' networks up to 1 % smaller.
_TRIES = 2000

# For each block the others it must keep away from: (other, how far above the other it must start at least, how far
# the other must start above it at least).
Distances = list[list[tuple[int, int, int]]]


def place(blocks: Mapping[str, Block], lower_bound_bytes: int) -> dict[str, int]:
    """Offsets by block name, multiples of 8 bytes.

    lower_bound_bytes  where the search may stop: live bytes at the fullest moment
    """
    names = list(blocks)
    distances = _distances([blocks[name] for name in names])
    sizes = [blocks[name].size_bytes for name in names]
    birth = [int(blocks[name].births.min()) for name in names]
    life = [int(blocks[name].deaths.max()) - birth[index] + 1 for index, name in enumerate(names)]
    every = range(len(names))
    orders = [
        sorted(every, key=lambda index: -sizes[index]),
        sorted(every, key=lambda index: birth[index]),
        sorted(every, key=lambda index: -birth[index]),
        sorted(every, key=lambda index: -sizes[index] * life[index]),
    ]
    offsets = _improve(orders, sizes, distances, aligned(lower_bound_bytes, ARENA_ALIGNMENT_BYTES))
    return dict(zip(names, offsets, strict=True))


def arena_bytes(blocks: Mapping[str, Block], offsets: Mapping[str, int]) -> int:
    """Size of the arena that holds the placed blocks."""
    return aligned(max((offsets[name] + blocks[name].size_bytes for name in offsets), default=0), ARENA_ALIGNMENT_BYTES)


def _improve(orders: Sequence[Sequence[int]], sizes: Sequence[int], distances: Distances, enough: int) -> list[int]:
    """The best offsets found while the blocks that stick out move forward in each of the orders.

    What counts on the way is by how much all blocks together stick out: their top alone seldom falls at once.
    """
    choose = random.Random(0)
    firsts = [(*_first_fit(order, sizes, distances, enough), order) for order in orders]
    best = min((offsets for _, offsets, _ in firsts), key=lambda offsets: _top(sizes, offsets))
    for excess, offsets, first in sorted(firsts, key=lambda first: first[0]):
        order = list(first)
        for _ in range(_TRIES // len(orders)):
            if excess == 0:
                return best
            trial = list(order)
            culprit = choose.choice([index for index in order if offsets[index] + sizes[index] > enough])
            position = trial.index(culprit)
            trial.remove(culprit)
            changed = choose.randrange(position + 1)
            trial.insert(changed, culprit)
            if choose.random() < 0.3:
                a, b = choose.randrange(len(trial)), choose.randrange(len(trial))
                trial[a], trial[b] = trial[b], trial[a]
                changed = min(changed, a, b)
            found, trial_offsets = _first_fit(trial, sizes, distances, enough, offsets, changed, excess)
            if found <= excess:
                excess, order, offsets = found, trial, trial_offsets
                best = min(best, offsets, key=lambda offsets: _top(sizes, offsets))
    return best


def _top(sizes: Sequence[int], offsets: Sequence[int]) -> int:
    """Where the highest block ends, aligned."""
    return aligned(max((offset + size for offset, size in zip(offsets, sizes, strict=True)), default=0))


def _distances(blocks: Sequence[Block]) -> Distances:
    distances: Distances = [[] for _ in blocks]
    spans = [(int(block.births.min()), int(block.deaths.max())) for block in blocks]
    for a, low in enumerate(blocks):
        for b, high in enumerate(blocks[:a]):
            if spans[a][0] > spans[b][1] or spans[b][0] > spans[a][1]:
                continue
            below, above = distance_above(low, high), distance_above(high, low)
            # Forbidden: closer than `above` on the upper side and closer than `below` on the lower side at once.
            if above > -below:
                distances[a].append((b, above, below))
                distances[b].append((a, below, above))
    return distances


def _first_fit(
    order: Sequence[int],
    sizes: Sequence[int],
    distances: Distances,
    enough: int,
    placed: Sequence[int] = (),
    count: int = 0,
    most: float = inf,
) -> tuple[int, list[int]]:
    """Each block at the lowest offset that keeps its distance to all placed ones; (bytes that stick out, offsets).

    enough  a block sticks out by what it has above this
    placed  offsets of which those of the first `count` blocks of the order are known to be right
    most    no more is placed once more bytes stick out
    """
    offsets = [-1] * len(sizes)
    excess = 0
    for block in order[:count]:
        offsets[block] = placed[block]
        excess += max(0, placed[block] + sizes[block] - enough)
    for block in order[count:]:
        forbidden = [
            (offsets[other] - below, offsets[other] + above)
            for other, above, below in distances[block]
            if offsets[other] >= 0
        ]
        offset = _lowest_allowed(forbidden)
        offsets[block] = offset
        excess += max(0, offset + sizes[block] - enough)
        if excess > most:
            break
    return excess, offsets


def _lowest_allowed(forbidden: list[tuple[int, int]]) -> int:
    """The lowest aligned offset that lies strictly inside no forbidden interval."""
    candidate = 0
    for low, high in sorted(forbidden):
        if low < candidate < high:
            # As `aligned`, whose call takes longer than this.
            candidate = -(-high // ALIGNMENT_BYTES) * ALIGNMENT_BYTES
    return candidate


def aligned(offset: int, alignment_bytes: int = ALIGNMENT_BYTES) -> int:
    """The next multiple of an alignment."""
    return -(-offset // alignment_bytes) * alignment_bytes
