"""Convolutions and dense layers as an operator takes them from a node of the file, float32 or quantized."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from mbn2c.ir.axes import Value
from mbn2c.ops.base.call import Declined, OnnxCall
from mbn2c.ops.base.convolution import Convolution, read_convolution
from mbn2c.ops.base.weighted import Weighted


@dataclass(frozen=True, eq=False)
class Layer:
    """A convolution or a dense layer of one of our operators, weights in the Graph's order.

    operator    that it becomes
    attributes  of the Node, its requantization left out
    weights     OHWI, HWC or OI; float64, or int64 with the zero point taken off
    order       the weights as [O, K], K in ONNX's order: input channel, row, column
    extents     (1, H, W, C) of the output
    value       the output, its tensor not yet named
    """

    operator: Weighted
    attributes: Any
    weights: np.ndarray
    order: np.ndarray
    extents: tuple[int, int, int, int]
    value: Value


# What an operator makes of a convolution; it declines those of another operator.
LayerOf = Callable[[Convolution], Layer | Declined]


def import_convolution(call: OnnxCall, layer_of: LayerOf, part: str = "") -> Value | Declined:
    """The node of a float32 Conv; `part` as in `OnnxCall.emit`."""
    convolution, bias = read_convolution(call, call.value(0))
    layer = layer_of(convolution)
    return layer if isinstance(layer, Declined) else emit_float(call, layer, convolution.x, bias, part)


def emit_float(call: OnnxCall, layer: Layer, x: Value, bias: np.ndarray, part: str = "") -> Value:
    """Add the float32 node of a layer.

    bias  float64 [O]
    part  as in `OnnxCall.emit`
    """
    constants = [("weights", layer.weights), ("bias", bias)]
    tensor = call.emit(layer.operator.name, [x], layer.extents, layer.attributes, constants, part)
    return replace(layer.value, tensor=tensor)
