"""A build's record -> the memory map as a picture: time to the right, addresses upward; below it the bytes alive.

Lengths are in units of the picture's own coordinates.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mbn2c.report.html.drawing import Mark, kib, number, text_of_bytes, ticks, y_of
from mbn2c.report.record import BufferFacts, BuildRecord, LoopFacts, ScratchFacts

_LEFT, _WIDTH, _TOP, _HEIGHT = 78.0, 1100.0, 34.0, 460.0
_LIVE_TOP, _LIVE_HEIGHT = 540.0, 110.0
# What a name needs to be written into a rectangle.
_CHARACTER_WIDTH, _LABEL_HEIGHT, _LABEL_MARGIN = 6.4, 14.0, 4.0
# The narrowest rectangle.
_LEAST_SIDE = 1.0


@dataclass(frozen=True)
class Rectangle:
    """One buffer or scratch. kind is "full", "ring", "strip" or "scratch"; step: that makes or works in it."""

    x: str
    y: str
    width: str
    height: str
    kind: str
    step: int
    title: str


@dataclass(frozen=True)
class Label:
    """A name in the memory map; x and y are where its first letter stands."""

    x: str
    y: str
    text: str


def memory_map(report: BuildRecord) -> dict[str, object]:
    """What the template draws."""
    arena = max(report.ram.arena_bytes, 1)
    loops = report.timeline.loops
    clock = _Clock(loops)
    spaces = _spaces(report)
    live = report.ram.lower_bound_bytes
    peak = clock.x(report.timeline.peak_moment + 0.5)
    is_late = peak > _LEFT + _WIDTH / 2
    return {
        "left": _LEFT,
        "right": _LEFT + _WIDTH,
        "top": _TOP,
        "height": _HEIGHT,
        "live_top": _LIVE_TOP,
        "live_height": _LIVE_HEIGHT,
        "live_bottom": _LIVE_TOP + _LIVE_HEIGHT,
        "all_height": _LIVE_TOP + _LIVE_HEIGHT + 30,
        "all_width": _LEFT + _WIDTH + 12,
        "loops": _loops(loops, clock),
        "addresses": [Mark(number(y_of(arena, value, _TOP, _HEIGHT)), kib(value)) for value in ticks(arena)],
        "rectangles": [_rectangle(space, clock, arena) for space in spaces],
        "labels": _labels(spaces, clock, arena),
        "live_ticks": [
            Mark(number(y_of(arena, value, _LIVE_TOP, _LIVE_HEIGHT)), kib(value)) for value in ticks(arena)[::2]
        ],
        "live": _live_path(loops, clock, arena),
        "arena": text_of_bytes(arena),
        "peak": {
            "x": number(peak),
            "anchor": "end" if is_late else "start",
            "text_x": number(peak - 6 if is_late else peak + 6),
            "live_y": number(y_of(arena, live, _LIVE_TOP, _LIVE_HEIGHT)),
            "live": text_of_bytes(live),
        },
    }


class _Clock:
    """Moments -> x. A loop is as wide as it has steps, or late layers of few rows would be too thin to see."""

    def __init__(self, loops: Sequence[LoopFacts]) -> None:
        self.loops = loops
        shares = [loop.last_step - loop.first_step + 2 for loop in loops]
        self.widths = [_WIDTH * share / sum(shares) for share in shares]
        self.starts = [_LEFT + sum(self.widths[:index]) for index in range(len(loops))]

    def x(self, moment: float) -> float:
        """Where a moment starts; the moment after the last one is the right edge."""
        for loop, start, width in zip(self.loops, self.starts, self.widths, strict=True):
            if moment < loop.last_moment + 1:
                first, end = loop.first_moment, loop.last_moment + 1
                return start + width * (moment - first) / (end - first)
        return _LEFT + _WIDTH


@dataclass(frozen=True)
class _Space:
    """What a rectangle stands for. names: how it may be called, the best first."""

    space: BufferFacts | ScratchFacts
    kind: str
    step: int
    names: tuple[str, ...]
    facts: str


def _spaces(report: BuildRecord) -> list[_Space]:
    """Buffers, large ones first so that small ones stay on top, then scratch; a tensor is called as what makes it."""
    found = []
    layers = {layer.step: layer.name for layer in report.layers}
    for buffer in sorted(report.buffers, key=lambda buffer: -buffer.size_bytes):
        kind = kind_of(buffer)
        rows = f"{buffer.slots} of {buffer.rows} rows" if kind != "full" else f"all {buffer.rows} rows"
        if kind == "strip":
            rows += f" and a strip of {buffer.strip_columns} columns"
        first, last = buffer.first_step, buffer.last_step
        names = (layers.get(first, buffer.tensor), f"step {first}", f"{first}")
        found.append(_Space(buffer, kind, first, names, f"{rows}, steps {first} to {last}"))
    shared: dict[tuple[int, int, int], list[ScratchFacts]] = {}
    for scratch in report.scratch:
        shared.setdefault((scratch.offset, scratch.first_moment, scratch.last_moment), []).append(scratch)
    for users in shared.values():
        largest = max(users, key=lambda scratch: scratch.size_bytes)
        steps = ", ".join(str(scratch.step) for scratch in users)
        found.append(_Space(largest, "scratch", largest.step, ("scratch",), f"of step {steps}"))
    return found


def kind_of(buffer: BufferFacts) -> str:
    """Whether a tensor lies there in full, as a ring of rows, or as one with a strip of columns."""
    return "strip" if buffer.strip_columns else "ring" if buffer.slots < buffer.rows else "full"


def _box(space: BufferFacts | ScratchFacts, clock: _Clock, arena: int) -> tuple[float, float, float, float]:
    """x, y, width, height."""
    x, right = clock.x(space.first_moment), clock.x(space.last_moment + 1)
    y = y_of(arena, space.offset + space.size_bytes, _TOP, _HEIGHT)
    return x, y, max(right - x, _LEAST_SIDE), max(_HEIGHT * space.size_bytes / arena, _LEAST_SIDE)


def _rectangle(one: _Space, clock: _Clock, arena: int) -> Rectangle:
    x, y, width, height = (number(value) for value in _box(one.space, clock, arena))
    offset, size = one.space.offset, one.space.size_bytes
    title = f"{one.names[0]}: {text_of_bytes(size)} at {offset:,} to {offset + size - 1:,}; {one.facts}"
    return Rectangle(x, y, width, height, one.kind, one.step, title)


def _labels(spaces: Sequence[_Space], clock: _Clock, arena: int) -> list[Label]:
    """A name for every rectangle with room for one, at its top or its foot, where no other name stands."""
    labels: list[Label] = []
    taken: list[tuple[float, float, float]] = []
    for one in spaces:
        x, y, width, height = _box(one.space, clock, arena)
        left = x + _LABEL_MARGIN
        places = [
            (text, top, left + _CHARACTER_WIDTH * len(text))
            for text in one.names
            for top in (y, y + height - _LABEL_HEIGHT)
            if height >= _LABEL_HEIGHT and width >= _CHARACTER_WIDTH * len(text) + 2 * _LABEL_MARGIN
        ]
        for text, top, right in places:
            if not any(left < b and a < right and abs(top - other) < _LABEL_HEIGHT for a, b, other in taken):
                taken.append((left, right, top))
                labels.append(Label(number(left), number(top + _LABEL_HEIGHT - 3), text))
                break
    return labels


def _loops(loops: Sequence[LoopFacts], clock: _Clock) -> list[Mark]:
    marks = []
    for loop, start, width in zip(loops, clock.starts, clock.widths, strict=True):
        first, last = loop.first_step, loop.last_step
        steps = f"{first}" if first == last else f"{first}-{last}"
        words = f"step {first}" if first == last else f"steps {first} to {last}"
        runs = loop.last_moment + 1 - loop.first_moment
        title = f"loop over rows, {words}; kernel calls: {runs:,}"
        has_room = width >= _CHARACTER_WIDTH * len(steps) + _LABEL_MARGIN
        marks.append(Mark(number(start), steps if has_room else "", number(width), title))
    return marks


def _live_path(loops: Sequence[LoopFacts], clock: _Clock, arena: int) -> str:
    """A staircase of the bytes alive."""
    words = []
    for loop, start, width in zip(loops, clock.starts, clock.widths, strict=True):
        count = len(loop.live_bytes)
        for index, live in enumerate(loop.live_bytes):
            y = number(y_of(arena, live, _LIVE_TOP, _LIVE_HEIGHT))
            words.append(f"L{number(start + width * index / count)},{y}")
            words.append(f"L{number(start + width * (index + 1) / count)},{y}")
    floor_y = number(_LIVE_TOP + _LIVE_HEIGHT)
    return f"M{number(_LEFT)},{floor_y} {' '.join(words)} L{number(_LEFT + _WIDTH)},{floor_y} Z"
