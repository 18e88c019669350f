"""Which of the two inputs of an ONNX Mul is the tensor, and which what it is multiplied by."""

from __future__ import annotations

from mbn2c.ir.axes import LayoutError, Value
from mbn2c.ops.base.call import Declined, OnnxCall


def in_order(call: OnnxCall, a: Value, b: Value) -> tuple[Value, Value] | Declined:
    """The tensor first, then what it is multiplied by: one of its shape, or a number for each of its channels."""
    if a.shape == b.shape and a.groups == b.groups:
        return a, b
    for x, other in ((a, b), (b, a)):
        per_channel = (1, 1, 1, call.extents(x)[3])
        if len(x.shape) != len(other.shape) or call.extents(other) != per_channel:
            continue
        if all(group in ((), own) for group, own in zip(other.groups, x.groups, strict=True)):
            return x, other
    if a.shape == b.shape:
        raise LayoutError(f"both factors in the same axis order; it finds {list(a.groups)} and {list(b.groups)}")
    return Declined(
        f"{call.op} of tensors of shapes {list(a.shape)} and {list(b.shape)} is not supported",
        "only activations of equal shape, or one and a number per channel, can be multiplied",
    )
