"""Kernels for Armv7E-M and Armv8-M with the DSP extension: Cortex-M4, M7, M33.

Constants are packed as the assembly reads them: see templates/kernels/arm_dsp/mbn_arm_dsp.h.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np

from mbn2c.ir.graph import Graph, Node
from mbn2c.ir.kernel import Kernel, OutStride, Packed, Rates, always
from mbn2c.kernels.arm_common import (
    accepts_pool,
    channels_out,
    is_linear_add,
    pack_pool,
    pointwise_rows,
    with_odd_channels,
)
from mbn2c.kernels.arm_dsp.conv import (
    accepts_1x1,
    accepts_3x3,
    accepts_conv,
    accepts_four_bits,
    accepts_grouped,
    accepts_quads,
    pack_conv,
    pack_conv_1x1,
    pack_conv_3x3,
    pack_four_bits,
    pack_grouped,
    pack_quads,
    parts_1x1,
    parts_3x3,
    parts_conv,
    parts_four_bits,
    parts_grouped,
    parts_quads,
    scratch_1x1,
    scratch_3x3,
    scratch_conv,
    scratch_four_bits,
    scratch_quads,
)
from mbn2c.kernels.arm_dsp.depthwise import (
    INTERLEAVED_CHANNELS,
    accepts_any_window,
    accepts_interleaved,
    accepts_interleaved_5x5,
    accepts_planar,
    accepts_planar_5x5,
    pack_any_window,
    pack_depthwise,
    pack_depthwise_interleaved,
    pack_interleaved_5x5,
    parts_depthwise,
    parts_depthwise_interleaved,
    parts_interleaved_5x5,
)
from mbn2c.kernels.arm_dsp.int16 import KERNELS as INT16_KERNELS
from mbn2c.kernels.armv7m.table import DEPTHWISE_RATES
from mbn2c.numerics import INT8_MAX, INT8_MIN, add_integer
from mbn2c.ops.base.packing import pixel_stride, sum_bytes
from mbn2c.ops.lookup import has_one_table, pack_lookup
from mbn2c.ops.max_pool2d import PARAMS as MAX_POOL_PARAMS
from mbn2c.ops.max_pool2d import needs_no_border
from mbn2c.ops.max_pool2d import pack as pack_max_pool
from mbn2c.ops.mul import is_line_by_vector, pack_vector, zero_points
from mbn2c.ops.mul.vector import VectorForm, ZeroPoints, vector_form

_HEADERS = ("arm_dsp/mbn_arm_dsp.h", "arm_dsp/mbn_dsp.h", "arm/mbn_arm_asm.h")
_CONV_CORE = "arm_dsp/conv_core.c"
_CONV_1X1 = "arm_dsp/conv2d_1x1.c"


# --- add ---------------------------------------------------------------------------


@lru_cache(maxsize=256)
def halfword_add(multipliers: tuple[int, int], offset: int, shift: int) -> tuple[tuple[int, int], int, int] | None:
    """The add whose products are (int8 * multiplier) >> 16, if one equals `numerics.add_integer` on all input pairs.

    returns  (multipliers, offset, shift), or None
    """
    room = 30 - max(1, *(abs(multiplier) for multiplier in multipliers)).bit_length()
    wide = (multipliers[0] << room, multipliers[1] << room)
    new_shift = shift + room - 16
    if not 1 <= new_shift <= 31 or room < 0:
        return None
    a, b = np.meshgrid(np.arange(INT8_MIN, INT8_MAX + 1), np.arange(INT8_MIN, INT8_MAX + 1))
    expected = add_integer(a, b, multipliers, offset, shift)
    products = ((a.astype(np.int64) * wide[0]) >> 16) + ((b.astype(np.int64) * wide[1]) >> 16)
    # Each product is rounded down by half a unit on average.
    nearest = (offset << room) >> 16
    for candidate in (nearest + 1, nearest, nearest + 2):
        if abs(candidate) + int(np.abs(products).max()) >= 2**31:
            continue
        found = np.clip((products + candidate) >> new_shift, INT8_MIN, INT8_MAX)
        if np.array_equal(found, expected):
            return wide, candidate, new_shift
    return None


def _halfword_add(node: Node) -> tuple[tuple[int, int], int, int] | None:
    attributes = node.attributes
    return halfword_add(tuple(attributes.multipliers), attributes.offset, attributes.shift)


def accepts_add(node: Node, graph: Graph) -> bool:
    """Whether the add has a halfword form: see `halfword_add`."""
    return is_linear_add(node, graph) and _halfword_add(node) is not None


def pack_add(node: Node, graph: Graph) -> Packed:
    """The fields of the halfword form; no arrays."""
    form = _halfword_add(node)
    assert form is not None
    multipliers, offset, shift = form
    return Packed(
        {
            "channels": channels_out(node, graph),
            **pixel_stride(node),
            "multiplier_a": multipliers[0],
            "multiplier_b": multipliers[1],
            "offset": offset,
            "shift": shift,
        }
    )


# --- mul by a number per channel -----------------------------------------------------------------


_FRACTION = 24


def in_upper_halves(a: np.ndarray, factors: np.ndarray, form: VectorForm, zero: ZeroPoints) -> np.ndarray | None:
    """What mul_vector.c computes: SMLAW of a factor and 256 * a drops 16 bits, and the upper halfword is the result."""
    lost = (zero.a * 256 * factors) >> 16
    offsets = zero.y * 65536 + 32768 - lost
    sums = ((a * 256 * factors) >> 16) + offsets
    fits = max(np.abs(sums).max(), np.abs(offsets).max(), np.abs(factors).max()) < 2**31
    return sums >> 16 if fits else None


def _vector_form(node: Node, graph: Graph) -> VectorForm | None:
    return vector_form(node.attributes, zero_points(node, graph), in_upper_halves, _FRACTION)


def accepts_mul_vector(node: Node, graph: Graph) -> bool:
    """Whether it is by a number per channel, and 24 bits behind the point are exact for all pairs of values."""
    return is_line_by_vector(node, graph) and _vector_form(node, graph) is not None


def pack_mul_vector(node: Node, graph: Graph) -> Packed:
    """The fields of its form, whose fraction the kernel knows; no arrays."""
    packed = pack_vector(node, graph, _vector_form(node, graph))
    return Packed({name: value for name, value in packed.fields.items() if name != "fraction"})


# --- the table -----------------------------------------------------------------------------------


_RATES = Rates(0.733, 6.3, 270, 0.2, 0.4, 0.147, 2)
_FOUR_BIT_RATES = Rates(0.80, 7.0, 290, 0.4, 0.4, 0.3, 2)
_PLANAR_RATES = Rates(1.95, 0, 40, 1.38, 0.4)
_MUL_RATES = Rates(0, 6, 270, 0, 0.4)
_MAX_POOL_RATES = Rates(0, 7.5, 150, 0, 0.4)
_PLANAR_5X5_RATES = Rates(1.35, 0, 40, 1.0, 0.4)
_INTERLEAVED_5X5_RATES = Rates(2.03, 0, 120, 0, 0.4, 0.6, 3)
_ANY_WINDOW_RATES = Rates(3.6, 8, 120, 0, 0.4)
_LOOKUP_RATES = Rates(0, 3.6, 80, 0, 0.4)
_INTERLEAVED_RATES = Rates(2.78, 0, 120, 0, 0.4, 0.46, 2)


def _rates_in_strip(interleaved: Rates) -> Callable[[Node, Graph], Rates]:
    """Of a depthwise convolution on interleaved rows: of this table for channels in fours, else of the core's next."""

    def rates(node: Node, graph: Graph) -> Rates:
        fits = channels_out(node, graph) % INTERLEAVED_CHANNELS == 0
        return interleaved if fits else replace(DEPTHWISE_RATES, moved=_RATES.moved)

    return rates


def _row(op: str, name: str, params: str, pack: Any, source: str = "", rates: Rates = _RATES, **more: Any) -> Kernel:
    template = f"arm_dsp/{source or name}.c"
    return Kernel(
        op,
        "arm_dsp",
        f"mbn_{name}_s8_arm_dsp",
        f"mbn_{params}_arm_dsp_params",
        template,
        pack,
        rates,
        headers=_HEADERS,
        writes_slices=True,
        **more,
    )


def _conv_row(op: str, name: str, params: str, pack: object, source: str = "", **more: Any) -> Kernel:
    return _row(op, name, params, pack, source, writes_planar=lambda node, graph: True, **more)


_EIGHT_BITS = {
    "pack": pack_conv_1x1,
    "accepts": accepts_1x1,
    "more_sources": (_CONV_CORE,),
    "scratch_bytes": scratch_1x1,
    "parts": parts_1x1,
}
_FOUR_BITS = {
    "pack": pack_four_bits,
    "accepts": accepts_four_bits,
    "more_sources": (_CONV_1X1, _CONV_CORE),
    "scratch_bytes": scratch_four_bits,
    "parts": parts_four_bits,
    "rates": _FOUR_BIT_RATES,
}


def _three_by_three(channels: int) -> Kernel:
    return _conv_row(
        "conv2d",
        "conv2d_3x3",
        "conv2d_3x3",
        pack_conv_3x3,
        more_sources=(_CONV_CORE,),
        accepts=accepts_3x3(channels),
        scratch_bytes=scratch_3x3,
        parts=parts_3x3,
        # Windows of one channel are read as words, three bytes and one more.
        reads_past_bytes=1 if channels == 1 else 0,
    )


def _depthwise_interleaved() -> Kernel:
    return _row(
        "depthwise_conv2d",
        "depthwise_conv2d_3x3_interleaved",
        "depthwise_interleaved",
        pack_depthwise_interleaved,
        more_sources=("arm_dsp/depthwise_interleaved_core.c",),
        accepts=accepts_interleaved,
        reads_slices=always,
        parts=parts_depthwise_interleaved,
        rates=_INTERLEAVED_RATES,
    )


def _depthwise_interleaved_5x5() -> Kernel:
    return _row(
        "depthwise_conv2d",
        "depthwise_conv2d_5x5_interleaved",
        "depthwise_5x5",
        pack_interleaved_5x5,
        more_sources=("arm_dsp/depthwise_5x5_interleaved_core.c",),
        accepts=accepts_interleaved_5x5,
        reads_slices=always,
        parts=parts_interleaved_5x5,
        rates=_INTERLEAVED_5X5_RATES,
    )


def _depthwise() -> Kernel:
    return _row(
        "depthwise_conv2d",
        "depthwise_conv2d_3x3",
        "depthwise_conv2d",
        pack_depthwise,
        more_sources=("arm_dsp/depthwise_core.c",),
        accepts=accepts_planar,
        parts=parts_depthwise,
        reads_planar=True,
        rates=_PLANAR_RATES,
        rates_in_strip=_rates_in_strip(_INTERLEAVED_RATES),
    )


def _depthwise_5x5() -> Kernel:
    return _row(
        "depthwise_conv2d",
        "depthwise_conv2d_5x5",
        "depthwise_conv2d_5x5",
        pack_depthwise,
        more_sources=("arm_dsp/depthwise_5x5_core.c",),
        accepts=accepts_planar_5x5,
        parts=parts_depthwise,
        reads_planar=True,
        rates=_PLANAR_5X5_RATES,
        rates_in_strip=_rates_in_strip(_INTERLEAVED_5X5_RATES),
    )


def pack_planar_lookup(node: Node, graph: Graph) -> Packed:
    """As the plain C has it, and how the output row lies."""
    packed = pack_lookup(node, graph)
    fields = {"channels": packed.fields["channels"], "out_stride": OutStride(node.outputs[0]), "table": "table"}
    return Packed(fields, packed.arrays)


# For speed: fewer cycles, more code, and weights are read more often.
QUADS = (
    _conv_row(
        "conv2d",
        "conv2d_1x1_quads",
        "conv2d_1x1",
        pack_quads,
        accepts=accepts_quads,
        reads_slices=always,
        more_sources=(_CONV_CORE,),
        scratch_bytes=scratch_quads,
        parts=parts_quads,
    ),
)

KERNELS = (
    *INT16_KERNELS,
    *pointwise_rows(_conv_row, _EIGHT_BITS, _FOUR_BITS),
    _three_by_three(3),
    _three_by_three(1),
    *with_odd_channels(
        _conv_row(
            "conv2d",
            "conv2d",
            "conv2d",
            pack_conv,
            more_sources=(_CONV_1X1, "arm_dsp/conv2d_1x1_odd.c", _CONV_CORE),
            accepts=accepts_conv,
            scratch_bytes=scratch_conv,
            parts=parts_conv,
        )
    ),
    _conv_row(
        "grouped_conv2d",
        "grouped_conv2d",
        "grouped_conv2d",
        pack_grouped,
        more_sources=(_CONV_CORE,),
        accepts=accepts_grouped,
        scratch_bytes=scratch_conv,
        parts=parts_grouped,
    ),
    _depthwise(),
    _depthwise_interleaved(),
    _depthwise_5x5(),
    _depthwise_interleaved_5x5(),
    _row(
        "depthwise_conv2d",
        "depthwise_conv2d_interleaved",
        "depthwise_any",
        pack_any_window,
        accepts=accepts_any_window,
        reads_slices=always,
        rates=_ANY_WINDOW_RATES,
    ),
    _row(
        "lookup",
        "lookup",
        "lookup",
        pack_planar_lookup,
        accepts=has_one_table,
        rates=_LOOKUP_RATES,
        writes_planar=lambda node, graph: True,
    ),
    _row("add", "add", "add", pack_add, accepts=accepts_add),
    replace(
        _row("max_pool2d", "max_pool2d", "", pack_max_pool, accepts=needs_no_border, rates=_MAX_POOL_RATES),
        params=MAX_POOL_PARAMS.name,
        reads_slices=always,
    ),
    _row("mul", "mul_vector", "mul_vector", pack_mul_vector, accepts=accepts_mul_vector, rates=_MUL_RATES),
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
