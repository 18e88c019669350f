"""Scales and zero points: of a tensor that must have them, and the values they make of real numbers."""

from __future__ import annotations

import numpy as np

from mbn2c.ir.graph import Graph, Quant
from mbn2c.numerics import quantize_linear


def quant_of(graph: Graph, tensor: str) -> Quant:
    """The quantization of a tensor that must have one."""
    quant = graph.tensors[tensor].quant
    assert quant is not None, f"{tensor} is not quantized"
    return quant


def scale_of(quant: Quant) -> np.float32:
    """The one scale of a per-tensor quantization."""
    return np.float32(quant.scale.reshape(-1)[0])


def codes_of(quant: Quant, real: np.ndarray) -> np.ndarray:
    """The nearest value of an activation, ties to even, saturated: QuantizeLinear, also to int16."""
    if quant.bits == 8:
        return quantize_linear(real, scale_of(quant), quant.zero_point)
    return np.clip(np.rint(real / float(scale_of(quant))), quant.lowest, quant.highest).astype(quant.dtype)
