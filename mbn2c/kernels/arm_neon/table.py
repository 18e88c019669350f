"""Kernels for 64-bit Arm with Advanced SIMD (Armv8.0): Raspberry Pi 3, 4, Zero 2.

Constants are packed as the C reads them: see templates/kernels/arm_neon/mbn_arm_neon.h.
"""

from __future__ import annotations

import numpy as np

from mbn2c.ir.graph import Graph, Node
from mbn2c.ir.kernel import Kernel, Packed, PixelStride, Rates, always
from mbn2c.kernels.arm_common import channels_out, conv_step, is_linear_add, taps_in_order
from mbn2c.kernels.float_epilogue import (
    accepts_1x1,
    accepts_conv,
    accepts_depthwise,
    accepts_depthwise_3x3,
    bias_and_scale,
    column_bytes,
    depthwise_taps,
    has_short_rows,
)
from mbn2c.numerics import INT8_MAX, INT16_MAX
from mbn2c.ops.add import PARAMS as ADD_PARAMS
from mbn2c.ops.add import pack_add
from mbn2c.ops.average_pool2d import PARAMS as POOL_PARAMS
from mbn2c.ops.average_pool2d import pack as pack_pool
from mbn2c.ops.base.operator import quant_of
from mbn2c.ops.base.packing import covers_input, in_bytes, pixel_stride, sum_bytes
from mbn2c.ops.base.requantize import Requantize
from mbn2c.ops.lookup import PARAMS as LOOKUP_PARAMS
from mbn2c.ops.lookup import has_one_table, pack_lookup

VECTOR_BYTES = 16
_OUTPUTS = 4
# Pixels of a block.
_PIXELS = 4
_HEADERS = ("arm_neon/mbn_arm_neon.h", "arm_neon/mbn_neon.h", "arm_neon/mbn_neon_math.h")

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


def pack_conv(node: Node, graph: Graph) -> Packed:
    """Any window: pixels are columns of all taps in whole vectors, which the kernel gathers."""
    return _packed(node, graph, scratch_column(node, graph))


def pack_conv_1x1(node: Node, graph: Graph) -> Packed:
    """The same where the input's pixels are read in place."""
    return _packed(node, graph, in_bytes(node)["in_bytes"])


def _packed(node: Node, graph: Graph, column: int | PixelStride) -> Packed:
    taps = taps_in_order(node, graph)
    arrays = {"weights": pack_taps(taps), **bias_and_scale(node, graph, 0, _OUTPUTS)}
    fields = conv_fields(node, graph, column, arrays)
    return Packed({**fields, "is_deep": int(is_deep(taps))}, arrays, taps.size)


def conv_fields(
    node: Node, graph: Graph, column: int | PixelStride, arrays: dict[str, np.ndarray]
) -> dict[str, int | str | PixelStride]:
    """What the params struct of a convolution says first.

    column  bytes from an input pixel, or a gathered column, to the next
    """
    return {
        **{name: name for name in arrays},
        "taps": taps_in_order(node, graph).shape[1],
        "in_bytes": column,
        "out_channels": channels_out(node, graph),
        **pixel_stride(node),
        "zero_point": quant_of(graph, node.outputs[0]).zero_point,
        **conv_step(node, graph),
    }


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


def accepts_add(node: Node, graph: Graph) -> bool:
    """Whether two products and a shift are all of it."""
    return is_linear_add(node)


def accepts_pool(node: Node, graph: Graph) -> bool:
    """Whether the average is over the whole input, and int16 holds the sum of a row."""
    return isinstance(node.attributes.requantize, Requantize) and (
        has_short_rows(node, graph) and covers_input(node, graph)
    )


def _row(op: str, name: str, params: str, pack: object, rates: Rates = _RATES, **more: object) -> Kernel:
    return Kernel(
        op,
        "arm_neon",
        f"mbn_{name}_s8_arm_neon",
        params,
        f"arm_neon/{name}.c",
        pack,  # type: ignore[arg-type]
        rates,
        headers=_HEADERS,
        writes_slices=True,
        reads_past_bytes=VECTOR_BYTES - 1,
        **more,  # type: ignore[arg-type]
    )


_CONV_PARAMS = "mbn_conv2d_arm_neon_params"
_DEPTHWISE_PARAMS = "mbn_depthwise_conv2d_arm_neon_params"

KERNELS = (
    *(
        _row(op, "conv2d_1x1", _CONV_PARAMS, pack_conv_1x1, accepts=accepts_1x1, reads_slices=always)
        for op in ("conv2d", "fully_connected")
    ),
    _row(
        "conv2d",
        "conv2d",
        _CONV_PARAMS,
        pack_conv,
        accepts=accepts_conv,
        more_sources=("arm_neon/conv2d_1x1.c",),
        scratch_bytes=scratch_conv,
    ),
    _row(
        "depthwise_conv2d",
        "depthwise_conv2d_3x3",
        _DEPTHWISE_PARAMS,
        pack_depthwise,
        _DEPTHWISE_RATES,
        accepts=accepts_depthwise_3x3,
    ),
    _row(
        "depthwise_conv2d",
        "depthwise_conv2d",
        _DEPTHWISE_PARAMS,
        pack_depthwise,
        _DEPTHWISE_RATES,
        accepts=accepts_depthwise,
    ),
    _row("add", "add", ADD_PARAMS.name, pack_add, _ADD_RATES, accepts=accepts_add),
    _row("lookup", "lookup", LOOKUP_PARAMS.name, pack_lookup, _LOOKUP_RATES, accepts=has_one_table),
    _row(
        "average_pool2d",
        "global_average_pool",
        POOL_PARAMS.name,
        pack_pool,
        _ADD_RATES,
        accepts=accepts_pool,
        scratch_bytes=sum_bytes,
        accumulates=True,
    ),
)
