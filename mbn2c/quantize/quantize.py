"""Float Graph and ranges -> int8 Graph, int16 where that is asked for, whose every requantization is proved exact.

Activations get their scales first, operators that tie scales have their say, then each operator rounds its
weights. Source: design.md, section 3.
"""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import replace

import numpy as np

from mbn2c.errors import QuantError
from mbn2c.ir.graph import Graph, Node, Quant, Tensor
from mbn2c.ops import operator_of
from mbn2c.quantize.calibrate import Range
from mbn2c.quantize.scheme import activation_quant, int16_quant, quant_with_scale


def quantize(
    graph: Graph,
    ranges: Mapping[str, Range],
    int16: Set[str] = frozenset(),
    four_bits: Set[str] = frozenset(),
    shares_multipliers: bool = False,
) -> Graph:
    """The int8 Graph.

    ranges     of every activation of `graph`
    int16      names of those that are int16
    four_bits  names of the layers whose weights have four bits
    shares_multipliers  take few multipliers for all layers, wherever these reach
    raises  QuantError naming the layer that cannot be proved exact
    """
    quants = activation_quants(graph, ranges, int16)
    # Their scales are what each operator finds.
    any_scale = np.ones(1, np.float32)
    quants |= {
        node.inputs[1]: Quant(any_scale, bits=4 if node.name in four_bits else 8, shares_multipliers=shares_multipliers)
        for node in graph.nodes
        if operator_of(node).has_weights
    }
    nodes, constants = [], []
    for node in graph.nodes:
        try:
            quantized, tensors = operator_of(node).quantize(node, graph, quants)
        except QuantError as error:
            raise QuantError(error.what, where=f"layer {node.name} ({node.op})", hint=error.hint) from error
        nodes.append(quantized)
        constants += tensors
    activations = [
        replace(tensor, dtype=quants[name].dtype, quant=quants[name])
        for name, tensor in graph.tensors.items()
        if tensor.data is None
    ]
    return graph.rebuild(tensors=[*activations, *_distinct(constants)], nodes=nodes)


def activation_quants(graph: Graph, ranges: Mapping[str, Range], int16: Set[str] = frozenset()) -> dict[str, Quant]:
    """Scale and zero point of every activation; int16: names of those that are int16.

    From the first operator to the last, each may tie the range of its output to that of an input. Then, from the last
    to the first, it may tie the scales of its inputs to that of its output; and once more where one in front of it has
    moved what it saw, if it wants to move only what nobody else reads.
    """
    tied = dict(ranges)
    for node in graph.nodes:
        tied |= {name: tied[other] for name, other in operator_of(node).tie_ranges(node).items()}
    quants = {
        name: (int16_quant if name in int16 else activation_quant)(found.low, found.high)
        for name, found in tied.items()
    }

    def with_scale(name: str, scale: np.float32) -> Quant:
        return quant_with_scale(scale, tied[name].low)

    seen: dict[str, list[Quant]] = {}
    for node in reversed(graph.nodes):
        quants |= operator_of(node).tie_quants(node, graph, quants, with_scale)
        seen[node.name] = _around(node, quants)
    for node in reversed(graph.nodes):
        if any(quant is not old for quant, old in zip(_around(node, quants), seen[node.name], strict=True)):
            found = operator_of(node).tie_quants(node, graph, quants, with_scale)
            if all(len(graph.consumers[name]) == 1 for name in found):
                quants |= found
    return quants


def _around(node: Node, quants: Mapping[str, Quant]) -> list[Quant]:
    """Of what it reads and makes."""
    return [quants[name] for name in (*node.inputs, *node.outputs) if name in quants]


def _distinct(tensors: list[Tensor]) -> list[Tensor]:
    """One tensor per name; weights shared by two layers would need two quantizations."""
    by_name: dict[str, Tensor] = {}
    for tensor in tensors:
        if tensor.name in by_name:
            raise QuantError(
                f"constant {tensor.name} is shared by two layers", hint="export the model with a copy for each layer"
            )
        by_name[tensor.name] = tensor
    return list(by_name.values())
