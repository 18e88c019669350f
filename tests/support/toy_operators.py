"""Operators that only tests have: a concatenation, a slice of channels, nearest upsampling, a sum with a vector.

Each is what a detector or a segmenter will need of the geometry, with the least arithmetic there is. They stand in
OPERATORS as long as `toys` lasts, so that planner, judges and emitter meet them as they meet any other.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np

from mbn2c.ir.graph import Graph, Node, Quant, Tensor
from mbn2c.ir.kernel import Kernel, Packed
from mbn2c.ir.row_map import RowMap
from mbn2c.kernels import TABLES
from mbn2c.kernels.scalar.table import RATES
from mbn2c.ops import OPERATORS
from mbn2c.ops.base.operator import ChannelSlice, Operator, Shape


@dataclass(frozen=True)
class ToyAttributes:
    """factor: of an upsampling, rows and columns; first, count: channels of a slice."""

    factor: tuple[int, int] = (1, 1)
    first: int = 0
    count: int = 0


class Toy(Operator):
    attributes = ToyAttributes

    def quantize(self, node: Node, graph: Graph, quants: Mapping[str, Quant]) -> tuple[Node, list[Tensor]]:
        return node, []


class Concat(Toy):
    name = "toy_concat"

    def output_shape(self, node: Node, shapes: Sequence[Shape]) -> Shape | None:
        return (*shapes[0][:3], sum(shape[3] for shape in shapes))

    def slices(self, node: Node, graph: Graph) -> tuple[ChannelSlice, ...]:
        counts = [graph.tensors[name].shape[3] for name in node.inputs]
        return tuple(ChannelSlice(n, 0, count, sum(counts[:n])) for n, count in enumerate(counts))

    def run(self, node: Node, graph: Graph, inputs: Sequence[np.ndarray]) -> np.ndarray:
        return np.concatenate(inputs, axis=3)


class Slice(Toy):
    name = "toy_slice"

    def output_shape(self, node: Node, shapes: Sequence[Shape]) -> Shape | None:
        return (*shapes[0][:3], node.attributes.count)

    def slices(self, node: Node, graph: Graph) -> tuple[ChannelSlice, ...]:
        return (ChannelSlice(0, node.attributes.first, node.attributes.count, 0),)

    def run(self, node: Node, graph: Graph, inputs: Sequence[np.ndarray]) -> np.ndarray:
        return inputs[0][..., node.attributes.first : node.attributes.first + node.attributes.count]


class Upsample(Toy):
    """Pixel (y, x) is pixel (y // factor, x // factor) of the input; its kernel wants whole rows."""

    name = "toy_upsample"

    def output_shape(self, node: Node, shapes: Sequence[Shape]) -> Shape | None:
        _, height, width, channels = shapes[0]
        return (1, height * node.attributes.factor[0], width * node.attributes.factor[1], channels)

    def row_maps(self, node: Node, graph: Graph, number: int) -> tuple[RowMap, RowMap]:
        width = graph.tensors[node.inputs[0]].shape[2]
        return RowMap(1, 1, node.attributes.factor[0]), RowMap(width, 0)

    def needs(self, node: Node, graph: Graph, number: int, axis: int, position: int) -> tuple[int, ...]:
        width = graph.tensors[node.inputs[0]].shape[2]
        return tuple(range(width)) if axis else (position // node.attributes.factor[0],)

    def run(self, node: Node, graph: Graph, inputs: Sequence[np.ndarray]) -> np.ndarray:
        return inputs[0].repeat(node.attributes.factor[0], axis=1).repeat(node.attributes.factor[1], axis=2)

    def run_row(self, node: Node, graph: Graph, windows: Sequence[np.ndarray], y: int) -> np.ndarray:
        return windows[0][0, 0].repeat(node.attributes.factor[1], axis=0)


class AddVector(Toy):
    """a [1, H, W, C] ^ b [1, 1, 1, C], bit by bit: every row of a needs the one row of b."""

    name = "toy_vector"

    def output_shape(self, node: Node, shapes: Sequence[Shape]) -> Shape | None:
        return shapes[0]

    def row_maps(self, node: Node, graph: Graph, number: int) -> tuple[RowMap, RowMap]:
        one = RowMap(1, 0) if number else RowMap()
        return one, one

    def needs(self, node: Node, graph: Graph, number: int, axis: int, position: int) -> tuple[int, ...]:
        return (0,) if number else (position,)

    def run(self, node: Node, graph: Graph, inputs: Sequence[np.ndarray]) -> np.ndarray:
        return inputs[0] ^ inputs[1]


TOYS: dict[str, Operator] = {toy.name: toy for toy in (Concat(), Slice(), Upsample(), AddVector())}


def _row(name: str) -> Kernel:
    return Kernel(
        name,
        "scalar",
        f"mbn_{name}_scalar",
        f"mbn_{name}_params",
        f"scalar/{name}.c",
        lambda node, graph: Packed({}),
        RATES,
        reads_slices=True,
        writes_slices=True,
    )


@contextmanager
def toys() -> Iterator[None]:
    """With these operators among the others, and a row of the scalar table for each."""
    rows = TABLES["scalar"]
    OPERATORS.update(TOYS)
    TABLES["scalar"] = (*rows, *map(_row, TOYS))
    try:
        yield
    finally:
        TABLES["scalar"] = rows
        for name in TOYS:
            del OPERATORS[name]


def anywhere(kernels: Mapping[str, Kernel]) -> dict[str, Kernel]:
    """The kernels as if each could find its pixels anywhere: so that judges see views that C has no kernel for yet."""
    return {name: replace(kernel, reads_slices=True, writes_slices=True) for name, kernel in kernels.items()}
