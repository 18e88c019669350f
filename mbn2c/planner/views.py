"""Graph and kernels -> which tensors lie as a slice of channels in the pixels of a wider one, and need no copy.

A concatenation whose inputs are made where its output has them copies nothing, nor does a slice of channels that its
readers find in the pixels of the whole. The call of such a node only says that a row is there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from mbn2c.ir.graph import Graph, Node
from mbn2c.ir.kernel import LONGEST_PIXEL_BYTES, Kernel
from mbn2c.ops import OPERATORS
from mbn2c.ops.base.quants import quant_of


@dataclass(frozen=True)
class PlaceInHost:
    """Where a tensor lies in another: `channel` is the first of its channels there."""

    host: str
    channel: int


@dataclass(frozen=True)
class Views:
    """Which tensors lie in others.

    inside  by tensor; a host lies in no other
    nodes   names of those that only say that a row is there
    """

    inside: Mapping[str, PlaceInHost] = field(default_factory=dict)
    nodes: frozenset[str] = frozenset()

    def host(self, tensor: str) -> str:
        """The tensor whose memory it has: its own name, if it lies in no other."""
        return self.inside[tensor].host if tensor in self.inside else tensor

    def sharing(self) -> dict[str, list[str]]:
        """By host all tensors that have its memory, the host among them."""
        found: dict[str, list[str]] = {}
        for tensor, place in self.inside.items():
            found.setdefault(place.host, [place.host]).append(tensor)
        return found


NO_VIEWS = Views()


def views_of(graph: Graph, kernels: Mapping[str, Kernel]) -> Views:
    """Every view that types, quantizations and kernels allow; a tensor that two nodes want inside goes to the first."""
    inside: dict[str, PlaceInHost] = {}
    nodes: set[str] = set()
    for node in graph.nodes:
        wanted = _wanted(node, graph)
        if not wanted or not all(_may_lie_inside(name, place, node, graph, kernels) for name, place in wanted.items()):
            continue
        hosts, taken = {place.host for place in wanted.values()}, {place.host for place in inside.values()}
        if any(name in inside or name in taken for name in wanted) or any(host in inside for host in hosts):
            continue
        inside |= wanted
        nodes.add(node.name)
    return Views(inside, frozenset(nodes))


def _wanted(node: Node, graph: Graph) -> dict[str, PlaceInHost]:
    """Which tensor would lie in which if the node copied nothing; none if it does more than that."""
    operator = OPERATORS[node.op]
    slices, names = operator.slices(node, graph), operator.activations(node, graph)
    output = node.outputs[0]
    channels = {name: graph.tensors[name].shape[3] for name in (*names, output)}
    into = {
        names[one.number]: PlaceInHost(output, one.target) for one in slices if one.count == channels[names[one.number]]
    }
    if slices and len(into) == len(slices) == len(names):
        return into
    if len(slices) == 1 and slices[0].count == channels[output]:
        return {output: PlaceInHost(names[slices[0].number], slices[0].first)}
    return {}


def _is_broadcast(tensor: str, graph: Graph) -> bool:
    """Whether all its pixels are one: made again when wanted, row by row, it takes less than its place in a host."""
    height, width = graph.tensors[tensor].shape[1:3]
    return height * width > 1 and any(
        graph.tensors[name].shape[1:3] == (1, 1)
        for name in graph.producer[tensor].inputs[:1]
        if graph.tensors[name].data is None
    )


def _may_lie_inside(name: str, place: PlaceInHost, node: Node, graph: Graph, kernels: Mapping[str, Kernel]) -> bool:
    """Whether the pixels of a tensor may lie in those of the other that `node` makes of it, or makes it of."""
    tensor, host = graph.tensors[name], graph.tensors[place.host]
    if name not in graph.producer or graph.is_output(name) or _is_broadcast(name, graph):
        return False
    if tensor.shape[1:3] != host.shape[1:3] or tensor.dtype != host.dtype or tensor.shape[3] == host.shape[3]:
        return False
    if host.shape[3] * np.dtype(host.dtype).itemsize > LONGEST_PIXEL_BYTES:
        return False
    quant, wanted = quant_of(graph, name), quant_of(graph, place.host)
    if quant.zero_point != wanted.zero_point or (quant.scale != wanted.scale).any():
        return False
    readers = [*graph.consumers[name], *graph.consumers[place.host]]
    if any(kernels[one.name].reads_planar for one in readers):
        return False
    if tensor.shape[2] == 1 and not any(any(OPERATORS[one.op].window(one).pad) for one in readers):
        return True  # With one pixel in a row it does not matter how far the next one is.
    others = [reader for reader in graph.consumers[name] if reader is not node]
    maker = graph.producer[name]
    return (maker is node or kernels[maker.name].writes_slices) and all(
        kernels[reader.name].reads_slices(reader, graph) for reader in others
    )
