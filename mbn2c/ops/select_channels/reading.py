"""select_channels: how ONNX files spell it, quantized ones too."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from mbn2c.ir.axes import CHANNEL, Value
from mbn2c.ir.graph import Node
from mbn2c.ops.base.call import Declined, OnnxCall, OnnxName
from mbn2c.ops.base.prequantized.values import PrequantizedCall

NAME = "select_channels"


@dataclass(frozen=True)
class SelectAttributes:
    """select_channels, input (x).

    channels  of x, one for each of the output
    table     int8 form: what each value becomes, for -128 first; None where x has the output's scale and zero point
    """

    channels: tuple[int, ...] = (0,)
    table: tuple[int, ...] | None = None

    @property
    def is_run(self) -> bool:
        """Whether they stand side by side in x."""
        first = self.channels[0]
        return self.channels == tuple(range(first, first + len(self.channels)))


def shuffle(factors: Sequence[int], order: Sequence[int]) -> list[int]:
    """The channels in the order that they have when, cut into these factors, the factors change places.

    factors  their extents, outermost first
    order    of factors, the new outermost first
    """
    return [int(channel) for channel in np.arange(np.prod(factors)).reshape(factors).transpose(order).reshape(-1)]


def selected(call: OnnxCall, x: Value, channels: Sequence[int], made: Value, output: int = 0) -> Value:
    """`made` with the tensor that has these channels of the tensor of `x`; x itself where that is all of them.

    made    shape and axes of the node's output
    output  which one of the node it is
    """
    extents = call.extents(x)
    if list(channels) == list(range(extents[CHANNEL])):
        tensor = x.tensor
    else:
        tensor = _emit(call, x, tuple(int(channel) for channel in channels), output)
    made = replace(made, tensor=tensor)
    if isinstance(call, PrequantizedCall):
        name, meaning = call.node.outputs[output], call.meaning(0)
        call.builder.meanings[name] = meaning
        if not meaning.is_real:
            call.builder.note_probe(name, made, meaning.unsigned)
    return made


def _emit(call: OnnxCall, x: Value, channels: tuple[int, ...], output: int) -> str:
    shape = (*call.extents(x)[:CHANNEL], len(channels))
    name = call.name if output == 0 else call.builder.unique_node(f"{call.name}/{output}")
    if isinstance(call, PrequantizedCall):
        tensor = call.builder.activation(call.node.outputs[output], shape, call)
        call.builder.tie(call, x.tensor, tensor)
    else:
        tensor = call.builder.add_activation(call.node.outputs[output], shape)
    call.builder.nodes.append(Node(name, NAME, (x.tensor,), (tensor,), SelectAttributes(channels)))
    return tensor


def _part(
    call: OnnxCall, x: Value, axis: int, positions: Sequence[int], output: int = 0, *, keeps_axis: bool = True
) -> Value | Declined:
    """The entries at these positions of an axis, where that runs over the channels; the axis itself may go."""
    if keeps_axis and list(positions) == list(range(x.shape[axis])):
        return selected(call, x, range(call.extents(x)[CHANNEL]), x, output)
    if len(positions) == 0 or x.groups[axis] != (CHANNEL,):
        return Declined(
            f"{call.op} of a tensor of shape {list(x.shape)} over axis {axis} is not supported",
            "only channels can be taken apart",
        )
    labels: list[tuple[int, ...]] = [(CHANNEL,) if len(positions) > 1 else ()] if keeps_axis else []
    made = replace(
        x,
        shape=(*x.shape[:axis], *([len(positions)] if keeps_axis else []), *x.shape[axis + 1 :]),
        groups=(*x.groups[:axis], *labels, *x.groups[axis + 1 :]),
    )
    return selected(call, x, positions, made, output)


def _import_split(call: OnnxCall) -> Value | Declined:
    """Every output is a node of its own.

    source  ONNX operator Split: parts as attribute before opset 13, then as input 1, or `num_outputs` of equal size
    """
    x = call.value(0)
    axis = call.axis(len(x.shape), 0)
    names, extent = call.node.outputs, x.shape[axis]
    if call.opset < 13:
        sizes = [int(size) for size in call.attributes.get("split", ())]
    else:
        sizes = call.integers(1) if call.has(1) else []
    if not sizes:
        size = -(-extent // call.integer("num_outputs", len(names)))
        sizes = [max(0, min(size, extent - number * size)) for number in range(len(names))]
    if len(sizes) != len(names) or sum(sizes) != extent or min(sizes) < 0:
        raise call.refuse(f"Split of {extent} into {sizes} is not possible")
    made: list[Value] = []
    for number, size in enumerate(sizes):
        start = sum(sizes[:number])
        part = _part(call, x, axis, range(start, start + size), number)
        if isinstance(part, Declined):
            return part
        if names[number]:
            call.builder.values[names[number]] = part
        made.append(part)
    return made[0]


def _import_slice(call: OnnxCall) -> Value | Declined:
    """source  ONNX operator Slice: attributes before opset 10, then inputs starts, ends, axes, steps"""
    x = call.value(0)
    rank = len(x.shape)
    if call.opset < 10:
        starts, ends = ([int(n) for n in call.attributes.get(what, ())] for what in ("starts", "ends"))
        axes = [int(n) for n in call.attributes.get("axes", range(len(starts)))]
        steps = [1] * len(starts)
    else:
        starts, ends = call.integers(1), call.integers(2)
        axes = call.integers(3) if call.has(3) else list(range(len(starts)))
        steps = call.integers(4) if call.has(4) else [1] * len(starts)
    if not len(starts) == len(ends) == len(axes) == len(steps) or 0 in steps:
        raise call.refuse("Slice: starts, ends, axes and steps do not suit each other")
    if any(not -rank <= axis < rank for axis in axes) or len({axis % rank for axis in axes}) != len(axes):
        raise call.refuse(f"Slice: axes {axes} do not suit a tensor of rank {rank}")
    positions = {
        axis % rank: range(x.shape[axis])[start:end:step]
        for start, end, axis, step in zip(starts, ends, axes, steps, strict=True)
    }
    cut = [axis for axis, places in positions.items() if list(places) != list(range(x.shape[axis]))]
    if len(cut) > 1:
        return Declined(f"Slice of a tensor over the axes {cut} is not supported", "only channels can be taken apart")
    axis = cut[0] if cut else 0
    return _part(call, x, axis, list(positions[axis]) if cut else range(x.shape[0]))


def _import_gather(call: OnnxCall) -> Value | Declined:
    """Entries of an axis by a list of constants; all of them in order are a reshape (torch.as_strided exports so)."""
    if call.is_constant(0) or not call.is_constant(1):
        return Declined("Gather by an activation is not supported")
    x = call.value(0, after_tail=True)
    axis = call.axis(len(x.shape), 0)
    indices, extent = call.constant(1), x.shape[axis]
    if x.factors and indices.size == 1 and x.groups[axis]:
        return _of_factor(call, x, axis, int(indices.ravel()[0]) % extent, keeps_axis=indices.ndim == 1)
    x = call.value(0)
    flat = [int(index) for index in indices.ravel()]
    if any(not -extent <= index < extent for index in flat):
        raise call.refuse(f"Gather: indices beyond the {extent} entries of axis {axis}")
    flat = [index % extent for index in flat]
    if flat == list(range(extent)):
        made = call.reshape(x, (*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :]))
        return selected(call, x, range(call.extents(x)[CHANNEL]), made)
    if indices.ndim > 1:
        return Declined("Gather by indices of more than one axis is not supported", "only channels can be taken apart")
    return _part(call, x, axis, flat, keeps_axis=indices.ndim == 1)


def _of_factor(call: OnnxCall, x: Value, axis: int, index: int, *, keeps_axis: bool) -> Value | Declined:
    """One entry of an axis that runs over one of the two factors into which channels were cut."""
    factor = x.groups[axis][0] - CHANNEL
    if len(x.groups[axis]) > 1 or factor < 0 or len(x.factors) > 2:
        return Declined("Gather of channels that a Reshape cut is not supported but for one of two groups")
    every = np.arange(np.prod(x.factors)).reshape(x.factors)
    others: list[tuple[int, ...]] = [(CHANNEL,) if max(group, default=0) >= CHANNEL else group for group in x.groups]
    made = replace(
        x,
        shape=(*x.shape[:axis], *([1] if keeps_axis else []), *x.shape[axis + 1 :]),
        groups=(*others[:axis], *([()] if keeps_axis else []), *others[axis + 1 :]),
        factors=(),
    )
    return selected(call, x, [int(channel) for channel in every.take([index], axis=factor).reshape(-1)], made)


# Of float32 and of quantized files.
IMPORTS: Mapping[OnnxName, Callable[[OnnxCall], Value | Declined]] = {
    ("", "Split"): _import_split,
    ("", "Slice"): _import_slice,
    ("", "Gather"): _import_gather,
}
