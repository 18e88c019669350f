"""depth_to_space: the channels of a pixel become a block of pixels with fewer channels; the border may be cropped.

input    x [1, H, W, C * pixels of the block]
output   [1, H * rows of the block - top - bottom, W * columns of the block - left - right, C]
source   ONNX operator DepthToSpace, also spelt as Reshape, Transpose, Reshape, and a Slice over height and width behind
         it. ConvTranspose is a convolution that
         makes all pixels of a block as channels, and this
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from mbn2c.ir.axes import Value
from mbn2c.ir.graph import Graph, Node
from mbn2c.ir.kernel import Packed, Params, PixelStride, ScalarKernel, always
from mbn2c.ir.row_map import RowMap
from mbn2c.ops.base.call import Importer, OnnxCall, OnnxName
from mbn2c.ops.base.case import Case
from mbn2c.ops.base.copying import looked_up, packed_with_table
from mbn2c.ops.base.moving import Moving
from mbn2c.ops.base.operator import OnnxOp
from mbn2c.ops.base.packing import INT8_ARRAY, INT32, integers
from mbn2c.ops.base.prequantized.values import PrequantizedImporter
from mbn2c.ops.base.windows import Bounds, Shape
from mbn2c.ops.crop2d import Crop2dAttributes, spell_crop
from mbn2c.ops.depth_to_space.attributes import DepthToSpaceAttributes
from mbn2c.ops.depth_to_space.reading import import_blocks, onnx_imports, prequantized_imports

PARAMS = Params(
    "mbn_depth_to_space_params",
    (
        (INT32, "channels", "of the output"),
        (INT32, "in_bytes", "from an input pixel to the next"),
        (INT32, "out_bytes", "from an output pixel to the next"),
        *integers("block_height", "block_width", "top", "left"),
        (INT32, "part_step", "from the first channel of a pixel of the block to that of the next one"),
        (INT32, "channel_step", "from a channel to the next one of the same pixel"),
        (INT8_ARRAY, "table", "what each value becomes, for -128 first; 0: it stays itself"),
    ),
)


def _pack(node: Node, graph: Graph) -> Packed:
    attributes, x, output = node.attributes, node.inputs[0], node.outputs[0]
    channels = graph.tensors[output].shape[3]
    steps = (1, attributes.parts) if attributes.is_channels_first else (channels, 1)
    fields: dict[str, int | str | PixelStride] = {
        "channels": channels,
        "in_bytes": PixelStride(x),
        "out_bytes": PixelStride(output),
        "block_height": attributes.block[0],
        "block_width": attributes.block[1],
        "top": attributes.crop[0],
        "left": attributes.crop[1],
        "part_step": steps[0],
        "channel_step": steps[1],
    }
    return packed_with_table(fields, attributes.table)


class DepthToSpace(Moving):
    """Channels become blocks of pixels."""

    name = "depth_to_space"
    in_words = "depth to space"
    attributes = DepthToSpaceAttributes

    def onnx_imports(self) -> Mapping[OnnxName, Importer]:
        return onnx_imports()

    def prequantized_imports(self) -> Mapping[OnnxName, PrequantizedImporter]:
        return prequantized_imports()

    def import_blocks(self, call: OnnxCall, value: Value, block: tuple[int, int], is_channels_first: bool) -> Value:
        return import_blocks(call, value, block, is_channels_first)

    def output_shape(self, node: Node, shapes: Sequence[Shape]) -> Shape | None:
        (rows, columns), (top, left, bottom, right) = node.attributes.block, node.attributes.crop
        (_, height, width, channels), parts = shapes[0], node.attributes.parts
        shape = (1, height * rows - top - bottom, width * columns - left - right, channels // parts)
        is_block = min(rows, columns) >= 1 and parts >= 2 and channels % parts == 0
        fits = len(shapes) == 1 and is_block and min(node.attributes.crop) >= 0
        return shape if fits and min(shape) >= 1 else None

    def row_maps(self, node: Node, graph: Graph, number: int) -> tuple[RowMap, RowMap]:
        """A row is made of a whole row."""
        rows = RowMap(denominator=node.attributes.block[0], phase=node.attributes.crop[0])
        return rows, RowMap(graph.tensors[node.inputs[0]].shape[2], 0)

    def needs(self, node: Node, graph: Graph, number: int, axis: int, position: int) -> tuple[int, ...]:
        if axis:
            return tuple(range(graph.tensors[node.inputs[0]].shape[2]))
        return ((position + node.attributes.crop[0]) // node.attributes.block[0],)

    def cases(self) -> Mapping[str, Case]:
        def case(x: Shape, *how: object) -> Case:
            return Case((x,), DepthToSpaceAttributes(*how))  # type: ignore[arg-type]

        return {
            "2x2": case((1, 3, 4, 12), (2, 2)),
            "2x2, channels first": case((1, 3, 4, 12), (2, 2), (0, 0, 0, 0), True),
            "3x3, cropped": case((1, 3, 3, 18), (3, 3), (1, 2, 0, 1)),
            "2x2, cropped, channels first": case((1, 4, 3, 8), (2, 2), (1, 1, 1, 0), True),
            "3x2": case((1, 2, 3, 12), (3, 2)),
            "1x3, cropped, channels first": case((1, 4, 3, 6), (1, 3), (1, 2, 0, 1), True),
        }

    def recognise(self, node: Node, graph: Graph) -> Graph | None:
        """A crop behind it."""
        if not isinstance(node.attributes, Crop2dAttributes) or node.attributes.table is not None:
            return None
        before = graph.producer.get(node.inputs[0])
        is_alone = len(graph.consumers[node.inputs[0]]) == 1 and not graph.is_output(node.inputs[0])
        if before is None or before.op != self.name or not is_alone:
            return None
        top, left, bottom, right = (a + b for a, b in zip(before.attributes.crop, node.attributes.crop, strict=True))
        attributes = replace(before.attributes, crop=(top, left, bottom, right))
        whole = replace(before, outputs=node.outputs, attributes=attributes)
        return graph.rebuild(nodes=[whole if one is before else one for one in graph.nodes if one is not node])

    def of_input(self, node: Node, graph: Graph, values: np.ndarray) -> np.ndarray:
        parts = node.attributes.parts
        return np.repeat(values, parts) if node.attributes.is_channels_first else np.tile(values, parts)

    def _uncropped(self, node: Node, x: np.ndarray) -> np.ndarray:
        """Of x of any type, the border still there."""
        images, height, width, channels = x.shape
        rows, columns = node.attributes.block
        made = channels // node.attributes.parts
        if node.attributes.is_channels_first:
            parts = x.reshape(images, height, width, made, rows, columns).transpose(0, 1, 4, 2, 5, 3)
        else:
            parts = x.reshape(images, height, width, rows, columns, made).transpose(0, 1, 3, 2, 4, 5)
        return parts.reshape(images, height * rows, width * columns, made)

    def moved(self, node: Node, x: np.ndarray) -> np.ndarray:
        top, left, bottom, right = node.attributes.crop
        moved = self._uncropped(node, x)
        return moved[:, top : moved.shape[1] - bottom, left : moved.shape[2] - right]

    def gradient(
        self, node: Node, graph: Graph, inputs: Sequence[np.ndarray], gradient: np.ndarray
    ) -> Sequence[np.ndarray]:
        """Each output goes back to where it came from."""
        shape = inputs[0].shape[1:]
        source = self.moved(node, np.arange(np.prod(shape)).reshape(1, *shape)).reshape(-1)
        found = np.zeros((len(gradient), int(np.prod(shape))), np.float32)
        found[:, source] = gradient.reshape(len(gradient), -1)
        return [found.reshape(-1, *shape)]

    def bounds(self, node: Node, graph: Graph, inputs: Sequence[Bounds]) -> Bounds:
        low, high = (bound.reshape(1, 1, 1, -1) for bound in inputs[0])
        return self._uncropped(node, low).min(axis=(0, 1, 2)), self._uncropped(node, high).max(axis=(0, 1, 2))

    def spell_moved(self, node: Node, graph: Graph, x: str, output: str) -> list[OnnxOp]:
        attributes, shape = node.attributes, graph.tensors[node.inputs[0]].shape
        moved = f"{output}__uncropped" if any(attributes.crop) else output
        made = _spell_blocks(attributes, shape, x, moved)
        if moved == output:
            return made
        whole = (1, shape[1] * attributes.block[0], shape[2] * attributes.block[1], shape[3] // attributes.parts)
        return [*made, spell_crop(moved, output, whole, attributes.crop)]

    def run_row(self, node: Node, graph: Graph, windows: Sequence[np.ndarray], y: int, x: int) -> np.ndarray:
        moved = self._uncropped(node, windows[0])[0, (y + node.attributes.crop[0]) % node.attributes.block[0]]
        _, left, _, right = node.attributes.crop
        return looked_up(node.attributes.table, moved[left : len(moved) - right])

    def scalar_kernels(self) -> tuple[ScalarKernel, ...]:
        kernel = ScalarKernel("depth_to_space", PARAMS, _pack, wants_place=True)
        return (replace(kernel, reads_slices=always, writes_slices=True),)


def _spell_blocks(attributes: DepthToSpaceAttributes, shape: Shape, x: str, output: str) -> list[OnnxOp]:
    """DepthToSpace; ONNX's knows square blocks only, so others are Reshape, Transpose, Reshape.

    shape  NHWC of x
    """
    rows, columns = attributes.block
    if rows == columns:
        mode = "CRD" if attributes.is_channels_first else "DCR"
        return [OnnxOp("DepthToSpace", (x,), (output,), {"blocksize": rows, "mode": mode})]
    _, height, width, channels = shape
    made = channels // attributes.parts
    if attributes.is_channels_first:
        factors, order = (made, rows, columns), (0, 1, 4, 2, 5, 3)
    else:
        factors, order = (rows, columns, made), (0, 3, 4, 1, 5, 2)
    cut: dict[str, np.ndarray] = {f"{output}__cut": np.array([1, *factors, height, width], np.int64)}
    joined: dict[str, np.ndarray] = {f"{output}__joined": np.array([1, made, height * rows, width * columns], np.int64)}
    names = f"{output}__parts", f"{output}__turned"
    return [
        OnnxOp("Reshape", (x, *cut), names[:1], {}, cut),
        OnnxOp("Transpose", names[:1], names[1:], {"perm": order}),
        OnnxOp("Reshape", (names[1], *joined), (output,), {}, joined),
    ]
