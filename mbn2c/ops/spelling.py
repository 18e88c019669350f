"""QuantizeLinear, DequantizeLinear and Clip in ONNX.

The int8 model is in QDQ form: float operators between DequantizeLinear and QuantizeLinear. ONNX Runtime
fuses each group into its integer operator; unlike explicit QLinearConv nodes with int8 activations, this form
also loads with the session option for exact int8 arithmetic on processors without VNNI.
"""

from __future__ import annotations

import numpy as np

from mbn2c.ir.graph import Graph, Quant
from mbn2c.ops.operator import OnnxOp, quant_of, scale_of


def spell_quantize(real: str, output: str, quant: Quant) -> OnnxOp:
    """float32 `real` -> int8 `output`."""
    scale, zero_point = f"{output}__scale", f"{output}__zero_point"
    constants = {scale: np.array(scale_of(quant), np.float32), zero_point: np.array(quant.zero_point, np.int8)}
    return OnnxOp("QuantizeLinear", (real, scale, zero_point), (output,), {}, constants)


def spell_dequantize(graph: Graph, tensor: str, reader: str) -> tuple[OnnxOp, str]:
    """int8 `tensor` -> float32, for one reader only, as ONNX Runtime wants it; returns the node and its output."""
    quant = quant_of(graph, tensor)
    scale, zero_point, real = f"{tensor}__scale", f"{tensor}__zero_point", f"{tensor}__for__{reader}"
    constants = {scale: np.array(scale_of(quant), np.float32), zero_point: np.array(quant.zero_point, np.int8)}
    return OnnxOp("DequantizeLinear", (tensor, scale, zero_point), (real,), {}, constants), real


def spell_dequantized_constant(name: str, values: np.ndarray, scale: np.ndarray) -> tuple[OnnxOp, str]:
    """A constant of int8 weights or int32 biases with a scale per output channel (axis 0); as `spell_dequantize`."""
    scale_name, zero_point, real = f"{name}__scale", f"{name}__zero_point", f"{name}__real"
    constants = {name: values, scale_name: scale, zero_point: np.zeros(scale.shape, values.dtype)}
    return OnnxOp("DequantizeLinear", (name, scale_name, zero_point), (real,), {"axis": 0}, constants), real


def spell_clip(source: str, output: str, low: float, high: float) -> OnnxOp:
    """ONNX Clip with constant bounds; an infinite bound is left out."""
    names, constants = [source], {}
    for suffix, bound in (("min", low), ("max", high)):
        if np.isfinite(bound):
            constants[f"{output}__{suffix}"] = np.array(bound, np.float32)
            names.append(f"{output}__{suffix}")
        else:
            names.append("")
    return OnnxOp("Clip", tuple(names), (output,), {}, constants)
