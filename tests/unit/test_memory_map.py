"""The memory map of a hand-made build: every coordinate reckoned by hand, and names that never cover each other."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mbn2c.report.html.memory_map import Label, Rectangle, memory_map
from mbn2c.report.record import BufferFacts, BuildRecord, LoopFacts, ScratchFacts, TimelineFacts

# Steps 0 and 1 at moments 0 to 9, step 2 at moments 10 to 14. Time runs from 78 to 1178: a loop is as wide as it has
# steps, and one, so the first one ends at 738; its moments are 66 wide, those of the second one 88. Address 0 is at
# 494 and the end of the arena of 1000 bytes at 34: 0.46 a byte.
LOOPS = (LoopFacts(0, 1, 0, 9, (100, 400)), LoopFacts(2, 2, 10, 14, (1000,)))


def drawn(
    buffers: tuple[BufferFacts, ...] = (),
    scratch: tuple[ScratchFacts, ...] = (),
    peak: int = 12,
    layers: tuple[object, ...] = (),
) -> dict[str, Any]:
    ram = SimpleNamespace(arena_bytes=1000, lower_bound_bytes=500)
    timeline = TimelineFacts(15, peak, LOOPS)
    record = SimpleNamespace(ram=ram, timeline=timeline, buffers=buffers, scratch=scratch, layers=layers)
    return memory_map(cast(BuildRecord, record))


FULL = BufferFacts("full", 0, 500, 4, 4, 0, 0, 1, 0, 4)
RING = BufferFacts("ring", 500, 300, 2, 9, 0, 1, 2, 3, 9)
STRIP = BufferFacts("strip", 800, 200, 1, 9, 5, 1, 2, 9, 12)
TINY = BufferFacts("tiny", 0, 1, 1, 1, 0, 2, 2, 14, 14)


@pytest.mark.parametrize(
    ("buffer", "box", "kind", "title"),
    [
        (FULL, (78, 264, 330, 230), "full", "full: 500 B at 0 to 499; all 4 rows, steps 0 to 1"),
        (RING, (276, 126, 462, 138), "ring", "ring: 300 B at 500 to 799; 2 of 9 rows, steps 1 to 2"),
        (
            STRIP,
            (672, 34, 330, 92),
            "strip",
            "strip: 200 B at 800 to 999; 1 of 9 rows and a strip of 5 columns, steps 1 to 2",
        ),
        (TINY, (1090, 493.5, 88, 1), "full", "tiny: 1 B at 0 to 0; all 1 rows, steps 2 to 2"),
    ],
)
def test_rectangle(buffer: BufferFacts, box: tuple[float, ...], kind: str, title: str) -> None:
    (one,) = drawn((buffer,))["rectangles"]
    assert tuple(map(float, (one.x, one.y, one.width, one.height))) == box
    assert (one.kind, one.title) == (kind, title)


def test_a_tensor_is_called_as_the_layer_that_makes_it() -> None:
    picture = drawn((FULL, RING), layers=(SimpleNamespace(step=1, name="features.0"),))
    assert [one.title.partition(":")[0] for one in picture["rectangles"]] == ["full", "features.0"]
    assert [one.text for one in picture["labels"]] == ["full", "features.0"]


def test_a_short_moment_is_still_seen() -> None:
    """No rectangle is narrower or lower than 1."""
    loops = (LoopFacts(0, 0, 0, 9999, (1,)), LoopFacts(1, 1, 10_000, 10_001, (1,)))
    ram = SimpleNamespace(arena_bytes=100_000, lower_bound_bytes=1)
    buffer = BufferFacts("b", 0, 1, 1, 1, 0, 0, 0, 3, 3)
    record = SimpleNamespace(
        ram=ram, timeline=TimelineFacts(10_002, 0, loops), buffers=(buffer,), scratch=(), layers=()
    )
    (one,) = memory_map(cast(BuildRecord, record))["rectangles"]  # type: ignore[misc]
    assert (one.width, one.height) == ("1.0", "1.0")


def test_scratch_of_one_place_and_time_is_one_rectangle() -> None:
    """As high as the largest of them."""
    scratch = (ScratchFacts(0, 100, 50, 0, 9), ScratchFacts(1, 100, 60, 0, 9), ScratchFacts(2, 100, 60, 10, 14))
    first, second = drawn(scratch=scratch)["rectangles"]
    assert first.title == "scratch: 60 B at 100 to 159; of step 0, 1" and first.kind == "scratch"
    assert second.title == "scratch: 60 B at 100 to 159; of step 2" and float(second.x) == 738


def test_small_buffers_lie_on_large_ones_and_scratch_on_top() -> None:
    found = drawn((TINY, RING, FULL, STRIP), (ScratchFacts(0, 0, 900, 0, 0),))["rectangles"]
    assert [one.title.partition(":")[0] for one in found] == ["full", "ring", "strip", "tiny", "scratch"]


def test_loops() -> None:
    first, second = drawn()["loops"]
    assert (first.at, first.width, first.text) == ("78.0", "660.0", "0-1")
    assert (second.at, second.width, second.text) == ("738.0", "440.0", "2")
    assert first.title == "loop over rows, steps 0 to 1; kernel calls: 10"
    assert second.title == "loop over rows, step 2; kernel calls: 5"


def test_a_narrow_loop_has_no_words() -> None:
    loops = tuple(LoopFacts(step, step, step, step, (1,)) for step in range(100, 300))
    ram = SimpleNamespace(arena_bytes=1000, lower_bound_bytes=500)
    record = SimpleNamespace(ram=ram, timeline=TimelineFacts(200, 0, loops), buffers=(), scratch=(), layers=())
    assert {mark.text for mark in cast(Any, memory_map(cast(BuildRecord, record))["loops"])} == {""}


def test_addresses() -> None:
    """Steps of a power of two, 128 bytes or 256 here; those below are half as many."""
    marks = drawn()["addresses"]
    assert [mark.text for mark in marks] == ["0 B", "256 B", "512 B", "768 B"]
    assert [float(mark.at) for mark in marks] == [494.0, 376.2, 258.5, 140.7]
    marks = drawn()["live_ticks"]
    assert [(mark.text, float(mark.at)) for mark in marks] == [("0 B", 650.0), ("512 B", 593.7)]


def test_bytes_alive() -> None:
    """A staircase from 650 at nothing to 540 at the whole arena: two equal parts of the first loop, then the second."""
    assert drawn()["live"] == (
        "M78.0,650.0 L78.0,639.0 L408.0,639.0 L408.0,606.0 L738.0,606.0 L738.0,540.0 L1178.0,540.0 L1178.0,650.0 Z"
    )


@pytest.mark.parametrize(
    ("moment", "x", "anchor"),
    [(0, 111, "start"), (7, 573, "start"), (8, 639, "end"), (10, 782, "end"), (14, 1134, "end")],
)
def test_fullest_moment(moment: int, x: float, anchor: str) -> None:
    """In the middle of the moment; the words stand beside the line, towards the middle of the picture."""
    peak = drawn(peak=moment)["peak"]
    assert (float(peak["x"]), peak["anchor"], float(peak["live_y"]), peak["live"]) == (x, anchor, 595, "500 B")
    away = float(peak["text_x"]) - x
    assert 2 <= (away if anchor == "start" else -away) <= 10


# --- names ---------------------------------------------------------------------------------------

# As wide as a letter is taken to be, and as high as a line.
LETTER, LINE = 6.4, 14.0


@st.composite
def buffers(draw: st.DrawFn) -> tuple[BufferFacts, ...]:
    """Anywhere, over each other too. Names and first steps are their own, so a label says whose it is."""
    found = []
    for index in range(draw(st.integers(1, 7))):
        size, first = draw(st.integers(1, 300)), draw(st.integers(0, 14))
        offset, last = draw(st.integers(0, 1000 - size)), draw(st.integers(first, 14))
        name = "abcdefg"[index] * draw(st.integers(1, 60))
        found.append(BufferFacts(name, offset, size, 1, 1, 0, 100 + index, 200, first, last))
    return tuple(found)


def box(label: Label) -> tuple[float, float, float, float]:
    """left, top, right, bottom"""
    return float(label.x), float(label.y) - LINE + 3, float(label.x) + LETTER * len(label.text), float(label.y) + 3


def has_room(one: Rectangle, text: str) -> bool:
    return float(one.height) >= LINE + 0.1 and float(one.width) >= LETTER * len(text) + 8.1


@settings(max_examples=60)
@given(buffers())
def test_names(buffers: tuple[BufferFacts, ...]) -> None:
    """Inside their rectangles, never over another, one for each that has room, the best that fits."""
    picture = drawn(buffers)
    rectangles = {one.title.partition(":")[0]: one for one in picture["rectangles"]}
    labels: dict[str, Label] = {}
    for label in picture["labels"]:
        names = [b.tensor for b in buffers if label.text in (b.tensor, f"step {b.first_step}", f"{b.first_step}")]
        assert len(names) == 1 and names[0] not in labels, "a rectangle has one name"
        labels[names[0]] = label
        one, (left, top, right, bottom) = rectangles[names[0]], box(label)
        x, y, width, height = (float(value) for value in (one.x, one.y, one.width, one.height))
        assert x < left and right < x + width and y - 0.2 <= top and bottom <= y + height + 0.2
    boxes = [box(label) for label in labels.values()]
    for index, (left, top, right, bottom) in enumerate(boxes):
        for a, b, c, d in boxes[:index]:
            assert right <= a + 0.2 or c <= left + 0.2 or bottom <= b + 0.2 or d <= top + 0.2
    for buffer in buffers if len(buffers) == 1 else ():
        fitting = [
            text
            for text in (buffer.tensor, f"step {buffer.first_step}", f"{buffer.first_step}")
            if has_room(rectangles[buffer.tensor], text)
        ]
        assert not fitting or labels[buffer.tensor].text == fitting[0]


def test_a_name_moves_to_the_foot_then_gets_shorter() -> None:
    """Of two in one place the second name stands at the foot; the third finds no place at all."""
    wide = [
        BufferFacts(name, 0, 500, 1, 1, 0, step, 9, 0, 14) for step, name in enumerate(("first", "second", "third"))
    ]
    found = [(label.text, float(label.y)) for label in drawn(tuple(wide))["labels"]]
    assert found == [("first", 275.0), ("second", 491.0)]
    low = BufferFacts("a_long_name" * 4, 0, 100, 1, 1, 0, 3, 9, 10, 10)
    assert [label.text for label in drawn((low,))["labels"]] == ["step 3"]
