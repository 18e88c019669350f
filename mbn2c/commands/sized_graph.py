"""Model -> an int8 Graph that takes what a build will take, without images: places, kernels and sizes are those."""

from __future__ import annotations

from collections.abc import Set
from pathlib import Path

from mbn2c.errors import ModelError
from mbn2c.frontend.prequantized.model import is_prequantized
from mbn2c.ir.graph import Graph
from mbn2c.network.lowered import import_lowered, import_prequantized_lowered
from mbn2c.quantize.calibrate import Range
from mbn2c.quantize.quantize import quantize
from mbn2c.tasks.registry import task_of_graph


def sized_model(path: Path) -> Graph:
    """Of an ONNX file. Raises Mbn2cError subclasses; see the exit codes in `errors`."""
    if is_prequantized(path):
        return import_prequantized_lowered(path).graph
    return sized(import_lowered(path))


def sized(graph: Graph, four_bits: Set[str] = frozenset(), shares_multipliers: bool = False) -> Graph:
    """Of a float Graph after all passes, with what its task puts behind it.

    four_bits  names of the layers whose weights have four bits
    shares_multipliers  whether all layers share few multipliers

    Sizes do not depend on the scales, so any range serves. The task is left out where it does not take them.
    """
    activations = [name for name, tensor in graph.tensors.items() if tensor.data is None]
    ranges = {name: Range(-1.0, 1.0) for name in activations}
    quantized = quantize(graph, ranges, four_bits=four_bits, shares_multipliers=shares_multipliers)
    try:
        return task_of_graph(quantized, {}).on_device(quantized)
    except ModelError:
        return quantized
