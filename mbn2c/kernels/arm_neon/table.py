"""Kernels for 64-bit Arm with Advanced SIMD (Armv8.0): Raspberry Pi 3, 4, Zero 2.

Constants are packed as the C reads them: see templates/kernels/arm_neon/mbn_arm_neon.h.
"""

from __future__ import annotations

import numpy as np

from mbn2c.ir.graph import Graph, Node
from mbn2c.ir.kernel import Packed, PixelStride, Rates
from mbn2c.kernels.arm_common import channels_out, taps_in_order
from mbn2c.kernels.float_epilogue import (
    accepts_depthwise,
    accepts_depthwise_3x3,
    bias_and_scale,
    column_bytes,
    conv_fields,
    depthwise_taps,
)
from mbn2c.kernels.float_rows import FloatRows
from mbn2c.numerics import INT8_MAX, INT16_MAX
from mbn2c.ops.base.operator import quant_of
from mbn2c.ops.base.packing import pixel_stride
from mbn2c.ops.lookup import PARAMS as LOOKUP_PARAMS
from mbn2c.ops.lookup import has_one_table, pack_lookup

VECTOR_BYTES = 16
_OUTPUTS = 4
# Pixels of a block.
_PIXELS = 4
_HEADERS = ("arm_neon/mbn_arm_neon.h", "arm_neon/mbn_neon.h", "arm_neon/mbn_neon_math.h", "simd/mbn_simd.h")

_RATES = Rates(0.2, 2.6, 120, 0.0, 0.1, 0.15, 4)
_DEPTHWISE_RATES = Rates(0.4, 1.6, 120, 0.0, 0.1)
_ADD_RATES = Rates(0, 1.8, 120, 0.0, 0.1)
_LOOKUP_RATES = Rates(0, 0.6, 120, 0.0, 0.1)


def pack_taps(taps: np.ndarray) -> np.ndarray:
    """The order in which the convolution reads its weights.

    taps     int8 [O, K] in the order of the inputs
    returns  int8, flat: per 4 outputs, per 16 taps, then for what is left per 8, their bytes of each output; what is
             filled up is 0
    """
    taps = np.pad(taps, ((0, -len(taps) % _OUTPUTS), (0, -taps.shape[1] % 8)))
    whole = taps.shape[1] // VECTOR_BYTES * VECTOR_BYTES
    groups = taps.reshape(-1, _OUTPUTS, taps.shape[1])
    vectors = groups[:, :, :whole].reshape(len(groups), _OUTPUTS, -1, VECTOR_BYTES).transpose(0, 2, 1, 3)
    parts = (vectors.reshape(len(groups), -1), groups[:, :, whole:].reshape(len(groups), -1))
    return np.concatenate(parts, axis=1).reshape(-1)


def is_deep(taps: np.ndarray) -> bool:
    """Whether int16 holds the products of any inputs with each four weights that the kernel adds up in 16 bits.

    These are taps k, k + 8, k + 16 and k + 24 of each 32 behind the first sixteen.

    taps  int8 [O, K]
    """
    deep = taps[:, VECTOR_BYTES:].astype(np.int64)
    lanes = np.pad(deep, ((0, 0), (0, -deep.shape[1] % 32))).reshape(len(taps), -1, 4, 8)
    return bool((np.abs(lanes).sum(axis=2) * (INT8_MAX + 1)).max(initial=0) <= INT16_MAX)


def pack_conv(node: Node, graph: Graph, column: int | PixelStride) -> Packed:
    """Pixels, in place or gathered, and weights; column: bytes from one to the next."""
    taps = taps_in_order(node, graph)
    arrays = {"weights": pack_taps(taps), **bias_and_scale(node, graph, 0, _OUTPUTS)}
    fields = conv_fields(node, graph, column, arrays)
    return Packed({**fields, "is_deep": int(is_deep(taps))}, arrays, taps.size)


def scratch_column(node: Node, graph: Graph) -> int:
    """Bytes of the taps of one pixel, in whole vectors."""
    return -(-taps_in_order(node, graph).shape[1] // VECTOR_BYTES) * VECTOR_BYTES


def scratch_conv(node: Node, graph: Graph) -> int:
    """A block's columns, and what the last store writes behind them."""
    return _PIXELS * scratch_column(node, graph) + VECTOR_BYTES


def pack_depthwise(node: Node, graph: Graph) -> Packed:
    """Sixteen channels at a time."""
    arrays = {
        "weights": depthwise_taps(node, graph, VECTOR_BYTES),
        **bias_and_scale(node, graph, 2, VECTOR_BYTES),
    }
    fields: dict[str, int | str | PixelStride] = {
        **{name: name for name in arrays},
        "channels": channels_out(node, graph),
        **column_bytes(node, graph),
        **pixel_stride(node),
        "zero_point": quant_of(graph, node.outputs[0]).zero_point,
    }
    return Packed(fields, arrays, graph.constant(node.inputs[1]).size)


_ROWS = FloatRows("arm_neon", _HEADERS, VECTOR_BYTES - 1)
_DEPTHWISE_PARAMS = "mbn_depthwise_conv2d_arm_neon_params"

KERNELS = (
    *_ROWS.convolutions(pack_conv, scratch_column, scratch_conv, _RATES),
    *(
        _ROWS.row("depthwise_conv2d", name, _DEPTHWISE_PARAMS, pack_depthwise, _DEPTHWISE_RATES, accepts=accepts)
        for name, accepts in (
            ("depthwise_conv2d_3x3", accepts_depthwise_3x3),
            ("depthwise_conv2d", accepts_depthwise),
        )
    ),
    _ROWS.add(_ADD_RATES),
    _ROWS.row("lookup", "lookup", LOOKUP_PARAMS.name, pack_lookup, _LOOKUP_RATES, accepts=has_one_table),
    _ROWS.global_average_pool(_ADD_RATES),
)
