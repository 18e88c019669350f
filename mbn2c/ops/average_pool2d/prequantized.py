"""Averages of quantized models: in integers, or in float32 in ONNX Runtime's order of additions."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from mbn2c.ir.axes import CHANNEL, HEIGHT, NCHW, WIDTH, Value, labeled
from mbn2c.ir.graph import Node
from mbn2c.ir.window import Activation, Window
from mbn2c.ops.average_pool2d.attributes import AveragePool2dAttributes
from mbn2c.ops.base.call import MICROSOFT, OnnxName
from mbn2c.ops.base.guarded import guard_float_mean, guard_staircase
from mbn2c.ops.base.prequantized.layers import GIVE_QOPERATOR, call_done, choose_requantize, limits, unfinished
from mbn2c.ops.base.prequantized.orders import mean_order
from mbn2c.ops.base.prequantized.values import FileQuant, PrequantizedCall, PrequantizedImporter
from mbn2c.ops.base.reading import kernel_shape, read_window
from mbn2c.ops.base.requantize import FloatMean


def prequantized_imports() -> dict[OnnxName, PrequantizedImporter]:
    """Of AveragePool2d."""
    return {
        ("", "AveragePool"): _float_average_pool,
        ("", "GlobalAveragePool"): _float_average_pool,
        ("", "ReduceMean"): _float_average_pool,
        (MICROSOFT, "QLinearAveragePool"): _qlinear_average_pool,
        (MICROSOFT, "QLinearGlobalAveragePool"): _qlinear_global_average_pool,
    }


def _qlinear_global_average_pool(call: PrequantizedCall) -> Value:
    """source  ONNX Runtime contrib operators, QLinearGlobalAveragePool; MlasQLinearGlobalAveragePoolNchw"""
    if call.integer("channels_last", 0):
        raise call.refuse("QLinearGlobalAveragePool with channels last is not supported")
    x, _ = call.integers_in(0)
    x_in_file, y_in_file = call.file_quant(1, 2), call.file_quant(3, 4)
    call.builder.set_quant(call, x.tensor, x_in_file)
    height, width, channels = call.as_nchw(x)
    return _integer_mean(call, x, x_in_file, y_in_file, (height, width, channels))


def _integer_mean(
    call: PrequantizedCall, x: Value, x_in_file: FileQuant, y_in_file: FileQuant, extents: tuple[int, int, int]
) -> Value:
    height, width, channels = extents
    scale = np.array([x_in_file.scale / (y_in_file.scale * np.float32(height * width))], np.float32)
    requantize = choose_requantize(
        scale, y_in_file.quant.zero_point, np.array([255 * height * width]), narrow=True, where=call.where
    )
    output = call.builder.activation(call.node.outputs[0], (1, 1, 1, channels), call)
    attributes = AveragePool2dAttributes(Window(kernel=(height, width)), requantize)
    call.builder.nodes.append(Node(call.name, "average_pool2d", (x.tensor,), (output,), attributes))
    call.builder.set_quant(call, output, y_in_file)
    return call_done(call, labeled(output, (1, channels, 1, 1), NCHW), y_in_file)


def _qlinear_average_pool(call: PrequantizedCall) -> Value:
    """In float32, pixel after pixel; a window that covers the input is summed in integers, as the global pool is.

    source  ONNX Runtime contrib operators, QLinearAveragePool
    """
    if call.integer("channels_last", 0):
        raise call.refuse("QLinearAveragePool with channels last is not supported")
    x, _ = call.integers_in(0)
    x_in_file, y_in_file = call.file_quant(1, 2), call.file_quant(3, 4)
    call.builder.set_quant(call, x.tensor, x_in_file)
    window, extents = _pool_window(call, x)
    height, width, channels = call.as_nchw(x)
    if window.kernel == (height, width) and not any(window.pad):
        return _integer_mean(call, x, x_in_file, y_in_file, (height, width, channels))
    output = call.builder.activation(call.node.outputs[0], extents, call)
    mean = replace(_float_mean(x_in_file, y_in_file, window), zero_point=int(y_in_file.file_zero_point))
    call.builder.nodes.append(_pool_node(call, x, mean, y_in_file, window, output, None))
    call.builder.set_quant(call, output, y_in_file)
    return call_done(call, _pooled(output, extents), y_in_file)


def _float_average_pool(call: PrequantizedCall) -> Value:
    """AveragePool, GlobalAveragePool or ReduceMean in float32."""
    x, steps = call.real_steps(0)
    if len(steps) != 1:
        raise call.refuse(f"{call.op} in float32 of something that is not quantized is not supported")
    if call.op == "ReduceMean":
        window, extents, value = _mean_window(call, x)
    else:
        window, extents = _pool_window(call, x)
        value = _pooled("", extents)
    output = call.builder.activation(call.node.outputs[0], extents, call)
    x_in_file = FileQuant(call.builder.quants[x.tensor], False)
    order = _mean_order(call, x, window)
    if order is not None:
        call.builder.float_layers.append(call.name)

    def finish(y_in_file: FileQuant, activation: Activation | None) -> Node:
        mean = _float_mean(x_in_file, y_in_file, window)
        if order is not None:
            mean = replace(mean, lanes=order.lanes, unroll=order.unroll, is_aligned=order.is_aligned)
        elif not _is_any_order_right(mean):
            raise call.refuse(
                f"{call.op} over {mean.count} pixels in float32, in an order of additions mbn2c does not know",
                GIVE_QOPERATOR,
            )
        return _pool_node(call, x, mean, y_in_file, window, output, activation)

    return unfinished(call, replace(value, tensor=output), finish)


def _pooled(output: str, extents: tuple[int, int, int, int]) -> Value:
    _, height, width, channels = extents
    return labeled(output, (1, channels, height, width), NCHW)


def _pool_window(call: PrequantizedCall, x: Value) -> tuple[Window, tuple[int, int, int, int]]:
    height, width, channels = call.as_nchw(x)
    if call.op == "GlobalAveragePool":
        window = Window(kernel=(height, width))
    else:
        window = read_window(call, kernel_shape(call), height, width)
        if (any(window.pad) and not call.integer("count_include_pad", 0)) or call.integer("ceil_mode", 0):
            raise call.refuse(f"{call.op} with pads that do not count, or ceil_mode, is not supported")
        if window.dilation != (1, 1):
            raise call.refuse(f"{call.op} with dilations is not supported", "use a pool without dilations")
    return window, (1, *window.output_size(height, width), channels)


def _mean_window(call: PrequantizedCall, x: Value) -> tuple[Window, tuple[int, int, int, int], Value]:
    rank = len(x.shape)
    axes = call.axes(rank, 18, list(range(rank))) or []
    reduced = {axis for position in axes for axis in x.groups[position]}
    _, height, width, channels = call.extents(x)
    spatial = {axis for axis, extent in ((HEIGHT, height), (WIDTH, width)) if extent > 1}
    if reduced != spatial:
        raise call.refuse(f"ReduceMean over axes {axes} of {list(x.shape)} is not supported in a quantized model")
    keeps = bool(call.integer("keepdims", 1))
    kept = [position for position in range(rank) if keeps or position not in axes]
    shape = tuple(1 if position in axes else x.shape[position] for position in kept)
    groups = tuple(() if position in axes else x.groups[position] for position in kept)
    assert CHANNEL not in reduced
    return Window(kernel=(height, width)), (1, 1, 1, channels), Value("", shape, groups)


def _float_mean(x_in_file: FileQuant, y_in_file: FileQuant, window: Window) -> FloatMean:
    """Pixel after pixel, as QLinearAveragePool does."""
    return FloatMean(float(x_in_file.scale), float(y_in_file.scale), window.kernel[0] * window.kernel[1])


def _mean_order(call: PrequantizedCall, x: Value, window: Window) -> FloatMean | None:
    """Ask ONNX Runtime how it sums this average; None if it does so in no order that is known here."""
    _, height, width, channels = call.extents(x)
    if window.kernel != (height, width) or any(window.pad):
        return None
    return mean_order(call, x, (channels, height * width))


def _is_any_order_right(mean: FloatMean) -> bool:
    """Whether rounding in float32 can reach no tie, so that the integer sum decides alone."""
    exact = np.arange(-255 * mean.count, 255 * mean.count + 1) * (mean.x_scale / (mean.count * mean.y_scale))
    error = (np.abs(exact) + 255 * mean.x_scale / mean.y_scale) * (mean.count + 6) * 2.0**-24 + 2.0**-14
    near_tie = np.abs(exact - np.floor(exact) - 0.5) <= error
    return not (near_tie & (np.abs(exact) < 256)).any()


def _pool_node(
    call: PrequantizedCall,
    x: Value,
    mean: FloatMean,
    y_in_file: FileQuant,
    window: Window,
    output: str,
    activation: Activation | None,
) -> Node:
    """An average in float32: of the integer sum where no order of additions matters, else in ONNX Runtime's order."""
    low, high = limits(y_in_file, activation)
    if _is_any_order_right(mean):
        ratio = np.array([mean.x_scale / (mean.count * mean.y_scale)], np.float32)
        requantize = guard_staircase(ratio, np.array([255 * mean.count]), low, high, call.where)
    else:
        requantize = guard_float_mean(mean, low, high, call.where)
    attributes = AveragePool2dAttributes(window, requantize)
    return Node(call.name, "average_pool2d", (x.tensor,), (output,), attributes)
