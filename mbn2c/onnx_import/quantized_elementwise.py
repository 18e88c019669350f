"""QuantizeLinear, DequantizeLinear, adds, pools and elementwise functions of quantized models."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from onnx import NodeProto

from mbn2c.ir.graph import Node, Quant
from mbn2c.ir.window import Activation, Window
from mbn2c.numerics import INT8_MIN, fit_add, fit_add_with_corrections
from mbn2c.onnx_import.layout import CHANNEL, HEIGHT, NCHW, WIDTH, Value, labeled
from mbn2c.onnx_import.operators.elementwise import FLOAT_MAX
from mbn2c.onnx_import.operators.elementwise import scalar as one_number
from mbn2c.onnx_import.operators.layers import kernel_shape, window_of
from mbn2c.onnx_import.quantized_layers import GIVE_QOPERATOR, call_done, choose_requantize, limits, unfinished
from mbn2c.onnx_import.quantized_probe import (
    as_int8,
    chained,
    lookup_table,
    mean_order,
    pairs,
    quantize_node,
    run_nodes,
)
from mbn2c.onnx_import.quantized_values import GivenQuant, Meaning, QuantizedCall, QuantizedConstant
from mbn2c.ops.attributes import AddAttributes, AveragePool2dAttributes, FloatMean, LookupAttributes
from mbn2c.ops.guarded import guard_float_mean, guard_staircase

_ANY = Activation(-math.inf, math.inf)


# --- between real and int8 -----------------------------------------------------------------------


def dequantize_constant(call: QuantizedCall) -> QuantizedConstant:
    """Weights or a bias behind DequantizeLinear."""
    values = call.constant(0)
    scale = call.floats(1).astype(np.float32)
    zero = call.constant(2).astype(np.int64) if call.has(2) else np.zeros(1, np.int64)
    shape = [1] * values.ndim
    if scale.size > 1:
        axis = call.axis(values.ndim, 1)
        if values.shape[axis] != scale.size:
            raise call.refuse(f"DequantizeLinear: {scale.size} scales for an axis of {values.shape[axis]}")
        shape[axis] = -1
    return QuantizedConstant(values.astype(np.int64) - zero.reshape(shape if zero.size > 1 else 1), scale)


def dequantize(call: QuantizedCall) -> Value:
    x, meaning = call.value(0, after_softmax=True), call.meaning(0)
    if meaning.is_real:
        raise call.refuse("DequantizeLinear of float32")
    given = call.given_quant(1, 2)
    if given.unsigned != meaning.unsigned:
        raise call.refuse("DequantizeLinear with a zero point of another type than its input")
    if not x.softmax:
        call.builder.set_quant(call, x.tensor, given)
    step = NodeProto()
    step.CopyFrom(call.node)
    call.builder.meanings[call.node.output[0]] = Meaning(True, meaning.unsigned, (step,))
    return x


def quantize(call: QuantizedCall) -> Value:
    builder = call.builder
    x, meaning = call.value(0, after_softmax=True), call.meaning(0)
    if not meaning.is_real:
        raise call.refuse("QuantizeLinear of integers")
    given = call.given_quant(1, 2)
    if x.softmax:
        builder.meanings[call.node.output[0]] = Meaning(False, given.unsigned)
        return x
    is_source = not meaning.steps or meaning.steps[0].op_type != "DequantizeLinear"
    if x.tensor in builder.unfinished:
        _finish(call, x.tensor, _clamps(call, meaning), given)
    elif is_source and meaning.steps:
        raise call.refuse(
            f"{meaning.steps[0].op_type} before the first QuantizeLinear is not supported",
            "leave preprocessing to the program that feeds the model",
        )
    elif not is_source and not _is_plain(builder.quants[x.tensor], given, meaning):
        return _lookup(call, x, meaning, given)
    builder.set_quant(call, x.tensor, given)
    if call.has(0) and is_source:
        return call_done(call, x, given)
    builder.meanings[call.node.output[0]] = Meaning(False, given.unsigned)
    return x


def _is_plain(known: Quant, given: GivenQuant, meaning: Meaning) -> bool:
    """DequantizeLinear, then QuantizeLinear back to the same: nothing happens."""
    quant = given.quant
    same = known.scale[0] == quant.scale[0] and known.zero_point == quant.zero_point
    return same and len(meaning.steps) == 1


def _finish(call: QuantizedCall, tensor: str, activation: Activation | None, given: GivenQuant) -> None:
    """Make the node of a float32 layer."""
    nodes = call.builder.nodes
    position = next(number for number, node in enumerate(nodes) if tensor in node.outputs)
    nodes[position] = call.builder.unfinished.pop(tensor)(given, activation)


def _clamps(call: QuantizedCall, meaning: Meaning) -> Activation | None:
    """The clamps between a float32 layer and its QuantizeLinear as one."""
    total: Activation | None = None
    for step in meaning.steps:
        found = _clamp_of(call, step)
        if found is None:
            raise call.refuse(
                f"{step.op_type} between a layer and its QuantizeLinear is not supported",
                "quantize the model again with each of its layers quantized",
            )
        total = total.then(found) if total else found
    return total


def _clamp_of(call: QuantizedCall, step: NodeProto) -> Activation | None:
    if step.op_type == "Relu":
        return Activation(0.0, math.inf)
    if step.op_type in ("Max", "Min") and len(step.input) == 2:
        end = float(call.builder.constants[step.input[1]].reshape(-1)[0])
        return Activation(end, math.inf) if step.op_type == "Max" else Activation(-math.inf, end)
    if step.op_type != "Clip":
        return None
    if len(step.input) == 1:
        given = {attribute.name: attribute.f for attribute in step.attribute}
        return Activation(given.get("min", -FLOAT_MAX), given.get("max", FLOAT_MAX))
    ends = [-math.inf, math.inf]
    for index in (1, 2):
        if len(step.input) > index and step.input[index]:
            bound = call.builder.constants.get(step.input[index])
            if bound is None or bound.size != 1:
                return None
            ends[index - 1] = float(bound.reshape(-1)[0])
    return Activation(ends[0], ends[1])


def _lookup(call: QuantizedCall, x: Value, meaning: Meaning, given: GivenQuant) -> Value:
    """Elementwise nodes between DequantizeLinear and QuantizeLinear: a table of ONNX Runtime's own results."""
    table = lookup_table(meaning.steps, meaning.unsigned, given, call.builder.constants, call.builder.opsets)
    return _emit_lookup(call, x, table, given)


def _emit_lookup(call: QuantizedCall, x: Value, table: np.ndarray, given: GivenQuant) -> Value:
    output = call.builder.activation(call.node.output[0], call.extents(x), call)
    attributes = LookupAttributes(tuple(int(value) for value in table), _ANY)
    call.builder.nodes.append(Node(call.name, "lookup", (x.tensor,), (output,), attributes))
    call.builder.set_quant(call, output, given)
    return call_done(call, replace(x, tensor=output), given)


def pointwise(call: QuantizedCall) -> Value:
    """An elementwise float32 function of one tensor and constants; it waits for its QuantizeLinear."""
    data = [index for index in range(len(call.node.input)) if call.has(index) and not call.is_constant(index)]
    if data == [1] and len(call.node.input) == 2 and call.op in ("Add", "Max", "Min", "Mul"):
        call.node.input[:] = [call.node.input[1], call.node.input[0]]
        data = [0]
    if data != [0]:
        raise call.refuse(
            f"{call.op} of two activations, or of a constant and an activation, is not supported in a quantized model",
            "only additions of two quantized tensors compile",
        )
    for index in range(1, len(call.node.input)):
        if call.has(index):
            one_number(call, index)
    step = NodeProto()
    step.CopyFrom(call.node)
    meaning = call.meaning(0)
    call.builder.meanings[call.node.output[0]] = replace(meaning, steps=(*meaning.steps, step))
    return call.value(0)


def qlinear_softmax(call: QuantizedCall) -> Value:
    """A softmax over the classes, split off; source  ONNX Runtime contrib operators, QLinearSoftmax"""
    x, _ = call.integers_in(0)
    x_given, given = call.given_quant(1, 2), call.given_quant(3, 4)
    call.builder.set_quant(call, x.tensor, x_given)
    axes = x.groups[call.axis(len(x.shape), -1) :] if call.integer("opset", 13) < 13 else None
    normalised = x.groups[call.axis(len(x.shape), -1)] if axes is None else tuple(a for group in axes for a in group)
    _, height, width, channels = call.extents(x)
    if normalised != ((CHANNEL,) if channels > 1 else ()) or height * width > 1:
        raise call.refuse("QLinearSoftmax that does not run over the classes is not supported")
    call.builder.meanings[call.node.output[0]] = Meaning(False, given.unsigned)
    return replace(x, softmax="softmax")


def qlinear_pointwise(call: QuantizedCall) -> Value:
    """QLinearLeakyRelu, QLinearSigmoid: x, scale, zero point, y scale, zero point."""
    x, meaning = call.integers_in(0)
    x_given, given = call.given_quant(1, 2), call.given_quant(3, 4)
    call.builder.set_quant(call, x.tensor, x_given)
    step = NodeProto()
    step.CopyFrom(call.node)
    nodes, last = chained([step], "x", "step")
    values = pairs(meaning.unsigned, meaning.unsigned)[0][::256]
    table = as_int8(run_nodes(nodes, {"x": values}, last, call.builder.constants, call.builder.opsets))
    return _emit_lookup(call, x, table, given)


# --- add -----------------------------------------------------------------------------------------


def qlinear_add(call: QuantizedCall) -> Value:
    """source  ONNX Runtime contrib operators, QLinearAdd: a, b and the sum, each followed by scale, zero point"""
    (a, a_meaning), (b, b_meaning) = call.integers_in(0), call.integers_in(3)
    given_a, given_b, given = call.given_quant(1, 2), call.given_quant(4, 5), call.given_quant(6, 7)
    for value, found in ((a, given_a), (b, given_b)):
        call.builder.set_quant(call, value.tensor, found)
    node = NodeProto()
    node.CopyFrom(call.node)
    node.input[0], node.input[3], node.output[0] = "a", "b", "y"
    values_a, values_b = pairs(a_meaning.unsigned, b_meaning.unsigned)
    inputs = {"a": values_a, "b": values_b}
    table = as_int8(run_nodes([node], inputs, "y", call.builder.constants, call.builder.opsets))
    _check_addends(call, a, b)
    output = call.builder.activation(call.node.output[0], call.extents(a), call)
    call.builder.nodes.append(_add_node(call, a, b, output, table, (given_a, given_b, given)))
    call.builder.set_quant(call, output, given)
    return call_done(call, replace(a, tensor=output), given)


def float_add(call: QuantizedCall) -> Value:
    """Add in float32 between DequantizeLinear and QuantizeLinear; of 65,536 pairs ONNX Runtime says the results."""
    if call.is_constant(0) or call.is_constant(1):
        return pointwise(call)
    (a, steps_a), (b, steps_b) = call.real_steps(0), call.real_steps(1)
    meanings = call.meaning(0), call.meaning(1)
    _check_addends(call, a, b)
    output = call.builder.activation(call.node.output[0], call.extents(a), call)
    given_a, given_b = (GivenQuant(call.builder.quants[value.tensor], False) for value in (a, b))
    add = NodeProto()
    add.CopyFrom(call.node)

    def finish(given: GivenQuant, activation: Activation | None) -> Node:
        nodes_a, last_a = chained(steps_a, "a", "left")
        nodes_b, last_b = chained(steps_b, "b", "right")
        add.input[0], add.input[1], add.output[0] = last_a, last_b, "sum"
        quantize_sum, constants = quantize_node(given, "sum", "y")
        values_a, values_b = pairs(meanings[0].unsigned, meanings[1].unsigned)
        nodes = [*nodes_a, *nodes_b, add, quantize_sum]
        known = {**call.builder.constants, **constants}
        found = run_nodes(nodes, {"a": values_a, "b": values_b}, "y", known, call.builder.opsets)
        table = np.clip(as_int8(found), *limits(given, activation))
        return _add_node(call, a, b, output, table, (given_a, given_b, given))

    return unfinished(call, replace(a, tensor=output), finish)


def _check_addends(call: QuantizedCall, a: Value, b: Value) -> None:
    if a.shape != b.shape or a.groups != b.groups:
        raise call.refuse(
            f"{call.op} of tensors of shapes {list(a.shape)} and {list(b.shape)} is not supported",
            "only activations of equal shape and axis order can be added",
        )


def _add_node(
    call: QuantizedCall, a: Value, b: Value, output: str, table: np.ndarray, given: tuple[GivenQuant, ...]
) -> Node:
    """The integer form of these 65,536 results: a line, or a line and a bit for each pair where it is one too high."""
    results = table.astype(np.int64).reshape(256, 256)
    ratios = (float(given[0].scale) / float(given[2].scale), float(given[1].scale) / float(given[2].scale))
    fitted = fit_add(results, ratios)
    inputs: tuple[str, ...] = (a.tensor, b.tensor)
    if fitted is None:
        fitted = fit_add_with_corrections(results, ratios)
        levels = np.arange(256) + INT8_MIN
        line = (levels[:, None] * fitted[0][0] + levels * fitted[0][1] + fitted[1]) >> fitted[2]
        is_lower = np.clip(line, -128, 127) != results
        bits = np.packbits(is_lower.reshape(-1), bitorder="little").view(np.int8)
        inputs += (call.builder.add_given(f"{call.name}.corrections", bits, given[2].quant),)
    multipliers, offset, shift = fitted
    attributes = AddAttributes(multipliers=multipliers, offset=offset, shift=shift)
    return Node(call.name, "add", inputs, (output,), attributes)


# --- pools ---------------------------------------------------------------------------------------


def qlinear_global_average_pool(call: QuantizedCall) -> Value:
    """source  ONNX Runtime contrib operators, QLinearGlobalAveragePool; MlasQLinearGlobalAveragePoolNchw"""
    if call.integer("channels_last", 0):
        raise call.refuse("QLinearGlobalAveragePool with channels last is not supported")
    x, _ = call.integers_in(0)
    given_x, given = call.given_quant(1, 2), call.given_quant(3, 4)
    call.builder.set_quant(call, x.tensor, given_x)
    height, width, channels = call.as_nchw(x)
    return _integer_mean(call, x, given_x, given, (height, width, channels))


def _integer_mean(
    call: QuantizedCall, x: Value, given_x: GivenQuant, given: GivenQuant, extents: tuple[int, int, int]
) -> Value:
    height, width, channels = extents
    scale = np.array([given_x.scale / (given.scale * np.float32(height * width))], np.float32)
    requantize = choose_requantize(
        scale, given.quant.zero_point, np.array([255 * height * width]), narrow=True, where=call.where
    )
    output = call.builder.activation(call.node.output[0], (1, 1, 1, channels), call)
    attributes = AveragePool2dAttributes(Window(kernel=(height, width)), requantize)
    call.builder.nodes.append(Node(call.name, "average_pool2d", (x.tensor,), (output,), attributes))
    call.builder.set_quant(call, output, given)
    return call_done(call, labeled(output, (1, channels, 1, 1), NCHW), given)


def qlinear_average_pool(call: QuantizedCall) -> Value:
    """In float32, pixel after pixel; a window that covers the input is summed in integers, as the global pool is.

    source  ONNX Runtime contrib operators, QLinearAveragePool
    """
    if call.integer("channels_last", 0):
        raise call.refuse("QLinearAveragePool with channels last is not supported")
    x, _ = call.integers_in(0)
    given_x, given = call.given_quant(1, 2), call.given_quant(3, 4)
    call.builder.set_quant(call, x.tensor, given_x)
    window, extents = _pool_window(call, x)
    height, width, channels = call.as_nchw(x)
    if window.kernel == (height, width) and not any(window.pad):
        return _integer_mean(call, x, given_x, given, (height, width, channels))
    output = call.builder.activation(call.node.output[0], extents, call)
    mean = replace(_float_mean(given_x, given, window), zero_point=int(given.file_zero_point))
    call.builder.nodes.append(_pool_node(call, x, mean, given, window, output, None))
    call.builder.set_quant(call, output, given)
    return call_done(call, _pooled(output, extents), given)


def float_average_pool(call: QuantizedCall) -> Value:
    """AveragePool, GlobalAveragePool or ReduceMean in float32."""
    x, steps = call.real_steps(0)
    if len(steps) != 1:
        raise call.refuse(f"{call.op} in float32 of something that is not quantized is not supported")
    if call.op == "ReduceMean":
        window, extents, value = _mean_window(call, x)
    else:
        window, extents = _pool_window(call, x)
        value = _pooled("", extents)
    output = call.builder.activation(call.node.output[0], extents, call)
    given_x = GivenQuant(call.builder.quants[x.tensor], False)
    order = _mean_order(call, x, window)
    if order is not None:
        call.builder.float_layers.append(call.name)

    def finish(given: GivenQuant, activation: Activation | None) -> Node:
        mean = _float_mean(given_x, given, window)
        if order is not None:
            mean = replace(mean, lanes=order.lanes, unroll=order.unroll, is_aligned=order.is_aligned)
        elif not _is_any_order_right(mean):
            raise call.refuse(
                f"{call.op} over {mean.count} pixels in float32, in an order of additions mbn2c does not know",
                GIVE_QOPERATOR,
            )
        return _pool_node(call, x, mean, given, window, output, activation)

    return unfinished(call, replace(value, tensor=output), finish)


def _pooled(output: str, extents: tuple[int, int, int, int]) -> Value:
    _, height, width, channels = extents
    return labeled(output, (1, channels, height, width), NCHW)


def _pool_window(call: QuantizedCall, x: Value) -> tuple[Window, tuple[int, int, int, int]]:
    height, width, channels = call.as_nchw(x)
    if call.op == "GlobalAveragePool":
        window = Window(kernel=(height, width))
    else:
        window = window_of(call, kernel_shape(call), height, width)
        if (any(window.pad) and not call.integer("count_include_pad", 0)) or call.integer("ceil_mode", 0):
            raise call.refuse(f"{call.op} with pads that do not count, or ceil_mode, is not supported")
        if window.dilation != (1, 1):
            raise call.refuse(f"{call.op} with dilations is not supported", "use a pool without dilations")
    return window, (1, *window.output_size(height, width), channels)


def _mean_window(call: QuantizedCall, x: Value) -> tuple[Window, tuple[int, int, int, int], Value]:
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


def _float_mean(given_x: GivenQuant, given: GivenQuant, window: Window) -> FloatMean:
    """Pixel after pixel, as QLinearAveragePool does."""
    return FloatMean(float(given_x.scale), float(given.scale), window.kernel[0] * window.kernel[1])


def _mean_order(call: QuantizedCall, x: Value, window: Window) -> FloatMean | None:
    """Ask ONNX Runtime how it sums this average; None if it does so in no order that is known here."""
    _, height, width, channels = call.extents(x)
    if window.kernel != (height, width) or any(window.pad):
        return None
    return mean_order(call.node, x, (channels, height * width), call.builder.constants, call.builder.opsets)


def _is_any_order_right(mean: FloatMean) -> bool:
    """Whether rounding in float32 can reach no tie, so that the integer sum decides alone."""
    exact = np.arange(-255 * mean.count, 255 * mean.count + 1) * (mean.x_scale / (mean.count * mean.y_scale))
    error = (np.abs(exact) + 255 * mean.x_scale / mean.y_scale) * (mean.count + 6) * 2.0**-24 + 2.0**-14
    near_tie = np.abs(exact - np.floor(exact) - 0.5) <= error
    return not (near_tie & (np.abs(exact) < 256)).any()


def _pool_node(
    call: QuantizedCall,
    x: Value,
    mean: FloatMean,
    given: GivenQuant,
    window: Window,
    output: str,
    activation: Activation | None,
) -> Node:
    """An average in float32: of the integer sum where no order of additions matters, else in ONNX Runtime's order."""
    low, high = limits(given, activation)
    if _is_any_order_right(mean):
        ratio = np.array([mean.x_scale / (mean.count * mean.y_scale)], np.float32)
        requantize = guard_staircase(ratio, np.array([255 * mean.count]), low, high, call.where)
    else:
        requantize = guard_float_mean(mean, low, high, call.where)
    attributes = AveragePool2dAttributes(window, requantize)
    return Node(call.name, "average_pool2d", (x.tensor,), (output,), attributes)
