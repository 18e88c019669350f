"""Tiny ONNX models built in code: `Net` grows one node by node, `DIALECTS` holds one per dialect feature.

Each entry's name says what it shows; beside it stand the operators that must be left after the passes.
"""

from __future__ import annotations

from onnx_models import (
    activations,
    batch_norms,
    channel_orders,
    constant_channels,
    convolutions,
    dilations,
    furniture,
    heads,
    layouts,
    padding,
    sizes,
)
from onnx_models.heads import head_pool_flatten_gemm
from onnx_models.net import DIALECTS, Net, dialect

# The modules add themselves to DIALECTS.
_MODULES = (
    activations,
    batch_norms,
    channel_orders,
    constant_channels,
    convolutions,
    dilations,
    furniture,
    heads,
    layouts,
    padding,
    sizes,
)
__all__ = ["DIALECTS", "Net", "dialect", "head_pool_flatten_gemm"]
