"""ONNX operators that slide a window or multiply a matrix: Conv, Gemm, MatMul, pools, Pad."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from mbn2c.frontend.operators.elementwise import add_values, clamp, scalar
from mbn2c.ir.axes import CHANNEL, HEIGHT, WIDTH, LayoutError, Value, labels_of
from mbn2c.ir.window import Window
from mbn2c.ops.average_pool2d import AveragePool2dAttributes
from mbn2c.ops.base.call import Call
from mbn2c.ops.base.weighted import ConvAttributes
from mbn2c.ops.fully_connected import FullyConnectedAttributes
from mbn2c.ops.pad import PadAttributes

# --- windows -------------------------------------------------------------------------------------


def window_of(call: Call, kernel: tuple[int, int], height: int, width: int) -> Window:
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


def kernel_shape(call: Call, default: tuple[int, ...] | None = None) -> tuple[int, int]:
    found = tuple(int(number) for number in call.attributes.get("kernel_shape", default or ()))
    if len(found) != 2:
        raise call.refuse(f"{call.op}: kernel_shape {list(found)} is not two numbers", "only 2-D networks compile")
    return found[0], found[1]


# --- convolution and matrix product --------------------------------------------------------------


def conv(call: Call) -> Value:
    return _conv(call, call.value(0), "")


def _conv(call: Call, x: Value, part: str) -> Value:
    weights = call.floats(1)
    if weights.ndim != 4:
        raise call.refuse(
            f"{weights.ndim - 2}-D convolution is not supported (weights of shape {list(weights.shape)})",
            "only 2-D image networks compile",
        )
    height, width, channels = call.as_nchw(x)
    out_channels, group_channels, *kernel_extents = weights.shape
    kernel = kernel_shape(call, tuple(kernel_extents))
    if kernel != tuple(kernel_extents):
        raise call.refuse(f"{call.op}: kernel_shape {list(kernel)} but weights of shape {list(weights.shape)}")
    group = call.integer("group", 1)
    if group < 1 or group_channels * group != channels or out_channels % group or 0 in weights.shape:
        raise call.refuse(
            f"{call.op}: weights of shape {list(weights.shape)} in {group} group(s) do not suit {channels} channels",
            "the file contradicts itself; export the model again",
        )
    bias = call.floats(2) if call.has(2) else np.zeros(out_channels)
    if bias.shape != (out_channels,):
        raise call.refuse(f"{call.op}: bias of shape {list(bias.shape)} for {out_channels} output channels")
    window = window_of(call, kernel, height, width)
    out_height, out_width = window.output_size(height, width)
    shape = (out_height, out_width, out_channels)
    if group == 1:
        constants = [("weights", weights.transpose(0, 2, 3, 1)), ("bias", bias)]
        return call.emit_nchw("conv2d", [x], shape, ConvAttributes(window), constants, part)
    if group == channels:
        constants = [("weights", weights[:, 0].transpose(1, 2, 0)), ("bias", bias)]
        attributes = ConvAttributes(window, depth_multiplier=out_channels // channels)
        return call.emit_nchw("depthwise_conv2d", [x], shape, attributes, constants, part)
    raise call.refuse(
        f"convolution in {group} groups of {group_channels} channels is not supported",
        "use group = 1 or a depthwise convolution (group = input channels)",
    )


def fused_conv(call: Call) -> Value:
    """com.microsoft FusedConv: convolution, optionally plus a fourth input, then an activation.

    source  ONNX Runtime contrib operators, FusedConv
    """
    if call.has(3):
        total = add_values(call, _conv(call, call.value(0), "conv"), call.value(3), "add")
        return _fused_activation(call, total)
    if call.text("activation", "") == "":
        return _conv(call, call.value(0), "")
    return _fused_activation(call, _conv(call, call.value(0), "conv"))


def _fused_activation(call: Call, x: Value) -> Value:
    activation = call.text("activation", "")
    parameters = [float(number) for number in call.attributes.get("activation_params", ())]
    if activation == "":
        return x
    if activation == "Relu":
        return clamp(call, x, 0.0, math.inf)
    if activation == "Clip" and len(parameters) == 2:
        return clamp(call, x, *parameters)
    raise call.refuse(
        f"{call.op} with activation {activation} is not supported", "only Relu and Clip; give the unoptimised model"
    )


def gemm(call: Call) -> Value:
    """y = alpha * x w + beta * c, w constant."""
    weights = call.floats(1)
    if weights.ndim != 2 or call.integer("transA", 0):
        raise call.refuse(f"{call.op} with transA or weights of shape {list(weights.shape)} is not supported")
    if not call.integer("transB", 0):
        weights = weights.T
    weights = weights * call.number("alpha", 1.0)
    bias = np.zeros(weights.shape[0])
    if call.has(2):
        addend = call.floats(2) * call.number("beta", 1.0)
        if addend.size not in (1, weights.shape[0]) or any(extent != 1 for extent in addend.shape[:-1]):
            raise call.refuse(f"{call.op}: bias of shape {list(addend.shape)} for {weights.shape[0]} outputs")
        bias = bias + addend.ravel()
    return _dense(call, call.value(0), weights, bias)


def matmul(call: Call) -> Value:
    weights = call.floats(1)
    if weights.ndim != 2:
        raise call.refuse(f"MatMul with weights of shape {list(weights.shape)} is not supported", "use a matrix")
    return _dense(call, call.value(0), weights.T, np.zeros(weights.shape[1]))


def _dense(call: Call, x: Value, weights: np.ndarray, bias: np.ndarray) -> Value:
    """x [..., I] times weights [O, I]: fully connected, or a convolution where x still has height and width."""
    inputs, outputs = weights.shape[1], weights.shape[0]
    if not x.shape or x.shape[-1] != inputs or 0 in weights.shape:
        raise call.refuse(
            f"{call.op}: weights for {inputs} inputs do not suit a tensor of shape {list(x.shape)}",
            "the file contradicts itself, or its input size is not the one it was made for",
        )
    last, others = x.groups[-1], x.groups[:-1]
    extents = call.extents(x)
    groups = (*others, (CHANNEL,) if outputs > 1 else ())
    shape = (*x.shape[:-1], outputs)
    if all(CHANNEL not in group for group in others) and last in ((), (CHANNEL,)) and max(extents[1:3]) > 1:
        constants = [("weights", weights.reshape(outputs, 1, 1, inputs)), ("bias", bias)]
        tensor = call.emit("conv2d", [x], (*extents[:3], outputs), ConvAttributes(), constants)
        return Value(tensor, shape, groups)
    if any(others):
        raise LayoutError(f"a product over the last axis of {list(x.shape)} that is not the channel axis")
    ordered = weights.reshape(outputs, *(extents[axis] for axis in last))
    ordered = ordered.transpose(0, *(1 + last.index(axis) for axis in sorted(last)))
    _, height, width, channels = extents
    if (height, width) == (1, 1):
        attributes = FullyConnectedAttributes()
        constants = [("weights", ordered.reshape(outputs, inputs)), ("bias", bias)]
        tensor = call.emit("fully_connected", [x], (1, 1, 1, outputs), attributes, constants)
    else:
        window = Window(kernel=(height, width))
        constants = [("weights", ordered.reshape(outputs, height, width, channels)), ("bias", bias)]
        tensor = call.emit("conv2d", [x], (1, 1, 1, outputs), ConvAttributes(window), constants)
    return Value(tensor, shape, groups)


# --- pooling -------------------------------------------------------------------------------------


def global_average_pool(call: Call) -> Value:
    x = call.value(0)
    height, width, channels = call.as_nchw(x)
    attributes = AveragePool2dAttributes(Window(kernel=(height, width)))
    return call.emit_nchw("average_pool2d", [x], (1, 1, channels), attributes)


def average_pool(call: Call) -> Value:
    x = call.value(0)
    height, width, channels = call.as_nchw(x)
    window = window_of(call, kernel_shape(call), height, width)
    if window.dilation != (1, 1):
        raise call.refuse("AveragePool with dilations is not supported", "use a pool without dilations")
    if call.integer("ceil_mode", 0):
        top, left, bottom, right = window.pad
        span_height, span_width = window.extent
        ceiled = (
            -(-(height + top + bottom - span_height) // window.stride[0]) + 1,
            -(-(width + left + right - span_width) // window.stride[1]) + 1,
        )
        if ceiled != window.output_size(height, width):
            raise call.refuse("AveragePool with ceil_mode is not supported", "use an input size the stride divides")
    if any(window.pad) and not call.integer("count_include_pad", 0):
        raise call.refuse(
            "AveragePool whose padding is left out of the average is not supported",
            "use a pool without pads, or count_include_pad = 1",
        )
    shape = (*window.output_size(height, width), channels)
    return call.emit_nchw("average_pool2d", [x], shape, AveragePool2dAttributes(window))


def reduce_mean(call: Call) -> Value:
    """The mean over height, width or both."""
    x = call.value(0)
    rank = len(x.shape)
    nothing = call.opset >= 18 and call.integer("noop_with_empty_axes", 0)
    axes = call.axes(rank, 18, [] if nothing else list(range(rank)))
    if not axes:
        axes = [] if nothing else list(range(rank))
    reduced = {axis for position in axes for axis in x.groups[position]}
    extents = list(call.extents(x))
    if not reduced <= {HEIGHT, WIDTH}:
        raise call.refuse(
            f"ReduceMean over axes {axes} of {list(x.shape)} is not supported",
            "only the mean over height and width compiles",
        )
    kept = [position for position in range(rank) if position not in axes]
    if call.integer("keepdims", 1):
        shape = tuple(1 if position in axes else extent for position, extent in enumerate(x.shape))
        groups = tuple(() if position in axes else group for position, group in enumerate(x.groups))
    else:
        shape = tuple(x.shape[position] for position in kept)
        groups = tuple(x.groups[position] for position in kept)
    if not reduced:
        return replace(x, shape=shape, groups=groups)
    kernel = (extents[HEIGHT] if HEIGHT in reduced else 1, extents[WIDTH] if WIDTH in reduced else 1)
    window = Window(kernel=kernel)
    pooled = (1, *window.output_size(extents[HEIGHT], extents[WIDTH]), extents[CHANNEL])
    tensor = call.emit("average_pool2d", [x], pooled, AveragePool2dAttributes(window))
    return Value(tensor, shape, groups)


# --- padding ---------------------------------------------------------------------------------------


def pad(call: Call) -> Value:
    x = call.value(0)
    rank = len(x.shape)
    mode = call.text("mode", "constant")
    pads = call.integers(1) if call.opset >= 11 else [int(n) for n in call.attributes.get("pads", ())]
    value = scalar(call, 2) if call.opset >= 11 and call.has(2) else call.number("value", 0.0)
    axes = list(range(rank))
    if call.has(3):
        axes = call.integers(3)
        if any(not -rank <= axis < rank for axis in axes):
            raise call.refuse(f"Pad: axes {axes} do not suit a tensor of rank {rank}")
    if len(pads) != 2 * len(axes):
        raise call.refuse(f"Pad: pads {pads} do not suit a tensor of rank {rank}")
    if not any(pads):
        return x
    labels = labels_of(x)
    if labels is None:
        raise LayoutError(f"height and width; it finds axes {list(x.groups)} of NHWC")
    begin, end = [0, 0, 0, 0], [0, 0, 0, 0]
    for axis, before, after in zip(axes, pads[: len(axes)], pads[len(axes) :], strict=True):
        begin[labels[axis % rank]] += before
        end[labels[axis % rank]] += after
    if min(pads) < 0 or begin[0] or end[0] or begin[CHANNEL] or end[CHANNEL]:
        raise call.refuse(f"Pad by {pads} is not supported", "only height and width can be padded, not cropped")
    if mode != "constant" or not math.isfinite(value):
        raise call.refuse(f"Pad with mode '{mode}', value {value:g} is not supported", "pad with zeros")
    _, height, width, channels = call.extents(x)
    amounts = (begin[HEIGHT], begin[WIDTH], end[HEIGHT], end[WIDTH])
    shape = (1, height + amounts[0] + amounts[2], width + amounts[1] + amounts[3], channels)
    tensor = call.emit("pad", [x], shape, PadAttributes(amounts, value))
    outside = tuple(shape[label] for label in labels)
    groups = tuple((label,) if shape[label] > 1 else () for label in labels)
    return Value(tensor, outside, groups)
