"""Graph and segments -> loops of calls.

A segment is a run of nodes whose rows stream into each other. Its tensors that only the next node reads may stream
in pieces of a few columns; `columns.py` says where those pieces end.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from mbn2c.errors import InternalError
from mbn2c.ir.graph import Graph, Node
from mbn2c.ir.kernel import Kernel
from mbn2c.ir.plan import Call, Read, Rows
from mbn2c.ir.row_map import ONE_TO_ONE
from mbn2c.ir.row_order import RowOrder
from mbn2c.ops import OPERATORS
from mbn2c.planner.columns import Extent, Pieces, Strip, cut_into_pieces
from mbn2c.planner.demand import with_demand
from mbn2c.planner.views import NO_VIEWS, Views, views_of

Pad = tuple[int, int, int, int]


@dataclass(frozen=True)
class Schedule:
    """Loops over rows, before memory is given to them.

    pads     of every activation: what its most demanding reader wants around it
    kernels  by node name
    scratch  bytes of working memory by node name
    strips   by name of the tensors that stream in pieces
    views    tensors that lie in others
    phases   by tensor the order in which its rows are made, as in `RowOrder`; 1 where it is not named
    """

    graph: Graph
    loops: tuple[Rows, ...]
    pads: Mapping[str, Pad]
    kernels: Mapping[str, Kernel]
    scratch: Mapping[str, int]
    strips: Mapping[str, Strip] = field(default_factory=dict)
    views: Views = NO_VIEWS
    phases: Mapping[str, int] = field(default_factory=dict)

    def order(self, tensor: str) -> RowOrder:
        """In which its rows are made, padding counted."""
        return RowOrder(self.rows(tensor), self.phases.get(tensor, 1), self.pads[tensor][0])

    def is_planar(self, tensor: str) -> bool:
        """Whether its rows are [channel][padded column]: as its reader's kernel wants them. A strip never is."""
        readers = self.graph.consumers[tensor]
        return tensor not in self.strips and any(self.kernels[reader.name].reads_planar for reader in readers)

    def is_fresh(self, tensor: str) -> bool:
        """Whether every row is written as a whole; planar rows of a ring keep the padding that an older one left."""
        return not self.is_planar(tensor)

    def rows(self, tensor: str) -> int:
        """Rows of a tensor, padding included."""
        pad = self.pads[tensor]
        return pad[0] + self.graph.tensors[tensor].shape[1] + pad[2]

    def columns(self, tensor: str) -> int:
        """Columns of a tensor, padding included."""
        pad = self.pads[tensor]
        return pad[1] + self.graph.tensors[tensor].shape[2] + pad[3]

    def pixel_bytes(self, tensor: str) -> int:
        """Bytes of one pixel."""
        return pixel_bytes_of(self.graph, tensor)

    def row_bytes(self, tensor: str) -> int:
        """Bytes of one padded row, of the tensor that it lies in if it does."""
        return self.columns(tensor) * self.pixel_bytes(self.views.host(tensor))

    def runs(self, call: Call) -> int:
        """Rows it works on: those it makes, or those it sums up."""
        return self.graph.tensors[call.reads[0].tensor].shape[1] if call.accumulates else self.rows(call.write)


def make_schedule(
    graph: Graph,
    kernels: Mapping[str, Kernel],
    segments: Sequence[Sequence[str]],
    pieces: Sequence[Pieces] = (),
    scratch: Mapping[str, int] | None = None,
    rows_per_run: Mapping[str, int] | None = None,
    phases: Mapping[str, int] | None = None,
    waits: Sequence[bool] = (),
) -> Schedule:
    """Loops for the given segments (node names, every node once, in execution order).

    The input's rows come from outside, into the first loop.

    pieces   for each segment, how its rows are cut; whole rows if there are none
    scratch  `scratch_sizes`, where they are known
    rows_per_run  by node name, where it shall be more than 1
    phases   as in Schedule
    waits    for each segment, whether calls that can run on demand do; they do if there are none
    """
    views = views_of(graph, kernels)
    pads = pads_of(graph, views)
    nodes = {node.name: node for node in graph.nodes}
    if [name for segment in segments for name in segment] != list(nodes):
        raise InternalError("segments do not hold every node once, in order", where=graph.name)
    extents = extents_of(graph, pads)
    loops, step = [], 0
    strips: dict[str, Strip] = {}
    for index, segment in enumerate(segments):
        calls = []
        if index == 0:
            calls.append(Call(0, "", (), graph.inputs[0].tensor))
            step = 1
        for name in segment:
            call = make_call(step, nodes[name], graph, pads, kernels[name], views)
            if rows_per_run and not call.accumulates and not call.is_view:
                call = replace(call, rows_per_run=rows_per_run.get(name, 1))
            calls.append(call)
            step += 1
        if pieces and pieces[index].columns:
            inner = inner_tensors(graph, segment, views)
            calls, new_strips = cut_into_pieces(calls, extents, inner, pieces[index], phases=phases or {})
            strips |= new_strips
        on_demand = not waits or waits[index]
        loops.append(Rows(with_demand(calls, graph, strips) if on_demand else tuple(calls)))
    sizes = scratch_sizes(graph, kernels) if scratch is None else scratch
    return Schedule(graph, tuple(loops), pads, kernels, sizes, strips, views, phases or {})


def scratch_sizes(graph: Graph, kernels: Mapping[str, Kernel]) -> dict[str, int]:
    """Bytes of working memory by node name; some kernels look at all weights to tell."""
    return {node.name: kernels[node.name].scratch_bytes(node, graph) for node in graph.nodes}


def pixel_bytes_of(graph: Graph, tensor: str) -> int:
    """Bytes of one pixel of an activation."""
    return graph.tensors[tensor].shape[3] * np.dtype(graph.tensors[tensor].dtype).itemsize


def pads_of(graph: Graph, views: Views = NO_VIEWS) -> dict[str, Pad]:
    """The padding of every activation; tensors that share rows share that too."""
    pads = {name: (0, 0, 0, 0) for name, tensor in graph.tensors.items() if tensor.data is None}
    for node in graph.nodes:
        operator = OPERATORS[node.op]
        for name in operator.activations(node, graph):
            wanted = operator.window(node).pad
            pads[name] = tuple(max(pair) for pair in zip(pads[name], wanted, strict=True))  # type: ignore[assignment]
    for names in views.sharing().values():
        most: Any = tuple(max(sides) for sides in zip(*(pads[name] for name in names), strict=True))
        pads |= dict.fromkeys(names, most)
    return pads


def extents_of(graph: Graph, pads: Mapping[str, Pad]) -> dict[str, Extent]:
    """Width and horizontal padding of every activation."""
    return {name: Extent(pad[1], graph.tensors[name].shape[2], pad[3]) for name, pad in pads.items()}


def inner_tensors(graph: Graph, segment: Sequence[str], views: Views = NO_VIEWS) -> set[str]:
    """The tensors that only nodes of the segment read, among them those that it does not make.

    Tensors that share rows are not among them: they never stream in pieces.
    """
    names = set(segment)
    shared = {name for sharing in views.sharing().values() for name in sharing}
    return {
        tensor
        for tensor, readers in graph.consumers.items()
        if readers
        and tensor not in shared
        and not graph.is_output(tensor)
        and all(reader.name in names for reader in readers)
    }


def make_call(
    step: int, node: Node, graph: Graph, pads: Mapping[str, Pad], kernel: Kernel, views: Views = NO_VIEWS
) -> Call:
    """The call of one node, a row at a time."""
    operator = OPERATORS[node.op]
    names = operator.activations(node, graph)
    if node.name in views.nodes:
        return Call(step, node.name, tuple(Read(name) for name in names), node.outputs[0], is_view=True)
    reads = []
    for number, name in enumerate(names):
        maps = (ONE_TO_ONE, ONE_TO_ONE) if kernel.accumulates else operator.row_maps(node, graph, number)
        reads.append(Read(name, maps[0].behind(pads[name][0]), maps[1].behind(pads[name][1])))
    return Call(step, node.name, tuple(reads), node.outputs[0], kernel.accumulates)
