"""Float Graph -> float Graph that computes the same, with numbers per channel in the functions where the noise sits.

A function of each value, hard-swish above all, holds the channels of what it reads at their sizes: `equalize` cannot
scale them, and one int8 range has to hold the widest of them. On the first layers of a MobileNetV3 with real weights
they differ by a factor of 60, and nine tenths of all noise came from there. With inner, shift and outer,
y = outer[c] * f(inner[c] * x + shift[c]), they can be scaled on both sides; in int8 that is a table for each channel,
so it is done where it lowers the noise most, as long as the tables stay small.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from mbn2c.ir.graph import Graph, Node, Tensor
from mbn2c.ops import operator_of
from mbn2c.quantize.calibrate import Observed
from mbn2c.quantize.scheme import rounding_noise, step_of

_TABLE_BYTES = 256
# All tables of a network: 16 channels of the first layer at least, and so much per byte of weights.
_LEAST_BYTES, _PART_OF_WEIGHTS = 16 * 1024, 1 / 32
# A function whose tensors make less of the noise than this is left alone.
_SMALLEST_SHARE = 0.02


def per_channel_functions(graph: Graph, observed: Mapping[str, Observed], gains: Mapping[str, np.ndarray]) -> Graph:
    """Give the noisiest functions numbers per channel, all of them 1 and shifts of 0.

    observed  of `graph`, what matters of it
    gains     of `graph`, by `sensitivity.noise_gains`
    """
    chosen = {node.name for node in _chosen(graph, observed, gains)}
    nodes, tensors = [], dict(graph.tensors)
    for node in graph.nodes:
        if node.name in chosen:
            channels = graph.tensors[node.outputs[0]].shape[3]
            numbers = {"inner": np.ones, "shift": np.zeros, "outer": np.ones}
            made = {f"{node.name}.{word}": make(channels, np.float32) for word, make in numbers.items()}
            tensors |= {name: Tensor(name, data.shape, "float32", data) for name, data in made.items()}
            node = replace(node, inputs=(node.inputs[0], *made))
        nodes.append(node)
    return graph.rebuild(tensors=list(tensors.values()), nodes=nodes)


def _chosen(graph: Graph, observed: Mapping[str, Observed], gains: Mapping[str, np.ndarray]) -> list[Node]:
    """The noisiest first, while their tables are small."""
    noise = {name: _noise(observed[name], gain) for name, gain in gains.items()}
    left = sum(noise.values())
    functions = [node for node in graph.nodes if operator_of(node).is_function and len(node.inputs) == 1]
    of_function = {node.name: noise[node.inputs[0]] + noise[node.outputs[0]] for node in functions}
    parameters = sum(operator_of(node).parameters(node, graph) for node in graph.nodes)
    largest_bytes = max(_LEAST_BYTES, parameters * _PART_OF_WEIGHTS)
    chosen, used = [], 0
    for node in sorted(functions, key=lambda node: -of_function[node.name]):
        table_bytes = _TABLE_BYTES * graph.tensors[node.outputs[0]].shape[3]
        # Of what the functions chosen before leave, for they will make little noise.
        if of_function[node.name] >= _SMALLEST_SHARE * left and used + table_bytes <= largest_bytes:
            chosen.append(node)
            used += table_bytes
            left -= of_function[node.name]
    return chosen


def _noise(seen: Observed, gain: np.ndarray) -> float:
    """What rounding an activation to int8 costs at the outputs."""
    return rounding_noise(step_of(seen.low, seen.high)) * float(gain.sum())
