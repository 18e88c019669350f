"""A Graph, float or int8 -> a function that runs it in ONNX Runtime and gives real numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from mbn2c.frontend.export import onnx_names, to_onnx_float, to_onnx_int8, with_outputs
from mbn2c.frontend.runtime import Oracle
from mbn2c.ir.graph import Graph
from mbn2c.ops.base.quants import quant_of, scale_of
from mbn2c.quantize.calibrate import RunFloat


def runner(graph: Graph, tensors: Sequence[str]) -> RunFloat:
    """Runs a Graph, float or int8, in ONNX Runtime: one input -> real values of some activations, [1, C, H, W]."""
    names = onnx_names(graph)
    wanted = [names[tensor] for tensor in tensors]
    is_int8 = graph.tensors[graph.inputs[0].tensor].quant is not None
    oracle = Oracle(with_outputs(to_onnx_int8(graph) if is_int8 else to_onnx_float(graph), wanted))
    outside = graph.inputs[0].outside

    def run(values: np.ndarray) -> Mapping[str, np.ndarray]:
        results = oracle.run({outside: values}, wanted)
        found = {tensor: results[names[tensor]] for tensor in tensors}
        if not is_int8:
            return found
        quants = {tensor: quant_of(graph, tensor) for tensor in tensors}
        return {
            tensor: (value.astype(np.float32) - quants[tensor].zero_point) * scale_of(quants[tensor])
            for tensor, value in found.items()
        }

    return run
