"""The largest values that a network may hold and still be computed in float32, and the largest plan to search for."""

from __future__ import annotations

import numpy as np

from mbn2c.errors import ModelError
from mbn2c.ir.graph import Graph

# Trained weights stay below 1e4, folded batch norms below 1e7. Products of two larger ones leave float32's range.
LARGEST_WEIGHT = 1e12
# Sums of squares over a million values stay within float32.
LARGEST_ACTIVATION = 1e15
MAX_ELEMENTS = 1 << 27  # of one tensor; far above any microcontroller, far below what a damaged file may declare
# The search looks at every segment of layers row by row. At each bound it takes up to two minutes a core, 0.5 GB.
MAX_LAYERS = 500
MAX_ROWS = 1 << 16
_SMALLER = "mbn2c compiles image networks for small devices; MobileNetV2 has 65 layers"


def is_usable(data: np.ndarray, largest: float = LARGEST_WEIGHT) -> bool:
    """Whether every value is a number of at most this magnitude."""
    return bool(np.abs(data).max(initial=0.0) <= largest)


def refuse_long_graphs(graph: Graph) -> Graph:
    """Return `graph`, of any stage, if the passes can go over it again and again; each layer has up to three more nodes
    for its pads, batch norm and activation.

    raises  ModelError if it has too many nodes
    """
    if len(graph.nodes) > 4 * MAX_LAYERS:
        raise ModelError(
            f"the network has {len(graph.nodes):,} nodes, at most {4 * MAX_LAYERS:,} are supported",
            where=f"model '{graph.name}'",
            hint=_SMALLER,
        )
    return graph


def refuse_long_plans(graph: Graph) -> Graph:
    """Return `graph` if its plan can be searched for in minutes.

    raises  ModelError if it has too many layers, or too many rows in them
    """
    if len(graph.nodes) > MAX_LAYERS:
        raise ModelError(
            f"the network has {len(graph.nodes):,} layers, at most {MAX_LAYERS} are supported",
            where=f"model '{graph.name}'",
            hint=_SMALLER,
        )
    rows = sum(graph.tensors[name].shape[1] for node in graph.nodes for name in node.outputs)
    if rows > MAX_ROWS:
        raise ModelError(
            f"the layers have {rows:,} rows together, at most {MAX_ROWS:,} are supported",
            where=f"input '{graph.inputs[0].outside}'",
            hint="lay the long side of the input along its width, or make it smaller",
        )
    return graph
