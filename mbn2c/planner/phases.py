"""Graph -> which tensors' rows are made phase by phase, as windows with dilation read them."""

from __future__ import annotations

from mbn2c.ir.graph import Graph, Node
from mbn2c.ir.row_map import RowMap
from mbn2c.ops import OPERATORS
from mbn2c.ops.base.windows import window_of
from mbn2c.planner.views import Views


def phases_of(graph: Graph, views: Views) -> dict[str, int]:
    """By tensor how many phases its rows have, where that is more than one.

    What a dilated window reads has its dilation, and so has what it makes, and all that is made of that row by row:
    then rows go on as they come. Tensors that share rows with others, outputs and the input have none.
    """
    phases: dict[str, int] = {}
    made_of: dict[str, set[str]] = {}
    for node in graph.nodes:
        output, window = node.outputs[0], window_of(node)
        sources = OPERATORS[node.op].activations(node, graph)
        made_of[output] = set(sources).union(*(made_of.get(name, set()) for name in sources))
        if window.kernel[0] > 1 and window.dilation[0] > 1 and window.stride[0] == 1:
            phases |= dict.fromkeys((node.inputs[0], output), window.dilation[0])
            continue
        # The last one made is that which comes row by row; another was there before, if that is made of it.
        found = _by_rows(node, graph)
        free = {name for name in found if name not in phases and _is_free(name, graph)}
        rows = sorted(found - free, key=lambda name: len(made_of.get(name, ())))
        if rows and rows[-1] in phases and all(name in made_of[rows[-1]] for name in rows[:-1]):
            phases |= dict.fromkeys((output, *free), phases[rows[-1]])
    shared = {name for names in views.sharing().values() for name in names}
    left_out = {*shared, *(port.tensor for port in (*graph.inputs, *graph.outputs))}
    return {name: count for name, count in phases.items() if name not in left_out}


def _is_free(tensor: str, graph: Graph) -> bool:
    """Whether its rows may be made in any order: none needs more than a single row that was there before."""
    maker = graph.producer.get(tensor)
    return maker is not None and all(
        graph.tensors[name].shape[1] == 1 for name in OPERATORS[maker.op].activations(maker, graph)
    )


def _by_rows(node: Node, graph: Graph) -> set[str]:
    """The activations of which each output row needs the same row, and no other."""
    operator, height = OPERATORS[node.op], graph.tensors[node.outputs[0]].shape[1]
    return {
        name
        for number, name in enumerate(operator.activations(node, graph))
        if height > 1
        and graph.tensors[name].shape[1] == height
        and operator.row_maps(node, graph, number)[0] == RowMap()
    }
