"""What every operator answers, and how it spells itself in ONNX.

Spelling is plain data (`OnnxOp`), so that only `onnx_export` needs the `onnx` package. In the exported
models every activation is NCHW and four-dimensional and keeps the name it has in the Graph.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from mbn2c.ir.graph import Graph, Node, Quant, Tensor
from mbn2c.ir.window import Window


@dataclass(frozen=True)
class OnnxOp:
    """One ONNX node with the constants it needs, by name."""

    op_type: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any] = field(default_factory=dict)
    constants: Mapping[str, np.ndarray] = field(default_factory=dict)


class Operator:
    """The meaning of one operator; a Node's `op` is its `name`.

    int8_attributes  class of an int8 Node's attributes; None where there is no such Node
    """

    name: str
    int8_attributes: type | None = None

    def output_shape(self, node: Node, graph: Graph) -> tuple[int, ...]:
        """Shape of the output, NHWC."""
        raise AssertionError(f"{self.name} has no shape rule")

    def window(self, node: Node) -> Window:
        """Which input pixels one output pixel needs; pointwise unless said otherwise."""
        return Window()

    def activations(self, node: Node, graph: Graph) -> tuple[str, ...]:
        """The inputs that are not constants."""
        return tuple(name for name in node.inputs if graph.tensors[name].data is None)

    def macs(self, node: Node, graph: Graph) -> int:
        """Multiply-accumulates of one inference; 0 for operators that have none by convention."""
        return 0

    def spell_float(self, node: Node, graph: Graph) -> list[OnnxOp]:
        """The float32 operator in ONNX."""
        raise AssertionError(f"{self.name} does not exist in float32")

    def spell_int8(self, node: Node, graph: Graph) -> list[OnnxOp]:
        """The int8 operator in ONNX."""
        raise AssertionError(f"{self.name} does not exist in int8")

    def quantize(self, node: Node, graph: Graph, quants: Mapping[str, Quant]) -> tuple[Node, list[Tensor]]:
        """The int8 node and its constants. `quants` has an entry for every activation."""
        raise AssertionError(f"{self.name} cannot be quantized")

    def run(self, node: Node, graph: Graph, inputs: Sequence[np.ndarray]) -> np.ndarray:
        """The exact int8 result. inputs: int8 NHWC, one per `activations`; returns int8 NHWC."""
        raise AssertionError(f"{self.name} does not exist in int8")


def quant_of(graph: Graph, tensor: str) -> Quant:
    """The quantization of a tensor that must have one."""
    quant = graph.tensors[tensor].quant
    assert quant is not None, f"{tensor} is not quantized"
    return quant


def scale_of(quant: Quant) -> np.float32:
    """The one scale of a per-tensor quantization."""
    return np.float32(quant.scale.reshape(-1)[0])


def pad_zero_point(x: np.ndarray, window: Window, zero_point: int) -> np.ndarray:
    """Surround NHWC `x` with the value that stands for 0.0."""
    top, left, bottom, right = window.pad
    return np.pad(x, ((0, 0), (top, bottom), (left, right), (0, 0)), constant_values=zero_point)


def taps(x: np.ndarray, window: Window) -> list[np.ndarray]:
    """For each kernel position, row by row, the strided view [1, H_out, W_out, C] of padded `x` it multiplies."""
    _, height, width, _ = x.shape
    out_height, out_width = Window(window.kernel, window.stride, dilation=window.dilation).output_size(height, width)
    views = []
    for ky in range(window.kernel[0]):
        for kx in range(window.kernel[1]):
            top, left = ky * window.dilation[0], kx * window.dilation[1]
            bottom = top + (out_height - 1) * window.stride[0] + 1
            right = left + (out_width - 1) * window.stride[1] + 1
            views.append(x[:, top : bottom : window.stride[0], left : right : window.stride[1], :])
    return views


def onnx_window(window: Window) -> dict[str, Any]:
    """The attributes of ONNX Conv for a window."""
    top, left, bottom, right = window.pad
    return {
        "kernel_shape": list(window.kernel),
        "strides": list(window.stride),
        "pads": [top, left, bottom, right],
        "dilations": list(window.dilation),
    }
