"""Kernels for Armv8.1-M with Helium: Cortex-M55.

Constants are packed as the assembly reads them: see templates/kernels/arm_mve/mbn_arm_mve.h.
"""

from __future__ import annotations

from dataclasses import replace

from mbn2c.ir.graph import Graph, Node
from mbn2c.ir.kernel import Kernel, Packed, Rates, always
from mbn2c.kernels.arm_common import (
    accepts_pool,
    channels_out,
    is_linear_add,
    pack_pool,
    pointwise_rows,
    with_odd_channels,
)
from mbn2c.kernels.arm_mve.conv import (
    VECTOR_BYTES,
    accepts_1x1,
    accepts_3rows,
    accepts_conv,
    accepts_four_bits,
    pack_conv,
    pack_conv_1x1,
    pack_four_bits,
    parts_conv,
    parts_four_bits,
    scratch_3rows,
    scratch_conv,
    writes_planar,
)
from mbn2c.kernels.arm_mve.depthwise import (
    accepts_any_window,
    accepts_depthwise,
    accepts_depthwise_interleaved,
    accepts_interleaved_5x5,
    pack_any_window,
    pack_depthwise,
    pack_depthwise_interleaved,
    parts_depthwise,
    scratch_depthwise,
)
from mbn2c.kernels.arm_mve.int16 import KERNELS as INT16_KERNELS
from mbn2c.ops.add import pack_add
from mbn2c.ops.base.packing import pixel_stride, sum_bytes
from mbn2c.ops.lookup import PARAMS as LOOKUP_PARAMS
from mbn2c.ops.lookup import has_one_table, pack_lookup
from mbn2c.ops.max_pool2d import PARAMS as MAX_POOL_PARAMS
from mbn2c.ops.max_pool2d import needs_no_border
from mbn2c.ops.max_pool2d import pack as pack_max_pool
from mbn2c.ops.mul import is_line_by_vector, zero_points

_PAST_BYTES = VECTOR_BYTES - 1
_HEADERS = ("arm_mve/mbn_arm_mve.h", "arm_mve/mbn_mve.h", "arm/mbn_arm_asm.h")
_CONV_CORE = "arm_mve/conv_core.c"
_CONV_1X1 = "arm_mve/conv2d_1x1.c"


def accepts_mul_vector(node: Node, graph: Graph) -> bool:
    """Whether it is by a number per channel, and the high word of a product is the result: the ratio is below 1/2."""
    return is_line_by_vector(node, graph) and node.attributes.shift == 32


def pack_mul_vector(node: Node, graph: Graph) -> Packed:
    """Zero points and the multiplier; no arrays."""
    zero = zero_points(node, graph)
    return Packed(
        {
            "channels": channels_out(node, graph),
            **pixel_stride(node),
            "zero_point_a": zero.a,
            "zero_point_b": zero.b,
            "multiplier": node.attributes.multiplier,
            "zero_point": zero.y,
        }
    )


_RATES = Rates(0.107, 3.0, 355, 0.04, 0.4, 0.015, 4)
_FOUR_BIT_RATES = Rates(0.115, 3.2, 360, 0.04, 0.4, 0.03, 4)
_PLANAR_RATES = Rates(0.65, 0, 380, 0, 0.4, 0.36, 4)
_MAX_POOL_RATES = Rates(0, 3.5, 150, 0, 0.4)
_INTERLEAVED_5X5_RATES = Rates(0.74, 0, 160, 0, 0.4)
_ANY_WINDOW_RATES = Rates(0.95, 5, 160, 0, 0.4)
_MUL_RATES = Rates(0, 2.3, 160, 0, 0.4)
_LOOKUP_RATES = Rates(0, 0.4, 170, 0, 0.4)
_INTERLEAVED_RATES = Rates(0.84, 0, 160, 0, 0.4)


def _row(
    op: str, name: str, params: str, pack: object, source: str = "", rates: Rates = _RATES, **more: object
) -> Kernel:
    template = f"arm_mve/{source or name}.c"
    return Kernel(
        op,
        "arm_mve",
        f"mbn_{name}_s8_arm_mve",
        f"mbn_{params}_arm_mve_params",
        template,
        pack,  # type: ignore[arg-type]
        rates,
        headers=_HEADERS,
        writes_slices=True,
        reads_past_bytes=_PAST_BYTES,
        **more,  # type: ignore[arg-type]
    )


_ONE_BY_ONE = {"more_sources": (_CONV_CORE,), "writes_planar": writes_planar}
_EIGHT_BITS = {"pack": pack_conv_1x1, "accepts": accepts_1x1, "parts": parts_conv, **_ONE_BY_ONE}
_FOUR_BITS = {
    "pack": pack_four_bits,
    "accepts": accepts_four_bits,
    "parts": parts_four_bits,
    "rates": _FOUR_BIT_RATES,
    **_ONE_BY_ONE,
    "more_sources": (_CONV_1X1, _CONV_CORE),
}


def _depthwise() -> Kernel:
    return _row(
        "depthwise_conv2d",
        "depthwise_conv2d_3x3",
        "depthwise_conv2d",
        pack_depthwise,
        more_sources=("arm_mve/depthwise_core.c",),
        accepts=accepts_depthwise,
        scratch_bytes=scratch_depthwise,
        parts=parts_depthwise,
        reads_planar=True,
        rates=_PLANAR_RATES,
        rates_in_strip=lambda node, graph: _INTERLEAVED_RATES,
    )


KERNELS = (
    *INT16_KERNELS,
    *pointwise_rows(_row, _EIGHT_BITS, _FOUR_BITS),
    _row(
        "conv2d",
        "conv2d_3rows",
        "conv2d",
        pack_conv,
        accepts=accepts_3rows,
        more_sources=(_CONV_CORE,),
        scratch_bytes=scratch_3rows,
        parts=parts_conv,
        writes_planar=writes_planar,
    ),
    *with_odd_channels(
        _row(
            "conv2d",
            "conv2d",
            "conv2d",
            pack_conv,
            accepts=accepts_conv,
            more_sources=(_CONV_1X1, "arm_mve/conv2d_1x1_odd.c", _CONV_CORE),
            scratch_bytes=scratch_conv,
            parts=parts_conv,
            writes_planar=writes_planar,
        )
    ),
    _depthwise(),
    _row(
        "depthwise_conv2d",
        "depthwise_conv2d_3x3_interleaved",
        "depthwise_interleaved",
        pack_depthwise_interleaved,
        more_sources=("arm_mve/depthwise_interleaved_core.c",),
        accepts=accepts_depthwise_interleaved,
        rates=_INTERLEAVED_RATES,
    ),
    _row(
        "depthwise_conv2d",
        "depthwise_conv2d_5x5_interleaved",
        "depthwise_interleaved",
        pack_depthwise_interleaved,
        more_sources=("arm_mve/depthwise_5x5_interleaved_core.c",),
        accepts=accepts_interleaved_5x5,
        rates=_INTERLEAVED_5X5_RATES,
    ),
    _row(
        "depthwise_conv2d",
        "depthwise_conv2d_interleaved",
        "depthwise_any",
        pack_any_window,
        accepts=accepts_any_window,
        rates=_ANY_WINDOW_RATES,
    ),
    _row("add", "add", "add", pack_add, accepts=is_linear_add),
    replace(
        _row("max_pool2d", "max_pool2d", "", pack_max_pool, accepts=needs_no_border, rates=_MAX_POOL_RATES),
        params=MAX_POOL_PARAMS.name,
        reads_slices=always,
    ),
    _row("mul", "mul_vector", "mul_vector", pack_mul_vector, accepts=accepts_mul_vector, rates=_MUL_RATES),
    replace(
        _row("lookup", "lookup", "", pack_lookup, accepts=has_one_table, rates=_LOOKUP_RATES), params=LOOKUP_PARAMS.name
    ),
    _row(
        "average_pool2d",
        "global_average_pool",
        "pool",
        pack_pool,
        accepts=accepts_pool,
        scratch_bytes=sum_bytes,
        accumulates=True,
    ),
)
