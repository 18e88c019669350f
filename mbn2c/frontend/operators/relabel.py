"""ONNX operators that only change how a tensor is looked at: Reshape and others, and what ends a network."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace

from onnx import TensorProto

from mbn2c.ir.axes import CHANNEL, Value, blocks_of, transposed
from mbn2c.ops import OPERATORS
from mbn2c.ops.base.call import Importer, OnnxCall, OnnxName
from mbn2c.tasks import tails


def transpose(call: OnnxCall) -> Value:
    """Axes in another order; without `perm` reversed."""
    x = call.value(0, after_tail=True)
    rank = len(x.shape)
    permutation = [int(axis) for axis in call.attributes.get("perm", range(rank - 1, -1, -1))]
    if sorted(permutation) != list(range(rank)):
        raise call.refuse(f"Transpose: perm {permutation} does not suit a tensor of rank {rank}")
    return transposed(x, permutation)


def flatten(call: OnnxCall) -> Value:
    """Two axes: those before `axis` as one, the others as one."""
    x = call.value(0, after_tail=True)
    rank = len(x.shape)
    axis = call.integer("axis", 1)
    if not -rank <= axis <= rank:
        raise call.refuse(f"Flatten: axis {axis} does not suit a tensor of rank {rank}")
    axis = axis + rank if axis < 0 else axis
    return call.reshape(x, (math.prod(x.shape[:axis]), math.prod(x.shape[axis:])))


def reshape(call: OnnxCall) -> Value:
    """The same elements in another shape; -1 is what is left over, 0 copies the input's extent."""
    x = call.value(0, after_tail=True)
    shape = call.integers(1)
    if not call.integer("allowzero", 0):
        if any(extent == 0 and position >= len(x.shape) for position, extent in enumerate(shape)):
            raise call.refuse(f"Reshape: 0 in {shape} copies an axis that {list(x.shape)} does not have")
        shape = [x.shape[position] if extent == 0 else extent for position, extent in enumerate(shape)]
    if min(shape, default=1) < -1 or shape.count(-1) > 1:
        raise call.refuse(f"Reshape to {shape} is not possible")
    if -1 in shape:
        known = -math.prod(shape)
        if known == 0 or math.prod(x.shape) % known:
            raise call.refuse(
                f"Reshape of {list(x.shape)} to {shape} is not possible",
                "if the batch size is fixed inside the model, export it with batch 1",
            )
        shape[shape.index(-1)] = math.prod(x.shape) // known
    value = call.reshape(x, tuple(shape))
    blocks = blocks_of(value)
    if blocks is None:
        return _shuffled(call, value)
    return _first(operator.import_blocks(call, value, *blocks) for operator in OPERATORS.values())


def _shuffled(call: OnnxCall, value: Value) -> Value:
    """Where an axis runs over all factors of the channels in another order, the channels are moved."""
    every = range(CHANNEL, CHANNEL + len(value.factors))
    place = next((at for at, group in enumerate(value.groups) if group and sorted(group) == list(every)), None)
    if not value.factors or place is None:
        return value
    order = [axis - CHANNEL for axis in value.groups[place]]
    whole = replace(value, groups=(*value.groups[:place], (CHANNEL,), *value.groups[place + 1 :]), factors=())
    return _first(operator.import_shuffle(call, value, order, whole) for operator in OPERATORS.values())


def _first(made: Iterable[Value | None]) -> Value:
    return next(value for value in made if value is not None)


def squeeze(call: OnnxCall) -> Value:
    """Without axes of extent 1: those named, or all."""
    x = call.value(0, after_tail=True)
    ones = [position for position, extent in enumerate(x.shape) if extent == 1]
    axes = call.axes(len(x.shape), 13, ones) or []
    if any(x.shape[axis] != 1 for axis in axes):
        raise call.refuse(f"Squeeze of axes {axes} of {list(x.shape)}: not all of extent 1")
    return call.reshape(x, tuple(extent for position, extent in enumerate(x.shape) if position not in axes))


def unsqueeze(call: OnnxCall) -> Value:
    """With more axes of extent 1."""
    x = call.value(0, after_tail=True)
    count = len(call.integers(1)) if call.opset >= 13 else len(call.attributes.get("axes", ()))
    axes = call.axes(len(x.shape) + count, 13, []) or []
    shape = list(x.shape)
    for axis in axes:
        shape.insert(axis, 1)
    return call.reshape(x, tuple(shape))


def identity(call: OnnxCall) -> Value:
    """The same value under another name."""
    return call.value(0, after_tail=True)


def dropout(call: OnnxCall) -> Value:
    """Nothing, at inference."""
    if call.has(2) and (not call.is_constant(2) or call.constant(2).any()):
        raise call.refuse(
            "Dropout in training mode is not supported",
            "export the model for inference: model.eval(), TrainingMode.EVAL or PRESERVE",
        )
    return call.value(0, after_tail=True)


def cast(call: OnnxCall) -> Value:
    """To another floating-point type: nothing changes, all is float32 here."""
    target = call.integer("to", 0)
    if target not in (TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.DOUBLE, TensorProto.BFLOAT16):
        raise call.refuse(
            "Cast of an activation to an integer type is not supported", "remove what follows the network's last layer"
        )
    return call.value(0, after_tail=True)


def tail_over_classes(call: OnnxCall) -> Value:
    """A function over all classes at the end of the network, split off: the value stays what it was, marked.

    source  ONNX operators of `tasks.tails`, which before opset 13 run over all axes from `axis` on
    """
    x = call.value(0)
    rank = len(x.shape)
    if call.opset >= 13:
        return _tail_over(call, x, x.groups[call.axis(rank, -1)])
    return _tail_over(call, x, tuple(axis for group in x.groups[call.axis(rank, 1) :] for axis in group))


def l2_normalization(call: OnnxCall) -> Value:
    """Likewise, the division of a vector by its length.

    source  ONNX operator LpNormalization
    """
    x, power = call.value(0), call.integer("p", 2)
    if power != 2:
        raise call.refuse(f"LpNormalization with p = {power} is not supported", "only with p = 2")
    return _tail_over(call, x, x.groups[call.axis(len(x.shape), -1)])


def _tail_over(call: OnnxCall, x: Value, group: tuple[int, ...]) -> Value:
    if group != ((CHANNEL,) if call.extents(x)[CHANNEL] > 1 else ()) or max(call.extents(x)[1:3]) > 1:
        raise call.refuse(f"{call.op} that does not run over the classes is not supported", "only over [1, classes]")
    return replace(x, tail=tails.TAIL_OF_OPERATOR[call.op])


def tail_of_each_value(call: OnnxCall) -> Value:
    """A function of every value by itself, split off likewise."""
    return replace(call.value(0), tail=tails.TAIL_OF_OPERATOR[call.op])


RELABELS: dict[OnnxName, Importer] = {
    ("", "Cast"): cast,
    ("", "Dropout"): dropout,
    ("", "Flatten"): flatten,
    ("", "Identity"): identity,
    ("", "Reshape"): reshape,
    ("", "Squeeze"): squeeze,
    ("", "Transpose"): transpose,
    ("", "Unsqueeze"): unsqueeze,
}
TAILS: dict[OnnxName, Importer] = {
    **{
        ("", tail.operator): tail_over_classes if tail.over_classes else tail_of_each_value
        for tail in tails.TAILS.values()
    },
    ("", "LpNormalization"): l2_normalization,
}
