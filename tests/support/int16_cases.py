"""Every example of an operator that takes int16, between int8 and int16 tensors in every mixture."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from models import RELU6, Builder, same_window
from networks import OnnxModel
from operator_cases import every_case, network_around

from mbn2c.frontend.export import to_onnx_float
from mbn2c.ir.graph import Graph
from mbn2c.ir.window import Window
from mbn2c.quantize.calibrate import calibrate, random_images
from mbn2c.quantize.quantize import quantize


def touched(graph: Graph) -> list[str]:
    """The activations that the node "case" reads, and the one it makes."""
    node = next(node for node in graph.nodes if node.name == "case")
    return [name for name in dict.fromkeys((*node.inputs, *node.outputs)) if graph.tensors[name].data is None]


def mixtures(names: list[str]) -> Iterator[frozenset[str]]:
    """All subsets but the empty one; of many names, each alone and all."""
    if len(names) > 3:
        yield from (frozenset((name,)) for name in names)
        yield frozenset(names)
        return
    for mask in range(1, 2 ** len(names)):
        yield frozenset(name for bit, name in enumerate(names) if mask >> bit & 1)


@dataclass(frozen=True)
class Quantized:
    """A network in float32, and the same with some int16."""

    float_graph: Graph
    graph: Graph


def int16_networks() -> dict[str, Quantized]:
    """The networks by words; in each, convolutions make what the case reads, and read what it makes."""
    networks = {}
    for name, (operator, case) in every_case().items():
        if case.quants:
            continue
        graph = network_around(operator, case, name)
        if not operator.takes_int16(next(node for node in graph.nodes if node.name == "case")):
            continue
        run_float = OnnxModel(graph, to_onnx_float(graph))
        ranges = calibrate(graph, run_float, random_images(graph.inputs[0].shape, 3), 100)
        for int16 in mixtures(touched(graph)):
            words = " ".join("16" if one in int16 else "8" for one in touched(graph))
            networks[f"{name}, {words}"] = Quantized(graph, quantize(graph, ranges, int16))
    return networks


def small_network() -> Graph:
    """What MobileNetV2 is made of, in float32, and a pool of two by two."""
    builder = Builder((16, 13, 3), 5, "int16")
    x = builder.conv2d("input", 8, same_window(3, 2), RELU6)
    x = builder.inverted_residual(x, 8, 1, same_window(3, 1))
    x = builder.average_pool(x, Window((2, 2), (1, 1)))
    x = builder.inverted_residual(x, 12, 4, same_window(3, 2))
    x = builder.inverted_residual(x, 12, 6, same_window(5, 1))
    x = builder.conv2d(x, 32, activation=RELU6)
    x = builder.fully_connected(builder.average_pool(x), 9)
    return builder.graph(builder.fully_connected(x, 5))


def branchy_network() -> Graph:
    """What the other families are made of: a gate, functions, a max pool with pads, branches put together."""
    builder = Builder((12, 11, 3), 6, "branchy")
    x = builder.hard_swish(builder.conv2d("input", 6, same_window(3, 1)))
    x = builder.squeeze_excite(x, 4)
    x = builder.max_pool(x, same_window(3, 2))
    x = builder.concat(builder.conv2d(x, 5), builder.hard_swish(builder.conv2d(x, 3, same_window(3, 1))))
    x = builder.mul(x, builder.conv2d(x, 8))
    return builder.graph(builder.conv2d(x, 3))


def some_int16(graph: Graph, seed: int) -> frozenset[str]:
    """Half of the inner activations, others for each seed."""
    ends = {port.tensor for port in (*graph.inputs, *graph.outputs)}
    inner = [name for name, tensor in graph.tensors.items() if tensor.data is None and name not in ends]
    return frozenset(np.random.default_rng(seed).permutation(inner)[: len(inner) // 2].tolist())


def kinds(graph: Graph) -> set[tuple[str, ...]]:
    """Of each node its operator, and the types of what it reads and makes."""
    types = {name: tensor.dtype for name, tensor in graph.tensors.items() if tensor.data is None}
    return {
        (node.op, *(types[name] for name in (*node.inputs, *node.outputs) if name in types)) for node in graph.nodes
    }
