"""Operators whose output holds values of their input and no others: in int8 a copy, or a table where scales differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from mbn2c.ir.graph import Graph, Node, Quant
from mbn2c.ir.kernel import Packed, PixelStride
from mbn2c.numerics import INT8_MAX, INT8_MIN
from mbn2c.ops.base.levels import INT8_LEVELS, tabulated

Table = tuple[int, ...]


def copy_table(x: Quant, y: Quant) -> Table | None:
    """What each int8 value becomes, for -128 first; None where it stays itself."""
    table = tabulated(lambda real: real, x, y)
    return None if np.array_equal(table, INT8_LEVELS) else tuple(int(entry) for entry in table)


def looked_up(table: Sequence[int] | None, values: np.ndarray) -> np.ndarray:
    """int8 values through such a table."""
    return values if table is None else np.array(table, np.int8)[values.astype(np.int64) - INT8_MIN]


def is_table(table: Sequence[int] | None) -> bool:
    """Whether it maps int8 to int8, or there is none."""
    return table is None or (len(table) == 256 and all(INT8_MIN <= entry <= INT8_MAX for entry in table))


def packed_with_table(
    fields: Mapping[str, int | str | PixelStride], table: Table | None, arrays: Mapping[str, np.ndarray] | None = None
) -> Packed:
    """The constants of a kernel whose last field is such a table, 0 where there is none."""
    if table is None:
        return Packed({**fields, "table": 0}, arrays or {})
    return Packed({**fields, "table": "table"}, {**(arrays or {}), "table": np.array(table, np.int8)})


def tied_input(node: Node, graph: Graph, quants: Mapping[str, Quant]) -> Mapping[str, Quant]:
    """The output's quantization for an input that nobody else reads: it is rounded to the output's steps at once.

    Not for one that ends in a clamp, which its own range does, unless the output's range ends there, too.
    """
    x, y = node.inputs[0], quants[node.outputs[0]]
    if len(graph.consumers[x]) > 1 or x not in graph.producer or graph.is_output(x) or quants[x].bits != y.bits:
        return {}
    clamp = getattr(graph.producer[x].attributes, "activation", None)
    is_relu = clamp is not None and (clamp.low, clamp.high) == (0, np.inf)
    return {x: y} if clamp is None or (is_relu and y.zero_point == INT8_MIN) else {}
