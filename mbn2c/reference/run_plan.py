"""Plan and int8 input -> every int8 tensor, computed row by row (or piece by piece) in a simulated arena.

The arena knows which pixel each of its bytes belongs to. A pixel's bytes are poisoned as soon as nobody will read them
again, so a Plan whose ring is one row short, or whose buffers share a byte too early, raises instead of giving a
result that happens to be right.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from mbn2c.errors import InternalError
from mbn2c.ir.plan import Buffer, Plan, Rows
from mbn2c.ops import OPERATORS
from mbn2c.ops.base.quants import quant_of
from mbn2c.reference.pixels import Pixels
from mbn2c.reference.progress import Progress, where_of
from mbn2c.reference.simulated_arena import NOBODY, POISON, Arena, bytes_of, in_slot, in_strip, padding_columns


def run_plan(plan: Plan, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Run the Plan in an arena of exactly `plan.arena_bytes` bytes.

    inputs   int8 NHWC by tensor name
    returns  int8 NHWC of every activation by tensor name
    raises   InternalError naming step and tensor if a byte is read that is not there (never written, overwritten
             or over), if something does not fit the arena, or if a loop stops before its rows are complete
    """
    machine = _Machine(plan, inputs)
    for loop in plan.loops:
        machine.run(loop)
    return machine.results()


class _Machine:
    """Runs calls one by one; counts for every pixel the readings that are still to come."""

    def __init__(self, plan: Plan, inputs: Mapping[str, np.ndarray]) -> None:
        self.plan, self.graph, self.inputs = plan, plan.graph, inputs
        self.arena = Arena(plan.arena_bytes)
        self.makers: dict[str, Progress] = {}
        self.values = {
            name: np.zeros(plan.graph.tensors[name].shape, buffer.dtype) for name, buffer in plan.buffers.items()
        }
        self.pixels = Pixels(plan)
        self.readings = np.zeros(self.pixels.count, np.int64)
        self._count_readings()

    def _count_readings(self) -> None:
        for call in self.plan.calls:
            now = Progress(self.plan, call)
            while not now.is_over:
                for row in now.run:
                    self.readings[self._padding_found(now, row)] += 1
                for number, row, first, end, _ in self._window(now):
                    for pixels in self.pixels.of(call.reads[number].tensor, row, first, end):
                        self.readings[pixels] += 1
                now.advance()
        # Each row of an output is read once more, when it leaves or at the end.
        for port in self.graph.outputs:
            for row, first, end in _inner(self.plan.buffers[port.tensor]):
                for pixels in self.pixels.of(port.tensor, row, first, end):
                    self.readings[pixels] += 1

    # --- the order: of all calls that can run, the one deepest in the loop does ------------------

    def run(self, loop: Rows) -> None:
        rows = [Progress(self.plan, call) for call in loop.calls]
        self.makers.update({now.call.write: now for now in rows})
        on_demand = {now.call.write for now in rows if now.call.on_demand}
        # Who cannot run is asked again only when something has been made that it reads, or its reader has run.
        waiting: set[str] = set()
        while now := next((now for now in reversed(rows) if now.call.write not in waiting), None):
            is_wanted = now.call.write not in on_demand or self._is_wanted(now, rows)
            if now.is_over or not is_wanted or not self._is_ready(now):
                waiting.add(now.call.write)
                continue
            self._run_once(now)
            self._leave(now)
            now.advance()
            waiting -= {reader.call.write for reader in rows if now.call.write in reader.sources}
            waiting -= now.sources & on_demand
        for now in rows:
            if not now.is_over:
                raise InternalError(f"the loop stops after {now.row} of {now.count} rows", where=where_of(now.call))

    def _is_wanted(self, now: Progress, rows: Sequence[Progress]) -> bool:
        """Whether the reader of what a call on demand makes lacks it, or wants no more."""
        [reader] = [one for one in rows if now.call.write in one.sources]
        return reader.is_over or not self._is_ready(reader, now.call.write)

    def _is_ready(self, now: Progress, tensor: str = "") -> bool:
        """Padding rows wait as their nearest neighbours do; those above, for the neighbour's first piece.

        tensor  the only one that is asked about; all if there is none
        """
        y = now.y if now.call.accumulates or now.call.is_view else min(max(now.y, 0), now.output.height - 1)
        y += len(now.run) - 1
        _, stop = now.inner(0 if now.y < 0 else now.piece)
        for number, read in enumerate(now.call.reads):
            if tensor not in ("", read.tensor):
                continue
            maker = self.makers.get(read.tensor)
            if maker is None:
                return False
            if maker.call.accumulates:
                if not maker.is_over:
                    return False
                continue
            needed = set(now.rows[number][y])
            if maker.has_made(needed):
                continue
            streams = self.plan.buffers[read.tensor].strip_columns > 0
            is_newest = streams and not maker.is_over and maker.has_made(needed - {maker.row})
            if not is_newest or maker.start < now.columns_needed(number, stop):
                return False
        return True

    def _window(self, now: Progress) -> Iterator[tuple[int, int, int, int, bool]]:
        """What a run reads: number of the read, row with its first and end column, whether it is the newest row."""
        first, stop = now.inner(now.piece)
        if now.is_padding or stop <= first:
            return
        for y in range(now.y, now.y + len(now.run)):
            for number in range(len(now.call.reads)):
                begin, end = min(now.columns[number][first]), now.columns_needed(number, stop)
                rows = now.rows[number][y]
                for row in rows:
                    yield number, row, begin, end, row == rows[-1]

    def _padding_found(self, now: Progress, row: int) -> np.ndarray:
        """Pixels of an older row's padding that a planar row finds in its slot of a ring, and leaves there."""
        buffer = now.output
        place = now.order.index(row)
        if not buffer.planar or not buffer.is_ring or place < buffer.slots or now.piece or now.is_padding:
            return np.zeros(0, np.int64)
        older = now.order[place - buffer.slots]
        return self.pixels.first[buffer.tensor] + older * buffer.columns + padding_columns(buffer)

    # --- one run ---------------------------------------------------------------------------------

    def _run_once(self, now: Progress) -> None:
        call = now.call
        if now.output.strip_columns:
            self._make_room(now)
        windows: list[np.ndarray] = []
        touched = []
        for number, row, first, end, is_newest in self._window(now):
            read = call.reads[number]
            owners = self.pixels.owners(read.tensor, row, first, end)
            places = self._places_to_read(now, number, row, (first, end), is_newest)
            where = f"{where_of(call)} reads row {row} of {read.tensor}"
            touched.append((places, owners, where, self.pixels.of(read.tensor, row, first, end)))
            dtype = self.plan.buffers[read.tensor].dtype
            windows.append(self.arena.read(places, owners, where).reshape(end - first, -1).view(dtype))
        if call.accumulates:
            self._accumulate(now, windows)
        elif call.is_view:
            self._view(now, windows)
        else:
            # All rows of a run are read before any is written.
            for row in now.run:
                count = 0 if now.is_padding else sum(len(rows[row - now.output.pad[0]]) for rows in now.rows)
                self._make(now, row, windows[:count])
                windows = windows[count:]
        for places, owners, where, _ in touched:
            # The call may still have been reading when it wrote.
            self.arena.read(places, owners, where)
        for places, owners, _, read_now in touched:
            for pixels in read_now:
                self.readings[pixels] -= 1
            self.arena.poison(places[self.readings[owners] == 0])

    def _leave(self, now: Progress) -> None:
        """A complete row of an output that the caller gets row by row."""
        name = now.call.write
        if not self.graph.leaves_by_rows(name) or now.piece < len(now.ends) - 1 or now.is_padding:
            return
        for row in now.run:
            places = self._take_row(name, row, f"{where_of(now.call)} hands out row {row}")
            for pixels in self.pixels.of(name, row, now.output.pad[1], now.output.pad[1] + now.output.width):
                self.readings[pixels] -= 1
            self.arena.poison(places)

    def _take_row(self, name: str, row: int, where: str) -> np.ndarray:
        """A row of an output as it lies in the arena becomes the result; its places."""
        buffer = self.plan.buffers[name]
        first, end = buffer.pad[1], buffer.pad[1] + buffer.width
        places = in_slot(buffer, row, first, end)
        pixels = self.arena.read(places, self.pixels.owners(name, row, first, end), where)
        self.values[name][0, row - buffer.pad[0]] = pixels.reshape(-1, buffer.pixel_bytes).view(buffer.dtype)
        return places

    def _places_to_read(
        self, now: Progress, number: int, row: int, columns: tuple[int, int], is_newest: bool
    ) -> np.ndarray:
        read = now.call.reads[number]
        buffer = self.plan.buffers[read.tensor]
        if buffer.strip_columns and is_newest:
            # The reader counts on the piece it waited for being the newest one.
            needed = now.columns_needed(number, now.inner(now.piece)[1])
            piece = next(index for index, end in enumerate(self.makers[read.tensor].ends) if end >= needed)
            return in_strip(buffer, *columns, piece)
        return in_slot(buffer, row, *columns)

    def _make_room(self, now: Progress) -> None:
        """The oldest columns of a strip move to their row, the others to the front, before a new piece is made."""
        buffer, where = now.output, where_of(now.call)
        if now.position == now.piece == 0:
            return
        oldest = buffer.kept[now.piece - 1]
        made = now.start if now.piece else buffer.columns
        stays = buffer.kept[now.piece] if now.piece else buffer.columns
        row = now.row if now.piece else now.before
        if not oldest <= stays <= made:
            raise InternalError(f"the strip of {buffer.tensor} gives away columns that it has not", where=where)
        places = in_strip(buffer, oldest, made, now.piece - 1)
        data, owner = self.arena.data[places], self.arena.owner[places]
        self.arena.poison(places)
        leaving = (stays - oldest) * buffer.pixel_bytes
        if buffer.slots:
            self.arena.write(in_slot(buffer, row, oldest, stays), data[:leaving], owner[:leaving], where)
        self.arena.write(places[: places.size - leaving], data[leaving:], owner[leaving:], where)

    def _make(self, now: Progress, row: int, windows: list[np.ndarray]) -> None:
        call, buffer, y = now.call, now.output, row - now.output.pad[0]
        zero_point = quant_of(self.graph, call.write).zero_point
        start, end = now.start, now.ends[now.piece]
        columns = np.arange(start, end)
        values = np.full((end - start, self.graph.tensors[call.write].shape[3]), zero_point, buffer.dtype)
        first, stop = now.inner(now.piece)
        if not now.is_padding and stop > first:
            inner = self.inputs[call.write][0, y, first:stop] if not call.node else self._compute(now, y, windows)
            values[first + now.left - start :][: stop - first] = inner
            self.values[call.write][0, y, first:stop] = inner
        if buffer.planar:
            columns, values = self._planar(now, row, columns, values, zero_point)
        base = self.pixels.first[call.write] + row * buffer.columns
        owners = np.repeat(base + columns, buffer.pixel_bytes)
        if buffer.strip_columns:
            places = in_strip(buffer, start, end, now.piece)
        else:
            places = in_slot(buffer, row, 0, buffer.columns).reshape(buffer.columns, -1)[columns].reshape(-1)
        if places.size and (places.min() < buffer.offset or places.max() >= buffer.end):
            raise InternalError(f"row {row} of {call.write} leaves its buffer", where=where_of(call))
        self.arena.write(places, np.ascontiguousarray(values).view(np.int8).reshape(-1), owners, where_of(call))
        self.arena.poison(places[self.readings[owners] == 0])
        scratch = self.plan.scratch.get(call.step)
        if scratch:
            # After the output: scratch that lies over it, or over what the call reads, must be noticed.
            self.arena.write(bytes_of(scratch), POISON, NOBODY, where_of(call))

    def _planar(
        self, now: Progress, row: int, columns: np.ndarray, values: np.ndarray, zero_point: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """The columns of a planar row that a piece writes. The first brings all padding of the row; in a ring it does
        so only once for each slot, and later rows find it there. Each piece of a padding row makes it whole."""
        buffer = now.output
        whole = np.full((buffer.columns, values.shape[1]), zero_point, buffer.dtype)
        if now.is_padding:
            return np.arange(buffer.columns), whole
        is_inner = (columns >= now.left) & (columns < now.left + now.width)
        columns, values = columns[is_inner], values[is_inner]
        if now.piece:
            return columns, values
        pads = padding_columns(buffer)
        found = self._padding_found(now, row)
        if found.size:
            places = in_slot(buffer, row, 0, buffer.columns).reshape(buffer.columns, -1)[pads].reshape(-1)
            self.arena.read(
                places, np.repeat(found, buffer.pixel_bytes), f"{where_of(now.call)} wants the row's padding"
            )
            self.readings[found] -= 1
        return np.concatenate([columns, pads]), np.concatenate([values, whole[pads]])

    def _compute(self, now: Progress, y: int, rows: list[np.ndarray]) -> np.ndarray:
        """Some columns of one output row by the operator's own rule; padding lies in the rows of the windows."""
        node = self.graph.producer[now.call.write]
        windows = [np.stack(part)[None] for part in _split(rows, [len(needed[y]) for needed in now.rows])]
        return OPERATORS[node.op].run_row(node, self.graph, windows, y, now.inner(now.piece)[0])

    def _view(self, now: Progress, rows: list[np.ndarray]) -> None:
        """Note what the row is that now is there; nothing is written."""
        top, left, _, _ = now.output.pad
        y = now.row - top
        if 0 <= y < now.output.height:
            windows = [row[None, None, left : left + now.output.width] for row in rows]
            node = self.graph.producer[now.call.write]
            self.values[now.call.write][0, y] = OPERATORS[node.op].run_row(node, self.graph, windows, y, 0)

    def _accumulate(self, now: Progress, pixels: Sequence[np.ndarray]) -> None:
        """Add a piece of a row of each input to what is kept in scratch; make the output of that after the last."""
        call, where = now.call, where_of(now.call)
        places, owner = bytes_of(self.plan.scratch[call.step]), -call.step
        if now.position == now.piece == 0:
            self.arena.write(places, 0, owner, where)
        node = self.graph.producer[call.write]
        operator, kept = OPERATORS[node.op], self.arena.read(places, owner, f"{where} reads its scratch")
        operator.collect(node, self.graph, kept, pixels)
        self.arena.write(places, kept, owner, where)
        if not now.is_last:
            return
        pixel = operator.collected(node, self.graph, kept)
        self.values[call.write][0, 0, 0] = pixel
        owners, out = self.pixels.owners(call.write, 0, 0, 1), in_slot(now.output, 0, 0, 1)
        self.arena.write(out, pixel.view(np.int8), owners, where)
        self.arena.read(places, owner, f"{where} writes over its scratch")
        self.arena.poison(places)
        self.arena.poison(out[self.readings[owners] == 0])

    def results(self) -> dict[str, np.ndarray]:
        """All tensors; the outputs that are kept as they lie in the arena at the end."""
        for port in self.graph.outputs:
            for row, _, _ in () if port.by_rows else _inner(self.plan.buffers[port.tensor]):
                self._take_row(port.tensor, row, f"the end, output {port.outside}")
        return self.values


def _inner(buffer: Buffer) -> Iterator[tuple[int, int, int]]:
    for row in range(buffer.pad[0], buffer.pad[0] + buffer.height):
        yield row, buffer.pad[1], buffer.pad[1] + buffer.width


def _split(rows: list[np.ndarray], counts: list[int]) -> Iterator[list[np.ndarray]]:
    """The rows of each read."""
    for count in counts:
        yield rows[:count]
        rows = rows[count:]
