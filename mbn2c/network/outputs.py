"""Graph and bytes -> what the outputs say: a spec of each, and their real values in NHWC order."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from mbn2c.ir.graph import Graph
from mbn2c.ops.base.operator import quant_of, scale_of
from mbn2c.tasks.classification.outputs import OutputSpec, read_outputs


def output_specs(graph: Graph, kinds: Mapping[str, str], class_names: int = 0) -> tuple[OutputSpec, ...]:
    """One for each output Port.

    kinds        by name: what the user says of an output
    class_names  how many are given; 0: none
    raises       UsageError if what is said does not fit
    """
    ports = [(port.outside, port.shape, port.permutation) for port in graph.outputs]
    return read_outputs(ports, [port.tail for port in graph.outputs], kinds, class_names)


def split_outputs(graph: Graph, found: bytes) -> list[np.ndarray]:
    """What a device returns for an image, its outputs one after the other -> int8 [1, H, W, C] each."""
    outputs, offset = [], 0
    for port in graph.outputs:
        shape = graph.tensors[port.tensor].shape
        outputs.append(np.frombuffer(found, np.int8, int(np.prod(shape)), offset).reshape(shape))
        offset += outputs[-1].size
    return outputs


def real_values(graph: Graph, number: int, codes: np.ndarray) -> np.ndarray:
    """int8 values of an output by its number -> float64."""
    quant = quant_of(graph, graph.outputs[number].tensor)
    return np.asarray((codes.astype(np.float64) - quant.zero_point) * float(scale_of(quant)))
