"""int8 Graph -> the same, with some layers computed twice, so that what they make need not wait for a mean.

Where a mean over all rows decides what becomes of a large tensor (the gate of a decoder), that tensor waits in full. If
it is made of a smaller one by few multiplications, the smaller one may wait instead: the tensor is made once for the
mean, row by row, and once more behind it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from mbn2c.errors import FitError
from mbn2c.ir.graph import Graph, Node
from mbn2c.ops import OPERATORS

AGAIN = "__again"
# What waits instead is smaller by this factor at least.
_SMALLER = 2
# The share of multiply-accumulates that may be executed twice so that a network fits where it would not otherwise.
MOST_EXTRA_TO_FIT = 0.25


@dataclass(frozen=True)
class _Barrier:
    """A node that must have read all rows before any node behind it can run.

    number   of the node
    waiting  tensors made before it that are read behind it
    """

    number: int
    waiting: tuple[str, ...]


def recompute(graph: Graph, most_extra: float) -> Graph:
    """The Graph with layers computed twice where most bytes wait, as long as that makes them fewer.

    most_extra  the multiply-accumulates that they may cost in all, as a share of the network's
    """
    *_, last = _more_and_more(graph, most_extra)
    return last


def recompute_to_fit(graph: Graph, fits: Callable[[Graph], bool]) -> Graph:
    """The Graph as it is if it fits, or if nothing helps; else with as few layers computed twice as make it fit.

    fits  takes seconds: not asked where there is nothing to compute twice, nor for less if the most does not help
    """
    _, *ways = _more_and_more(graph, MOST_EXTRA_TO_FIT)
    if not ways or fits(graph) or not fits(ways[-1]):
        return graph
    return next((way for way in ways[:-1] if fits(way)), ways[-1])


def fits_when(planned: Callable[[Graph], object], graph: Graph) -> bool:
    """Whether a Graph can be planned."""
    try:
        planned(graph)
    except FitError:
        return False
    return True


def copies(graph: Graph) -> list[Node]:
    """The nodes that do once more what another one does."""
    names = {node.name for node in graph.nodes}
    return [node for node in graph.nodes if node.name.endswith(AGAIN) and node.name.removesuffix(AGAIN) in names]


def _more_and_more(graph: Graph, most_extra: float) -> Iterator[Graph]:
    """The Graph, then with one chain of layers after the other computed twice."""
    left = most_extra * sum(OPERATORS[node.op].macs(node, graph) for node in graph.nodes)
    while True:
        yield graph
        barriers = _barriers(graph)
        if not barriers:
            return
        barrier = max(barriers, key=lambda one: _bytes(graph, one))
        chains = [_chain(graph, name) for name in barrier.waiting]
        priced = [(sum(OPERATORS[node.op].macs(node, graph) for node in chain), chain) for chain in chains if chain]
        cost, chain = min(priced, key=lambda one: one[0], default=(0, []))
        if not chain or cost > left:
            return
        left -= cost
        graph = _made_twice(graph, chain, barrier.number)


def _barriers(graph: Graph) -> list[_Barrier]:
    numbers = {name: number for number, node in enumerate(graph.nodes) for name in node.outputs}
    last = {
        name: max((numbers[one.outputs[0]] for one in readers), default=-1) for name, readers in graph.consumers.items()
    }
    found = []
    for number, node in enumerate(graph.nodes):
        sources = OPERATORS[node.op].activations(node, graph)
        if graph.tensors[node.outputs[0]].shape[1] == 1 and all(graph.tensors[name].shape[1] > 1 for name in sources):
            made = (name for name, maker in numbers.items() if maker < number)
            found.append(_Barrier(number, tuple(name for name in made if last[name] > number)))
    return found


def _bytes(graph: Graph, barrier: _Barrier) -> int:
    return sum(graph.tensors[name].size_bytes for name in barrier.waiting)


def _chain(graph: Graph, tensor: str) -> list[Node]:
    """The nodes that make a tensor of a much smaller one, in their order; none where it is made of others."""
    chain: list[Node] = []
    name = tensor
    while graph.tensors[name].size_bytes * _SMALLER > graph.tensors[tensor].size_bytes:
        maker = graph.producer.get(name)
        sources = OPERATORS[maker.op].activations(maker, graph) if maker is not None else []
        if maker is None or len(sources) != 1 or (chain and len(graph.consumers[name]) > 1):
            return []
        chain.insert(0, maker)
        name = sources[0]
    return chain


def _made_twice(graph: Graph, chain: list[Node], barrier: int) -> Graph:
    """The chain once more behind the barrier, for those that read its last tensor there."""
    made = {name for node in chain for name in node.outputs}
    copies = [
        replace(
            node,
            name=node.name + AGAIN,
            inputs=tuple(name + AGAIN if name in made else name for name in node.inputs),
            outputs=tuple(name + AGAIN for name in node.outputs),
        )
        for node in chain
    ]
    [tensor] = chain[-1].outputs
    nodes: list[Node] = []
    is_placed = False
    for number, node in enumerate(graph.nodes):
        if number > barrier and tensor in node.inputs:
            # Right before its first reader, so that it need not wait for long.
            nodes += [] if is_placed else copies
            is_placed = True
            node = replace(node, inputs=tuple(name + AGAIN if name == tensor else name for name in node.inputs))
        nodes.append(node)
    tensors = [replace(graph.tensors[name], name=name + AGAIN) for name in made]
    return graph.rebuild(tensors=tensors, nodes=nodes)
