"""Layers whose input or output is int16, on Helium: constants as the C wants them."""

from __future__ import annotations

import numpy as np

from mbn2c.ir.graph import Graph, Node
from mbn2c.ir.kernel import Kernel, Packed, Rates
from mbn2c.kernels.arm_common import channels_out, taps_in_order, window_of
from mbn2c.kernels.arm_wide import (
    accepts_conv,
    accepts_depthwise,
    channel_pairs,
    conv_fields,
    depthwise_fields,
    form_of,
)
from mbn2c.ops.add import S16_PARAMS, pack_wide
from mbn2c.ops.base.packing import folded_bias
from mbn2c.ops.base.quants import quant_of

_HEADERS = ("arm_mve/mbn_arm_mve.h", "arm_mve/mbn_mve.h", "arm/mbn_arm_asm.h")
_LANES = 8
_READS_PAST_BYTES = 2 * _LANES - 2
# 32-bit lanes hold the even channels of eight, then the odd ones.
_EVEN_THEN_ODD = (0, 2, 4, 6, 1, 3, 5, 7)

_CONV_RATES = Rates(0.41, 11.4, 220, 0.05, 0.4, 0.2, 4)
_DEPTHWISE_RATES = Rates(1.25, 6.3, 150, 0, 0.4)
_ADD_RATES = Rates(0, 9, 100, 0, 0.4)


def _words(rows: np.ndarray) -> np.ndarray:
    """int8 [N, 4 K] as the words in which they lie, int32 [N, K]."""
    return np.ascontiguousarray(rows).view("<i4").astype(np.int32)


# --- conv2d, fully_connected ---


def _is_direct(node: Node) -> bool:
    return window_of(node).kernel == (1, 1)


def conv_scratch_bytes(node: Node, graph: Graph) -> int:
    """Four windows, and what the last vector reads behind them."""
    if _is_direct(node):
        return 0
    size = quant_of(graph, node.inputs[0]).bits // 8
    return 4 * taps_in_order(node, graph).shape[1] * size + _READS_PAST_BYTES


def pack_conv(node: Node, graph: Graph) -> Packed:
    """Per channel pair: biases, per eight taps their bytes of the even and of the odd channel, multipliers."""
    weights = taps_in_order(node, graph)
    pairs, taps = -(-len(weights) // 2), -(-weights.shape[1] // _LANES) * _LANES
    padded = np.zeros((2 * pairs, taps), np.int8)
    padded[: len(weights), : weights.shape[1]] = weights
    by_vector = padded.reshape(pairs, 2, taps // _LANES, _LANES).transpose(0, 2, 1, 3).reshape(pairs, -1)
    biases = channel_pairs(folded_bias(node, graph, 0), pairs).view(np.int32)
    multipliers = channel_pairs(form_of(node).multiplier, pairs).view(np.int32)
    return Packed(
        {
            "weights": "weights",
            **conv_fields(node, graph, taps, _is_direct(node)),
        },
        {"weights": np.concatenate([biases, _words(by_vector), multipliers], axis=1).reshape(-1)},
        weights.size,
    )


# --- depthwise_conv2d ---


def pack_depthwise(node: Node, graph: Graph) -> Packed:
    """Per eight channels: biases, per tap eight bytes, multipliers; the last group is filled up with zeros."""
    channels = channels_out(node, graph)
    groups = -(-channels // _LANES)
    weights = graph.constant(node.inputs[1]).reshape(-1, channels)
    padded = np.zeros((len(weights), _LANES * groups), np.int8)
    padded[:, :channels] = weights
    taps = padded.reshape(len(weights), groups, _LANES).transpose(1, 0, 2).reshape(groups, -1)

    def lanes(values: np.ndarray) -> np.ndarray:
        return channel_pairs(values, groups * _LANES // 2).view(np.int32).reshape(groups, _LANES)[:, _EVEN_THEN_ODD]

    biases, multipliers = lanes(folded_bias(node, graph, 2)), lanes(form_of(node).multiplier)
    return Packed(
        {
            "weights": "weights",
            **depthwise_fields(node, graph),
        },
        {"weights": np.concatenate([biases, _words(taps), multipliers], axis=1).reshape(-1)},
        weights.size,
    )


# --- the rows of the table ---


def _conv_row(op: str) -> Kernel:
    return Kernel(
        op,
        "arm_mve",
        "mbn_conv2d_s16_arm_mve",
        "mbn_conv2d_s16_arm_mve_params",
        "arm_mve/conv2d_s16.c",
        pack_conv,
        _CONV_RATES,
        accepts=accepts_conv,
        scratch_bytes=conv_scratch_bytes,
        takes_int16=True,
        headers=_HEADERS,
        reads_past_bytes=_READS_PAST_BYTES,
    )


KERNELS = (
    _conv_row("conv2d"),
    _conv_row("fully_connected"),
    Kernel(
        "depthwise_conv2d",
        "arm_mve",
        "mbn_depthwise_conv2d_s16_arm_mve",
        "mbn_depthwise_s16_arm_mve_params",
        "arm_mve/depthwise_conv2d_s16.c",
        pack_depthwise,
        _DEPTHWISE_RATES,
        accepts=accepts_depthwise,
        takes_int16=True,
        headers=_HEADERS,
        reads_past_bytes=_READS_PAST_BYTES,
    ),
    Kernel(
        "add",
        "arm_mve",
        "mbn_add_s16_arm_mve",
        S16_PARAMS.name,
        "arm_mve/add_s16.c",
        pack_wide,
        _ADD_RATES,
        takes_int16=True,
        headers=_HEADERS,
    ),
)
