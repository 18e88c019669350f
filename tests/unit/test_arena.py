"""Blocks and their places: nothing that lives together shares a byte, and no order of blocks would need less."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from mbn2c.planner.arena import _distances, _first_fit, _lowest_allowed, aligned, arena_bytes, place
from mbn2c.planner.lifetimes import (
    Block,
    distance_above,
    live_bytes,
    scratch_block,
    slots_needed,
    strip_block,
    tensor_block,
)

NOT_TOGETHER = -(2**31)
Slot = tuple[int, int, int, int]


def block(*slots: Slot) -> Block:
    """A block of slots (start, end, birth, death)."""
    starts, ends, births, deaths = np.array(slots, np.int64).T
    return Block("", int(ends.max()), starts, ends, births, deaths)


def slots_of(one: Block) -> list[Slot]:
    return [tuple(map(int, slot)) for slot in zip(one.starts, one.ends, one.births, one.deaths, strict=True)]


@pytest.mark.parametrize(
    "offset, alignment, expected",
    [(0, 8, 0), (1, 8, 8), (7, 8, 8), (8, 8, 8), (9, 8, 16), (16, 16, 16), (17, 16, 32), (40, 16, 48)],
)
def test_aligned(offset: int, alignment: int, expected: int) -> None:
    assert aligned(offset, alignment) == expected


@pytest.mark.parametrize(
    "forbidden, expected",
    [
        ([], 0),
        ([(-8, 8)], 8),
        ([(-8, 9)], 16),
        ([(0, 8)], 0),  # the ends themselves are allowed
        ([(-8, 0)], 0),
        ([(-1, 8), (8, 24)], 8),
        ([(-1, 8), (7, 24)], 24),
        ([(7, 24), (-1, 8)], 24),
        ([(-1, 8), (7, 20), (23, 40)], 40),
    ],
)
def test_the_lowest_offset_outside_all_intervals(forbidden: list[tuple[int, int]], expected: int) -> None:
    assert _lowest_allowed(forbidden) == expected


@pytest.mark.parametrize(
    "lower, upper, expected",
    [
        ([(0, 16, 0, 5)], [(0, 8, 3, 9)], 16),
        ([(0, 16, 0, 3)], [(0, 8, 3, 9)], 16),  # the moments of birth and death belong to a life
        ([(0, 16, 0, 2)], [(0, 8, 3, 9)], NOT_TOGETHER),
        ([(0, 16, 10, 12)], [(0, 8, 3, 9)], NOT_TOGETHER),
        ([(0, 16, 9, 12)], [(0, 8, 3, 9)], 16),
        ([(0, 8, 0, 1), (8, 16, 0, 9)], [(0, 8, 2, 2), (8, 16, 5, 6)], 16),
        ([(0, 8, 0, 4), (8, 16, 0, 1)], [(0, 8, 2, 9), (8, 16, 5, 9)], 8),
        ([(0, 8, 0, 4), (8, 16, 0, 1)], [(0, 8, 5, 9), (8, 16, 2, 9)], 0),  # it may lie over its own input
    ],
)
def test_how_far_apart_two_blocks_must_start(lower: list[Slot], upper: list[Slot], expected: int) -> None:
    assert distance_above(block(*lower), block(*upper)) == expected


def test_live_bytes_of_each_moment() -> None:
    blocks = {"a": block((0, 8, 0, 1), (8, 16, 1, 3)), "b": block((0, 4, 3, 3))}
    assert live_bytes(blocks, 4).tolist() == [8, 16, 8, 12, 0]


def test_live_bytes_of_a_single_moment() -> None:
    assert live_bytes({"a": block((0, 8, 0, 0)), "b": block((0, 4, 1, 1))}, 1).tolist() == [8, 4]


def timeline() -> Any:
    """Tensor t: five rows written at 0, 2, 4, 6, 8 and read for the last time some moments later; calls 3 and 4."""
    return SimpleNamespace(
        written={"t": np.array([0, 2, 4, 6, 8])},
        last_read={"t": np.array([3, 5, 5, 9, 11])},
        first_run={3: 1, 4: 6},
        last_run={3: 8, 4: 7},
    )


@pytest.mark.parametrize(
    "slots, lives", [(5, [(0, 3), (2, 5), (4, 5), (6, 9), (8, 11)]), (3, [(0, 9), (2, 11), (4, 5)]), (1, [(0, 11)])]
)
def test_slots_of_a_ring_live_from_their_first_row_to_their_last(slots: int, lives: list[tuple[int, int]]) -> None:
    found = tensor_block(timeline(), "t", 24, slots)
    assert (found.name, found.size_bytes) == ("t", 24 * slots)
    assert slots_of(found) == [(24 * slot, 24 * slot + 24, *life) for slot, life in enumerate(lives)]


def test_a_single_slot_is_free_between_rows_that_are_written_anew() -> None:
    lives = [(0, 3), (2, 5), (4, 5), (6, 9), (8, 11)]
    found = tensor_block(timeline(), "t", 24, 1, fresh=True)
    assert found.size_bytes == 24
    assert slots_of(found) == [(0, 24, *life) for life in lives]
    # More slots live from their first row to their last.
    assert slots_of(tensor_block(timeline(), "t", 24, 3, fresh=True)) == slots_of(tensor_block(timeline(), "t", 24, 3))


def test_strips_and_scratch_live_as_a_whole() -> None:
    assert slots_of(strip_block(timeline(), "t", 40)) == [(0, 40, 0, 11)]
    assert slots_of(scratch_block(timeline(), [3, 4], 40)) == [(0, 40, 1, 8)]
    assert slots_of(scratch_block(timeline(), [4], 40)) == [(0, 40, 6, 7)]


@pytest.mark.parametrize(
    "written, last_read, slots",
    [
        ([0, 1, 2, 3], [0, 1, 2, 3], 1),
        ([0, 1, 2, 3], [1, 2, 3, 4], 2),  # a row is still read when the next one is made
        ([0, 1, 2, 3], [2, 3, 4, 4], 3),
        ([0, 1, 2, 3], [9, 3, 4, 4], 4),  # rows leave in order: an old one that stays keeps the others
        ([0, 1, 2, 3], [-1, -1, -1, -1], 1),
        ([0, 2, 4, 6], [1, 3, 5, 7], 1),
        ([0, 2, 4, 6], [1, 5, 5, 7], 2),
    ],
)
def test_rows_that_a_ring_must_keep(written: list[int], last_read: list[int], slots: int) -> None:
    assert slots_needed(np.array(written), np.array(last_read)) == slots


# --- placing, against every order ----------------------------------------------------------------


def collide(one: Block, at: int, other: Block, other_at: int) -> bool:
    """Whether two slots that live at the same moment share a byte, slot by slot."""
    for (start, end, birth, death), (begin, stop, born, died) in itertools.product(slots_of(one), slots_of(other)):
        if birth <= died and born <= death and at + start < other_at + stop and other_at + begin < at + end:
            return True
    return False


def first_fit(order: Sequence[int], blocks: Sequence[Block]) -> tuple[int, list[int]]:
    """Each block at the lowest multiple of 8 where it collides with none of those before; tried one by one."""
    placed: dict[int, int] = {}
    for index in order:
        placed[index] = next(
            at
            for at in itertools.count(0, 8)
            if not any(collide(blocks[index], at, blocks[other], there) for other, there in placed.items())
        )
    top = max(at + blocks[index].size_bytes for index, at in placed.items())
    return -(-top // 16) * 16, [placed[index] for index in range(len(blocks))]


def random_blocks(seed: int) -> list[Block]:
    """Up to five blocks, some of them rings whose slots die one after the other."""
    choose = np.random.default_rng(seed)
    blocks = []
    for _ in range(choose.integers(3, 6)):
        birth, size = int(choose.integers(0, 12)), int(choose.integers(1, 40))
        slots = []
        for slot in range(choose.integers(1, 4)):
            slots.append((slot * size, (slot + 1) * size, birth + slot, birth + slot + int(choose.integers(0, 6))))
        blocks.append(block(*slots))
    return blocks


@pytest.mark.parametrize("seed", range(25))
def test_no_order_of_blocks_would_need_less(seed: int) -> None:
    blocks = random_blocks(seed)
    named = {str(index): one for index, one in enumerate(blocks)}
    offsets = place(named, int(live_bytes(named, 40).max()))
    for one, other in itertools.combinations(named, 2):
        assert not collide(named[one], offsets[one], named[other], offsets[other])
    assert all(at % 8 == 0 for at in offsets.values())
    least = min(first_fit(order, blocks)[0] for order in itertools.permutations(range(len(blocks))))
    assert arena_bytes(named, offsets) == least


@pytest.mark.parametrize("seed", range(25))
def test_first_fit_is_the_lowest_place(seed: int) -> None:
    blocks = random_blocks(seed)
    sizes = [one.size_bytes for one in blocks]
    for order in itertools.islice(itertools.permutations(range(len(blocks))), 6):
        excess, offsets = _first_fit(order, sizes, _distances(blocks), 20)
        assert offsets == first_fit(order, blocks)[1]
        assert excess == sum(max(0, at + size - 20) for at, size in zip(offsets, sizes, strict=True))


@pytest.mark.parametrize("seed", range(25))
def test_an_arena_as_small_as_the_bound_is_not_searched_further(seed: int) -> None:
    """With a bound that any order meets, the best of four orders stays: by size, by birth from both ends, by both."""
    blocks = random_blocks(seed)
    named = {str(index): one for index, one in enumerate(blocks)}
    births = [min(birth for _, _, birth, _ in slots_of(one)) for one in blocks]
    lives = [max(death for *_, death in slots_of(one)) - birth + 1 for one, birth in zip(blocks, births, strict=True)]
    every = range(len(blocks))
    keys = (
        [-one.size_bytes for one in blocks],
        births,
        [-birth for birth in births],
        [-one.size_bytes * life for one, life in zip(blocks, lives, strict=True)],
    )
    orders = [sorted(every, key=lambda index, key=key: key[index]) for key in keys]

    def size(order: list[int]) -> int:
        return aligned(max(at + blocks[index].size_bytes for index, at in enumerate(first_fit(order, blocks)[1])))

    expected = first_fit(min(orders, key=size), blocks)[1]
    assert list(place(named, 10**6).values()) == expected


def test_nothing_takes_no_arena() -> None:
    assert arena_bytes({}, {}) == 0
    assert arena_bytes({"a": block((0, 24, 0, 0))}, {"a": 8}) == 32
