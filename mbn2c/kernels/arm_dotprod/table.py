"""Kernels for 64-bit Arm with the dot product instructions (Armv8.2): Raspberry Pi 5.

Constants are packed as the C reads them: see templates/kernels/arm_dotprod/mbn_arm_dotprod.h.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from mbn2c.ir.graph import Graph, Node
from mbn2c.ir.kernel import Packed, PixelStride, Rates
from mbn2c.kernels.arm_common import taps_in_order
from mbn2c.kernels.arm_neon.table import VECTOR_BYTES, pack_depthwise, scratch_column, scratch_conv
from mbn2c.kernels.float_epilogue import accepts_depthwise_3x3, bias_and_scale, conv_fields
from mbn2c.kernels.float_rows import FloatRows

_OUTPUTS = 16
_FEWER_OUTPUTS = 8
_TAPS = 8
_HEADERS = (
    "arm_dotprod/mbn_arm_dotprod.h",
    "arm_neon/mbn_arm_neon.h",
    "arm_neon/mbn_neon.h",
    "arm_neon/mbn_neon_math.h",
    "simd/mbn_simd.h",
)
_DEPTHWISE_RATES = Rates(0.2, 1.6, 120, 0.0, 0.1)
_RATES = Rates(0.075, 1.7, 120, 0.0, 0.1, 0.06, 4)


def pack_taps(taps: np.ndarray) -> np.ndarray:
    """The order in which the convolution reads its weights.

    taps     int8 [O, K] in the order of the inputs
    returns  int8, flat: per 16 outputs, at last for up to 8, per 4 taps the 4 bytes of each output; what is filled up
             is 0
    """
    taps = np.pad(taps, ((0, -len(taps) % _FEWER_OUTPUTS), (0, -taps.shape[1] % _TAPS)))
    fours = taps.reshape(len(taps), -1, 4)
    groups = [fours[o : o + _OUTPUTS].transpose(1, 0, 2).reshape(-1) for o in range(0, len(taps), _OUTPUTS)]
    return np.concatenate(groups)


def pack_conv(node: Node, graph: Graph, column: int | PixelStride) -> Packed:
    """As for Advanced SIMD, with weights in the order of dot products."""
    taps = taps_in_order(node, graph)
    arrays = {"weights": pack_taps(taps), **bias_and_scale(node, graph, 0, _FEWER_OUTPUTS)}
    return Packed(conv_fields(node, graph, column, arrays), arrays, taps.size)


def pack_depthwise_3x3(node: Node, graph: Graph) -> Packed:
    """As for Advanced SIMD, the weights of sixteen channels in the order of interleaved columns."""
    packed, weights = pack_depthwise(node, graph), graph.constant(node.inputs[1])
    channels = weights.shape[2]
    # [row and a fourth, column, channel] -> [group, column, channel, row]
    filled = np.pad(weights.reshape(3, 3, channels), ((0, 1), (0, 0), (0, -channels % VECTOR_BYTES)))
    groups = filled.reshape(4, 3, -1, VECTOR_BYTES).transpose(2, 1, 3, 0)
    return replace(packed, arrays={**packed.arrays, "weights": np.ascontiguousarray(groups).reshape(-1)})


_ROWS = FloatRows("arm_dotprod", _HEADERS, VECTOR_BYTES - 1)

KERNELS = (
    *_ROWS.convolutions(pack_conv, scratch_column, scratch_conv, _RATES),
    _ROWS.row(
        "depthwise_conv2d",
        "depthwise_conv2d_3x3",
        "mbn_depthwise_conv2d_arm_neon_params",
        pack_depthwise_3x3,
        _DEPTHWISE_RATES,
        accepts=accepts_depthwise_3x3,
    ),
)
