"""Kernels for 64-bit Arm with the dot product instructions (Armv8.2): Raspberry Pi 5.

Constants are packed as the C reads them: see templates/kernels/arm_dotprod/mbn_arm_dotprod.h.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from mbn2c.ir.graph import Graph, Node
from mbn2c.ir.kernel import Kernel, Packed, PixelStride, Rates, always
from mbn2c.kernels.arm_common import taps_in_order
from mbn2c.kernels.arm_neon.table import VECTOR_BYTES, conv_fields, pack_depthwise, scratch_column, scratch_conv
from mbn2c.kernels.float_epilogue import accepts_1x1, accepts_conv, accepts_depthwise_3x3, bias_and_scale
from mbn2c.ops.base.packing import in_bytes

_OUTPUTS = 16
_FEWER_OUTPUTS = 8
_TAPS = 8
_HEADERS = (
    "arm_dotprod/mbn_arm_dotprod.h",
    "arm_neon/mbn_arm_neon.h",
    "arm_neon/mbn_neon.h",
    "arm_neon/mbn_neon_math.h",
)
_DEPTHWISE_RATES = Rates(0.2, 1.6, 120, 0.0, 0.1)
_RATES = Rates(0.075, 1.7, 120, 0.0, 0.1, 0.06, 4)


def pack_taps(taps: np.ndarray) -> np.ndarray:
    """The order in which the convolution reads its weights.

    taps     int8 [O, K] in the order of the inputs
    returns  int8, flat: per 16 outputs, at last for up to 8, per 4 taps the 4 bytes of each output; what is filled up
             is 0
    """
    taps = np.pad(taps, ((0, -len(taps) % _FEWER_OUTPUTS), (0, -taps.shape[1] % _TAPS)))
    fours = taps.reshape(len(taps), -1, 4)
    groups = [fours[o : o + _OUTPUTS].transpose(1, 0, 2).reshape(-1) for o in range(0, len(taps), _OUTPUTS)]
    return np.concatenate(groups)


def pack_conv(node: Node, graph: Graph) -> Packed:
    """Any window: pixels are columns of all taps in whole vectors, which the kernel gathers."""
    return _packed(node, graph, scratch_column(node, graph))


def pack_conv_1x1(node: Node, graph: Graph) -> Packed:
    """The same where the input's pixels are read in place."""
    return _packed(node, graph, in_bytes(node)["in_bytes"])


def _packed(node: Node, graph: Graph, column: int | PixelStride) -> Packed:
    taps = taps_in_order(node, graph)
    arrays = {"weights": pack_taps(taps), **bias_and_scale(node, graph, 0, _FEWER_OUTPUTS)}
    return Packed(conv_fields(node, graph, column, arrays), arrays, taps.size)


def pack_depthwise_3x3(node: Node, graph: Graph) -> Packed:
    """As for Advanced SIMD, the weights of sixteen channels in the order of interleaved columns."""
    packed, weights = pack_depthwise(node, graph), graph.constant(node.inputs[1])
    channels = weights.shape[2]
    # [row and a fourth, column, channel] -> [group, column, channel, row]
    filled = np.pad(weights.reshape(3, 3, channels), ((0, 1), (0, 0), (0, -channels % VECTOR_BYTES)))
    groups = filled.reshape(4, 3, -1, VECTOR_BYTES).transpose(2, 1, 3, 0)
    return replace(packed, arrays={**packed.arrays, "weights": np.ascontiguousarray(groups).reshape(-1)})


def _row(op: str, name: str, pack: object, params: str = "mbn_conv2d_arm_dotprod_params", **more: object) -> Kernel:
    return Kernel(
        op,
        "arm_dotprod",
        f"mbn_{name}_s8_arm_dotprod",
        params,
        f"arm_dotprod/{name}.c",
        pack,  # type: ignore[arg-type]
        more.pop("rates", _RATES),  # type: ignore[arg-type]
        headers=_HEADERS,
        writes_slices=True,
        reads_past_bytes=VECTOR_BYTES - 1,
        **more,  # type: ignore[arg-type]
    )


KERNELS = (
    *(
        _row(op, "conv2d_1x1", pack_conv_1x1, accepts=accepts_1x1, reads_slices=always)
        for op in ("conv2d", "fully_connected")
    ),
    _row(
        "conv2d",
        "conv2d",
        pack_conv,
        accepts=accepts_conv,
        more_sources=("arm_dotprod/conv2d_1x1.c",),
        scratch_bytes=scratch_conv,
    ),
    _row(
        "depthwise_conv2d",
        "depthwise_conv2d_3x3",
        pack_depthwise_3x3,
        "mbn_depthwise_conv2d_arm_neon_params",
        accepts=accepts_depthwise_3x3,
        rates=_DEPTHWISE_RATES,
    ),
)
