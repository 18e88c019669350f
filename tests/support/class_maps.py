"""Networks that are one class map, whose rows leave as they are made."""

from __future__ import annotations

import numpy as np

from mbn2c.ir.check import check
from mbn2c.ir.graph import Graph, Node, Port, Quant, Tensor
from mbn2c.ops import OPERATORS
from mbn2c.ops.class_map import ClassMapAttributes

SCALE, ZERO_POINT = 0.125, 5


def class_map_network(shape: tuple[int, ...], attributes: ClassMapAttributes, *, by_rows: bool = True) -> Graph:
    shapes = {"input": shape, "class": (1, *attributes.size, 1)}
    quant = Quant(np.array([SCALE], np.float32), ZERO_POINT)
    tensors = {name: Tensor(name, one, "int8", quant=quant) for name, one in shapes.items()}
    ports = [Port(name, f"{name}_outside", one, (0, 1, 2, 3)) for name, one in shapes.items()]
    output = Port(*(getattr(ports[1], name) for name in ("tensor", "outside", "shape", "permutation")), by_rows=by_rows)
    node = Node("node", "class_map", ("input",), ("class",), attributes)
    return check(Graph("net", tensors, (node,), (ports[0],), (output,)), "quantized", OPERATORS)
