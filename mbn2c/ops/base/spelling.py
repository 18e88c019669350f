"""QLinearConv, QuantizeLinear, DequantizeLinear and Clip in ONNX.

Convolutions are explicit QLinearConv nodes, never float Conv between DequantizeLinear and QuantizeLinear: ONNX
Runtime 1.31 fuses that form only where a tensor has one reader and is no output, and computes the rest in float.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from mbn2c.ir.graph import Graph, Quant
from mbn2c.ops.base.operator import OnnxOp
from mbn2c.ops.base.quants import quant_of, scale_of


def spell_quantize(real: str, output: str, quant: Quant) -> OnnxOp:
    """float32 `real` -> int8 `output`."""
    scale, zero_point = f"{output}__scale", f"{output}__zero_point"
    constants = _scalars(scale, zero_point, quant)
    return OnnxOp("QuantizeLinear", (real, scale, zero_point), (output,), {}, constants)


def spell_dequantize(graph: Graph, tensor: str, reader: str) -> tuple[OnnxOp, str]:
    """int8 `tensor` -> float32, for one reader only, as ONNX Runtime wants it; returns the node and its output."""
    quant = quant_of(graph, tensor)
    scale, zero_point, real = f"{tensor}__scale", f"{tensor}__zero_point", f"{tensor}__for__{reader}"
    constants = _scalars(scale, zero_point, quant)
    return OnnxOp("DequantizeLinear", (tensor, scale, zero_point), (real,), {}, constants), real


def spell_qlinear_conv(
    graph: Graph,
    x: str,
    output: str,
    weights: tuple[str, np.ndarray, np.ndarray],
    bias: tuple[str, np.ndarray] | None,
    attributes: dict[str, Any],
) -> OnnxOp:
    """int8 `x` -> int8 `output`.

    weights  (name, int8 OIHW, float32 scale per output channel)
    bias     (name, int32) or None
    """
    name, values, w_scale = weights
    constants = {name: values, f"{name}__scale": w_scale, f"{name}__zero_point": np.zeros(w_scale.shape, np.int8)}
    for tensor in (x, output):
        quant = quant_of(graph, tensor)
        constants[f"{tensor}__scale"] = np.array(scale_of(quant), np.float32)
        constants[f"{tensor}__zero_point"] = np.array(quant.zero_point, np.int8)
    inputs = [x, f"{x}__scale", f"{x}__zero_point", name, f"{name}__scale", f"{name}__zero_point"]
    inputs += [f"{output}__scale", f"{output}__zero_point"]
    if bias is not None:
        constants[bias[0]] = bias[1]
        inputs.append(bias[0])
    return OnnxOp("QLinearConv", tuple(inputs), (output,), attributes, constants)


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


def _scalars(scale: str, zero_point: str, quant: Quant) -> dict[str, np.ndarray]:
    return {scale: np.array(scale_of(quant), np.float32), zero_point: np.array(quant.zero_point, np.int8)}
