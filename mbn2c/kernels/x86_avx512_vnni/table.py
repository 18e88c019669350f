"""Kernels for x86-64 with AVX-512 (F, BW, VL) and VNNI.

Constants are packed as the C reads them: see templates/kernels/x86_avx512_vnni/mbn_x86_avx512_vnni.h.
"""

from __future__ import annotations

import math

import numpy as np

from mbn2c.ir.graph import Graph, Node
from mbn2c.ir.kernel import Packed, PixelStride, Rates
from mbn2c.kernels.arm_common import channels_out, taps_in_order, window_of
from mbn2c.kernels.lanes import as_int32
from mbn2c.kernels.simd_layers import IN_FLOAT, conv_fields, to_multiple
from mbn2c.kernels.simd_rows import SimdRows
from mbn2c.kernels.x86_layers import PAST_BYTES, accepts_depthwise, depthwise_fields
from mbn2c.ops.base.packing import folded_bias

_OUTPUTS = 16
_CHANNELS = 64
# What is added to int8 inputs so that they are unsigned.
_OFFSET = 128
# Pixels whose windows are gathered together.
_PIXELS = 12
_HEADERS = (
    "x86_avx512_vnni/mbn_x86_avx512_vnni.h",
    "x86_avx512_vnni/mbn_avx512.h",
    "x86_avx512_vnni/mbn_avx512_math.h",
    "simd/mbn_simd.h",
    "x86/mbn_x86.h",
)

_RATES = Rates(0.025, 0.4, 100, 0.0, 0.1, 0.01, 6)
_DEPTHWISE_RATES = Rates(0.1, 0.5, 100, 0.0, 0.1)
_ADD_RATES = Rates(0, 0.8, 100, 0.0, 0.1)


def pack_taps(taps: np.ndarray) -> np.ndarray:
    """The order in which the convolution reads its weights.

    taps     int8 [O, K] in the order of the inputs
    returns  int8, flat: per 16 outputs, per 4 taps the 4 bytes of each output; what is filled up is 0
    """
    taps = np.pad(taps, ((0, -len(taps) % _OUTPUTS), (0, -taps.shape[1] % 4)))
    return taps.reshape(-1, _OUTPUTS, taps.shape[1] // 4, 4).transpose(0, 2, 1, 3).reshape(-1)


def _unsigned_bias(node: Node, graph: Graph, channel_axis: int) -> np.ndarray:
    """The folded bias of inputs that are 128 too large, int32 [C] modulo 2^32, as accumulators are."""
    weights = np.moveaxis(graph.constant(node.inputs[1]).astype(np.int64), channel_axis, 0)
    sums = weights.reshape(len(weights), -1).sum(axis=1)
    return as_int32(folded_bias(node, graph, channel_axis).astype(np.int64) - _OFFSET * sums)


def pack_conv(node: Node, graph: Graph, column: int | PixelStride) -> Packed:
    """Pixels, in place or gathered, and weights; column: bytes from one to the next."""
    taps, bias = taps_in_order(node, graph), _unsigned_bias(node, graph, 0)
    arrays = {
        "weights": pack_taps(taps),
        **IN_FLOAT.constants(node, graph, 0, to_multiple(_OUTPUTS)),
        "bias": np.pad(bias, (0, -len(bias) % _OUTPUTS)),
    }
    return Packed(conv_fields(node, graph, column, arrays), arrays, taps.size)


def _column(node: Node, graph: Graph) -> int:
    """Bytes of the taps of one pixel, in whole words."""
    return -(-taps_in_order(node, graph).shape[1] // 4) * 4


def scratch_conv(node: Node, graph: Graph) -> int:
    """The columns that are gathered together, and what the last copy writes behind them."""
    return _PIXELS * _column(node, graph) + PAST_BYTES


def _in_lanes(values: np.ndarray) -> np.ndarray:
    """Numbers of channels, [..., 64 n], in the order in which interleaving brings them into lanes: [..., n, 64]."""
    groups = values.reshape(*values.shape[:-1], -1, 4, 4, 4)
    return np.ascontiguousarray(groups.swapaxes(-3, -2)).reshape(*values.shape[:-1], -1, _CHANNELS)


def pack_depthwise(node: Node, graph: Graph) -> Packed:
    """64 channels at a time, or of as many pixels side by side as have 64."""
    window, channels = window_of(node), channels_out(node, graph)
    period = math.lcm(channels, _CHANNELS) if window.stride[1] == 1 else 0
    length = period or -(-channels // _CHANNELS) * _CHANNELS
    # Behind the last channel of a pixel lies the next one's first, which is masked where there is no such pixel.
    order = np.arange(length) % channels
    taps = graph.constant(node.inputs[1]).reshape(-1, channels)[:, order]
    taps = np.pad(taps, ((0, -len(taps) % 4), (0, 0)))
    by_four = _in_lanes(taps).reshape(len(taps) // 4, 4, -1, _CHANNELS)
    scale = np.broadcast_to(node.attributes.requantize.scale.astype(np.float32), channels)
    arrays = {
        "weights": np.ascontiguousarray(by_four.transpose(2, 0, 3, 1)).reshape(-1),
        "bias": _in_lanes(_unsigned_bias(node, graph, 2)[order]).reshape(-1),
        "scale": _in_lanes(scale[order]).reshape(-1),
    }
    return Packed(depthwise_fields(node, graph, arrays, period), arrays, graph.constant(node.inputs[1]).size)


_ROWS = SimdRows("x86_avx512_vnni", IN_FLOAT, "mbn_conv2d_x86_params", _HEADERS, PAST_BYTES - 1)

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
