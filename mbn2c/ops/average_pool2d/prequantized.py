"""Averages of quantized models: in integers, or in float32 in ONNX Runtime's order of additions."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np

from mbn2c.ir.axes import CHANNEL, HEIGHT, NCHW, WIDTH, Value, labeled
from mbn2c.ir.graph import Node
from mbn2c.ir.window import Activation, Window
from mbn2c.numerics import INT8_MAX, INT8_MIN, search_requantize
from mbn2c.ops.average_pool2d.attributes import AveragePool2dAttributes, entries, read_average_pool
from mbn2c.ops.base.call import MICROSOFT, Declined, OnnxName, OnnxNode
from mbn2c.ops.base.guarded import guard_float_mean, guard_staircase
from mbn2c.ops.base.prequantized.integer_sums import begin_sum, constant_of, emit_sum
from mbn2c.ops.base.prequantized.layers import GIVE_QOPERATOR, call_done, choose_requantize, limits, unfinished
from mbn2c.ops.base.prequantized.orders import mean_order
from mbn2c.ops.base.prequantized.values import FileQuant, PrequantizedCall, PrequantizedImporter
from mbn2c.ops.base.reading import kernel_shape, read_window
from mbn2c.ops.base.requantize import FloatMean
from mbn2c.ops.base.weighted import prove_requantize

GIVE_FLOAT = "give mbn2c the float32 model, which it quantizes itself"


Extents = tuple[int, int, int, int]


def prequantized_imports() -> dict[OnnxName, PrequantizedImporter]:
    """Of AveragePool2d."""
    return {
        ("", "AveragePool"): _float_average_pool,
        ("", "GlobalAveragePool"): _float_average_pool,
        ("", "ReduceMean"): _float_average_pool,
        (MICROSOFT, "QLinearAveragePool"): _qlinear_average_pool,
        (MICROSOFT, "QLinearGlobalAveragePool"): _qlinear_global_average_pool,
        ("", "ConvInteger"): _integer_sum,
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
    attributes, extents = _pool_attributes(call, x)
    window = attributes.window
    height, width, channels = call.as_nchw(x)
    if window.kernel == (height, width) and not any(window.pad):
        return _integer_mean(call, x, x_in_file, y_in_file, (height, width, channels))
    output = call.builder.activation(call.node.outputs[0], extents, call)
    mean = replace(_float_mean(x_in_file, y_in_file, window), zero_point=int(y_in_file.file_zero_point))
    call.builder.nodes.append(_pool_node(call, x, mean, y_in_file, attributes, output, None))
    call.builder.set_quant(call, output, y_in_file)
    return call_done(call, _pooled(output, extents), y_in_file)


def _float_average_pool(call: PrequantizedCall) -> Value:
    """AveragePool, GlobalAveragePool or ReduceMean in float32."""
    x, steps = call.real_steps(0)
    if len(steps) != 1:
        raise call.refuse(f"{call.op} in float32 of something that is not quantized is not supported")
    if call.op == "ReduceMean":
        window, extents, value = _mean_window(call, x)
        attributes = AveragePool2dAttributes(window)
    else:
        attributes, extents = _pool_attributes(call, x)
        window, value = attributes.window, _pooled("", extents)
    output = call.builder.activation(call.node.outputs[0], extents, call)
    x_in_file = FileQuant(call.builder.quants[x.tensor], False)
    order = _mean_order(call, x, window)
    if order is not None:
        call.builder.float_layers.append(call.name)

    def finish(y_in_file: FileQuant, activation: Activation | None) -> Node:
        mean = _float_mean(x_in_file, y_in_file, window)
        if order is not None:
            mean = replace(mean, lanes=order.lanes, unroll=order.unroll, is_aligned=order.is_aligned)
        elif attributes.counts_all and not _is_any_order_right(mean):
            raise call.refuse(
                f"{call.op} over {mean.count} pixels in float32, in an order of additions mbn2c does not know",
                GIVE_QOPERATOR,
            )
        return _pool_node(call, x, mean, y_in_file, attributes, output, activation)

    return unfinished(call, replace(value, tensor=output), finish)


def _pooled(output: str, extents: tuple[int, int, int, int]) -> Value:
    _, height, width, channels = extents
    return labeled(output, (1, channels, height, width), NCHW)


def _pool_attributes(call: PrequantizedCall, x: Value) -> tuple[AveragePool2dAttributes, Extents]:
    height, width, channels = call.as_nchw(x)
    if call.op == "GlobalAveragePool":
        attributes = AveragePool2dAttributes(Window(kernel=(height, width)))
    else:
        attributes = read_average_pool(call, height, width)
    return attributes, (1, *attributes.window.output_size(height, width), channels)


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
    attributes: AveragePool2dAttributes,
    output: str,
    activation: Activation | None,
) -> Node:
    """An average in float32: of the integer sum where no order of additions matters, else in ONNX Runtime's order."""
    low, high = limits(y_in_file, activation)
    if not attributes.counts_all:
        return _border_node(call, x, mean, y_in_file, attributes, output, (low, high))
    if _is_any_order_right(mean):
        ratio = np.array([mean.x_scale / (mean.count * mean.y_scale)], np.float32)
        requantize = guard_staircase(ratio, np.array([255 * mean.count]), low, high, call.where)
    else:
        requantize = guard_float_mean(mean, low, high, call.where)
    return Node(call.name, "average_pool2d", (x.tensor,), (output,), replace(attributes, requantize=requantize))


def _border_node(
    call: PrequantizedCall,
    x: Value,
    mean: FloatMean,
    y_in_file: FileQuant,
    attributes: AveragePool2dAttributes,
    output: str,
    ends: tuple[int, int],
) -> Node:
    """One whose pads do not count: an integer sum, where that decides alone for each number of pixels."""
    _, height, width, _ = call.extents(x)
    counts, _ = entries(attributes, height, width)
    means = [replace(mean, count=int(count)) for count in counts]
    bound = 255 * counts.astype(np.int64)
    scale = np.array([one.x_scale / (one.count * one.y_scale) for one in means], np.float32)
    found = search_requantize(scale, y_in_file.quant.zero_point, bound)
    if found is None or not all(map(_is_any_order_right, means)) or ends != (INT8_MIN, INT8_MAX):
        raise call.refuse(
            f"{call.op} in float32 with pads that do not count is not exact with these scales", GIVE_FLOAT
        )
    requantize = prove_requantize(scale, *found, y_in_file.quant.zero_point, bound, call.where)
    return Node(call.name, "average_pool2d", (x.tensor,), (output,), replace(attributes, requantize=requantize))


def _integer_sum(call: PrequantizedCall) -> Value | Declined:
    """Our own spelling where not every pad counts: a depthwise ConvInteger of ones, multiplied position by position."""
    x, _ = call.integers_in(0)
    _, height, width, channels = call.extents(x)
    weights = call.constant(1)
    if weights.shape[:2] != (channels, 1) or call.integer("group", 1) != channels or (weights != 1).any():
        return Declined(f"{call.op} of something else than ones is not supported")
    window = read_window(call, kernel_shape(call), height, width)
    size = window.output_size(height, width)

    def finish(end: PrequantizedCall, x: Value, steps: tuple[OnnxNode, ...], zero_point: int) -> Value:
        factors = np.broadcast_to(constant_of(end, steps[-1], 1), (1, 1, *size))[0, 0]
        attributes, scale = _found_in(call, factors, window, height, width)
        bound = np.full(len(scale), 255 * window.kernel[0] * window.kernel[1])
        found = search_requantize(scale, zero_point, bound)
        if found is None:
            raise call.refuse(f"{call.op} with multipliers that no integers replace is not supported", GIVE_FLOAT)
        requantize = prove_requantize(scale, *found, zero_point, bound, call.where)
        return emit_sum(end, "average_pool2d", x, (*size, channels), replace(attributes, requantize=requantize))

    return begin_sum(call, x, finish)


def _found_in(
    call: PrequantizedCall, factors: np.ndarray, window: Window, height: int, width: int
) -> tuple[AveragePool2dAttributes, np.ndarray]:
    """Which pads do not count, where outputs have these multipliers, and the multiplier of each number of pixels."""
    for uncounted in product(*(range(pad, -1, -1) for pad in window.pad)):
        attributes = AveragePool2dAttributes(window, uncounted=uncounted)  # type: ignore[arg-type]
        counts, which = entries(attributes, height, width)
        scale = np.array([factors[which == number][0] for number in range(len(counts))], np.float32)
        if (scale[which] == factors).all() and np.allclose(scale * counts, scale[0] * counts[0], rtol=1e-3):
            return attributes, scale
    raise call.refuse(f"{call.op} of ones that is no average is not supported", GIVE_FLOAT)
