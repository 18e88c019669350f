"""What the rows of x86-64 with AVX2 and with AVX-512 ask of a node, and what their params structs say alike."""

from __future__ import annotations

from collections.abc import Iterable

from mbn2c.ir.graph import Graph, Node
from mbn2c.ir.kernel import PixelStride
from mbn2c.kernels.arm_common import channels_out, window_of
from mbn2c.kernels.simd_layers import IN_FLOAT, column_bytes
from mbn2c.ops.base.packing import pixel_stride
from mbn2c.ops.base.quants import quant_of

# As many as the kernels' list of a depthwise window's taps holds.
_MOST_TAPS = 48


def accepts_depthwise(node: Node, graph: Graph) -> bool:
    """Whether the taps are not too many for the kernel's list of them."""
    height, width = window_of(node).kernel
    return height * width <= _MOST_TAPS and IN_FLOAT.accepts_depthwise(node, graph)


def depthwise_fields(
    node: Node, graph: Graph, arrays: Iterable[str], period: int
) -> dict[str, int | str | PixelStride]:
    """Of mbn_depthwise_conv2d_x86_params; period: as the struct has it, in channels; 0: none."""
    return {
        **{name: name for name in arrays},
        "period": period,
        "channels": channels_out(node, graph),
        **column_bytes(node, graph),
        **pixel_stride(node),
        "zero_point": quant_of(graph, node.outputs[0]).zero_point,
    }
