"""int8 Graph and int8 input -> every int8 tensor, in exact integers."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from mbn2c.ir.graph import Graph
from mbn2c.ops import OPERATORS


def run_graph(graph: Graph, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Run the int8 Graph.

    inputs   int8 NHWC by tensor name
    returns  int8 NHWC of every activation by tensor name
    """
    values = dict(inputs)
    for node in graph.nodes:
        operator = OPERATORS[node.op]
        arguments = [values[name] for name in operator.activations(node, graph)]
        values[node.outputs[0]] = operator.run(node, graph, arguments)
    return values
