"""Kernels for 64-bit Arm with the dot product instructions (Armv8.2): Raspberry Pi 5.

Constants are packed as the C reads them: see templates/kernels/arm_dotprod/mbn_arm_dotprod.h.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from mbn2c.ir.graph import Graph, Node
from mbn2c.ir.kernel import Packed, PixelStride, Rates
from mbn2c.kernels.arm_common import channels_out, is_plain_depthwise, taps_in_order
from mbn2c.kernels.arm_neon.table import (
    CONV_PARAMS,
    VECTOR_BYTES,
    pack_depthwise,
    scratch_column,
    scratch_conv,
)
from mbn2c.kernels.simd_layers import DOUBLED, at_least, conv_fields, group_taps
from mbn2c.kernels.simd_rows import SimdRows

_OUTPUTS = 16
_FEWER_OUTPUTS = 8
_TAPS = 8
_HEADERS = (
    "arm_dotprod/mbn_arm_dotprod.h",
    "arm_neon/mbn_a64_asm.h",
    "arm_neon/mbn_arm_neon.h",
    "arm_neon/mbn_neon.h",
    "arm_neon/mbn_neon_math.h",
    "simd/mbn_simd.h",
)
_DEPTHWISE_RATES = Rates(0.16, 1.1, 150, 0.0, 0.1)
_RATES = Rates(0.073, 1.1, 150, 0.0, 0.1, 0.06, 4)


def _last_outputs(channels: int) -> int:
    """Of how many outputs the group behind the whole ones is."""
    return _FEWER_OUTPUTS if channels % _OUTPUTS <= _FEWER_OUTPUTS else _OUTPUTS


def pack_taps(taps: np.ndarray) -> np.ndarray:
    """The order in which the convolution reads its weights.

    taps     int8 [O, K] in the order of the inputs
    returns  int8, flat: per 16 outputs per 4 taps the 4 bytes of each output; at last those of the last 8 or 16
    """
    whole, last = len(taps) // _OUTPUTS * _OUTPUTS, _last_outputs(len(taps))
    groups = [*group_taps(taps[:whole], _OUTPUTS, _TAPS)] if whole else []
    groups += [group_taps(taps, last, _TAPS)[-1]] if whole < len(taps) else []
    return np.concatenate([group.reshape(len(group), -1, 4).transpose(1, 0, 2).reshape(-1) for group in groups])


def pack_conv(node: Node, graph: Graph, column: int | PixelStride) -> Packed:
    """As for Advanced SIMD, with weights in the order of dot products."""
    taps = taps_in_order(node, graph)
    filled = at_least(_last_outputs(len(taps)))
    arrays = {"weights": pack_taps(taps), **DOUBLED.constants(node, graph, 0, filled)}
    return Packed({**conv_fields(node, graph, column, arrays), "steps": 0}, arrays, taps.size)


def accepts_depthwise_3x3(node: Node, graph: Graph) -> bool:
    """Whether windows are one or two columns apart, and there are 8 channels or whole vectors of them."""
    channels = channels_out(node, graph)
    has_vectors = channels >= VECTOR_BYTES or channels == VECTOR_BYTES // 2
    return has_vectors and is_plain_depthwise(node, 3) and DOUBLED.accepts_depthwise(node, graph)


def pack_depthwise_3x3(node: Node, graph: Graph) -> Packed:
    """As for Advanced SIMD, the weights of sixteen channels in the order of interleaved columns."""
    packed, weights = pack_depthwise(node, graph), graph.constant(node.inputs[1])
    taps = weights.reshape(9, -1).T
    groups = group_taps(taps, VECTOR_BYTES, 1).reshape(-1, VECTOR_BYTES, 3, 3)
    # [group, channel, row and a fourth, column] -> [group, column, channel, row]
    filled = np.pad(groups, ((0, 0), (0, 0), (0, 1), (0, 0))).transpose(0, 3, 1, 2)
    return replace(packed, arrays={**packed.arrays, "weights": np.ascontiguousarray(filled).reshape(-1)})


_ROWS = SimdRows("arm_dotprod", DOUBLED, CONV_PARAMS, _HEADERS, VECTOR_BYTES - 1, ("arm_dotprod/conv_block.c",))

KERNELS = (
    *_ROWS.convolutions(pack_conv, scratch_column, scratch_conv, _RATES),
    _ROWS.row(
        "depthwise_conv2d",
        "depthwise_conv2d_3x3",
        "mbn_depthwise_conv2d_arm_neon_params",
        pack_depthwise_3x3,
        _DEPTHWISE_RATES,
        accepts=accepts_depthwise_3x3,
        more_sources=("arm_dotprod/depthwise_row.c",),
    ),
)
