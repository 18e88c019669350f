"""Float Graph and the int8 Graph made from it -> what rounding costs, layer by layer."""

from __future__ import annotations

import numpy as np

from mbn2c.ir.graph import Graph
from mbn2c.ops import weighted_of
from mbn2c.ops.base.quants import quant_of, scale_of
from mbn2c.quantize.scheme import rounding_noise
from mbn2c.quantize.sensitivity import noise_gains


def weights_sqnr(graph: Graph, int8_graph: Graph) -> dict[str, float | None]:
    """Signal to noise ratio of each layer's weights in dB by node name; None where there is no error.

    Layers that were fitted trade this for a better output: their rounding errors are correlated on purpose.
    """
    found: dict[str, float | None] = {}
    for node in graph.nodes:
        operator = weighted_of(node)
        if operator is None:
            continue
        weights = graph.constant(node.inputs[1]).astype(np.float64)
        shape = [1] * weights.ndim
        shape[operator.channel_axis] = -1
        scale = quant_of(int8_graph, node.inputs[1]).scale.astype(np.float64).reshape(shape)
        noise = ((int8_graph.constant(node.inputs[1]) * scale - weights) ** 2).sum()
        signal = (weights**2).sum()
        found[node.name] = round(float(10 * np.log10(signal / noise)), 2) if noise > 0 and signal > 0 else None
    return found


def noise_shares(graph: Graph, int8_graph: Graph, images: np.ndarray) -> dict[str, float]:
    """`activation_shares` of each layer's output by node name; of the network's input by its tensor's."""
    producer = graph.producer
    shares = activation_shares(graph, int8_graph, images)
    return {producer[name].name if name in producer else name: share for name, share in shares.items()}


def activation_shares(graph: Graph, int8_graph: Graph, images: np.ndarray) -> dict[str, float]:
    """The share of rounding each activation in the noise that all activations cause at the network's outputs.

    images   float32 [N, H, W, C], as the network sees them
    """
    noise = activation_noise(graph, int8_graph, images)
    total = sum(noise.values())
    return {name: value / total if total > 0 else 0.0 for name, value in noise.items()}


def activation_noise(graph: Graph, int8_graph: Graph, images: np.ndarray) -> dict[str, float]:
    """What rounding each activation adds to the squared error of the outputs; arguments as of `activation_shares`."""
    return {
        name: rounding_noise(float(scale_of(quant_of(int8_graph, name)))) * float(gain.sum())
        for name, gain in noise_gains(graph, images).items()
    }
