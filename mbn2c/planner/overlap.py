"""Plan -> nothing, or an InternalError: no living byte is overwritten, and nothing leaves the arena.

Runs on every Plan. It knows only what a Plan says and shares no code with what made the Plan: it replays the loops,
notes when every pixel is read for the last time, and then replays the writes over a map of who owns each byte.
"""

from __future__ import annotations

import numpy as np

from mbn2c.errors import InternalError
from mbn2c.ir.plan import Call, Plan
from mbn2c.ops import OPERATORS
from mbn2c.planner.needs import HINT
from mbn2c.planner.replay import Event, Span, in_slot, inner_rows, replay

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
        for span in (*event.reads, *(old for old, _ in event.carried), *event.leaving):
            memory.until[memory.numbers(span)] = moment
    outputs = [span for name in plan.graph.kept_outputs for span in inner_rows(plan.buffers[name])]
    for span in outputs:
        memory.until[memory.numbers(span)] = _FOREVER
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
        for span in event.leaving:
            memory.must_hold(span, f"{event.where}, when the row leaves")
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
        # By tensor its first pixel, and byte by byte where tensors that others' channels make up have theirs.
        self.first = {name: np.full((1, 1), first) for name, first in self.first_pixel.items()}
        for call in plan.calls:
            if call.is_view:
                self.first[call.write] = self._first_of_view(call)

    def _first_of_view(self, call: Call) -> np.ndarray:
        """For a tensor that owns no byte, channel by channel the first pixel of the tensor that does."""
        where = f"step {call.step}, {call.node}"
        made = self.plan.buffers[call.write]
        size = np.dtype(made.dtype).itemsize
        first = np.full((made.pixel_bytes // size, size), -1)
        node = self.plan.graph.producer[call.write]
        for one in OPERATORS[node.op].slices(node, self.plan.graph):
            source = self.plan.buffers[call.reads[one.number].tensor]
            for what in ("offset", "row_bytes", "slots", "pad", "pixel_stride_bytes", "dtype", "planar"):
                if getattr(source, what) != getattr(made, what):
                    raise InternalError(
                        f"{made.tensor} and {source.tensor} have another {what}", where=where, hint=HINT
                    )
            begin = source.channel_offset_bytes + one.first * size, made.channel_offset_bytes + one.target * size
            if begin[0] != begin[1]:
                raise InternalError(
                    f"channel {one.target} of {made.tensor} lies {begin[1] - begin[0]} bytes from where "
                    f"{source.tensor} has it",
                    where=where,
                    hint=HINT,
                )
            whole = np.broadcast_to(self.first[source.tensor], (source.pixel_bytes // size, size))
            first[one.target : one.target + one.count] = whole[one.first : one.first + one.count]
        if (first < 0).any():
            raise InternalError(f"nobody makes all channels of {made.tensor}", where=where, hint=HINT)
        return first if (first != first[0, 0]).any() else first[:1, :1]

    def numbers(self, span: Span) -> np.ndarray:
        """The numbers of a span's pixels; int64 [columns, channels or 1, bytes or 1]."""
        columns = span.row * self.plan.buffers[span.tensor].columns + np.arange(span.first, span.end)
        return self.first[span.tensor][None] + columns[:, None, None]

    def must_hold(self, span: Span, where: str) -> None:
        name = f"row {span.row} of {span.tensor}"
        held = self._view(span, name, where)
        wrong = held != self.numbers(span)
        if wrong.any():
            column, channel, byte = np.argwhere(wrong)[0].tolist()
            place = span.address + column * span.column_step + channel * span.channel_step + byte
            owner = self._name(int(held[column, channel, byte]))
            raise InternalError(f"{name} is read at byte {place}, where {owner} lies", where=where, hint=HINT)

    def write(self, span: Span, moment: int, where: str, over: Span | None = None) -> None:
        """Put a span where it belongs; `over` is what it may take the place of though that is still needed."""
        name = f"row {span.row} of {span.tensor}"
        pixels = self.numbers(span)
        self.until[pixels] = np.maximum(self.until[pixels], moment)
        held = self._view(span, name, where)
        buffer = self.plan.buffers[span.tensor]
        if span.address < buffer.offset or self._end(span) > buffer.end:
            raise InternalError(f"{name} leaves its buffer", where=where, hint=HINT)
        if over is not None:
            held[:] = 0
        self._take(held, pixels, name, moment, where)

    def make_room(self, event: Event, moment: int) -> None:
        """Before a piece lies in a strip, the oldest columns leave it and the others move to its front."""
        buffer = self.plan.buffers[event.call.write]
        if not event.made or not buffer.strip_columns or (event.before < 0 and event.piece == 0):
            return
        before = event.piece - 1
        row = event.row if event.piece else event.before
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
            self._take(slot, content[:leaving].reshape(slot.shape), name, moment, event.where)
        strip[: len(strip) - leaving] = content[leaving:]

    def use_scratch(self, event: Event, moment: int, last_run: int) -> None:
        scratch = self.plan.scratch.get(event.call.step)
        if scratch is None:
            return
        name, pixel = f"scratch of step {scratch.step}", self.scratch_pixel[scratch.step]
        self._check_bounds(scratch.offset, scratch.end, name, event.where)
        held = self.holds[scratch.offset : scratch.end]
        if event.call.accumulates and (event.before >= 0 or event.piece):
            if (held != pixel).any():
                raise InternalError(f"{name} is lost between two rows", where=event.where, hint=HINT)
            return
        # Sums live until the last input row; any other scratch is over when its run is.
        self.until[pixel] = last_run if event.call.accumulates else moment
        self._take(held, np.array(pixel), name, moment, event.where)

    def _view(self, span: Span, name: str, where: str) -> np.ndarray:
        """What the bytes of a span hold, as a view [columns, channels, bytes of a channel]."""
        self._check_bounds(span.address, self._end(span), name, where)
        buffer = self.plan.buffers[span.tensor]
        size, step = np.dtype(buffer.dtype).itemsize, self.holds.itemsize
        shape = (span.end - span.first, buffer.pixel_bytes // size, size)
        strides = (span.column_step * step, span.channel_step * step, step)
        return np.lib.stride_tricks.as_strided(self.holds[span.address :], shape, strides)

    def _end(self, span: Span) -> int:
        """One byte behind the last of a span."""
        buffer = self.plan.buffers[span.tensor]
        size = np.dtype(buffer.dtype).itemsize
        last = (buffer.pixel_bytes // size - 1) * span.channel_step
        return span.address + (span.end - span.first - 1) * span.column_step + last + size

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
