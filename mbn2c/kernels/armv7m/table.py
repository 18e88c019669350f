"""Cortex-M3 (Armv7-M without DSP): node -> constants of the SMLAL kernels, two pixels to a multiply."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from mbn2c.ir.graph import Graph, Node
from mbn2c.ir.kernel import Kernel, Packed, Rates
from mbn2c.kernels import lanes
from mbn2c.ops.base.packing import in_nibbles, pixel_stride

UNROLL = 8  # inputs per turn of the loop
LANE_BITS = 24  # of the even pixel
_HEADERS = ("armv7m/mbn_armv7m.h", "armv7m/mbn_smlal.h", "arm/mbn_arm_asm.h")


def _padded(inputs: int) -> int:
    return -(-inputs // UNROLL) * UNROLL


def accepts_conv2d(node: Node, graph: Graph) -> bool:
    """The low lane starts in the middle of its 24 bits: 255 * sum of the weights of one sign must stay below 2^23."""
    if not (lanes.has_high_word_form(node) and lanes.fits_fields(node, graph)):
        return False
    weights = lanes.matrix(node, graph).astype(np.int64)
    either = np.maximum(np.maximum(weights, 0).sum(axis=1), np.maximum(-weights, 0).sum(axis=1))
    return int(either.max()) * 255 < 1 << (LANE_BITS - 1)


def pack_conv2d(node: Node, graph: Graph) -> Packed:
    """Weights [O][K rounded up to 8]; constants [O][5]: M, R of an even pixel, R of an odd pixel, low words first.

    The even pixel is read as x + 128 and its sum starts at 2^23; both go into its R.
    """
    return _pack(node, graph, lambda padded: padded)


def pack_four_bits(node: Node, graph: Graph) -> Packed:
    """The same, but weights uint32 [O][K rounded up to 8, / 8]: the first of eight in the lowest bits."""
    return _pack(node, graph, lambda padded: in_nibbles(padded).view("<u4").astype(np.uint32))


def _pack(node: Node, graph: Graph, as_read: Callable[[np.ndarray], np.ndarray]) -> Packed:
    """as_read: weights int8 [O][K rounded up to 8] -> what the kernel reads."""
    weights = lanes.matrix(node, graph)
    outputs, inputs = weights.shape
    padded = np.zeros((outputs, _padded(inputs)), np.int8)
    padded[:, :inputs] = weights
    multiplier, odd = lanes.high_word_constants(node, graph, 0)
    even = odd - (128 * weights.astype(np.int64).sum(axis=1) + (1 << (LANE_BITS - 1))) * multiplier
    constants = np.stack([multiplier, *lanes.words_of(even), *lanes.words_of(odd)], axis=1)
    return Packed(
        {
            "weights": "weights",
            "requantize": "requantize",
            **lanes.window_fields(node, graph),
            "inputs": padded.shape[1],
            "outputs": outputs,
            **pixel_stride(node),
        },
        {"weights": as_read(padded).reshape(-1), "requantize": lanes.as_int32(constants).reshape(-1)},
    )


def conv2d_scratch_bytes(node: Node, graph: Graph) -> int:
    """Windows of up to six pixels, two pixels to a word."""
    pairs = -(-lanes.pixels_at_once(node, graph, 6) // 2)
    return 4 * pairs * _padded(lanes.matrix(node, graph).shape[1])


def pack_depthwise_conv2d(node: Node, graph: Graph) -> Packed:
    """Weights [C][kernel_height * kernel_width]; constants [C][3]: M, R, low word first."""
    weights = lanes.depthwise_weights(node, graph)
    multiplier, rounding = lanes.high_word_constants(node, graph, 2)
    constants = np.stack([multiplier, *lanes.words_of(rounding)], axis=1)
    return Packed(
        {
            "weights": "weights",
            "requantize": "requantize",
            **lanes.depthwise_fields(node),
            "channels": weights.shape[0],
            **pixel_stride(node),
        },
        {"weights": weights.reshape(-1), "requantize": lanes.as_int32(constants).reshape(-1)},
    )


DEPTHWISE_RATES = Rates(3.48, 0, 45, 3.72, 1.0, 0.89, 2)


# By bits of the weights: what the C is called besides, packing, rates.
_VARIANTS = {
    8: ("", pack_conv2d, Rates(0.8, 11.3, 409, 0.47, 1.0, 1.8, 2)),
    4: ("_w4", pack_four_bits, Rates(0.9, 9.0, 2220, 0, 1.0, 3.85, 2)),
}


def _conv2d(op: str, weight_bits: int) -> Kernel:
    variant, pack, rates = _VARIANTS[weight_bits]
    return Kernel(
        op,
        "armv7m",
        f"mbn_conv2d{variant}_s8_armv7m",
        "mbn_conv2d_armv7m_params",
        f"armv7m/conv2d{variant}.c",
        pack,
        rates,
        accepts=accepts_conv2d,
        scratch_bytes=conv2d_scratch_bytes,
        more_sources=("armv7m/conv2d_core.c",),
        weight_bits=weight_bits,
        headers=(*_HEADERS, "armv7m/mbn_armv7m_row.h"),
        reads_slices=lanes.reads_slices,
        writes_slices=True,
    )


DEPTHWISE_CONV2D = Kernel(
    "depthwise_conv2d",
    "armv7m",
    "mbn_depthwise_conv2d_s8_armv7m",
    "mbn_depthwise_conv2d_armv7m_params",
    "armv7m/depthwise_conv2d.c",
    pack_depthwise_conv2d,
    DEPTHWISE_RATES,
    accepts=lanes.accepts_depthwise,
    headers=_HEADERS,
    writes_slices=True,
)
_CONVOLUTIONS = tuple(_conv2d(op, bits) for op in ("conv2d", "fully_connected") for bits in _VARIANTS)
KERNELS = (*_CONVOLUTIONS, *lanes.depthwise_rows(DEPTHWISE_CONV2D))
