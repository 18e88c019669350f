"""resize2d: height and width enlarged or shrunk, to the nearest pixel or linearly between two and two.

input    x [1, H, W, C]
output   [1, *size, C]
source   ONNX operators Resize and Upsample. In int8, "nearest" copies; "linear" is a sum of four pixels with whole
         numbers as weights, requantized: spelt as products with two matrices, whose sums float32 holds exactly
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from mbn2c.ir.graph import Graph, Node, Quant, Tensor
from mbn2c.ir.kernel import Packed, Params, PixelStride, ScalarKernel, always
from mbn2c.ir.row_map import RowMap
from mbn2c.numerics import prove_scales
from mbn2c.ops.base.call import Importer, OnnxName
from mbn2c.ops.base.case import Case
from mbn2c.ops.base.copying import copy_table, is_table, looked_up, packed_with_table
from mbn2c.ops.base.moving import Tied
from mbn2c.ops.base.operator import OnnxOp
from mbn2c.ops.base.packing import INT8_ARRAY, INT32, INT32_ARRAY, integers, requantize_fields
from mbn2c.ops.base.prequantized.integer_sums import spell_matrix_sum
from mbn2c.ops.base.prequantized.values import PrequantizedImporter
from mbn2c.ops.base.quants import quant_of, scale_of
from mbn2c.ops.base.spelling import spell_dequantize, spell_quantize
from mbn2c.ops.base.weighted import prove_requantize, run_requantize
from mbn2c.ops.base.windows import Bounds, Shape
from mbn2c.ops.resize2d.attributes import LINEAR, NEAREST, Axis, Resize2dAttributes
from mbn2c.ops.resize2d.reading import onnx_imports, prequantized_imports

_PIXELS = (
    *integers("channels"),
    (INT32, "in_bytes", "from an input pixel to the next"),
    (INT32, "out_bytes", "from an output pixel to the next"),
)
NEAREST_PARAMS = Params(
    "mbn_resize_nearest_params",
    (
        *_PIXELS,
        (INT32_ARRAY, "columns", "that each output column is"),
        (INT8_ARRAY, "table", "what each value becomes, for -128 first; 0: it stays itself"),
    ),
)
LINEAR_PARAMS = Params(
    "mbn_resize_linear_params",
    (
        *_PIXELS,
        *integers("width", "row_parts", "column_parts"),
        (INT32_ARRAY, "rows", "for each output row the weight of the lower of its rows, in parts of row_parts"),
        (INT32_ARRAY, "columns", "for each output column the left of its columns, and the weight of the right one"),
        *integers("shift", "zero_point"),
        (INT32, "bias", "minus the input zero point, as often as the weights say"),
        (INT32, "multiplier", ""),
    ),
)


def _axes(node: Node, graph: Graph) -> tuple[Axis, Axis]:
    attributes, (_, height, width, _) = node.attributes, graph.tensors[node.inputs[0]].shape
    return attributes.axis(0, height), attributes.axis(1, width)


def _is_nearest(node: Node, graph: Graph) -> bool:
    return bool(node.attributes.mode == NEAREST)


def _pixel_fields(node: Node, graph: Graph) -> dict[str, int | str | PixelStride]:
    x, output = node.inputs[0], node.outputs[0]
    return {"channels": graph.tensors[x].shape[3], "in_bytes": PixelStride(x), "out_bytes": PixelStride(output)}


def _pack_nearest(node: Node, graph: Graph) -> Packed:
    table = node.attributes.table
    arrays = {"columns": np.array(_axes(node, graph)[1].nearest, np.int32)}
    return packed_with_table({**_pixel_fields(node, graph), "columns": "columns"}, table, arrays)


def _pack_linear(node: Node, graph: Graph) -> Packed:
    rows, columns = _axes(node, graph)
    parts = rows.parts * columns.parts
    arrays = {
        "rows": np.array([weight for _, weight in rows.weights], np.int32),
        "columns": np.array(columns.weights, np.int32).reshape(-1),
    }
    return Packed(
        {
            **_pixel_fields(node, graph),
            "width": columns.before,
            "row_parts": rows.parts,
            "column_parts": columns.parts,
            "rows": "rows",
            "columns": "columns",
            **requantize_fields(node, graph),
            "bias": -quant_of(graph, node.inputs[0]).zero_point * parts,
            "multiplier": int(node.attributes.requantize.multiplier[0]),
        },
        arrays,
    )


class Resize2d(Tied):
    """Height and width in another size."""

    name = "resize2d"
    in_words = "resize"
    attributes = Resize2dAttributes
    sums_channels = True

    def onnx_imports(self) -> Mapping[OnnxName, Importer]:
        return onnx_imports()

    def prequantized_imports(self) -> Mapping[OnnxName, PrequantizedImporter]:
        return prequantized_imports()

    def output_shape(self, node: Node, shapes: Sequence[Shape]) -> Shape | None:
        fits = len(shapes) == 1 and min(node.attributes.size) >= 1
        return (1, *node.attributes.size, shapes[0][3]) if fits else None

    def row_maps(self, node: Node, graph: Graph, number: int) -> tuple[RowMap, RowMap]:
        """A row is made of whole rows."""
        rows, columns = _axes(node, graph)
        return rows.row_map, RowMap(columns.before, 0)

    def needs(self, node: Node, graph: Graph, number: int, axis: int, position: int) -> tuple[int, ...]:
        rows, columns = _axes(node, graph)
        if axis:
            return tuple(range(columns.before))
        if node.attributes.mode == NEAREST:
            return (rows.nearest[position],)
        numerator, phase, denominator = rows.line
        upper = (position * numerator + phase) // denominator
        return min(max(upper, 0), rows.before - 1), min(max(upper + 1, 0), rows.before - 1)

    def is_channelwise(self, node: Node) -> bool:
        return True

    def check_attributes(self, node: Node, graph: Graph) -> str:
        attributes = node.attributes
        is_linear = attributes.mode == LINEAR
        is_known = is_linear or attributes.mode == NEAREST
        fits = is_known and is_table(attributes.table) and is_linear == (attributes.requantize is not None)
        return "" if fits else "it cannot be resized so"

    def cases(self) -> Mapping[str, Case]:
        def case(x: Shape, size: tuple[int, int], mode: str, *how: str) -> Case:
            named = dict(zip(("transform", "rounding"), how, strict=False))
            return Case((x,), Resize2dAttributes(size, mode, **named))  # type: ignore[arg-type]

        return {
            "nearest 2x": case((1, 3, 4, 5), (6, 8), NEAREST, "asymmetric", "floor"),
            "nearest, half pixels": case((1, 5, 4, 3), (7, 6), NEAREST, "half_pixel", "round_prefer_floor"),
            "nearest, corners": case((1, 4, 5, 2), (6, 9), NEAREST, "align_corners", "round_prefer_ceil"),
            "nearest, shrunk": case((1, 8, 9, 4), (3, 4), NEAREST, "asymmetric", "ceil"),
            "linear 2x": case((1, 3, 4, 5), (6, 8), LINEAR),
            "linear, corners": case((1, 3, 5, 4), (9, 13), LINEAR, "align_corners"),
            "linear 3x5, asymmetric": case((1, 3, 2, 3), (9, 10), LINEAR, "asymmetric"),
            "linear, odd factors": case((1, 5, 7, 3), (7, 10), LINEAR),
            "linear, shrunk": case((1, 9, 8, 3), (4, 5), LINEAR),
            "linear of a pixel": case((1, 1, 1, 4), (3, 2), LINEAR),
            "linear, rows only": case((1, 3, 4, 2), (6, 4), LINEAR),
            "linear to a row": case((1, 4, 4, 2), (1, 8), LINEAR, "pytorch_half_pixel"),
        }

    # --- float32 ---

    def _matrices(self, node: Node, graph: Graph) -> tuple[np.ndarray, np.ndarray]:
        """What each output row, and column, is made of: float64 [after, before]."""

        def matrix(axis: Axis) -> np.ndarray:
            if node.attributes.mode == NEAREST:
                return np.eye(axis.before)[axis.nearest]
            found = np.zeros((axis.after, axis.before))
            for y, place in enumerate(axis.places):
                lower = int(place)
                found[y, lower] += float(1 - (place - lower))
                found[y, min(lower + 1, axis.before - 1)] += float(place - lower)
            return found

        rows, columns = _axes(node, graph)
        return matrix(rows), matrix(columns)

    def run_float(self, node: Node, graph: Graph, inputs: Sequence[np.ndarray]) -> np.ndarray:
        rows, columns = (matrix.astype(inputs[0].dtype) for matrix in self._matrices(node, graph))
        return np.ascontiguousarray(np.einsum("yh,nhwc,xw->nyxc", rows, inputs[0], columns, optimize=True))

    def gradient(
        self, node: Node, graph: Graph, inputs: Sequence[np.ndarray], gradient: np.ndarray
    ) -> Sequence[np.ndarray]:
        rows, columns = (matrix.astype(np.float32) for matrix in self._matrices(node, graph))
        return [np.ascontiguousarray(np.einsum("yh,nyxc,xw->nhwc", rows, gradient, columns, optimize=True))]

    def bounds(self, node: Node, graph: Graph, inputs: Sequence[Bounds]) -> Bounds:
        return inputs[0]

    def spell_float(self, node: Node, graph: Graph) -> list[OnnxOp]:
        return [self._spelled(node, graph, node.inputs[0], node.outputs[0])]

    def _spelled(self, node: Node, graph: Graph, x: str, output: str) -> OnnxOp:
        attributes = {"mode": node.attributes.mode, "coordinate_transformation_mode": node.attributes.transform}
        if node.attributes.mode == NEAREST:
            attributes["nearest_mode"] = node.attributes.rounding
        channels = graph.tensors[node.inputs[0]].shape[3]
        sizes = {f"{output}__sizes": np.array((1, channels, *node.attributes.size), np.int64)}
        return OnnxOp("Resize", (x, "", "", *sizes), (output,), attributes, sizes)

    def other_spellings(self, node: Node, graph: Graph) -> Mapping[str, list[OnnxOp]]:
        spelled = self._spelled(node, graph, node.inputs[0], node.outputs[0])
        _, height, width, _ = graph.tensors[node.inputs[0]].shape
        scales = np.array((1, 1, node.attributes.size[0] / height, node.attributes.size[1] / width), np.float32)
        if not np.array_equal(scales, np.rint(scales)):
            return {}
        by_scales = {f"{node.outputs[0]}__scales": scales}
        inputs = (node.inputs[0], "", *by_scales)
        return {"scales": [OnnxOp("Resize", inputs, node.outputs, spelled.attributes, by_scales)]}

    # --- int8 ---

    def quantize(self, node: Node, graph: Graph, quants: Mapping[str, Quant]) -> tuple[Node, list[Tensor]]:
        x, y = quants[node.inputs[0]], quants[node.outputs[0]]
        if node.attributes.mode == NEAREST:
            return replace(node, attributes=replace(node.attributes, table=copy_table(x, y))), []
        parts = np.prod([axis.parts for axis in _axes(node, graph)])
        bound = np.array([255 * parts])
        proved = prove_scales(scale_of(x), np.array([1 / parts]), scale_of(y), y.zero_point, bound)
        requantize = prove_requantize(proved.scale, proved.multiplier, proved.shift, y.zero_point, bound, node.name)
        return replace(node, attributes=replace(node.attributes, requantize=requantize)), []

    def run(self, node: Node, graph: Graph, inputs: Sequence[np.ndarray]) -> np.ndarray:
        rows, columns = _axes(node, graph)
        if node.attributes.mode == NEAREST:
            return looked_up(node.attributes.table, inputs[0][:, rows.nearest][:, :, columns.nearest])
        return self._blended(node, graph, inputs[0], rows.matrix, columns.matrix)

    def _blended(self, node: Node, graph: Graph, x: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        centred = x.astype(np.int64) - quant_of(graph, node.inputs[0]).zero_point
        sums = np.einsum("yh,nhwc,xw->nyxc", rows, centred, columns, optimize=True)
        return run_requantize(node.attributes.requantize, sums, quant_of(graph, node.outputs[0]))

    def run_row(self, node: Node, graph: Graph, windows: Sequence[np.ndarray], y: int, x: int) -> np.ndarray:
        rows, columns = _axes(node, graph)
        if node.attributes.mode == NEAREST:
            return looked_up(node.attributes.table, windows[0][0, 0, columns.nearest])
        weight = rows.weights[y][1]
        two = np.array([[rows.parts - weight, weight]])
        return self._blended(node, graph, windows[0], two, columns.matrix)[0, 0]

    def spell_int8(self, node: Node, graph: Graph) -> list[OnnxOp]:
        x, output = node.inputs[0], node.outputs[0]
        if node.attributes.mode == LINEAR:
            rows, columns = (axis.matrix for axis in _axes(node, graph))
            return spell_matrix_sum(graph, x, output, rows, columns, node.attributes.requantize.scale[0])
        if node.attributes.table is None:
            return [self._spelled(node, graph, x, output)]
        read, real = spell_dequantize(graph, x, node.name)
        resized = self._spelled(node, graph, real, f"{output}__real")
        return [read, resized, spell_quantize(f"{output}__real", output, quant_of(graph, output))]

    def scalar_kernels(self) -> tuple[ScalarKernel, ...]:
        nearest = ScalarKernel("resize2d_nearest", NEAREST_PARAMS, _pack_nearest, _is_nearest)
        linear = ScalarKernel("resize2d_linear", LINEAR_PARAMS, _pack_linear, wants_place=True)
        return tuple(replace(kernel, reads_slices=always, writes_slices=True) for kernel in (nearest, linear))
