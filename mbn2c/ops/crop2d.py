"""crop2d: some rows and columns at the borders are left out.

input    x [1, H, W, C]
output   [1, H - top - bottom, W - left - right, C]
source   ONNX operator Slice over height and width
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from mbn2c.ir.axes import HEIGHT, WIDTH, Value, labels_of
from mbn2c.ir.graph import Graph, Node
from mbn2c.ir.kernel import Packed, Params, PixelStride, ScalarKernel, always
from mbn2c.ir.row_map import RowMap
from mbn2c.ops.base.call import Declined, Importer, OnnxCall, OnnxName
from mbn2c.ops.base.case import Case
from mbn2c.ops.base.copying import Table, looked_up, packed_with_table
from mbn2c.ops.base.moving import Moving
from mbn2c.ops.base.operator import OnnxOp
from mbn2c.ops.base.packing import INT8_ARRAY, INT32, integers
from mbn2c.ops.base.prequantized.values import PrequantizedCall, PrequantizedImporter
from mbn2c.ops.base.windows import Bounds, Shape


@dataclass(frozen=True)
class Crop2dAttributes:
    """crop2d, input (x).

    crop   (top, left, bottom, right): so many rows and columns are left out
    table  int8 form: what each value becomes, for -128 first; None where it stays itself
    """

    crop: tuple[int, int, int, int] = (0, 0, 0, 0)
    table: Table | None = None


PARAMS = Params(
    "mbn_crop_params",
    (
        *integers("channels"),
        (INT32, "in_bytes", "from an input pixel to the next"),
        (INT32, "out_bytes", "from an output pixel to the next"),
        (INT8_ARRAY, "table", "what each value becomes, for -128 first; 0: it stays itself"),
    ),
)


def _pack(node: Node, graph: Graph) -> Packed:
    x, output, table = node.inputs[0], node.outputs[0], node.attributes.table
    fields: dict[str, int | str | PixelStride] = {
        "channels": graph.tensors[x].shape[3],
        "in_bytes": PixelStride(x),
        "out_bytes": PixelStride(output),
    }
    return packed_with_table(fields, table)


class Crop2d(Moving):
    """Without some rows and columns at the borders."""

    name = "crop2d"
    in_words = "crop"
    attributes = Crop2dAttributes
    is_cropping = True
    sums_channels = True

    def onnx_imports(self) -> Mapping[OnnxName, Importer]:
        return {("", "Slice"): _import}

    def prequantized_imports(self) -> Mapping[OnnxName, PrequantizedImporter]:
        return {("", "Slice"): _import_prequantized}

    def output_shape(self, node: Node, shapes: Sequence[Shape]) -> Shape | None:
        top, left, bottom, right = node.attributes.crop
        _, height, width, channels = shapes[0]
        shape = (1, height - top - bottom, width - left - right, channels)
        return shape if len(shapes) == 1 and min(shape) >= 1 and min(node.attributes.crop) >= 0 else None

    def row_maps(self, node: Node, graph: Graph, number: int) -> tuple[RowMap, RowMap]:
        top, left, _, _ = node.attributes.crop
        return RowMap(phase=top), RowMap(phase=left)

    def needs(self, node: Node, graph: Graph, number: int, axis: int, position: int) -> tuple[int, ...]:
        return (position + node.attributes.crop[axis],)

    def is_channelwise(self, node: Node) -> bool:
        return True

    def cases(self) -> Mapping[str, Case]:
        return {
            "four sides": Case(((1, 6, 7, 5),), Crop2dAttributes((1, 2, 2, 1))),
            "below": Case(((1, 4, 3, 2),), Crop2dAttributes((0, 0, 3, 0))),
        }

    def of_input(self, node: Node, graph: Graph, values: np.ndarray) -> np.ndarray:
        return values

    def moved(self, node: Node, x: np.ndarray) -> np.ndarray:
        top, left, bottom, right = node.attributes.crop
        return x[:, top : x.shape[1] - bottom, left : x.shape[2] - right]

    def spell_moved(self, node: Node, graph: Graph, x: str, output: str) -> list[OnnxOp]:
        return [spell_crop(x, output, graph.tensors[node.inputs[0]].shape, node.attributes.crop)]

    def gradient(
        self, node: Node, graph: Graph, inputs: Sequence[np.ndarray], gradient: np.ndarray
    ) -> Sequence[np.ndarray]:
        whole = np.zeros((len(gradient), *inputs[0].shape[1:]), np.float32)
        self.moved(node, whole)[...] = gradient
        return [whole]

    def bounds(self, node: Node, graph: Graph, inputs: Sequence[Bounds]) -> Bounds:
        return inputs[0]

    def run_row(self, node: Node, graph: Graph, windows: Sequence[np.ndarray], y: int, x: int) -> np.ndarray:
        return looked_up(node.attributes.table, windows[0][0, 0])

    def scalar_kernels(self) -> tuple[ScalarKernel, ...]:
        return (ScalarKernel("crop2d", PARAMS, _pack, reads_slices=always, writes_slices=True),)


def spell_crop(x: str, output: str, shape: Shape, crop: tuple[int, int, int, int]) -> OnnxOp:
    """ONNX Slice over height and width; shape: NHWC of x."""
    top, left, bottom, right = crop
    constants: dict[str, np.ndarray] = {
        f"{output}__starts": np.array([top, left], np.int64),
        f"{output}__ends": np.array([shape[1] - bottom, shape[2] - right], np.int64),
        f"{output}__axes": np.array([2, 3], np.int64),
    }
    return OnnxOp("Slice", (x, *constants), (output,), {}, constants)


# --- how ONNX files spell it ---


def _read(call: OnnxCall, x: Value) -> tuple[int, int, int, int] | None:
    """What is left out of height and width; None if the Slice is about other axes, or has steps.

    source  ONNX operator Slice
    """
    rank, labels = len(x.shape), labels_of(x)
    indices = range(1, len(call.node.inputs)) if call.opset >= 10 else ()
    if labels is None or not all(call.is_constant(index) for index in indices if call.has(index)):
        return None
    if call.opset < 10:
        starts, ends = ([int(one) for one in call.attributes[name]] for name in ("starts", "ends"))
        axes, steps = [int(one) for one in call.attributes.get("axes", range(len(starts)))], [1] * len(starts)
    else:
        starts, ends = call.integers(1), call.integers(2)
        axes = call.integers(3) if call.has(3) else list(range(len(starts)))
        steps = call.integers(4) if call.has(4) else [1] * len(starts)
    crop = [0, 0, 0, 0]
    if not len(starts) == len(ends) == len(axes) == len(steps) or any(not -rank <= axis < rank for axis in axes):
        raise call.refuse(f"Slice: starts {starts}, ends {ends}, axes {axes}, steps {steps} do not suit each other")
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        size = x.shape[axis % rank]
        first, stop, _ = slice(start, end, 1).indices(size)
        if (first, stop) == (0, size) and step == 1:
            continue
        if step != 1 or labels[axis % rank] not in (HEIGHT, WIDTH):
            return None
        place = 0 if labels[axis % rank] == HEIGHT else 1
        crop[place], crop[place + 2] = first, size - stop
    return crop[0], crop[1], crop[2], crop[3]


def _cropped(call: OnnxCall, x: Value, crop: tuple[int, int, int, int]) -> tuple[Shape, Value]:
    """NHWC of the output, and the output, its tensor not yet named."""
    labels = labels_of(x)
    assert labels is not None
    _, height, width, channels = call.extents(x)
    shape = (1, height - crop[0] - crop[2], width - crop[1] - crop[3], channels)
    if min(shape) < 1:
        raise call.refuse("Slice that leaves nothing")
    groups = tuple((label,) if shape[label] > 1 else () for label in labels)
    return shape, replace(x, shape=tuple(shape[label] for label in labels), groups=groups)


def _import(call: OnnxCall) -> Value | Declined:
    x = call.value(0)
    crop = _read(call, x)
    if crop is None:
        return Declined()
    if not any(crop):
        return x
    shape, value = _cropped(call, x, crop)
    return replace(value, tensor=call.emit(Crop2d.name, [x], shape, Crop2dAttributes(crop)))


def _import_prequantized(call: PrequantizedCall) -> Value | Declined:
    """Of integers, or of the float32 numbers that they stand for."""
    x, meaning = call.value(0), call.meaning(0)
    crop = _read(call, x)
    if crop is None or (meaning.is_real and len(meaning.steps) != 1):
        return Declined()
    call.builder.meanings[call.node.outputs[0]] = meaning
    if not any(crop):
        return x
    shape, value = _cropped(call, x, crop)
    output = call.builder.activation(call.node.outputs[0], shape, call)
    call.builder.nodes.append(Node(call.name, Crop2d.name, (x.tensor,), (output,), Crop2dAttributes(crop)))
    call.builder.tie(call, x.tensor, output)
    made = replace(value, tensor=output)
    if not meaning.is_real:
        call.builder.note_probe(call.node.outputs[0], made, meaning.unsigned)
    return made
