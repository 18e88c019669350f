"""Plan -> nothing, or an InternalError: no living byte is overwritten, and nothing leaves the arena.

Runs on every Plan. It knows only what a Plan says and shares no code with what made the Plan: it replays the loops,
notes when every pixel is read for the last time, and then replays the writes over a map of who owns each byte.
"""

from __future__ import annotations

import numpy as np

from mbn2c.errors import InternalError
from mbn2c.ir.plan import Plan
from mbn2c.planner.replay import HINT, Event, Span, in_slot, inner_rows, replay

_FOREVER = np.iinfo(np.int64).max


def check_overlaps(plan: Plan) -> None:
    """Check that every byte read still holds what was written for that reading.

    raises  InternalError naming step, byte range and both owners if a byte is overwritten that will still be read,
            if something is read that was never made, if memory lies outside its buffer or the arena, or if a loop
            cannot end
    """
    memory = _Memory(plan)
    events = list(replay(plan))
    last_run = {event.call.step: moment for moment, event in enumerate(events)}
    for moment, event in enumerate(events):
        for span in (*event.reads, *(old for old, _ in event.carried)):
            memory.until[memory.pixels(span)] = moment
    outputs = [span for port in plan.graph.outputs for span in inner_rows(plan.buffers[port.tensor])]
    for span in outputs:
        memory.until[memory.pixels(span)] = _FOREVER
    for moment, event in enumerate(events):
        memory.make_room(event, moment)
        for span in event.reads:
            memory.must_hold(span, event.where)
        memory.use_scratch(event, moment, last_run[event.call.step])
        for old, new in event.carried:
            memory.must_hold(old, event.where)
            memory.write(new, moment, event.where, over=old)
        for span in event.made:
            memory.write(span, moment, event.where)
    for span in outputs:
        memory.must_hold(span, "the end, when outputs are read")


# --- memory --------------------------------------------------------------------------------------


class _Memory:
    """For each byte of the arena the pixel (or scratch) it holds, and for each pixel the moment it is last read.

    Pixel 0 stands for nothing; every other pixel of every tensor has a number of its own, and so has every scratch.
    """

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.holds = np.zeros(plan.arena_bytes, np.int64)
        self.first_pixel: dict[str, int] = {}
        pixels = 1
        for name, buffer in plan.buffers.items():
            self.first_pixel[name] = pixels
            pixels += buffer.rows * buffer.columns
        self.scratch_pixel = {step: pixels + index for index, step in enumerate(plan.scratch)}
        self.until = np.full(pixels + len(plan.scratch), -1, np.int64)
        self.numbers = np.arange(pixels)[:, None]

    def pixels(self, span: Span) -> slice:
        """The numbers of a span's pixels."""
        start = self.first_pixel[span.tensor] + span.row * self.plan.buffers[span.tensor].columns
        return slice(start + span.first, start + span.end)

    def must_hold(self, span: Span, where: str) -> None:
        name = f"row {span.row} of {span.tensor}"
        held = self._view(span, name, where)
        wrong = held != self.numbers[self.pixels(span)]
        if wrong.any():
            column, channel = np.argwhere(wrong)[0].tolist()
            place = span.address + column * span.column_step + channel * span.channel_step
            owner = self._name(int(held[column, channel]))
            raise InternalError(f"{name} is read at byte {place}, where {owner} lies", where=where, hint=HINT)

    def write(self, span: Span, moment: int, where: str, over: Span | None = None) -> None:
        """Put a span where it belongs; `over` is what it may take the place of though that is still needed."""
        name = f"row {span.row} of {span.tensor}"
        pixels = self.pixels(span)
        self.until[pixels] = np.maximum(self.until[pixels], moment)
        held = self._view(span, name, where)
        buffer = self.plan.buffers[span.tensor]
        if span.address < buffer.offset or self._end(span) > buffer.end:
            raise InternalError(f"{name} leaves its buffer", where=where, hint=HINT)
        if over is not None:
            held[:] = 0
        self._take(held, self.numbers[pixels], name, moment, where)

    def make_room(self, event: Event, moment: int) -> None:
        """Before a piece lies in a strip, the oldest columns leave it and the others move to its front."""
        buffer = self.plan.buffers[event.call.write]
        if not event.made or not buffer.strip_columns or (event.row == 0 and event.piece == 0):
            return
        before = event.piece - 1
        row = event.row if event.piece else event.row - 1
        made = event.call.pieces[before] if event.call.pieces else buffer.columns
        oldest = buffer.kept[before]
        leaving_end = buffer.kept[event.piece] if event.piece else buffer.columns
        if not oldest <= leaving_end <= made:
            raise InternalError(
                f"the strip of {buffer.tensor} gives away columns that it has not", where=event.where, hint=HINT
            )
        start, size, leaving = buffer.strip_offset, buffer.pixel_bytes, leaving_end - oldest
        strip = self.holds[start : start + (made - oldest) * size].reshape(-1, size)
        content = strip.copy()
        strip[:] = 0
        if leaving and buffer.slots:
            name = f"row {row} of {buffer.tensor}"
            slot = self._view(in_slot(buffer, row, oldest, leaving_end), name, event.where)
            self._take(slot, content[:leaving], name, moment, event.where)
        strip[: len(strip) - leaving] = content[leaving:]

    def use_scratch(self, event: Event, moment: int, last_run: int) -> None:
        scratch = self.plan.scratch.get(event.call.step)
        if scratch is None:
            return
        name, pixel = f"scratch of step {scratch.step}", self.scratch_pixel[scratch.step]
        self._check_bounds(scratch.offset, scratch.end, name, event.where)
        held = self.holds[scratch.offset : scratch.end]
        if event.call.accumulates and (event.row or event.piece):
            if (held != pixel).any():
                raise InternalError(f"{name} is lost between two rows", where=event.where, hint=HINT)
            return
        # Sums live until the last input row; any other scratch is over when its run is.
        self.until[pixel] = last_run if event.call.accumulates else moment
        self._take(held, np.array(pixel), name, moment, event.where)

    def _view(self, span: Span, name: str, where: str) -> np.ndarray:
        """What the bytes of a span hold, as a view [columns, channels]."""
        end = self._end(span)
        self._check_bounds(span.address, end, name, where)
        size = self.plan.buffers[span.tensor].pixel_bytes
        if span.channel_step == 1:
            return self.holds[span.address : end].reshape(-1, size)
        shape, step = (span.end - span.first, size), self.holds.itemsize
        strides = (span.column_step * step, span.channel_step * step)
        return np.lib.stride_tricks.as_strided(self.holds[span.address :], shape, strides)

    def _end(self, span: Span) -> int:
        """One byte behind the last of a span."""
        last = (self.plan.buffers[span.tensor].pixel_bytes - 1) * span.channel_step
        return span.address + (span.end - span.first - 1) * span.column_step + last + 1

    def _check_bounds(self, start: int, end: int, name: str, where: str) -> None:
        if start < 0 or end > self.holds.size:
            raise InternalError(
                f"{name} at bytes {start}..{end - 1} leaves the arena of {self.holds.size} bytes",
                where=where,
                hint=HINT,
            )

    def _take(self, held: np.ndarray, values: np.ndarray, name: str, moment: int, where: str) -> None:
        """Write into a view of `holds` what nobody needs any more."""
        hit = (self.until[held] >= moment) & (held != values)
        if hit.any():
            victim = np.unique(held[hit])[0]
            places = np.flatnonzero(self.holds == victim)
            raise InternalError(
                f"{name} overwrites {self._name(int(victim))} at bytes {places[0]}..{places[-1]}, "
                "which is still needed",
                where=where,
                hint=HINT,
            )
        held[:] = values

    def _name(self, pixel: int) -> str:
        """Whose pixel that is."""
        for name, first in self.first_pixel.items():
            buffer = self.plan.buffers[name]
            if first <= pixel < first + buffer.rows * buffer.columns:
                return f"row {(pixel - first) // buffer.columns} of {name}"
        return next((f"scratch of step {step}" for step, own in self.scratch_pixel.items() if own == pixel), "nothing")
