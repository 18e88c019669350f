"""Plain C99 kernels for what only imported quantized models have: given scales, nine-bit weights, sums in float32.

They run on every core.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from mbn2c.ir.graph import Graph, Node
from mbn2c.ir.kernel import Kernel, Packed, PixelStride
from mbn2c.kernels.scalar.table import RATES
from mbn2c.ops import OPERATORS
from mbn2c.ops.add import pack_add as pack_linear_add
from mbn2c.ops.base.packing import covers_input, folded_bias, pixel_stride, sum_bytes, window_fields
from mbn2c.ops.base.quants import quant_of
from mbn2c.ops.base.requantize import GuardedRequantize


def is_guarded(node: Node, graph: Graph) -> bool:
    """Whether the node requantizes by scales of an imported model: see `GuardedRequantize`."""
    return isinstance(node.attributes.requantize, GuardedRequantize)


def _covers_input(node: Node, graph: Graph) -> bool:
    """A sum in float32 wants its pixels once more, so it cannot take rows as they come."""
    return is_guarded(node, graph) and node.attributes.requantize.float_mean is None and covers_input(node, graph)


def _is_corrected(node: Node, graph: Graph) -> bool:
    return len(node.inputs) == 3


def _pack_window(node: Node, graph: Graph, channel_axis: int) -> Packed:
    requantize: GuardedRequantize = node.attributes.requantize
    weights = graph.constant(node.inputs[1])
    arrays = {
        "weights": weights.reshape(-1),
        "bias": folded_bias(node, graph, channel_axis),
        "multiplier": requantize.multiplier.astype(np.int32),
        "band": requantize.band.astype(np.int32),
        "scale": requantize.scale,
    }
    float_sum = requantize.float_sum
    if float_sum is not None:
        arrays["scale"] = float_sum.w_scale
        arrays["float_bias"] = float_sum.bias
        arrays["float_scales"] = np.array([float_sum.x_scale, float_sum.y_scale], np.float32)
    fields: dict[str, int | str | PixelStride] = {
        "in_channels": graph.tensors[node.inputs[0]].shape[3],
        "out_channels": graph.tensors[node.outputs[0]].shape[3],
        **pixel_stride(node),
        **window_fields(OPERATORS[node.op].window(node)),
        "shift": requantize.shift,
        "in_zero_point": quant_of(graph, node.inputs[0]).zero_point,
        "zero_point": quant_of(graph, node.outputs[0]).zero_point,
        "low": requantize.low,
        "high": requantize.high,
        "wide": int(weights.dtype == np.int16),
        "is_float": int(float_sum is not None),
        "block": float_sum.block if float_sum is not None and float_sum.order == "fma" else 0,
    }
    names: dict[str, int | str] = {name: name for name in arrays}
    return Packed({**fields, **names, **({} if float_sum else {"float_bias": 0, "float_scales": 0})}, arrays)


def pack_conv2d(node: Node, graph: Graph) -> Packed:
    """Weights OHWI, as in the Graph."""
    return _pack_window(node, graph, 0)


def pack_grouped_conv2d(node: Node, graph: Graph) -> Packed:
    """As a layer of all channels, whose weights outside of each group are 0: OHWI."""
    x, weights = graph.tensors[node.inputs[0]], graph.tensors[node.inputs[1]]
    assert weights.data is not None
    outputs, height, width, size = weights.shape
    groups = node.attributes.groups
    dense = np.zeros((outputs, height, width, x.shape[3]), weights.data.dtype)
    for group, part in enumerate(np.split(np.arange(outputs), groups)):
        dense[part, :, :, group * size : (group + 1) * size] = weights.data[part]
    return _pack_window(node, graph.rebuild(tensors=[replace(weights, shape=dense.shape, data=dense)]), 0)


def pack_depthwise_conv2d(node: Node, graph: Graph) -> Packed:
    """Weights HWC, as in the Graph."""
    return _pack_window(node, graph, 2)


def pack_average_pool2d(node: Node, graph: Graph) -> Packed:
    """Fields of the sum and its band, and the float32 scales that decide within the band."""
    requantize: GuardedRequantize = node.attributes.requantize
    window = OPERATORS[node.op].window(node)
    mean = requantize.float_mean
    arrays = {"scale": requantize.scale}
    if mean is not None:
        arrays["float_scales"] = np.array([mean.x_scale, mean.y_scale, mean.zero_point], np.float32)
    return Packed(
        {
            "channels": graph.tensors[node.outputs[0]].shape[3],
            **pixel_stride(node),
            **window_fields(window),
            "shift": requantize.shift,
            "zero_point": quant_of(graph, node.outputs[0]).zero_point,
            "low": requantize.low,
            "high": requantize.high,
            "bias": -quant_of(graph, node.inputs[0]).zero_point * window.kernel[0] * window.kernel[1],
            "multiplier": int(requantize.multiplier[0]),
            "band": int(requantize.band[0]),
            "in_zero_point": quant_of(graph, node.inputs[0]).zero_point,
            "lanes": mean.lanes if mean else 0,
            "unroll": mean.unroll if mean else 1,
            "is_aligned": int(mean.is_aligned) if mean else 0,
            "scale": "scale",
            "float_scales": "float_scales" if mean else 0,
        },
        arrays,
    )


def pack_add(node: Node, graph: Graph) -> Packed:
    """Fields of the add; `lower` has a bit for each pair of inputs whose result is one less."""
    linear = pack_linear_add(node, graph)
    return Packed({**linear.fields, "lower": "lower"}, {"lower": graph.constant(node.inputs[2])})


def _row(
    op: str,
    function: str,
    params: str,
    pack: Callable[[Node, Graph], Packed],
    accepts: Callable[[Node, Graph], bool] = is_guarded,
) -> Kernel:
    return Kernel(
        op,
        "scalar",
        f"mbn_{function}_s8_scalar",
        params,
        f"scalar/{function}.c",
        pack,
        RATES,
        accepts,
        writes_slices=True,
    )


KERNELS = (
    _row("conv2d", "conv2d_guarded", "mbn_guarded_params", pack_conv2d),
    _row("grouped_conv2d", "conv2d_guarded", "mbn_guarded_params", pack_grouped_conv2d),
    _row("fully_connected", "conv2d_guarded", "mbn_guarded_params", pack_conv2d),
    _row("depthwise_conv2d", "depthwise_conv2d_guarded", "mbn_guarded_params", pack_depthwise_conv2d),
    Kernel(
        "average_pool2d",
        "scalar",
        "mbn_global_average_pool_guarded_s8_scalar",
        "mbn_guarded_pool_params",
        "scalar/global_average_pool_guarded.c",
        pack_average_pool2d,
        RATES,
        _covers_input,
        sum_bytes,
        accumulates=True,
    ),
    _row("average_pool2d", "average_pool2d_guarded", "mbn_guarded_pool_params", pack_average_pool2d),
    _row("add", "add_corrected", "mbn_add_corrected_params", pack_add, _is_corrected),
    _row("sub", "add_corrected", "mbn_add_corrected_params", pack_add, _is_corrected),
)
