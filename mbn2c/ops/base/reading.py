"""What operators read alike from ONNX nodes: windows, single numbers, constants along channels."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from mbn2c.ir.axes import CHANNEL, HEIGHT, WIDTH, Value
from mbn2c.ir.window import Window
from mbn2c.ops.base.call import OnnxCall

FLOAT_MAX = float(np.finfo(np.float32).max)

# --- constants ---


def scalar(call: OnnxCall, index: int) -> float:
    """Constant `index` as the one number it holds, however often it repeats it; may be NaN or infinite."""
    array = call.constant(index)
    numbers = array.astype(np.float64).ravel()
    if numbers.size < 1 or not np.array_equal(numbers, np.broadcast_to(numbers[:1], numbers.shape), equal_nan=True):
        raise call.refuse(
            f"{call.op}: '{call.node.inputs[index]}' of shape {list(array.shape)} is not one number",
            "only one number for the whole tensor",
        )
    return float(numbers[0])


def per_channel(call: OnnxCall, x: Value, index: int) -> np.ndarray:
    """Constant `index`, broadcast to x as ONNX does, as one number per channel: float64 [C].

    raises  ModelError if it would enlarge x, or differs from pixel to pixel
    """
    return along_channels(call, x, index, call.floats(index))


def along_channels(call: OnnxCall, x: Value, index: int, array: np.ndarray) -> np.ndarray:
    """As `per_channel`; array: numbers in place of the constant's own, of its shape."""
    rank = len(x.shape)
    while array.ndim > rank and array.shape[0] == 1:
        array = array[0]
    array = array.reshape((1,) * (rank - array.ndim) + array.shape) if array.ndim <= rank else array
    if array.ndim != rank or any(extent not in (1, full) for extent, full in zip(array.shape, x.shape, strict=True)):
        raise call.refuse(
            f"{call.op}: a constant of shape {list(call.constant(index).shape)} does not fit {list(x.shape)}"
        )
    extents = call.extents(x)
    spread: list[int] = []
    for extent, group in zip(array.shape, x.groups, strict=True):
        spread += [extents[axis] if extent > 1 else 1 for axis in group]
    array = array.reshape(spread)
    order = list(x.order)
    for axis in (HEIGHT, WIDTH):
        if axis in order:
            position = order.index(axis)
            if (array != array.take([0], axis=position)).any():
                raise call.refuse(
                    f"{call.op} with a constant that differs from pixel to pixel is not supported",
                    "only constants per channel or for the whole tensor",
                )
            array = array.take(0, axis=position)
            order.pop(position)
    return np.broadcast_to(array.reshape(-1), (extents[CHANNEL],))


# --- windows ---


def read_reduction(call: OnnxCall, x: Value, input_since: int) -> tuple[Window | None, Value]:
    """The window of a ReduceMean or ReduceMax over height, width or both, and the output, its tensor not yet named.

    input_since  the opset since which `axes` is an input
    returns      no window, and x in the output's shape, where nothing is reduced
    """
    rank = len(x.shape)
    nothing = call.opset >= input_since and call.integer("noop_with_empty_axes", 0)
    axes = call.axes(rank, input_since, [] if nothing else list(range(rank)))
    if not axes:
        axes = [] if nothing else list(range(rank))
    reduced = {axis for position in axes for axis in x.groups[position]}
    extents = call.extents(x)
    if not reduced <= {HEIGHT, WIDTH}:
        raise call.refuse(
            f"{call.op} over axes {axes} of {list(x.shape)} is not supported",
            f"only {call.op} over height and width compiles",
        )
    kept = [position for position in range(rank) if position not in axes]
    if call.integer("keepdims", 1):
        shape = tuple(1 if position in axes else extent for position, extent in enumerate(x.shape))
        groups = tuple(() if position in axes else group for position, group in enumerate(x.groups))
    else:
        shape = tuple(x.shape[position] for position in kept)
        groups = tuple(x.groups[position] for position in kept)
    value = replace(x, shape=shape, groups=groups)
    if not reduced:
        return None, value
    kernel = (extents[HEIGHT] if HEIGHT in reduced else 1, extents[WIDTH] if WIDTH in reduced else 1)
    return Window(kernel=kernel), value


def read_window(call: OnnxCall, kernel: tuple[int, int], height: int, width: int) -> Window:
    """The window of a Conv or AveragePool on an input of height x width, auto_pad resolved.

    source  ONNX operators Conv and AveragePool
    """

    def pair(name: str) -> tuple[int, int]:
        found = [int(number) for number in call.attributes.get(name, (1, 1))]
        if len(found) != 2 or min(found) < 1:
            raise call.refuse(f"{call.op}: {name} {found} is not two positive numbers")
        return found[0], found[1]

    stride, dilation = pair("strides"), pair("dilations")
    if min(kernel) < 1:
        raise call.refuse(f"{call.op}: kernel {kernel[0]}x{kernel[1]} is empty")
    extent = Window(kernel=kernel, dilation=dilation).extent
    auto_pad = call.text("auto_pad", "NOTSET")
    if auto_pad in ("SAME_UPPER", "SAME_LOWER"):
        begin, end = [], []
        for size, step, span in zip((height, width), stride, extent, strict=True):
            total = max((-(-size // step) - 1) * step + span - size, 0)
            small, large = total // 2, total - total // 2
            begin.append(small if auto_pad == "SAME_UPPER" else large)
            end.append(large if auto_pad == "SAME_UPPER" else small)
        pads = begin + end
    elif auto_pad in ("NOTSET", ""):
        pads = [int(number) for number in call.attributes.get("pads", (0, 0, 0, 0))]
    elif auto_pad == "VALID":
        pads = [0, 0, 0, 0]
    else:
        raise call.refuse(f"{call.op}: auto_pad '{auto_pad}' is unknown")
    if len(pads) != 4 or min(pads) < 0:
        raise call.refuse(f"{call.op}: pads {pads} are not four numbers of 0 or more")
    if any(pad >= span for pad, span in zip(pads, extent * 2, strict=True)):
        raise call.refuse(
            f"{call.op}: pads {pads} reach as far as the {kernel[0]}x{kernel[1]} window itself",
            "some outputs would see padding only; give the layer smaller pads",
        )
    window = Window(kernel, stride, (pads[0], pads[1], pads[2], pads[3]), dilation)
    if min(window.output_size(height, width)) < 1:
        raise call.refuse(
            f"{call.op}: a {kernel[0]}x{kernel[1]} window does not fit its {height}x{width} input",
            "export the model for a larger input",
        )
    return window


def kernel_shape(call: OnnxCall, default: tuple[int, ...] | None = None) -> tuple[int, int]:
    """The attribute `kernel_shape`, (height, width)."""
    found = tuple(int(number) for number in call.attributes.get("kernel_shape", default or ()))
    if len(found) != 2:
        raise call.refuse(f"{call.op}: kernel_shape {list(found)} is not two numbers", "only 2-D networks compile")
    return found[0], found[1]


def read_pool_window(call: OnnxCall, height: int, width: int) -> tuple[Window, tuple[int, int]]:
    """The window of a MaxPool or AveragePool, and how many of its lowest rows and rightmost columns of pads are there
    because of ceil_mode only.

    raises  ModelError, too, where a window would see padding only
    source  ONNX operators MaxPool and AveragePool; a last window that begins behind the input and its left pad is
            left out, as ONNX Runtime and ONNX since opset 22 do
    """
    window = read_window(call, kernel_shape(call), height, width)
    extra = [0, 0]
    if call.integer("ceil_mode", 0):
        for axis, size in ((0, height), (1, width)):
            before, after, step = window.pad[axis], window.pad[axis + 2], window.stride[axis]
            count = -(-(size + before + after - window.extent[axis]) // step) + 1
            if (count - 1) * step >= size + before:
                count -= 1
            extra[axis] = max((count - 1) * step + window.extent[axis] - (size + before + after), 0)
    top, left, bottom, right = window.pad
    window = replace(window, pad=(top, left, bottom + extra[0], right + extra[1]))
    for axis, size in ((0, height), (1, width)):
        for position in range(window.output_size(height, width)[axis]):
            if not any(0 <= place < size for place in window.places(axis, position)):
                raise call.refuse(
                    f"{call.op}: with pads {list(window.pad)} an output would see padding only",
                    "give the layer smaller pads or dilations",
                )
    return window, (extra[0], extra[1])
