"""class_map: the class of each pixel, of its channels' values, which may lie at a lower resolution.

input    x int8 [1, H, W, C], of at most 256 channels
output   [1, *size, 1]: a byte without a sign, the number of the channel with the largest value, of the first one where
         several are as large; of one channel 1 where the value reaches a threshold, else 0
source   ONNX operators Resize (linear) and ArgMax over channels; it stands behind the exported model, where a task
         puts it. Values between pixels are exact: sums of four pixels with whole numbers as weights, never rounded
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mbn2c.ir.graph import Graph, Node
from mbn2c.ir.kernel import Packed, Params, ScalarKernel
from mbn2c.ir.row_map import RowMap
from mbn2c.ops.base.operator import QUANTIZED, Operator
from mbn2c.ops.base.packing import INT32, INT32_ARRAY, integers
from mbn2c.ops.base.windows import Shape
from mbn2c.ops.resize2d import Resize2d
from mbn2c.ops.resize2d.attributes import LINEAR, TRANSFORMS, Axis, Resize2dAttributes

MOST_CHANNELS = 256
# Sums of four pixels stay within int32.
_MOST_PARTS = 2**24

ARGMAX_PARAMS = Params("mbn_argmax_params", (*integers("channels"),))
THRESHOLD_PARAMS = Params("mbn_threshold_params", (*integers("threshold"),))
CLASS_MAP_PARAMS = Params(
    "mbn_class_map_params",
    (
        *integers("channels", "width", "row_parts", "column_parts"),
        (INT32, "threshold", "of one channel, in parts of row_parts * column_parts"),
        (INT32_ARRAY, "rows", "for each output row the weight of the lower of its rows, in parts of row_parts"),
        (INT32_ARRAY, "columns", "for each output column the left of its columns, and the weight of the right one"),
    ),
)


@dataclass(frozen=True)
class ClassMapAttributes:
    """class_map, input (x).

    size       (height, width) of the output
    transform  ONNX's coordinate_transformation_mode, where that is another size than the input's
    threshold  of one channel: the least int8 value of class 1, whole or not
    """

    size: tuple[int, int]
    transform: str = "half_pixel"
    threshold: float = 0.0

    @property
    def resize(self) -> Resize2dAttributes:
        """What lies in front of the choice."""
        return Resize2dAttributes(self.size, LINEAR, self.transform)


class ClassMap(Operator):
    """The class of each pixel."""

    name = "class_map"
    stages = frozenset((QUANTIZED,))
    attributes = ClassMapAttributes
    is_postprocessing = True

    def output_shape(self, node: Node, shapes: Sequence[Shape]) -> Shape | None:
        fits = len(shapes) == 1 and min(node.attributes.size) >= 1 and shapes[0][3] <= MOST_CHANNELS
        return (1, *node.attributes.size, 1) if fits else None

    def check_attributes(self, node: Node, graph: Graph) -> str:
        a: ClassMapAttributes = node.attributes
        if a.transform not in TRANSFORMS or abs(a.threshold) > 2**10:
            return f"the transform {a.transform} and the threshold {a.threshold}"
        return ""

    def row_maps(self, node: Node, graph: Graph, number: int) -> tuple[RowMap, RowMap]:
        """As those of the resize, if there is one."""
        return _resize.row_maps(_as_resize(node), graph, number) if _is_resized(node, graph) else (RowMap(), RowMap())

    def needs(self, node: Node, graph: Graph, number: int, axis: int, position: int) -> tuple[int, ...]:
        if not _is_resized(node, graph):
            return (position,)
        return _resize.needs(_as_resize(node), graph, number, axis, position)

    def scalar_kernels(self) -> tuple[ScalarKernel, ...]:
        return (
            ScalarKernel(
                "class_map", CLASS_MAP_PARAMS, _pack, _is_resized, scratch_bytes=_scratch_bytes, wants_place=True
            ),
            ScalarKernel("threshold", THRESHOLD_PARAMS, _pack_threshold, _is_one_channel),
            ScalarKernel("argmax", ARGMAX_PARAMS, _pack_argmax),
        )

    def run(self, node: Node, graph: Graph, inputs: Sequence[np.ndarray]) -> np.ndarray:
        if not _is_resized(node, graph):
            return _chosen(node, inputs[0].astype(np.int64), 1)
        rows, columns = _axes(node, graph)
        return _blended(node, inputs[0], rows.matrix, columns.matrix, rows.parts * columns.parts)

    def run_row(self, node: Node, graph: Graph, windows: Sequence[np.ndarray], y: int, x: int) -> np.ndarray:
        if not _is_resized(node, graph):
            return _chosen(node, windows[0].astype(np.int64), 1)[0, 0]
        rows, columns = _axes(node, graph)
        weight = rows.weights[y][1]
        two = np.array([[rows.parts - weight, weight]])
        return _blended(node, windows[0], two, columns.matrix, rows.parts * columns.parts)[0, 0]


_resize = Resize2d()


def _as_resize(node: Node) -> Node:
    return Node(node.name, _resize.name, node.inputs, node.outputs, node.attributes.resize)


def _is_resized(node: Node, graph: Graph) -> bool:
    return bool(graph.tensors[node.inputs[0]].shape[1:3] != node.attributes.size)


def _is_one_channel(node: Node, graph: Graph) -> bool:
    return graph.tensors[node.inputs[0]].shape[3] == 1


def _axes(node: Node, graph: Graph) -> tuple[Axis, Axis]:
    resize, (_, height, width, _) = node.attributes.resize, graph.tensors[node.inputs[0]].shape
    return resize.axis(0, height), resize.axis(1, width)


def _blended(node: Node, x: np.ndarray, rows: np.ndarray, columns: np.ndarray, parts: int) -> np.ndarray:
    sums = np.einsum("yh,nhwc,xw->nyxc", rows, x.astype(np.int64), columns, optimize=True)
    return _chosen(node, sums, parts)


def _chosen(node: Node, sums: np.ndarray, parts: int) -> np.ndarray:
    """int64 [1, H, W, C], so many parts to a value -> int8 [1, H, W, 1]."""
    if sums.shape[3] == 1:
        return (sums >= _threshold(node, parts)).astype(np.int8)
    return sums.argmax(axis=3, keepdims=True).astype(np.uint8).view(np.int8)


def _threshold(node: Node, parts: int) -> int:
    """The least sum of class 1."""
    return int(np.ceil(node.attributes.threshold * parts))


def _scratch_bytes(node: Node, graph: Graph) -> int:
    """The values of a column of the input, and of the one right of it, between two rows; and which may be largest."""
    return 3 * 4 * graph.tensors[node.inputs[0]].shape[3]


def _pack(node: Node, graph: Graph) -> Packed:
    rows, columns = _axes(node, graph)
    parts = rows.parts * columns.parts
    assert parts <= _MOST_PARTS
    arrays = {
        "rows": np.array([weight for _, weight in rows.weights], np.int32),
        "columns": np.array(columns.weights, np.int32).reshape(-1),
    }
    return Packed(
        {
            "channels": graph.tensors[node.inputs[0]].shape[3],
            "width": columns.before,
            "row_parts": rows.parts,
            "column_parts": columns.parts,
            "threshold": _threshold(node, parts),
            "rows": "rows",
            "columns": "columns",
        },
        arrays,
    )


def _pack_threshold(node: Node, graph: Graph) -> Packed:
    return Packed({"threshold": _threshold(node, 1)}, {})


def _pack_argmax(node: Node, graph: Graph) -> Packed:
    return Packed({"channels": graph.tensors[node.inputs[0]].shape[3]}, {})
