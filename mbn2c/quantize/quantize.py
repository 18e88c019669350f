"""Float Graph and ranges -> int8 Graph whose every requantization is proved exact.

Activations get their scales first, adds fix the scales of what they add, then each operator rounds its
weights. Source: design.md, section 3.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from mbn2c.errors import QuantError
from mbn2c.ir.graph import Graph, Quant, Tensor
from mbn2c.numerics import snap_add_scale
from mbn2c.ops import OPERATORS
from mbn2c.ops.base.operator import scale_of
from mbn2c.quantize.calibrate import Range
from mbn2c.quantize.scheme import activation_quant, quant_with_scale


def quantize(graph: Graph, ranges: Mapping[str, Range]) -> Graph:
    """The int8 Graph.

    ranges  of every activation of `graph`
    raises  QuantError naming the layer that cannot be proved exact
    """
    quants = activation_quants(graph, ranges)
    nodes, constants = [], []
    for node in graph.nodes:
        try:
            quantized, tensors = OPERATORS[node.op].quantize(node, graph, quants)
        except QuantError as error:
            raise QuantError(error.what, where=f"layer {node.name} ({node.op})", hint=error.hint) from error
        nodes.append(quantized)
        constants += tensors
    activations = [
        replace(tensor, dtype="int8", quant=quants[name])
        for name, tensor in graph.tensors.items()
        if tensor.data is None
    ]
    return graph.rebuild(tensors=[*activations, *_distinct(constants)], nodes=nodes)


def activation_quants(graph: Graph, ranges: Mapping[str, Range]) -> dict[str, Quant]:
    """Scale and zero point of every activation.

    From the last add to the first, the scales of the two inputs move up to a ratio of the output's scale
    that leaves no ties (`numerics.snap_add_scale`), so that one integer form equals every float evaluation order.
    """
    quants = {name: activation_quant(found.low, found.high) for name, found in ranges.items()}
    for node in reversed(graph.nodes):
        if node.op != "add":
            continue
        output_scale = scale_of(quants[node.outputs[0]])
        for name in dict.fromkeys(node.inputs):
            scale, _ = snap_add_scale(float(scale_of(quants[name])), output_scale)
            quants[name] = quant_with_scale(scale, ranges[name].low)
    return quants


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
