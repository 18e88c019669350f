"""What operators and kernels share in packing a node's constants for C."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from mbn2c.ir.graph import Graph, Node, Quant
from mbn2c.ir.kernel import Packed, Params, PixelStride, ScalarKernel, always
from mbn2c.ir.window import Window
from mbn2c.ops.base.quants import quant_of
from mbn2c.ops.base.requantize import Requantize, WideRequantize
from mbn2c.ops.base.windows import window_of

INT32, INT8_ARRAY, INT32_ARRAY = "int32_t", "const int8_t *", "const int32_t *"
UINT32_ARRAY = "const uint32_t *"
FLOAT_ARRAY = "const float *"


def integers(*names: str) -> tuple[tuple[str, str, str], ...]:
    """Members of a params struct that need no words."""
    return tuple((INT32, name, "") for name in names)


# What `in_bytes` and `pixel_stride` fill in.
IN_BYTES = (INT32, "in_bytes", "from an input pixel to the next")
PIXEL_STRIDE = (INT32, "pixel_stride", "bytes from an output pixel to the next")

CONV_PARAMS = Params(
    "mbn_conv_params",
    (
        *integers("in_channels", "out_channels"),
        IN_BYTES,
        PIXEL_STRIDE,
        *integers("kernel_height", "kernel_width", "stride", "dilation"),
        *integers("shift", "zero_point"),
        (INT8_ARRAY, "weights", ""),
        (INT32_ARRAY, "bias", "input zero point folded in"),
        (INT32_ARRAY, "multiplier", ""),
    ),
)


# How the accumulators of a layer with int16 are requantized, but for the multipliers.
LINE_FIELDS = integers("shift", "zero_point", "low", "high")
WIDE_FIELDS = (*LINE_FIELDS, *integers("wide_in", "wide_out"))
# One of input and output is int16.
CONV_S16_PARAMS = Params(
    "mbn_conv_s16_params",
    (
        *integers("in_channels", "out_channels", "kernel_height", "kernel_width", "stride", "dilation"),
        *WIDE_FIELDS,
        *CONV_PARAMS.members[-3:],
    ),
)


def folded_bias(node: Node, graph: Graph, channel_axis: int) -> np.ndarray:
    """Bias minus zero_point * sum(w), int32 [C]: kernels multiply raw int8 inputs.

    Padding holds the zero point, so the fold is exact at the border too.
    """
    x, weights, bias = node.inputs
    values = graph.constant(weights).astype(np.int64)
    others = tuple(axis for axis in range(values.ndim) if axis != channel_axis)
    folded = graph.constant(bias).astype(np.int64) - quant_of(graph, x).zero_point * values.sum(axis=others)
    assert np.abs(folded).max() < 2**31, f"bias of {node.name} leaves int32"
    return np.asarray(folded.astype(np.int32))


def wide_fields(node: Node, graph: Graph) -> dict[str, int]:
    """What every params struct of a layer with int16 says of its input and output, in the order of WIDE_FIELDS."""
    x, y = quant_of(graph, node.inputs[0]), quant_of(graph, node.outputs[0])
    wide = {"wide_in": int(x.bits == 16), "wide_out": int(y.bits == 16)}
    return {**line_fields(node.attributes.requantize, y), **wide}


def line_fields(requantize: WideRequantize, y: Quant) -> dict[str, int]:
    """Its requantization, in the order of LINE_FIELDS."""
    ends = {"low": requantize.low, "high": requantize.high}
    return {"shift": requantize.shift, "zero_point": y.zero_point, **ends}


def requantize_fields(node: Node, graph: Graph) -> dict[str, int]:
    """What every params struct that requantizes by shift says of it."""
    requantize: Requantize = node.attributes.requantize
    return {"shift": requantize.shift, "zero_point": quant_of(graph, node.outputs[0]).zero_point}


def in_bytes(node: Node) -> dict[str, PixelStride]:
    """What every params struct says whose kernel can read a slice of wider pixels."""
    return {"in_bytes": PixelStride(node.inputs[0])}


def pixel_stride(node: Node) -> dict[str, PixelStride]:
    """What every params struct says whose kernel can write a slice of wider pixels."""
    return {"pixel_stride": PixelStride(node.outputs[0])}


def window_fields(window: Window) -> dict[str, int]:
    """What every params struct of a window says of it."""
    return {
        "kernel_height": window.kernel[0],
        "kernel_width": window.kernel[1],
        "stride": window.stride[1],
        "dilation": window.dilation[1],
    }


def pack_conv(node: Node, graph: Graph, channel_axis: int) -> Packed:
    """CONV_PARAMS of a layer, or CONV_S16_PARAMS; weights as in the Graph."""
    window, is_wide = window_of(node), isinstance(node.attributes.requantize, WideRequantize)
    weights = graph.constant(node.inputs[1])
    arrays = {
        "weights": weights.reshape(-1),
        "bias": folded_bias(node, graph, channel_axis),
        "multiplier": node.attributes.requantize.multiplier.astype(np.int32),
    }
    fields: dict[str, int | str | PixelStride] = {
        "in_channels": graph.tensors[node.inputs[0]].shape[3],
        "out_channels": graph.tensors[node.outputs[0]].shape[3],
        **({} if is_wide else {**in_bytes(node), **pixel_stride(node)}),
        **window_fields(window),
        **(wide_fields if is_wide else requantize_fields)(node, graph),
        "weights": "weights",
        "bias": "bias",
        "multiplier": "multiplier",
    }
    return Packed(fields, arrays)


def in_nibbles(values: np.ndarray) -> np.ndarray:
    """Two values of four bits in a byte, the first one in its lower half; a last one alone gets a partner of 0.

    values   int8 [..., K] in [-8, 7]
    returns  int8 [..., ceil(K / 2)]
    """
    even = np.concatenate([values, np.zeros_like(values[..., :1])], axis=-1) if values.shape[-1] % 2 else values
    return np.asarray((even[..., 0::2] & 15) | (even[..., 1::2] << 4))


def pack_pointwise_in_nibbles(node: Node, graph: Graph) -> Packed:
    """CONV_PARAMS of a 1x1 layer whose weights have four bits; each output channel's begin a byte."""
    packed = pack_conv(node, graph, 0)
    weights = graph.constant(node.inputs[1])
    nibbles = in_nibbles(weights.reshape(len(weights), -1)).reshape(-1)
    return Packed(packed.fields, {**packed.arrays, "weights": nibbles})


def scalar_convolutions(name: str, pack: Callable[[Node, Graph], Packed]) -> tuple[ScalarKernel, ...]:
    """The plain C of a layer with weights: for int8, and with int16."""
    wide = ScalarKernel(name, CONV_S16_PARAMS, pack, takes_int16=True)
    return (ScalarKernel(name, CONV_PARAMS, pack, reads_slices=always, writes_slices=True), wide)


def scalar_pointwise() -> ScalarKernel:
    """The plain C of a 1x1 convolution or fully connected layer whose weights have four bits."""
    pack = pack_pointwise_in_nibbles
    return ScalarKernel("conv2d_w4", CONV_PARAMS, pack, weight_bits=4, reads_slices=always, writes_slices=True)


def covers_input(node: Node, graph: Graph) -> bool:
    """Whether the window is the whole input, so that rows can be summed as they come, and nothing wants padding."""
    window = window_of(node)
    readers = graph.consumers[node.inputs[0]] + graph.consumers[node.outputs[0]]
    is_unpadded = all(window_of(reader).pad == (0, 0, 0, 0) for reader in readers)
    return window.kernel == graph.tensors[node.inputs[0]].shape[1:3] and is_unpadded


def sum_bytes(node: Node, graph: Graph) -> int:
    """One int32 sum per channel."""
    return 4 * graph.tensors[node.outputs[0]].shape[3]
