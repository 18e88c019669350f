"""A float32 Graph run in numpy, slowly and plainly: the tests' second opinion on importer and passes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from mbn2c.ir.graph import Graph, Node, Port
from mbn2c.ops import OPERATORS


def run_float(graph: Graph, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Outputs by ONNX name, in ONNX axis order, before any split-off softmax, from inputs given likewise."""
    values: dict[str, np.ndarray] = {}
    for port in graph.inputs:
        values[port.tensor] = to_nhwc(graph, port, inputs[port.outside])
    for node in graph.nodes:
        constants = [graph.constant(name) for name in node.inputs if graph.tensors[name].data is not None]
        arrays = [values[name] for name in node.inputs if graph.tensors[name].data is None]
        # What ONNX Runtime says of the others on its own, test_operators asks.
        made = _OPS[node.op](node, arrays, constants) if node.op in _OPS else _own(node, graph, arrays)
        activation = getattr(node.attributes, "activation", None)
        if activation is not None:
            made = np.clip(made, np.float32(activation.low), np.float32(activation.high))
        assert made.shape == graph.tensors[node.outputs[0]].shape, node
        values[node.outputs[0]] = made.astype(np.float32)
    return {port.outside: to_outside(port, values[port.tensor]) for port in graph.outputs}


def _own(node: Node, graph: Graph, arrays: list[np.ndarray]) -> np.ndarray:
    return OPERATORS[node.op].run_float(node, graph, arrays)


def to_nhwc(graph: Graph, port: Port, array: np.ndarray) -> np.ndarray:
    order = np.argsort(port.permutation)
    return array.transpose(order).reshape(graph.tensors[port.tensor].shape)


def to_outside(port: Port, array: np.ndarray) -> np.ndarray:
    rest = [axis for axis in range(4) if axis not in port.permutation]
    return array.transpose([*rest, *port.permutation]).reshape(port.shape)


def _patches(node: Node, x: np.ndarray) -> np.ndarray:
    """[H, W, kernel_h, kernel_w, C] of a window over x [1, H, W, C]."""
    window = node.attributes.window
    top, left, bottom, right = window.pad
    padded = np.pad(x[0], ((top, bottom), (left, right), (0, 0)))
    height, width = window.output_size(x.shape[1], x.shape[2])
    out = np.empty((height, width, *window.kernel, x.shape[3]), np.float32)
    for row in range(window.kernel[0]):
        for column in range(window.kernel[1]):
            first_row, first_column = row * window.dilation[0], column * window.dilation[1]
            out[:, :, row, column] = padded[
                first_row : first_row + height * window.stride[0] : window.stride[0],
                first_column : first_column + width * window.stride[1] : window.stride[1],
            ][:height, :width]
    return out


def _average_pool2d(node: Node, arrays: list[np.ndarray], constants: list[np.ndarray]) -> np.ndarray:
    """The pads that do not count are the outermost ones: ones where a pixel counts are summed as the pixels are."""
    (top, left, bottom, right), less = node.attributes.window.pad, node.attributes.uncounted
    height, width = (
        size + before + after
        for size, before, after in zip(arrays[0].shape[1:3], (top, left), (bottom, right), strict=True)
    )
    ones = np.zeros((1, height, width, 1), np.float32)
    ones[:, less[0] : height - less[2], less[1] : width - less[3]] = 1
    bare = replace(node, attributes=replace(node.attributes, window=replace(node.attributes.window, pad=(0, 0, 0, 0))))
    return (_patches(node, arrays[0]).sum(axis=(2, 3)) / _patches(bare, ones).sum(axis=(2, 3)))[None]


def _conv2d(node: Node, arrays: list[np.ndarray], constants: list[np.ndarray]) -> np.ndarray:
    weights, bias = constants
    return np.tensordot(_patches(node, arrays[0]), weights, ((2, 3, 4), (1, 2, 3)))[None] + bias


def _depthwise_conv2d(node: Node, arrays: list[np.ndarray], constants: list[np.ndarray]) -> np.ndarray:
    weights, bias = constants
    patches = np.repeat(_patches(node, arrays[0]), node.attributes.depth_multiplier, axis=4)
    return (patches * weights).sum(axis=(2, 3))[None] + bias


def _fully_connected(node: Node, arrays: list[np.ndarray], constants: list[np.ndarray]) -> np.ndarray:
    return arrays[0] @ constants[0].T + constants[1]


_OPS = {
    "conv2d": _conv2d,
    "depthwise_conv2d": _depthwise_conv2d,
    "fully_connected": _fully_connected,
    "add": lambda node, arrays, constants: arrays[0] + arrays[-1],
    "average_pool2d": _average_pool2d,
    "clamp": lambda node, arrays, constants: arrays[0],
    "scale_shift": lambda node, arrays, constants: arrays[0] * constants[0] + constants[1],
    "pad": lambda node, arrays, constants: np.pad(
        arrays[0],
        (
            (0, 0),
            (node.attributes.pad[0], node.attributes.pad[2]),
            (node.attributes.pad[1], node.attributes.pad[3]),
            (0, 0),
        ),
        constant_values=node.attributes.value,
    ),
}
