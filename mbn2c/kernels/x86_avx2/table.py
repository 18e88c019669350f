"""Kernels for x86-64 with AVX2.

Constants are packed as the C reads them: see templates/kernels/x86_avx2/mbn_x86_avx2.h.
"""

from __future__ import annotations

import numpy as np

from mbn2c.ir.graph import Graph, Node
from mbn2c.ir.kernel import Packed, PixelStride, Rates
from mbn2c.kernels.arm_common import channels_out, taps_in_order
from mbn2c.kernels.simd_layers import IN_FLOAT, at_least, conv_fields, gathered_bytes, group_taps
from mbn2c.kernels.simd_rows import SimdRows
from mbn2c.kernels.x86_layers import accepts_depthwise, depthwise_fields
from mbn2c.ops.base.packing import folded_bias

# Outputs, or channels of a depthwise convolution, of a group.
_GROUP = 16
# In which order interleaving brings channels into lanes: see `_in_lanes`.
_LANES = np.arange(_GROUP).reshape(2, 2, 4).swapaxes(0, 1).reshape(-1)
# Pixels whose windows are gathered together.
_PIXELS = 4
# What the copying of a row reads behind it.
_PAST_BYTES = 15
_HEADERS = (
    "x86_avx2/mbn_x86_avx2.h",
    "x86_avx2/mbn_avx2.h",
    "x86_avx2/mbn_avx2_math.h",
    "simd/mbn_simd.h",
    "x86/mbn_x86.h",
)

_RATES = Rates(0.2, 1.0, 100, 0.0, 0.1, 0.05, 4)
_DEPTHWISE_RATES = Rates(0.3, 1.0, 100, 0.0, 0.1)
_ADD_RATES = Rates(0, 1.4, 100, 0.0, 0.1)


def pack_taps(taps: np.ndarray) -> np.ndarray:
    """The order in which the convolution reads its weights.

    taps     int8 [O, K] in the order of the inputs
    returns  int8, flat: per 16 outputs, the last group those of the last 16, per 2 taps the 2 bytes of each output
    """
    groups = group_taps(taps, _GROUP, 2)
    return groups.reshape(len(groups), _GROUP, -1, 2).swapaxes(1, 2).reshape(-1)


def pack_conv(node: Node, graph: Graph, column: int | PixelStride) -> Packed:
    """Pixels, in place or gathered, and weights; column: bytes from one to the next."""
    taps = taps_in_order(node, graph)
    arrays = {"weights": pack_taps(taps), **IN_FLOAT.constants(node, graph, 0, at_least(_GROUP))}
    return Packed(conv_fields(node, graph, column, arrays), arrays, taps.size)


def _column(node: Node, graph: Graph) -> int:
    """Bytes from a gathered column to the next, in whole pairs."""
    return gathered_bytes(node, graph, 2)


def scratch_conv(node: Node, graph: Graph) -> int:
    """The columns that are gathered together."""
    return _PIXELS * _column(node, graph)


def _in_lanes(values: np.ndarray) -> np.ndarray:
    """Numbers of channels, [C, K], in groups of 16, the last one of the last 16: [groups, lane, K], in that order."""
    return group_taps(values, _GROUP, 1)[:, _LANES]


def pack_depthwise(node: Node, graph: Graph) -> Packed:
    """Sixteen channels at a time."""
    channels, weights = channels_out(node, graph), graph.constant(node.inputs[1])
    taps = weights.reshape(-1, channels).T
    lanes = _in_lanes(np.pad(taps, ((0, 0), (0, taps.shape[1] % 2))))
    by_two = lanes.reshape(len(lanes), _GROUP, -1, 2).swapaxes(1, 2)
    scale = np.broadcast_to(node.attributes.requantize.scale.astype(np.float32), channels)
    arrays = {
        "weights": np.ascontiguousarray(by_two).reshape(-1),
        "bias": _in_lanes(folded_bias(node, graph, 2)[:, None]).reshape(-1),
        "scale": _in_lanes(scale[:, None]).reshape(-1),
    }
    return Packed(depthwise_fields(node, graph, arrays, 0), arrays, weights.size)


_ROWS = SimdRows("x86_avx2", IN_FLOAT, "mbn_conv2d_x86_params", _HEADERS, _PAST_BYTES)

KERNELS = (
    *_ROWS.convolutions(pack_conv, _column, scratch_conv, _RATES),
    _ROWS.row(
        "depthwise_conv2d",
        "depthwise_conv2d",
        "mbn_depthwise_conv2d_x86_params",
        pack_depthwise,
        _DEPTHWISE_RATES,
        accepts=accepts_depthwise,
    ),
    _ROWS.add(_ADD_RATES),
    _ROWS.global_average_pool(_ADD_RATES),
)
