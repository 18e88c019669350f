"""Calls of a loop -> those that run on demand: only when the call that reads what they make lacks it.

Without that a call whose inputs are complete runs to its end at once, and what it makes lies in full beside the slower
inputs of a sum or a concatenation.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence, Set
from dataclasses import replace

from mbn2c.ir.graph import Graph
from mbn2c.ir.plan import Call
from mbn2c.planner.columns import ancestors_of


def with_demand(
    calls: Sequence[Call],
    graph: Graph,
    strips: Collection[str] = (),
    ancestors: Mapping[str, Set[str]] | None = None,
) -> tuple[Call, ...]:
    """The calls of one loop, each with its `on_demand`; arguments as of `joins_of`."""
    joins = joins_of(calls, graph, strips, ancestors)
    return tuple(replace(call, on_demand=call.step in joins) for call in calls)


def joins_of(
    calls: Sequence[Call],
    graph: Graph,
    strips: Collection[str] = (),
    ancestors: Mapping[str, Set[str]] | None = None,
) -> dict[int, int]:
    """By step of each call of a loop that can run on demand, the first step that ways meet at which it leads to.

    They lead, one after the other, to a call that reads what is made another way too. What they read waits with them,
    so a call that makes less than others stream to it is not among them. Of a loop that ends earlier they are those
    whose ways meet in it.

    strips     tensors that stream in pieces: their readers follow at once
    ancestors  `ancestors_of` these calls, or of more, where that is known
    """
    ancestors = ancestors_of(calls) if ancestors is None else ancestors
    readers: dict[str, list[Call]] = {call.write: [] for call in calls}
    for call in calls:
        for read in call.reads:
            if read.tensor in readers:
                readers[read.tensor].append(call)

    def has_one_reader(tensor: str) -> bool:
        return len(readers[tensor]) == 1 and len(graph.consumers[tensor]) == 1

    may_wait: dict[str, bool] = {}
    for call in calls:
        streamed = [read.tensor for read in call.reads if read.tensor in readers]
        in_pieces = call.write in strips or any(name in strips for name in streamed)
        holds_back = graph.tensors[call.write].size_bytes < sum(graph.tensors[name].size_bytes for name in streamed)
        is_alone = all(may_wait[name] and has_one_reader(name) for name in streamed)
        may_wait[call.write] = (
            bool(call.node)
            and not call.accumulates
            and not in_pieces
            and call.rows_per_run == 1
            and (is_alone or not holds_back)
        )
    joins: dict[int, int] = {}
    for call in reversed(calls):
        if may_wait[call.write] and has_one_reader(call.write):
            [reader] = readers[call.write]
            others = (read.tensor for read in reader.reads if read.tensor in readers and read.tensor != call.write)
            if reader.rows_per_run == 1 and any(other not in ancestors[call.write] for other in others):
                joins[call.step] = reader.step
            elif reader.step in joins:
                joins[call.step] = joins[reader.step]
    return joins
