"""Every example of an operator that takes int16, between int8 and int16 tensors in every mixture."""

from __future__ import annotations

from collections.abc import Iterator

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
    """All subsets but the empty one."""
    for mask in range(1, 2 ** len(names)):
        yield frozenset(name for bit, name in enumerate(names) if mask >> bit & 1)


def int16_networks() -> dict[str, Graph]:
    """The quantized networks by words; in each, convolutions make what the case reads, and read what it makes."""
    graphs = {}
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
            graphs[f"{name}, {words}"] = quantize(graph, ranges, int16)
    return graphs


def small_network() -> Graph:
    """Every operator that takes int16, in float32: what MobileNetV2 is made of, and a pool of two by two."""
    builder = Builder((16, 13, 3), 5, "int16")
    x = builder.conv2d("input", 8, same_window(3, 2), RELU6)
    x = builder.inverted_residual(x, 8, 1, same_window(3, 1))
    x = builder.average_pool(x, Window((2, 2), (1, 1)))
    x = builder.inverted_residual(x, 12, 4, same_window(3, 2))
    x = builder.inverted_residual(x, 12, 6, same_window(5, 1))
    x = builder.conv2d(x, 32, activation=RELU6)
    x = builder.fully_connected(builder.average_pool(x), 9)
    return builder.graph(builder.fully_connected(x, 5))


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
