"""Pools with ceil_mode as ONNX Runtime counts their windows, for ONNX's own shape inference.

A last window that would begin behind the input and its pads above and left is left out by ONNX Runtime, PyTorch, and by
ONNX from opset 22 on; the shape inference of older opsets counts it.
"""

from __future__ import annotations

from collections.abc import Mapping

from onnx import ModelProto, NodeProto, helper

_POOLS = ("MaxPool", "AveragePool")


def leave_out_windows_in_pads(model: ModelProto, shapes: Mapping[str, tuple[int, ...]]) -> None:
    """Give such pools in the model, which changes, pads that do without ceil_mode.

    shapes  [N, C, H, W] of the tensors, as far as they are known
    """
    for node in model.graph.node:
        shape = shapes.get(node.input[0] if node.input else "", ())
        if node.op_type in _POOLS and len(shape) == 4:
            _leave_out(node, shape[2:])


def _leave_out(node: NodeProto, sizes: tuple[int, ...]) -> None:
    attributes = {one.name: helper.get_attribute_value(one) for one in node.attribute}
    if not attributes.get("ceil_mode") or attributes.get("auto_pad", b"NOTSET") != b"NOTSET":
        return
    pads = list(attributes.get("pads", (0, 0, 0, 0)))
    has_one = False
    for axis, (size, taps) in enumerate(zip(sizes, attributes["kernel_shape"], strict=True)):
        step, dilation = (attributes.get(name, (1, 1))[axis] for name in ("strides", "dilations"))
        extent = (taps - 1) * dilation + 1
        last = -(-(size + pads[axis] + pads[axis + 2] - extent) // step) * step  # where its window begins
        if last >= size + pads[axis]:
            has_one, last = True, last - step
        pads[axis + 2] = max(last + extent - size - pads[axis], 0)
    if has_one:
        kept = [one for one in node.attribute if one.name not in ("ceil_mode", "pads")]
        del node.attribute[:]
        node.attribute.extend([*kept, helper.make_attribute("pads", pads)])
