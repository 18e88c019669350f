"""ST's SSD of 256x256 pixels, rebuilt for other sizes: the same weights, other grids of anchors."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper

from mbn2c.frontend.runtime import Oracle

_SIDE, _ANCHORS = 256, 5


def rebuilt(source: Path, side: int, target: Path) -> Path:
    """The file for images of `side` x `side` pixels; anchors keep their sizes in parts of the image."""
    if side == _SIDE:
        return source
    model = onnx.load(source)
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1
    levels = _levels(model)
    for dimension in model.graph.input[0].type.tensor_type.shape.dim[2:]:
        dimension.dim_value = side
    sizes = dict(zip(levels, _new_levels(side, len(levels)), strict=True))
    places = {old * old * _ANCHORS: new * new * _ANCHORS for old, new in sizes.items()}
    readers = {name: node.op_type for node in model.graph.node for name in node.input}
    for constant in model.graph.initializer:
        values = numpy_helper.to_array(constant)
        if readers.get(constant.name) == "Tile":
            values = _grid(values, sizes)
        elif constant.data_type == onnx.TensorProto.INT64 or constant.data_type == onnx.TensorProto.INT32:
            if values.shape == (2,) and values[0] == values[1] and int(values[0]) in sizes and int(values[0]) > 1:
                values = np.full_like(values, sizes[int(values[0])])  # of a Resize
            elif readers.get(constant.name) in ("Reshape", "Concat"):
                values = np.array([places.get(int(one), int(one)) for one in values], values.dtype)
        constant.CopyFrom(numpy_helper.from_array(np.ascontiguousarray(values), constant.name))
    _pad_odd(model, [side, *list(sizes.values())[2:]])
    total = sum(places.values())
    for output in model.graph.output:
        output.type.tensor_type.shape.dim[1].dim_value = total
    onnx.save(model, target)
    found = Oracle(target)
    found.run({found.input_names[0]: np.zeros((1, 3, side, side), np.float32)})  # raises where a size does not fit
    return target


def _pad_odd(model: onnx.ModelProto, sides: list[int]) -> None:
    """Convolutions that halve an odd number of rows take a border on both sides, as TensorFlow's SAME does.

    sides  of what those with pads of their own read, in their order
    """
    even, odd = [0, 0, 1, 1], [1, 1, 1, 1]
    pads = [one for node in model.graph.node for one in node.attribute if one.name == "pads" and list(one.ints) == even]
    for one, side in zip(pads, sides, strict=False):
        one.ints[:] = odd if side % 2 else even


def _levels(model: onnx.ModelProto) -> list[int]:
    """Rows of the pyramid's levels, the largest first: of each tiled constant [1, H, W, anchors, 4]."""
    tiled = {name for node in model.graph.node if node.op_type == "Tile" for name in node.input[:1]}
    shapes = [list(one.dims) for one in model.graph.initializer if one.name in tiled]
    return sorted((shape[1] for shape in shapes), reverse=True)


def _new_levels(side: int, count: int) -> list[int]:
    """Each level halves the one before, from an eighth of the image on; the last one is a mean over all pixels."""
    sizes = [side // 8]
    while len(sizes) < count - 1:
        sizes.append(-(-sizes[-1] // 2))
    return [*sizes, 1]


def _grid(anchors: np.ndarray, sizes: dict[int, int]) -> np.ndarray:
    """Corners of anchors around the centres of a grid, around those of the new one."""

    def centres(side: int) -> np.ndarray:
        at = (np.arange(side) + 0.5) / side
        return np.stack([*np.meshgrid(at, at)] * 2, axis=-1)[None, :, :, None]

    old = anchors.shape[1]
    around = (anchors - centres(old))[:, :1, :1]
    return np.asarray(around + centres(sizes[old]), anchors.dtype)
