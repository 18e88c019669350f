"""Plan and int8 input -> every int8 tensor, computed row by row in a simulated arena.

The arena knows which row each of its bytes belongs to. A row's bytes are poisoned as soon as nobody will read them
again, so a Plan whose ring is one row short, or whose buffers share a byte too early, raises instead of giving a
result that happens to be right.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np

from mbn2c.errors import InternalError
from mbn2c.ir.graph import Node
from mbn2c.ir.plan import Buffer, Call, Plan, Read, Rows
from mbn2c.ir.window import Window
from mbn2c.ops import OPERATORS
from mbn2c.ops.operator import quant_of
from mbn2c.ops.weighted import run_requantize

# What a poisoned byte holds; no network is likely to compute only this.
POISON = 0x55
_NOBODY = 0


def run_plan(plan: Plan, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Run the Plan in an arena of exactly `plan.arena_bytes` bytes.

    inputs   int8 NHWC by tensor name
    returns  int8 NHWC of every activation by tensor name
    raises   InternalError naming step and tensor if a byte is read that is not there (never written, overwritten
             or over), if a row does not fit the arena, or if a loop stops before its rows are complete
    """
    machine = _Machine(plan, inputs)
    for loop in plan.loops:
        machine.run(loop)
    return machine.results()


class _Arena:
    """Bytes, and for each byte the row it belongs to."""

    def __init__(self, size_bytes: int) -> None:
        self.data = np.full(size_bytes, POISON, np.int8)
        self.owner = np.full(size_bytes, _NOBODY, np.int64)

    def write(self, start: int, values: np.ndarray, owner: int, where: str) -> None:
        end = start + values.size
        if start < 0 or end > self.data.size:
            raise InternalError(f"bytes {start}..{end - 1} leave the arena of {self.data.size} bytes", where=where)
        self.data[start:end] = values
        self.owner[start:end] = owner

    def read(self, start: int, size: int, owner: int, where: str) -> np.ndarray:
        owners = self.owner[start : start + size]
        if start < 0 or owners.size < size or (owners != owner).any():
            raise InternalError(f"bytes {start}..{start + size - 1} are not there any more, or not yet", where=where)
        return self.data[start : start + size].copy()

    def poison(self, owner: int, start: int, size: int) -> None:
        mine = self.owner[start : start + size] == owner
        self.data[start : start + size][mine] = POISON
        self.owner[start : start + size][mine] = _NOBODY


class _Machine:
    """Runs calls one by one; counts for every row the readings that are still to come."""

    def __init__(self, plan: Plan, inputs: Mapping[str, np.ndarray]) -> None:
        self.plan, self.graph, self.inputs = plan, plan.graph, inputs
        self.arena = _Arena(plan.arena_bytes)
        self.made = dict.fromkeys(plan.buffers, 0)
        # Every row of every tensor has a number of its own; scratch has the negative ones.
        rows = [buffer.rows for buffer in plan.buffers.values()]
        self.first_owner = dict(zip(plan.buffers, np.cumsum([1, *rows]).tolist(), strict=False))
        self.values = {
            name: np.zeros((1, buffer.height, buffer.width, buffer.pixel_bytes), np.int8)
            for name, buffer in plan.buffers.items()
        }
        self.readings = Counter(
            (read.tensor, row)
            for call in plan.calls
            for run in range(self._runs(call))
            for read, rows in self._rows_read(call, run)
            for row in rows
        )
        for port in self.graph.outputs:
            buffer = plan.buffers[port.tensor]
            self.readings.update((port.tensor, row) for row in _inner_rows(buffer))

    # --- the order: of all calls that can make a row, the one deepest in the loop does -----------

    def run(self, loop: Rows) -> None:
        done = dict.fromkeys((call.step for call in loop.calls), 0)

        def is_ready(call: Call) -> bool:
            run = done[call.step]
            return run < self._runs(call) and all(
                self.made[read.tensor] > max(rows)
                for read, rows in self._rows_read(call, run, as_if_inside=True)
            )

        while call := next((call for call in reversed(loop.calls) if is_ready(call)), None):
            self._run_once(call, done[call.step])
            done[call.step] += 1
        for call in loop.calls:
            if done[call.step] != self._runs(call):
                raise InternalError(
                    f"the loop stops after {done[call.step]} of {self._runs(call)} rows", where=self._where(call)
                )

    def _runs(self, call: Call) -> int:
        """How often a call runs: once per row it makes, or once per row it sums up."""
        return self.plan.buffers[call.reads[0].tensor if call.accumulates else call.write].rows

    def _rows_read(self, call: Call, run: int, *, as_if_inside: bool = False) -> Iterator[tuple[Read, list[int]]]:
        """The rows one run reads. A padding row reads none; `as_if_inside` gives those of its nearest neighbour."""
        y = run
        if not call.accumulates:
            buffer = self.plan.buffers[call.write]
            y = run - buffer.pad[0]
            if not 0 <= y < buffer.height:
                if not as_if_inside:
                    return
                y = min(max(y, 0), buffer.height - 1)
        for read in call.reads:
            yield read, [read.first_row + y * read.stride + k * read.dilation for k in range(read.rows)]

    # --- one call --------------------------------------------------------------------------------

    def _run_once(self, call: Call, run: int) -> None:
        windows = [
            [self._read_row(call, read, row) for row in rows] for read, rows in self._rows_read(call, run)
        ]
        if call.accumulates:
            self._accumulate(call, run, windows[0][0])
        else:
            self._make_row(call, run, windows)
        for read, rows in self._rows_read(call, run):
            for row in rows:
                # The call may still have been reading when it wrote.
                self._read_row(call, read, row)
                self._read_once(read.tensor, row)

    def _make_row(self, call: Call, run: int, windows: list[list[np.ndarray]]) -> None:
        buffer = self.plan.buffers[call.write]
        padded = np.full((buffer.row_bytes // buffer.pixel_bytes, buffer.pixel_bytes), 0, np.int8)
        padded[:] = quant_of(self.graph, call.write).zero_point
        y = run - buffer.pad[0]
        if 0 <= y < buffer.height:
            inner = self.inputs[call.write][0, y] if not call.node else self._compute(call, windows)
            padded[buffer.pad[1] : buffer.pad[1] + buffer.width] = inner
            self.values[call.write][0, y] = inner
        self._write_row(call, run, padded)
        scratch = self.plan.scratch.get(call.step)
        if scratch:
            # After the output: scratch that lies over it, or over what the call reads, must be noticed.
            self.arena.write(scratch.offset, np.full(scratch.size_bytes, POISON, np.int8), _NOBODY, self._where(call))

    def _compute(self, call: Call, windows: list[list[np.ndarray]]) -> np.ndarray:
        """One output row by the operator's own rule; padding lies in the windows."""
        node, strip = _one_row_of(self.graph.producer[call.write])
        buffer = self.plan.buffers[call.write]
        columns = (buffer.width - 1) * strip.stride[1] + strip.extent[1]
        pixels = [np.stack(rows)[None, :, :columns] for rows in windows]
        return np.asarray(OPERATORS[node.op].run(node, self.graph, pixels)[0, 0])

    def _accumulate(self, call: Call, run: int, row: np.ndarray) -> None:
        """Add one input row to the int32 sums in scratch; make the output of them after the last."""
        scratch = self.plan.scratch[call.step]
        where, owner = self._where(call), -call.step
        read = self.plan.buffers[call.reads[0].tensor]
        if run == 0:
            self.arena.write(scratch.offset, np.zeros(scratch.size_bytes, np.int8), owner, where)
        sums = self.arena.read(scratch.offset, scratch.size_bytes, owner, f"{where}, its scratch").view("<i4")
        sums += row[: read.width].sum(axis=0, dtype=np.int32)
        self.arena.write(scratch.offset, sums.view(np.int8), owner, where)
        if run < self._runs(call) - 1:
            return
        node = self.graph.producer[call.write]
        zero_points = quant_of(self.graph, read.tensor).zero_point, quant_of(self.graph, call.write).zero_point
        centred = sums.astype(np.int64) - zero_points[0] * read.height * read.width
        pixel = run_requantize(node.attributes.requantize, centred, zero_points[1])
        self.values[call.write][0, 0, 0] = pixel
        self._write_row(call, 0, pixel[None])
        self.arena.read(scratch.offset, scratch.size_bytes, owner, f"{where}, its scratch under its output")
        self.arena.poison(owner, scratch.offset, scratch.size_bytes)

    # --- rows in the arena -----------------------------------------------------------------------

    def _write_row(self, call: Call, row: int, padded: np.ndarray) -> None:
        buffer = self.plan.buffers[call.write]
        self.arena.write(_address(buffer, row), padded.reshape(-1), self._owner(call.write, row), self._where(call))
        self.made[call.write] += 1
        if not self.readings[call.write, row]:
            self.arena.poison(self._owner(call.write, row), _address(buffer, row), buffer.row_bytes)

    def _read_row(self, call: Call, read: Read, row: int) -> np.ndarray:
        """Pixels [columns, channels] from the first column the call wants."""
        buffer = self.plan.buffers[read.tensor]
        skipped = read.first_column * buffer.pixel_bytes
        where = f"{self._where(call)} reads row {row} of {read.tensor}"
        size = buffer.row_bytes - skipped
        values = self.arena.read(_address(buffer, row) + skipped, size, self._owner(read.tensor, row), where)
        return values.reshape(-1, buffer.pixel_bytes)

    def _read_once(self, tensor: str, row: int) -> None:
        self.readings[tensor, row] -= 1
        if not self.readings[tensor, row]:
            buffer = self.plan.buffers[tensor]
            self.arena.poison(self._owner(tensor, row), _address(buffer, row), buffer.row_bytes)

    def _owner(self, tensor: str, row: int) -> int:
        return int(self.first_owner[tensor]) + row

    def _where(self, call: Call) -> str:
        return f"step {call.step}, {call.node or 'input'}"

    def results(self) -> dict[str, np.ndarray]:
        """All tensors; the outputs as they lie in the arena at the end."""
        for port in self.graph.outputs:
            buffer = self.plan.buffers[port.tensor]
            inner = slice(buffer.pad[1], buffer.pad[1] + buffer.width)
            for row in _inner_rows(buffer):
                where = f"the end, output {port.outside}"
                owner = self._owner(port.tensor, row)
                values = self.arena.read(_address(buffer, row), buffer.row_bytes, owner, where)
                self.values[port.tensor][0, row - buffer.pad[0]] = values.reshape(-1, buffer.pixel_bytes)[inner]
        return self.values


def _address(buffer: Buffer, row: int) -> int:
    return buffer.offset + row % buffer.slots * buffer.row_bytes


def _inner_rows(buffer: Buffer) -> range:
    return range(buffer.pad[0], buffer.pad[0] + buffer.height)


def _one_row_of(node: Node) -> tuple[Node, Window]:
    """The node that makes a single output row from exactly the rows it reads, padding among them."""
    window = OPERATORS[node.op].window(node)
    strip = replace(window, stride=(1, window.stride[1]), pad=(0, 0, 0, 0), dilation=(1, window.dilation[1]))
    if not hasattr(node.attributes, "window"):
        return node, strip
    return replace(node, attributes=replace(node.attributes, window=strip)), strip
