"""Kernels for x86-64 with AVX-512 (F, BW, VL) and VNNI.

Constants are packed as the C reads them: see templates/kernels/x86_avx512_vnni/mbn_x86_avx512_vnni.h.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from mbn2c.ir.graph import Graph, Node
from mbn2c.ir.kernel import Packed, Rates, always
from mbn2c.kernels.arm_common import channels_out, is_plain_depthwise, taps_in_order, window_of
from mbn2c.kernels.lanes import as_int32
from mbn2c.kernels.simd_layers import IN_FLOAT, conv_fields, to_multiple
from mbn2c.kernels.simd_rows import SimdRows
from mbn2c.kernels.x86_layers import accepts_depthwise, depthwise_fields
from mbn2c.ops.base.packing import folded_bias, in_bytes

_OUTPUTS = 16
_CHANNELS = 64
# What is added to int8 inputs so that they are unsigned.
_OFFSET = 128
# How far the last four taps of a window reach behind its row.
_PAST_BYTES = 3
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

    taps     int8 [O, rows of the window, K] in the order of the inputs
    returns  int8, flat: per 16 outputs, per row, per 4 taps the 4 bytes of each output; what is filled up is 0
    """
    taps = np.pad(taps, ((0, -len(taps) % _OUTPUTS), (0, 0), (0, -taps.shape[2] % 4)))
    return taps.reshape(len(taps) // _OUTPUTS, _OUTPUTS, -1, 4).swapaxes(1, 2).reshape(-1)


def _unsigned_bias(node: Node, graph: Graph, channel_axis: int) -> np.ndarray:
    """The folded bias of inputs that are 128 too large, int32 [C] modulo 2^32, as accumulators are."""
    weights = np.moveaxis(graph.constant(node.inputs[1]).astype(np.int64), channel_axis, 0)
    sums = weights.reshape(len(weights), -1).sum(axis=1)
    return as_int32(folded_bias(node, graph, channel_axis).astype(np.int64) - _OFFSET * sums)


def pack_conv(node: Node, graph: Graph) -> Packed:
    """Windows of pixels side by side, read where they lie."""
    taps, bias = taps_in_order(node, graph), _unsigned_bias(node, graph, 0)
    arrays = {
        "weights": pack_taps(taps.reshape(len(taps), window_of(node).kernel[0], -1)),
        **IN_FLOAT.constants(node, graph, 0, to_multiple(_OUTPUTS)),
        "bias": np.pad(bias, (0, -len(bias) % _OUTPUTS)),
    }
    return Packed(conv_fields(node, graph, 0, arrays), arrays, taps.size)


def pack_1x1(node: Node, graph: Graph) -> Packed:
    """The same; the pixels may be slices of wider ones."""
    packed = pack_conv(node, graph)
    return replace(packed, fields={**packed.fields, "step": in_bytes(node)["in_bytes"]})


def _in_lanes(values: np.ndarray) -> np.ndarray:
    """Numbers of channels, [..., 64 n], in the order in which interleaving brings them into lanes: [..., n, 64]."""
    groups = values.reshape(*values.shape[:-1], -1, 4, 4, 4)
    return np.ascontiguousarray(groups.swapaxes(-3, -2)).reshape(*values.shape[:-1], -1, _CHANNELS)


def _period(node: Node, graph: Graph) -> int:
    """Channels of a row after which its constants repeat, if it shall be one long pixel; else 0.

    It is where windows are one pixel apart, and a pixel by itself would leave more than an eighth of its vectors empty.
    """
    channels, row = channels_out(node, graph), channels_out(node, graph) * graph.tensors[node.outputs[0]].shape[2]
    period = math.lcm(channels, _CHANNELS)
    is_long = window_of(node).stride[1] == 1 and 8 * (-channels % _CHANNELS) > channels
    return period if is_long and period <= row else 0


def _pack_depthwise(node: Node, graph: Graph, taps: np.ndarray, period: int) -> Packed:
    """64 channels at a time, or of as many pixels side by side as have 64.

    taps  int8 [4 n, C]
    """
    channels = channels_out(node, graph)
    length = period or -(-channels // _CHANNELS) * _CHANNELS
    # Behind the last channel of a pixel lies the next one's first, which is masked where there is no such pixel.
    order = np.arange(length) % channels
    by_four = _in_lanes(taps[:, order]).reshape(len(taps) // 4, 4, -1, _CHANNELS)
    scale = np.broadcast_to(node.attributes.requantize.scale.astype(np.float32), channels)
    arrays = {
        "weights": np.ascontiguousarray(by_four.transpose(2, 0, 3, 1)).reshape(-1),
        "bias": _in_lanes(_unsigned_bias(node, graph, 2)[order]).reshape(-1),
        "scale": _in_lanes(scale[order]).reshape(-1),
    }
    return Packed(depthwise_fields(node, graph, arrays, period), arrays, graph.constant(node.inputs[1]).size)


def pack_depthwise(node: Node, graph: Graph) -> Packed:
    """Taps by rows of the window."""
    taps = graph.constant(node.inputs[1]).reshape(-1, channels_out(node, graph))
    return _pack_depthwise(node, graph, np.pad(taps, ((0, -len(taps) % 4), (0, 0))), _period(node, graph))


def accepts_depthwise_3x3(node: Node, graph: Graph) -> bool:
    """Whether windows are one or two columns apart, and there are not so few channels that long rows are faster."""
    is_wide = window_of(node).stride[1] == 2 or channels_out(node, graph) >= _CHANNELS // 2
    return is_wide and is_plain_depthwise(node, 3) and IN_FLOAT.accepts_depthwise(node, graph)


def pack_depthwise_3x3(node: Node, graph: Graph) -> Packed:
    """Taps by columns of the window, each filled up to four rows."""
    columns = graph.constant(node.inputs[1]).swapaxes(0, 1)
    taps = np.pad(columns, ((0, 0), (0, 1), (0, 0))).reshape(-1, columns.shape[2])
    return _pack_depthwise(node, graph, taps, 0)


_CONV_PARAMS = "mbn_conv2d_x86_params"
_ROWS = SimdRows("x86_avx512_vnni", IN_FLOAT, _CONV_PARAMS, _HEADERS, _PAST_BYTES)

KERNELS = (
    *(
        _ROWS.row(op, "conv2d", _CONV_PARAMS, pack_1x1, _RATES, accepts=IN_FLOAT.accepts_1x1, reads_slices=always)
        for op in ("conv2d", "fully_connected")
    ),
    _ROWS.row("conv2d", "conv2d", _CONV_PARAMS, pack_conv, _RATES, accepts=IN_FLOAT.accepts_conv),
    *(
        _ROWS.row("depthwise_conv2d", name, "mbn_depthwise_conv2d_x86_params", pack, _DEPTHWISE_RATES, accepts=accepts)
        for name, pack, accepts in (
            ("depthwise_conv2d_3x3", pack_depthwise_3x3, accepts_depthwise_3x3),
            ("depthwise_conv2d", pack_depthwise, accepts_depthwise),
        )
    ),
    _ROWS.add(_ADD_RATES),
    _ROWS.global_average_pool(_ADD_RATES),
)
