"""Networks whose layers have weights of four bits wherever they may."""

from __future__ import annotations

from models import RELU, RELU6, Builder, same_window
from networks import quantized
from operator_cases import every_case, graph_of

from mbn2c.ir.graph import Graph
from mbn2c.ops import OPERATORS


def may_have_four_bits(graph: Graph) -> frozenset[str]:
    """The layers by name."""
    return frozenset(node.name for node in graph.nodes if OPERATORS[node.op].takes_four_bits(node, graph))


def four_bit_networks() -> dict[str, Graph]:
    """Every example of an operator that takes them, quantized so."""
    graphs = {
        name: graph_of(operator, case, name)
        for name, (operator, case) in every_case().items()
        if operator.has_weights and not case.quants
    }
    return {
        name: quantized(graph, four_bits=frozenset({"case"}))
        for name, graph in graphs.items()
        if "case" in may_have_four_bits(graph)
    }


def pointwise_network(
    width: int, channels: int, seed: int = 0, *, in_eight_bits: bool = False, shares_multipliers: bool = False
) -> Graph:
    """1x1 layers that read and write interleaved rows, and planar ones, with whole and broken groups of channels."""
    builder = Builder((3, width, 3), seed)
    x = builder.conv2d("input", channels, same_window(3, 1), RELU6)
    x = builder.conv2d(x, channels + 8, activation=RELU6)
    x = builder.depthwise(x, same_window(3, 1), RELU6)
    x = builder.conv2d(x, channels + 1, activation=RELU)
    x = builder.conv2d(builder.conv2d(x, 1), 19)
    x = builder.depthwise(builder.conv2d(x, 33, activation=RELU6), same_window(3, 2))
    x = builder.average_pool(builder.conv2d(x, 40))
    graph = builder.graph(builder.fully_connected(builder.fully_connected(x, 12), 7))
    four_bits = frozenset[str]() if in_eight_bits else may_have_four_bits(graph)
    return quantized(graph, four_bits=four_bits, shares_multipliers=shares_multipliers)
