"""Graph and segments -> loops of calls, and the order in which their rows are made.

A segment is a run of nodes whose rows stream into each other. The order is fixed by one rule, the same in
the generated C, here and in `reference/run_plan`: of all calls of the loop that can make a row, the one
deepest in the loop makes it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mbn2c.errors import InternalError
from mbn2c.ir.graph import Graph, Node
from mbn2c.ir.kernel import Kernel
from mbn2c.ir.plan import Call, Read, Rows
from mbn2c.ops import OPERATORS

Pad = tuple[int, int, int, int]


@dataclass(frozen=True)
class Schedule:
    """Loops over rows, before memory is given to them.

    pads     of every activation: what its most demanding reader wants around it
    kernels  by node name
    """

    graph: Graph
    loops: tuple[Rows, ...]
    pads: Mapping[str, Pad]
    kernels: Mapping[str, Kernel]

    def rows(self, tensor: str) -> int:
        """Rows of a tensor, padding included."""
        pad = self.pads[tensor]
        return pad[0] + self.graph.tensors[tensor].shape[1] + pad[2]

    def runs(self, call: Call) -> int:
        """How often a call runs: once per row it makes, or per row it sums up."""
        return self.rows(call.reads[0].tensor) if call.accumulates else self.rows(call.write)


def make_schedule(graph: Graph, kernels: Mapping[str, Kernel], segments: Sequence[Sequence[str]]) -> Schedule:
    """Loops for the given segments (node names, every node once, in execution order).

    The input's rows come from outside, into the first loop.
    """
    pads = _pads(graph)
    nodes = {node.name: node for node in graph.nodes}
    if [name for segment in segments for name in segment] != list(nodes):
        raise InternalError("segments do not hold every node once, in order", where=graph.name)
    loops, step = [], 0
    for index, segment in enumerate(segments):
        calls = []
        if index == 0:
            calls.append(Call(0, "", (), graph.inputs[0].tensor))
            step = 1
        for name in segment:
            calls.append(_call(step, nodes[name], graph, pads, kernels[name]))
            step += 1
        loops.append(Rows(tuple(calls)))
    return Schedule(graph, tuple(loops), pads, kernels)


def _pads(graph: Graph) -> dict[str, Pad]:
    pads = {name: (0, 0, 0, 0) for name, tensor in graph.tensors.items() if tensor.data is None}
    for node in graph.nodes:
        operator = OPERATORS[node.op]
        for name in operator.activations(node, graph):
            wanted = operator.window(node).pad
            pads[name] = tuple(max(pair) for pair in zip(pads[name], wanted, strict=True))  # type: ignore[assignment]
    return pads


def _call(step: int, node: Node, graph: Graph, pads: Mapping[str, Pad], kernel: Kernel) -> Call:
    operator = OPERATORS[node.op]
    window = operator.window(node)
    reads = []
    for name in operator.activations(node, graph):
        pad = pads[name]
        rows = 1 if kernel.accumulates else window.kernel[0]
        stride = 1 if kernel.accumulates else window.stride[0]
        reads.append(Read(name, rows, stride, window.dilation[0], pad[0] - window.pad[0], pad[1] - window.pad[1]))
    return Call(step, node.name, tuple(reads), node.outputs[0], kernel.accumulates)


@dataclass(frozen=True, eq=False)
class Timeline:
    """When every row is written and last read; a moment is one run of one call.

    written, last_read  int [rows] by tensor; a row nobody reads has last_read == written
    ran                 the step that ran at each moment
    first_run, last_run moments by step
    """

    written: Mapping[str, np.ndarray]
    last_read: Mapping[str, np.ndarray]
    ran: tuple[int, ...]
    first_run: Mapping[int, int]
    last_run: Mapping[int, int]


def simulate(schedule: Schedule) -> Timeline:
    """Play the schedule by its one rule.

    raises  InternalError if a loop stops before its rows are complete
    """
    made = dict.fromkeys(schedule.pads, 0)
    written = {name: np.zeros(schedule.rows(name), np.int64) for name in schedule.pads}
    last_read = {name: np.full(schedule.rows(name), -1, np.int64) for name in schedule.pads}
    ran: list[int] = []
    for loop in schedule.loops:
        done = dict.fromkeys((call.step for call in loop.calls), 0)
        deepest = len(loop.calls) - 1
        while deepest >= 0:
            call = loop.calls[deepest]
            if done[call.step] == schedule.runs(call) or not _is_ready(schedule, call, done[call.step], made):
                deepest -= 1
                continue
            _run_once(schedule, call, done[call.step], made, written, last_read, len(ran))
            done[call.step] += 1
            ran.append(call.step)
            # Only what reads the new row can have become ready, and it stands deeper.
            deepest = len(loop.calls) - 1
        if any(done[call.step] != schedule.runs(call) for call in loop.calls):
            raise InternalError("a loop cannot complete its rows", where=f"steps {list(done)}")
    for port in schedule.graph.outputs:
        last_read[port.tensor][:] = len(ran)
    for name, rows in last_read.items():
        np.maximum(rows, written[name], out=rows)
    first_run: dict[int, int] = {}
    last_run: dict[int, int] = {}
    for moment, step in enumerate(ran):
        first_run.setdefault(step, moment)
        last_run[step] = moment
    return Timeline(written, last_read, tuple(ran), first_run, last_run)


def output_row(schedule: Schedule, call: Call, run: int) -> int:
    """Which row, padding not counted, a run makes; a padding row waits for its nearest neighbour."""
    if call.accumulates:
        return run
    top = schedule.pads[call.write][0]
    return min(max(run - top, 0), schedule.graph.tensors[call.write].shape[1] - 1)


def _is_ready(schedule: Schedule, call: Call, run: int, made: Mapping[str, int]) -> bool:
    y = output_row(schedule, call, run)
    return all(made[read.tensor] >= read.rows_needed(y) for read in call.reads)


def _run_once(
    schedule: Schedule,
    call: Call,
    run: int,
    made: dict[str, int],
    written: dict[str, np.ndarray],
    last_read: dict[str, np.ndarray],
    moment: int,
) -> None:
    y = output_row(schedule, call, run)
    is_padding = not call.accumulates and run - schedule.pads[call.write][0] != y
    for read in call.reads:
        # A padding row reads nothing, but the rows of its neighbour must still be there or be over; either is fine.
        if not is_padding:
            first = read.first_needed(y)
            last_read[read.tensor][first : first + read.extent] = moment
    if not call.accumulates:
        written[call.write][run] = moment
        made[call.write] += 1
    elif run == schedule.runs(call) - 1:
        written[call.write][0] = moment
        made[call.write] += 1
