"""Operators on a whole batch in float32, fast enough to run every calibration image through every candidate.

The float side is what the model computes. The int8 side follows the integer reference, except that float32 sums
may round beyond 2^24: good for choosing weights, never for judging equality (`reference` and ONNX Runtime do that).
Batches are NHWC with N images.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from mbn2c.ir.graph import Graph, Node
from mbn2c.ops import operator_of
from mbn2c.ops.base.operator import clamped

# Input values handled at a time.
_PIECE = 1 << 19


def run_float(node: Node, graph: Graph, inputs: Sequence[np.ndarray]) -> np.ndarray:
    """One operator of a lowered float Graph; float32 batches in and out."""
    operator = operator_of(node)
    return _in_pieces(
        lambda *arrays: clamped(operator.run_float(node, graph, arrays), operator.activation(node)), inputs
    )


def run_int8(node: Node, graph: Graph, inputs: Sequence[np.ndarray]) -> np.ndarray:
    """One operator of an int8 Graph; int8 batches in and out."""
    return _in_pieces(lambda *arrays: operator_of(node).run_fast(node, graph, arrays), inputs)


def _in_pieces(run: Callable[..., np.ndarray], inputs: Sequence[np.ndarray]) -> np.ndarray:
    """Run some images at a time, so that intermediate results stay in the cache."""
    size = max(1, _PIECE // max(1, inputs[0][0].size))
    pieces = [run(*(array[at : at + size] for array in inputs)) for at in range(0, len(inputs[0]), size)]
    return np.concatenate(pieces)
