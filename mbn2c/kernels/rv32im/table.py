"""RISC-V RV32IM: node -> constants of the kernels with two pixels to a multiply."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from mbn2c.ir.graph import Graph, Node
from mbn2c.ir.kernel import Kernel, Packed, Rates
from mbn2c.kernels import lanes
from mbn2c.kernels.staircase import Staircases, long_form, short_form, short_rounding
from mbn2c.ops.base.packing import folded_bias, in_nibbles, pixel_stride

_HEADERS = ("rv32im/mbn_rv32im.h",)
_LONG_BITS = 39  # of which 7 are shifted off the high word


def _channel_axis(node: Node) -> int:
    return 2 if node.op == "depthwise_conv2d" else 0


def _has_forms(node: Node, graph: Graph) -> bool:
    stairs = lanes.staircases(node, graph, _channel_axis(node))
    short, long = short_form(stairs), long_form(stairs, _LONG_BITS)
    return bool((short.holds | (long.holds & (long.factor < 1 << 31))).all())


def requantize_constants(stairs: Staircases, bias: np.ndarray) -> np.ndarray:
    """int32 [C, 4]: LOW, FACTOR, OFFSET, SPAN of templates/kernels/rv32im/mbn_rv32im.h."""
    short, long = short_form(stairs), long_form(stairs, _LONG_BITS)
    low = np.where(short.holds, short.first_low, long.low)
    columns = (
        bias - low,
        np.where(short.holds, short.factor, long.factor),
        np.where(short.holds, short_rounding(stairs.zero_point) + low * short.factor, 0),
        np.where(short.holds, short.last_high - low, 0),
    )
    return lanes.as_int32(np.stack(columns, axis=1))


def _constants(node: Node, graph: Graph) -> np.ndarray:
    axis = _channel_axis(node)
    return requantize_constants(lanes.staircases(node, graph, axis), folded_bias(node, graph, axis).astype(np.int64))


def accepts_conv2d(node: Node, graph: Graph) -> bool:
    """Whether its fields fit the params and each channel's requantization has a short or a long form."""
    return lanes.has_high_word_form(node) and lanes.fits_fields(node, graph) and _has_forms(node, graph)


def accepts_four_bits(node: Node, graph: Graph) -> bool:
    """The same; multipliers may be above a half, as those of wide weight scales are."""
    return lanes.has_integer_form(node) and lanes.fits_fields(node, graph) and _has_forms(node, graph)


def pack_conv2d(node: Node, graph: Graph) -> Packed:
    """Weights [pairs of O][K][2], group lengths of each pair of channels, constants [O, made even][4]."""
    return _pack(node, graph, lambda pairs: pairs.transpose(0, 2, 1))


def pack_four_bits(node: Node, graph: Graph) -> Packed:
    """The same, but weights [pairs of O][K]: the second channel's in the upper halves of bytes."""
    return _pack(node, graph, lambda pairs: in_nibbles(pairs.transpose(0, 2, 1)))


def _pack(node: Node, graph: Graph, as_read: Callable[[np.ndarray], np.ndarray]) -> Packed:
    """as_read: weights int8 [pairs of O][2][K] -> the bytes that the kernel reads."""
    weights = lanes.matrix(node, graph)
    outputs, inputs = weights.shape
    even = outputs + outputs % 2
    padded = np.zeros((even, inputs), np.int8)
    padded[:outputs] = weights
    constants = np.zeros((even, 4), np.int32)
    constants[:outputs] = _constants(node, graph)
    pairs = padded.reshape(even // 2, 2, inputs)
    lengths = [length for lengths in lanes.group_lengths(pairs) for length in lengths]
    return Packed(
        {
            "weights": "weights",
            "groups": "groups",
            "requantize": "requantize",
            **lanes.window_fields(node, graph),
            "inputs": inputs,
            "outputs": outputs,
            **pixel_stride(node),
        },
        {
            "weights": as_read(pairs).reshape(-1),
            "groups": np.array(lengths, np.int8),
            "requantize": constants.reshape(-1),
        },
    )


def conv2d_scratch_bytes(node: Node, graph: Graph) -> int:
    """Windows of up to six pixels, two pixels to a word."""
    pairs = -(-lanes.pixels_at_once(node, graph, 6) // 2)
    return 4 * pairs * int(lanes.matrix(node, graph).shape[1])


def accepts_depthwise_conv2d(node: Node, graph: Graph) -> bool:
    """Whether each output channel reads one input channel and each requantization has a short or a long form."""
    return lanes.accepts_depthwise(node, graph) and _has_forms(node, graph)


def pack_depthwise_conv2d(node: Node, graph: Graph) -> Packed:
    """Weights [C][kernel_height * kernel_width]; constants [C][4]."""
    weights = lanes.depthwise_weights(node, graph)
    return Packed(
        {
            "weights": "weights",
            "requantize": "requantize",
            **lanes.depthwise_fields(node),
            "channels": weights.shape[0],
            **pixel_stride(node),
        },
        {"weights": weights.reshape(-1), "requantize": _constants(node, graph).reshape(-1)},
    )


# By bits of the weights: what the C is called besides, what it takes, packing, rates.
_VARIANTS = {
    8: ("", accepts_conv2d, pack_conv2d, Rates(0.96, 30, 235, 3.8, 2.0, 0.2, 4)),
    4: ("_w4", accepts_four_bits, pack_four_bits, Rates(1.15, 20.6, 2020, 7.5, 2.0, 0, 4)),
}


def _conv2d(op: str, weight_bits: int) -> Kernel:
    variant, accepts, pack, rates = _VARIANTS[weight_bits]
    return Kernel(
        op,
        "rv32im",
        f"mbn_conv2d{variant}_s8_rv32im",
        "mbn_conv2d_rv32im_params",
        f"rv32im/conv2d{variant}.c",
        pack,
        rates,
        accepts=accepts,
        scratch_bytes=conv2d_scratch_bytes,
        more_sources=("rv32im/conv2d_core.c",),
        weight_bits=weight_bits,
        headers=(*_HEADERS, "rv32im/mbn_rv32im_row.h"),
        reads_slices=lanes.reads_slices,
        writes_slices=True,
    )


DEPTHWISE_CONV2D = Kernel(
    "depthwise_conv2d",
    "rv32im",
    "mbn_depthwise_conv2d_s8_rv32im",
    "mbn_depthwise_conv2d_rv32im_params",
    "rv32im/depthwise_conv2d.c",
    pack_depthwise_conv2d,
    Rates(3.75, 0, 80, 6.5, 2.0),
    accepts=accepts_depthwise_conv2d,
    headers=_HEADERS,
    writes_slices=True,
)
_CONVOLUTIONS = tuple(_conv2d(op, bits) for op in ("conv2d", "fully_connected") for bits in _VARIANTS)
KERNELS = (*_CONVOLUTIONS, *lanes.depthwise_rows(DEPTHWISE_CONV2D))
