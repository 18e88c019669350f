"""Blocks -> offsets in one arena.

First fit in the best order that a local search finds. Two blocks whose slots never live together may share bytes; an
output may lie over the input rows it no longer needs.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from math import inf

from mbn2c.planner.lifetimes import Block, distance_above

ALIGNMENT_BYTES = 8
# An arena that some allocators will give must be so many times as long as its own alignment.
ARENA_ALIGNMENT_BYTES = 16
# Orders tried beyond the first few; more found nothing better on the networks of the tests.
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
    order = min(orders, key=lambda order: _first_fit(order, sizes, distances)[0])
    offsets = _improve(order, sizes, distances, aligned(lower_bound_bytes, ARENA_ALIGNMENT_BYTES))
    return dict(zip(names, offsets, strict=True))


def arena_bytes(blocks: Mapping[str, Block], offsets: Mapping[str, int]) -> int:
    """Size of the arena that holds the placed blocks."""
    return aligned(max((offsets[name] + blocks[name].size_bytes for name in offsets), default=0), ARENA_ALIGNMENT_BYTES)


def _improve(order: Sequence[int], sizes: Sequence[int], distances: Distances, enough: int) -> list[int]:
    """The best offsets found while the blocks that stick out move forward in the order."""
    choose = random.Random(0)
    order = list(order)
    size, offsets = _first_fit(order, sizes, distances)
    best, tops = offsets, _tops(order, sizes, offsets)
    for _ in range(_TRIES):
        if size <= enough:
            break
        trial = list(order)
        # The block on top is the culprit, or one of those below it.
        culprit = tops[min(int(choose.expovariate(0.7)), len(tops) - 1)]
        position = trial.index(culprit)
        trial.remove(culprit)
        changed = choose.randrange(position + 1)
        trial.insert(changed, culprit)
        if choose.random() < 0.3:
            a, b = choose.randrange(len(trial)), choose.randrange(len(trial))
            trial[a], trial[b] = trial[b], trial[a]
            changed = min(changed, a, b)
        found, trial_offsets = _first_fit(trial, sizes, distances, offsets, changed, size)
        if found < size:
            best = trial_offsets
        if found <= size:
            size, order, offsets = found, trial, trial_offsets
            tops = _tops(order, sizes, offsets)
    return best


def _tops(order: Sequence[int], sizes: Sequence[int], offsets: Sequence[int]) -> list[int]:
    """The blocks, those that end highest first."""
    return sorted(order, key=lambda index: -(offsets[index] + sizes[index]))


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
    placed: Sequence[int] = (),
    count: int = 0,
    most: float = inf,
) -> tuple[int, list[int]]:
    """Each block at the lowest offset that keeps its distance to all placed ones; (size in total, offsets).

    placed  offsets of which those of the first `count` blocks of the order are known to be right
    most    no more is placed once the size in total is above this
    """
    offsets = [-1] * len(sizes)
    total = 0
    for block in order[:count]:
        offsets[block] = placed[block]
        total = max(total, placed[block] + sizes[block])
    for block in order[count:]:
        forbidden = []
        for other, above, below in distances[block]:
            offset = offsets[other]
            if offset >= 0:
                forbidden.append((offset - below, offset + above))
        offset = _lowest_allowed(forbidden)
        offsets[block] = offset
        total = max(total, offset + sizes[block])
        if total > most:
            break
    return aligned(total), offsets


def _lowest_allowed(forbidden: list[tuple[int, int]]) -> int:
    """The lowest aligned offset that lies strictly inside no forbidden interval."""
    candidate = 0
    for low, high in sorted(forbidden):
        if low < candidate < high:
            candidate = aligned(high)
    return candidate


def aligned(offset: int, alignment_bytes: int = ALIGNMENT_BYTES) -> int:
    """The next multiple of an alignment."""
    return -(-offset // alignment_bytes) * alignment_bytes
