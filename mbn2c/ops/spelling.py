"""QuantizeLinear and DequantizeLinear in ONNX, for the operators that ONNX defines between them."""

from __future__ import annotations

import numpy as np

from mbn2c.ir.graph import Quant
from mbn2c.ops.operator import OnnxOp, scale_of


def spell_quantize(real: str, output: str, quant: Quant) -> OnnxOp:
    """float32 `real` -> int8 `output`."""
    return _spell("QuantizeLinear", real, output, output, quant)


def spell_dequantize(source: str, real: str, quant: Quant) -> OnnxOp:
    """int8 `source` -> float32 `real`."""
    return _spell("DequantizeLinear", source, real, source, quant)


def _spell(op_type: str, source: str, output: str, owner: str, quant: Quant) -> OnnxOp:
    scale, zero_point = f"{owner}__scale", f"{owner}__zero_point"
    constants = {scale: np.array(scale_of(quant), np.float32), zero_point: np.array(quant.zero_point, np.int8)}
    return OnnxOp(op_type, (source, scale, zero_point), (output,), {}, constants)
