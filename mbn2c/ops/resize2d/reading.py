"""How ONNX files spell a resize: Resize and Upsample of float32 files, and of quantized ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import product

import numpy as np

from mbn2c.ir.axes import NCHW, Value, labeled
from mbn2c.ir.graph import Node
from mbn2c.numerics import search_requantize
from mbn2c.ops.base.call import Declined, Importer, OnnxCall, OnnxName, OnnxNode
from mbn2c.ops.base.prequantized.integer_sums import begin_sum, constant_of, emit_sum
from mbn2c.ops.base.prequantized.values import PrequantizedCall, PrequantizedImporter
from mbn2c.ops.base.weighted import prove_requantize
from mbn2c.ops.resize2d.attributes import LINEAR, NEAREST, ROUNDINGS, TRANSFORMS, Resize2dAttributes

RESIZE2D = "resize2d"
_FLOAT = 1  # TensorProto.FLOAT
_PLAIN = "use mode nearest or linear, and half_pixel, align_corners, asymmetric or pytorch_half_pixel"


def onnx_imports() -> Mapping[OnnxName, Importer]:
    """Of Resize2d."""
    return {("", "Resize"): _import, ("", "Upsample"): _import}


def prequantized_imports() -> Mapping[OnnxName, PrequantizedImporter]:
    """Of Resize2d."""
    return {("", "Resize"): _import_prequantized, ("", "Cast"): _import_matrix_sum}


def read_resize(call: OnnxCall, height: int, width: int) -> Resize2dAttributes:
    """Those of a Resize or Upsample of an input of height x width.

    source  ONNX operators Resize (10 to 19) and Upsample (7, 9)
    """
    mode = call.text("mode", NEAREST)
    is_old = call.op == "Upsample" or call.opset < 11
    transform = "asymmetric" if is_old else call.text("coordinate_transformation_mode", "half_pixel")
    rounding = "floor" if is_old else call.text("nearest_mode", "round_prefer_floor")
    if mode not in (NEAREST, LINEAR) or transform not in TRANSFORMS or rounding not in ROUNDINGS:
        raise call.refuse(f"{call.op} with mode '{mode}', '{transform}', '{rounding}' is not supported", _PLAIN)
    if call.integer("antialias", 0) or call.text("keep_aspect_ratio_policy", "stretch") != "stretch":
        raise call.refuse(f"{call.op} that antialiases or keeps an aspect ratio is not supported", _PLAIN)
    if "axes" in call.attributes:
        raise call.refuse(f"{call.op} of axes {list(call.attributes['axes'])} is not supported", _PLAIN)
    size = _size(call, height, width, is_old)
    attributes = Resize2dAttributes(size, mode, transform, rounding if mode == NEAREST else "round_prefer_floor")
    for axis, extent in enumerate((height, width)):
        along = attributes.axis(axis, extent)
        if mode == NEAREST and along.nearest != along.nearest_in_float:
            raise call.refuse(
                f"{call.op}: from {extent} to {along.after}, float32 does not say which pixel is the nearest",
                "use a whole factor",
            )
    return _canonical(attributes, height, width)


def _size(call: OnnxCall, height: int, width: int, is_old: bool) -> tuple[int, int]:
    if not is_old and call.has(3):
        sizes = call.integers(3)
        if len(sizes) != 4 or min(sizes) < 1:
            raise call.refuse(f"{call.op}: sizes {sizes} are not four positive numbers")
        return sizes[2], sizes[3]
    if "scales" in call.attributes:
        scales = np.array([float(number) for number in call.attributes["scales"]])
    else:
        scales = call.floats(1 if is_old else 2).reshape(-1)
    if scales.size != 4 or not (scales > 0).all() or tuple(scales[:2]) != (1.0, 1.0):
        raise call.refuse(f"{call.op}: scales {scales.tolist()} are not for height and width")
    exact = scales[2:] * (height, width)
    whole = np.rint(exact)
    # A factor of the file that is not what the sizes say would move the pixels.
    if (np.abs(exact - whole) > 1e-4).any() or (whole < 1).any():
        raise call.refuse(
            f"{call.op}: {height}x{width} times {scales[2:].tolist()} is no whole size",
            "resize to sizes, not by scales",
        )
    return int(whole[0]), int(whole[1])


def _canonical(attributes: Resize2dAttributes, height: int, width: int) -> Resize2dAttributes:
    """The first spelling that means the same."""

    def meaning(one: Resize2dAttributes) -> list[object]:
        axes = (one.axis(0, height), one.axis(1, width))
        return [axis.nearest if one.mode == NEAREST else axis.places for axis in axes]

    roundings = ROUNDINGS if attributes.mode == NEAREST else (attributes.rounding,)
    # Whole factors are floor(y / factor).
    ways = product(sorted(TRANSFORMS, key=lambda one: attributes.mode == NEAREST and one != "asymmetric"), roundings)
    spellings = (replace(attributes, transform=transform, rounding=rounding) for transform, rounding in ways)
    wanted = meaning(attributes)
    return next(one for one in spellings if _is_sure(one, height, width) and meaning(one) == wanted)


def _is_sure(one: Resize2dAttributes, height: int, width: int) -> bool:
    axes = (one.axis(0, height), one.axis(1, width))
    return one.mode == LINEAR or all(axis.nearest == axis.nearest_in_float for axis in axes)


def _import(call: OnnxCall) -> Value:
    x = call.value(0)
    height, width, channels = call.as_nchw(x)
    attributes = read_resize(call, height, width)
    if attributes.size == (height, width):
        return x
    return call.emit_nchw(RESIZE2D, [x], (*attributes.size, channels), attributes)


# --- how quantized ones do ---


def _import_prequantized(call: PrequantizedCall) -> Value | Declined:
    """To the nearest: of integers, or of the float32 numbers that they stand for."""
    x, meaning = call.value(0), call.meaning(0)
    height, width, channels = call.as_nchw(x)
    attributes = read_resize(call, height, width)
    if attributes.size == (height, width):
        call.builder.meanings[call.node.outputs[0]] = meaning
        return x
    if attributes.mode == LINEAR or (meaning.is_real and len(meaning.steps) != 1):
        return Declined(
            f"{call.op} of mode '{attributes.mode}' in a quantized file is not supported",
            "use mode nearest, or give mbn2c the float32 model, which it quantizes itself",
        )
    output = call.builder.activation(call.node.outputs[0], (1, *attributes.size, channels), call)
    call.builder.nodes.append(Node(call.name, RESIZE2D, (x.tensor,), (output,), attributes))
    call.builder.tie(call, x.tensor, output)
    call.builder.meanings[call.node.outputs[0]] = meaning
    made = labeled(output, (1, channels, *attributes.size), NCHW)
    if not meaning.is_real:
        call.builder.note_probe(call.node.outputs[0], made, meaning.unsigned)
    return made


def _import_matrix_sum(call: PrequantizedCall) -> Value | Declined:
    """Our own spelling of "linear": int8 cast to float32, then sums by whole numbers."""
    x, meaning = call.value(0), call.meaning(0)
    if meaning.is_real or call.integer("to", 0) != _FLOAT:
        return Declined()
    return begin_sum(call, x, _finish)


def _finish(call: PrequantizedCall, x: Value, steps: tuple[OnnxNode, ...], zero_point: int) -> Value:
    rows, columns = constant_of(call, steps[-3], 0), constant_of(call, steps[-2], 1).T
    size = len(rows), len(columns)
    _, height, width, channels = call.extents(x)
    for transform in TRANSFORMS:
        attributes = Resize2dAttributes(size, LINEAR, transform)
        axes = attributes.axis(0, height), attributes.axis(1, width)
        if all(np.array_equal(axis.matrix, matrix) for axis, matrix in zip(axes, (rows, columns), strict=True)):
            break
    else:
        raise call.refuse("products with two matrices that resize nothing are not supported", _PLAIN)
    scale, bound = np.unique(constant_of(call, steps[-1], 1)), np.array([255 * axes[0].parts * axes[1].parts])
    if len(scale) != 1:
        raise call.refuse("a resize with several multipliers is not supported", _PLAIN)
    found = search_requantize(scale, zero_point, bound)
    if found is None:
        raise call.refuse("a resize with a multiplier that no integers replace is not supported", _PLAIN)
    requantize = prove_requantize(scale, *found, zero_point, bound, call.where)
    return emit_sum(call, RESIZE2D, x, (*size, channels), replace(attributes, requantize=requantize))
