"""ONNX operators that work on each element: batch norm, arithmetic with constants, Add, clamps."""

from __future__ import annotations

import math

import numpy as np

from mbn2c.ir.axes import CHANNEL, HEIGHT, WIDTH, LayoutError, Value
from mbn2c.ir.window import Activation
from mbn2c.ops.add import AddAttributes
from mbn2c.ops.base.call import Call
from mbn2c.ops.clamp import ClampAttributes
from mbn2c.ops.scale_shift import ScaleShiftAttributes

FLOAT_MAX = float(np.finfo(np.float32).max)

# --- elementwise ---------------------------------------------------------------------------------


def per_channel(call: Call, x: Value, index: int) -> np.ndarray:
    """Constant `index`, broadcast to x as ONNX does, as one number per channel: float64 [C].

    raises  ModelError if it would enlarge x, or differs from pixel to pixel
    """
    return along_channels(call, x, index, call.floats(index))


def along_channels(call: Call, x: Value, index: int, array: np.ndarray) -> np.ndarray:
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


def _scale_shift(call: Call, x: Value, scale: np.ndarray | float, shift: np.ndarray | float, origin: str) -> Value:
    channels = call.extents(x)[CHANNEL]
    constants = [("scale", np.broadcast_to(scale, (channels,))), ("shift", np.broadcast_to(shift, (channels,)))]
    for what, data in constants:
        if np.abs(data).max(initial=0.0) > FLOAT_MAX or not np.isfinite(data).all():
            raise call.refuse(f"{call.op}: its {what} is not a finite float32", "check the trained parameters")
    return call.emit_like("scale_shift", x, ScaleShiftAttributes(origin), constants)


def batch_normalization(call: Call) -> Value:
    if call.integer("training_mode", 0) or sum(name != "" for name in call.node.outputs) > 1:
        raise call.refuse(
            "BatchNormalization in training mode is not supported",
            "export the model for inference: model.eval(), TrainingMode.EVAL or PRESERVE",
        )
    if not call.integer("spatial", 1):
        raise call.refuse("BatchNormalization with spatial = 0 is not supported")
    x = call.value(0)
    if len(x.shape) < 2 or x.groups[1] not in ((), (CHANNEL,)) or x.shape[1] != call.extents(x)[CHANNEL]:
        raise LayoutError("channels as axis 1")
    gamma, beta, mean, variance = (call.floats(index) for index in range(1, 5))
    if any(array.shape != (x.shape[1],) for array in (gamma, beta, mean, variance)):
        raise call.refuse(f"BatchNormalization: its parameters do not have {x.shape[1]} channels")
    spread = variance + call.number("epsilon", 1e-5)
    if spread.min() <= 0:
        raise call.refuse("BatchNormalization with a negative variance", "check the trained parameters")
    scale = gamma / np.sqrt(spread)
    return _scale_shift(call, x, scale, beta - mean * scale, "BatchNormalization")


def add_values(call: Call, a: Value, b: Value, part: str = "") -> Value:
    if a.shape != b.shape:
        raise call.refuse(
            f"{call.op} of tensors of shapes {list(a.shape)} and {list(b.shape)} is not supported",
            "only activations of equal shape can be added",
        )
    if a.groups != b.groups:
        raise LayoutError(f"both operands in the same axis order; it finds {list(a.groups)} and {list(b.groups)}")
    return call.emit_like("add", a, AddAttributes(), part=part, more=[b])


def add(call: Call) -> Value:
    if call.is_constant(0):
        x = call.value(1)
        return _scale_shift(call, x, 1.0, per_channel(call, x, 0), "Add")
    x = call.value(0)
    if call.is_constant(1):
        return _scale_shift(call, x, 1.0, per_channel(call, x, 1), "Add")
    return add_values(call, x, call.value(1))


def sum_all(call: Call) -> Value:
    if len(call.node.inputs) == 1:
        return call.value(0)
    if len(call.node.inputs) != 2:
        raise call.refuse("Sum of more than two tensors is not supported", "write it as a chain of Add")
    return add(call)


def sub(call: Call) -> Value:
    if call.is_constant(0):
        x = call.value(1)
        return _scale_shift(call, x, -1.0, per_channel(call, x, 0), "Sub")
    x = call.value(0)
    if call.is_constant(1):
        return _scale_shift(call, x, 1.0, -per_channel(call, x, 1), "Sub")
    raise call.refuse("Sub of two activations is not supported", "only constants can be subtracted")


def mul(call: Call) -> Value:
    for constant, other in ((0, 1), (1, 0)):
        if call.is_constant(constant):
            x = call.value(other)
            return _scale_shift(call, x, per_channel(call, x, constant), 0.0, "Mul")
    raise call.refuse(
        "Mul of two activations (squeeze-and-excitation, swish) is not supported yet",
        "use a MobileNetV1 or V2 without attention; MobileNetV3 comes later",
    )


def div(call: Call) -> Value:
    if not call.is_constant(1):
        raise call.refuse("Div by an activation is not supported", "only constants can divide")
    x = call.value(0)
    divisor = per_channel(call, x, 1)
    if (divisor == 0).any():
        raise call.refuse("Div by zero")
    return _scale_shift(call, x, 1.0 / divisor, 0.0, "Div")


def neg(call: Call) -> Value:
    return _scale_shift(call, call.value(0), -1.0, 0.0, "Neg")


# --- clamps --------------------------------------------------------------------------------------


def clamp(call: Call, x: Value, low: float, high: float) -> Value:
    if math.isnan(low) or math.isnan(high):
        raise call.refuse(f"{call.op}: a bound is NaN", "export the model again")
    low = -math.inf if low <= -FLOAT_MAX else float(np.float32(low))
    high = math.inf if high >= FLOAT_MAX else float(np.float32(high))
    if low == -math.inf and high == math.inf:
        return x
    if math.isinf(max(low, -FLOAT_MAX)) or math.isinf(min(high, FLOAT_MAX)):
        raise call.refuse(f"{call.op}: bounds {low:g} and {high:g} leave nothing")
    return call.emit_like("clamp", x, ClampAttributes(Activation(min(low, high), high)))


def scalar(call: Call, index: int) -> float:
    """Constant `index` as the one number it holds, however often it repeats it; may be NaN or infinite."""
    array = call.constant(index)
    numbers = array.astype(np.float64).ravel()
    if numbers.size < 1 or not np.array_equal(numbers, np.broadcast_to(numbers[:1], numbers.shape), equal_nan=True):
        raise call.refuse(
            f"{call.op}: '{call.node.inputs[index]}' of shape {list(array.shape)} is not one number",
            "only one number for the whole tensor",
        )
    return float(numbers[0])


def relu(call: Call) -> Value:
    return clamp(call, call.value(0), 0.0, math.inf)


def clip(call: Call) -> Value:
    if call.opset < 11:
        return clamp(call, call.value(0), call.number("min", -math.inf), call.number("max", math.inf))
    low = scalar(call, 1) if call.has(1) else -math.inf
    high = scalar(call, 2) if call.has(2) else math.inf
    return clamp(call, call.value(0), low, high)


def extremum(call: Call) -> Value:
    """Min and Max of one activation and constants."""
    activations = [index for index in range(len(call.node.inputs)) if not call.is_constant(index)]
    if len(activations) != 1:
        raise call.refuse(f"{call.op} of two activations is not supported", "only against a constant")
    x = call.value(activations[0])
    low, high = -math.inf, math.inf
    for index in range(len(call.node.inputs)):
        if index != activations[0]:
            array = call.constant(index)
            if array.ndim > len(x.shape) or array.size != 1:
                per_channel(call, x, index)  # a shape that does not even broadcast gets its own message
            bound = scalar(call, index)
            if call.op == "Max":
                low = max(low, bound)
            else:
                high = min(high, bound)
    return clamp(call, x, low, high)
