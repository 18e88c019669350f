"""Operators that only tests have: a concatenation, a slice of channels, nearest upsampling, a sum with a vector.

Each is what a detector or a segmenter will need of the geometry, with the least arithmetic there is. They stand in
OPERATORS as long as `toys` lasts, so that planner, judges and emitter meet them as they meet any other.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from mbn2c.emit.network import model
from mbn2c.ir.graph import Graph, Node, Quant, Tensor
from mbn2c.ir.kernel import Kernel, Packed, Params, PixelStride, ScalarKernel, always
from mbn2c.ir.row_map import RowMap
from mbn2c.kernels import TABLES
from mbn2c.kernels.scalar import table
from mbn2c.ops import OPERATORS
from mbn2c.ops.base.operator import ChannelSlice, Operator
from mbn2c.ops.base.packing import integers
from mbn2c.ops.base.windows import Shape
from mbn2c.resources.render import plain_text


@dataclass(frozen=True)
class ToyAttributes:
    """factor: of an upsampling, rows and columns; first, count: channels of a slice."""

    factor: tuple[int, int] = (1, 1)
    first: int = 0
    count: int = 0


PARAMS = ("channels", "in_bytes", "in1_bytes", "in2_bytes", "out_bytes", "first", "second")


class Toy(Operator):
    """Its kernel finds pixels anywhere: bytes from one to the next are the Plan's to say."""

    attributes = ToyAttributes
    wants_place = False

    def scalar_kernels(self) -> tuple[ScalarKernel, ...]:
        params = Params(f"mbn_{self.name}_params", integers(*PARAMS))
        one = ScalarKernel(
            self.name, params, self.pack, reads_slices=always, writes_slices=True, wants_place=self.wants_place
        )
        return (one,)

    def pack(self, node: Node, graph: Graph) -> Packed:
        names = [node.inputs[min(n, len(node.inputs) - 1)] for n in range(3)]
        strides = [PixelStride(name) for name in (*names, node.outputs[0])]
        values = (graph.tensors[node.outputs[0]].shape[3], *strides, *self.numbers(node, graph))
        return Packed(dict(zip(PARAMS, values, strict=True)))

    def numbers(self, node: Node, graph: Graph) -> tuple[int, int]:
        """What else its kernel is told."""
        return 0, 0

    def quantize(self, node: Node, graph: Graph, quants: Mapping[str, Quant]) -> tuple[Node, list[Tensor]]:
        return node, []


class Concat(Toy):
    name = "toy_concat"

    def output_shape(self, node: Node, shapes: Sequence[Shape]) -> Shape | None:
        return (*shapes[0][:3], sum(shape[3] for shape in shapes))

    def slices(self, node: Node, graph: Graph) -> tuple[ChannelSlice, ...]:
        counts = [graph.tensors[name].shape[3] for name in node.inputs]
        return tuple(ChannelSlice(n, 0, count, sum(counts[:n])) for n, count in enumerate(counts))

    def numbers(self, node: Node, graph: Graph) -> tuple[int, int]:
        first, second = (graph.tensors[name].shape[3] for name in node.inputs[:2])
        return first, first + second

    def run(self, node: Node, graph: Graph, inputs: Sequence[np.ndarray]) -> np.ndarray:
        return np.concatenate(inputs, axis=3)


class Slice(Toy):
    name = "toy_slice"

    def output_shape(self, node: Node, shapes: Sequence[Shape]) -> Shape | None:
        return (*shapes[0][:3], node.attributes.count)

    def slices(self, node: Node, graph: Graph) -> tuple[ChannelSlice, ...]:
        return (ChannelSlice(0, node.attributes.first, node.attributes.count, 0),)

    def numbers(self, node: Node, graph: Graph) -> tuple[int, int]:
        return node.attributes.first, 0

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

    def numbers(self, node: Node, graph: Graph) -> tuple[int, int]:
        return node.attributes.factor[1], 0

    def run(self, node: Node, graph: Graph, inputs: Sequence[np.ndarray]) -> np.ndarray:
        return inputs[0].repeat(node.attributes.factor[0], axis=1).repeat(node.attributes.factor[1], axis=2)

    def run_row(self, node: Node, graph: Graph, windows: Sequence[np.ndarray], y: int, x: int) -> np.ndarray:
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


class Blend(Toy):
    """Twice as many rows, each of two neighbours as half_pixel has them, with the nearest beyond the border."""

    name = "toy_blend"

    def output_shape(self, node: Node, shapes: Sequence[Shape]) -> Shape | None:
        _, height, width, channels = shapes[0]
        return (1, 2 * height, width, channels)

    def row_maps(self, node: Node, graph: Graph, number: int) -> tuple[RowMap, RowMap]:
        height = graph.tensors[node.inputs[0]].shape[1]
        return RowMap(2, 1, 2, -1, lowest=0, highest=height - 1), RowMap()

    def needs(self, node: Node, graph: Graph, number: int, axis: int, position: int) -> tuple[int, ...]:
        height = graph.tensors[node.inputs[0]].shape[1]
        if axis:
            return (position,)
        above = (position + 1) // 2 - 1
        return max(above, 0), min(above + 1, height - 1)

    def run(self, node: Node, graph: Graph, inputs: Sequence[np.ndarray]) -> np.ndarray:
        rows = [self.needs(node, graph, 0, 0, y) for y in range(2 * inputs[0].shape[1])]
        above, below = (inputs[0][:, [pair[k] for pair in rows]] for k in (0, 1))
        return above ^ ~(below ^ -128)

    def run_row(self, node: Node, graph: Graph, windows: Sequence[np.ndarray], y: int, x: int) -> np.ndarray:
        above, below = windows[0][0]
        return above ^ ~(below ^ -128)


class Row(Toy):
    """Pixel ^ number of the row ^ number of the column: its kernel is told which it makes."""

    name = "toy_row"
    wants_place = True

    def output_shape(self, node: Node, shapes: Sequence[Shape]) -> Shape | None:
        return shapes[0]

    def run(self, node: Node, graph: Graph, inputs: Sequence[np.ndarray]) -> np.ndarray:
        rows, columns = (np.arange(extent, dtype=np.int8) for extent in inputs[0].shape[1:3])
        return inputs[0] ^ rows[None, :, None, None] ^ columns[None, None, :, None]

    def run_row(self, node: Node, graph: Graph, windows: Sequence[np.ndarray], y: int, x: int) -> np.ndarray:
        columns = np.arange(x, x + windows[0].shape[2], dtype=np.int8)
        return windows[0][0, 0] ^ np.int8(y) ^ columns[:, None]


TOYS: dict[str, Operator] = {toy.name: toy for toy in (Concat(), Slice(), Upsample(), AddVector(), Blend(), Row())}


def _text_of(path: str) -> str:
    """The C of a toy's kernel, or of any other."""
    file = Path(__file__).parent / "toys" / Path(path).name
    return file.read_text() if file.is_file() else plain_text(path)


@contextmanager
def toys() -> Iterator[None]:
    """With these operators among the others, a row of the scalar table for each, and their C."""
    rows, read = TABLES["scalar"], model.plain_text
    OPERATORS.update(TOYS)
    TABLES["scalar"] = table.KERNELS = (
        *rows,
        *(table.row_of(name, kernel) for name, toy in TOYS.items() for kernel in toy.scalar_kernels()),
    )
    model.plain_text = _text_of
    try:
        yield
    finally:
        TABLES["scalar"] = table.KERNELS = rows
        model.plain_text = read
        for name in TOYS:
            del OPERATORS[name]


def anywhere(kernels: Mapping[str, Kernel]) -> dict[str, Kernel]:
    """The kernels as if each could find its pixels anywhere: so that judges see views that C has no kernel for yet."""
    return {name: replace(kernel, reads_slices=always, writes_slices=True) for name, kernel in kernels.items()}
