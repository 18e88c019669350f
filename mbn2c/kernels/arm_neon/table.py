"""Kernels for 64-bit Arm with Advanced SIMD (Armv8.0): Raspberry Pi 3, 4, Zero 2.

Constants are packed as the C reads them: see templates/kernels/arm_neon/mbn_arm_neon.h.
"""

from __future__ import annotations

import numpy as np

from mbn2c.ir.graph import Graph, Node
from mbn2c.ir.kernel import Packed, PixelStride, Rates
from mbn2c.kernels.arm_common import channels_out, taps_in_order
from mbn2c.kernels.simd_layers import (
    DOUBLED,
    at_least,
    column_bytes,
    conv_fields,
    depthwise_taps,
    gathered_bytes,
    group_taps,
    is_depthwise_3x3,
    to_multiple,
)
from mbn2c.kernels.simd_rows import SimdRows
from mbn2c.numerics import INT8_MAX, INT16_MAX
from mbn2c.ops.base.packing import pixel_stride
from mbn2c.ops.base.quants import quant_of
from mbn2c.ops.lookup import PARAMS as LOOKUP_PARAMS
from mbn2c.ops.lookup import has_one_table, pack_lookup

VECTOR_BYTES = 16
_OUTPUTS = 4
# Pixels whose windows are gathered together.
_PIXELS = 8
# What their number is filled up to a multiple of.
_TAPS = 8
# The kind of step behind the last one.
_END = 2
_HEADERS = (
    "arm_neon/mbn_arm_neon.h",
    "arm_neon/mbn_a64_asm.h",
    "arm_neon/mbn_neon.h",
    "arm_neon/mbn_neon_math.h",
    "simd/mbn_simd.h",
)

_RATES = Rates(0.19, 2.4, 170, 0.0, 0.1, 0.15, 4)
_DEPTHWISE_RATES = Rates(0.35, 1.1, 120, 0.0, 0.1)
_ADD_RATES = Rates(0, 1.8, 120, 0.0, 0.1)
_LOOKUP_RATES = Rates(0, 0.6, 120, 0.0, 0.1)


def steps_of(groups: np.ndarray) -> list[list[np.ndarray]]:
    """The taps of each group as the kernel takes them: 16, then each two vectors, then what is left: 16, 8, or both.

    groups  int8 [groups, outputs, K]
    returns  of each group its steps, int8 [outputs, 8, 16 or 32]
    """
    size = groups.shape[2]
    whole = size // VECTOR_BYTES * VECTOR_BYTES
    cuts = [*range(VECTOR_BYTES, whole + 1, 2 * VECTOR_BYTES), whole] if whole else []
    ends = sorted({*cuts, size})
    return [[group[:, start:end] for start, end in zip([0, *ends], ends, strict=False)] for group in groups]


def pack_taps(steps: list[list[np.ndarray]]) -> np.ndarray:
    """The order in which the convolution reads weights, int8, flat: per group, per step the bytes of each output."""
    return np.concatenate([step.reshape(-1) for group in steps for step in group])


def pack_steps(steps: list[list[np.ndarray]]) -> np.ndarray:
    """What the kernel does in each step of 32 taps, and at the end of them; uint8, flat."""
    kinds = [[int(is_deep(step)) for step in group if step.shape[1] == 32] for group in steps]
    return np.array([kind for group in kinds for kind in (*group, _END)], np.uint8)


def is_deep(step: np.ndarray) -> bool:
    """Whether int16 holds the products of any inputs with each four weights that are added up in 16 bits.

    These are taps k, k + 8, k + 16 and k + 24.

    step  int8 [outputs, 32]
    """
    sums = np.abs(step.astype(np.int64)).reshape(len(step), 4, 8).sum(axis=1)
    return bool((sums * (INT8_MAX + 1)).max() <= INT16_MAX)


def pack_conv(node: Node, graph: Graph, column: int | PixelStride) -> Packed:
    """Pixels, in place or gathered, and weights; column: bytes from one to the next."""
    taps = taps_in_order(node, graph)
    steps = steps_of(group_taps(taps, _OUTPUTS, _TAPS))
    arrays = {"weights": pack_taps(steps), **DOUBLED.constants(node, graph, 0, at_least(_OUTPUTS))}
    fields = {**conv_fields(node, graph, column, arrays), "steps": "steps"}
    return Packed(fields, {**arrays, "steps": pack_steps(steps)}, taps.size)


def scratch_column(node: Node, graph: Graph) -> int:
    """Bytes from a gathered column to the next, in whole vectors."""
    return gathered_bytes(node, graph, VECTOR_BYTES)


def scratch_conv(node: Node, graph: Graph) -> int:
    """The columns that are gathered together."""
    return _PIXELS * scratch_column(node, graph)


def pack_depthwise(node: Node, graph: Graph) -> Packed:
    """Sixteen channels at a time."""
    arrays = {
        "weights": depthwise_taps(node, graph, VECTOR_BYTES),
        **DOUBLED.constants(node, graph, 2, to_multiple(VECTOR_BYTES)),
    }
    fields: dict[str, int | str | PixelStride] = {
        **{name: name for name in arrays},
        "channels": channels_out(node, graph),
        **column_bytes(node, graph),
        **pixel_stride(node),
        "zero_point": quant_of(graph, node.outputs[0]).zero_point,
    }
    return Packed(fields, arrays, graph.constant(node.inputs[1]).size)


CONV_PARAMS = "mbn_conv2d_arm_neon_params"
_ROWS = SimdRows("arm_neon", DOUBLED, CONV_PARAMS, _HEADERS, VECTOR_BYTES - 1, ("arm_neon/conv_block.c",))
_DEPTHWISE_PARAMS = "mbn_depthwise_conv2d_arm_neon_params"

KERNELS = (
    *_ROWS.convolutions(pack_conv, scratch_column, scratch_conv, _RATES),
    *(
        _ROWS.row("depthwise_conv2d", name, _DEPTHWISE_PARAMS, pack_depthwise, _DEPTHWISE_RATES, accepts=accepts)
        for name, accepts in (
            ("depthwise_conv2d_3x3", is_depthwise_3x3(DOUBLED.accepts_depthwise)),
            ("depthwise_conv2d", DOUBLED.accepts_depthwise),
        )
    ),
    _ROWS.add(_ADD_RATES),
    _ROWS.row("lookup", "lookup", LOOKUP_PARAMS.name, pack_lookup, _LOOKUP_RATES, accepts=has_one_table),
    _ROWS.global_average_pool(_ADD_RATES),
)
