"""average_pool2d where not every pad counts: windows at the border are divided by fewer pixels."""

from __future__ import annotations

import numpy as np

from mbn2c.ir.graph import Graph, Node
from mbn2c.ir.kernel import Packed, Params, PixelStride
from mbn2c.numerics import requantize_integer
from mbn2c.ops.average_pool2d.attributes import AveragePool2dAttributes, entries
from mbn2c.ops.base.packing import INT32, INT32_ARRAY, PIXEL_STRIDE, integers, pixel_stride, requantize_fields
from mbn2c.ops.base.quants import quant_of
from mbn2c.ops.base.requantize import Requantize

BORDER_PARAMS = Params(
    "mbn_border_pool_params",
    (
        *integers("channels"),
        PIXEL_STRIDE,
        *integers("kernel_height", "kernel_width", "stride_height", "stride_width"),
        *integers("dilation_height", "dilation_width", "top", "left"),
        (INT32, "first_row", "of those that count; negative where some pads do"),
        (INT32, "end_row", "one behind the last of them"),
        *integers("first_column", "end_column", "shift", "zero_point"),
        (INT32, "bias", "minus the input zero point, once per summed pixel"),
        (INT32_ARRAY, "multiplier", "for each number of pixels that may count, from one on"),
    ),
)


def pack_border(node: Node, graph: Graph) -> Packed:
    """BORDER_PARAMS."""
    attributes: AveragePool2dAttributes = node.attributes
    window, pad = attributes.window, attributes.counted_pad
    _, height, width, channels = graph.tensors[node.inputs[0]].shape
    counts, _ = entries(attributes, height, width)
    multiplier = np.zeros(counts[-1], np.int32)
    assert attributes.requantize is not None
    multiplier[counts - 1] = attributes.requantize.multiplier
    fields: dict[str, int | str | PixelStride] = {"channels": channels, **pixel_stride(node)}
    for name, pair in (("kernel", window.kernel), ("stride", window.stride), ("dilation", window.dilation)):
        fields |= {f"{name}_height": pair[0], f"{name}_width": pair[1]}
    return Packed(
        {
            **fields,
            "top": window.pad[0],
            "left": window.pad[1],
            "first_row": -pad[0],
            "end_row": height + pad[2],
            "first_column": -pad[1],
            "end_column": width + pad[3],
            **requantize_fields(node, graph),
            "bias": -quant_of(graph, node.inputs[0]).zero_point * window.kernel[0] * window.kernel[1],
            "multiplier": "multiplier",
        },
        {"multiplier": multiplier},
    )


def leaves_pads_out(node: Node, graph: Graph) -> bool:
    """Whether some pads do not count."""
    return not node.attributes.counts_all


def at_the_border(node: Node, accumulated: np.ndarray, which: np.ndarray, zero_point: int) -> np.ndarray:
    """Sums to int8; which: the entry of the requantization that each pixel takes."""
    requantize: Requantize = node.attributes.requantize
    return requantize_integer(accumulated, requantize.multiplier[which][..., None], requantize.shift, zero_point)
