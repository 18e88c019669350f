"""What the rows of both Arm tables ask of a node, and how they order its constants."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from mbn2c.ir.graph import Graph, Node
from mbn2c.ir.kernel import Kernel, OutStride, Packed, Parts, PixelStride, always
from mbn2c.ir.window import Window
from mbn2c.numerics import INT8_MAX, INT8_MIN
from mbn2c.ops import OPERATORS
from mbn2c.ops.base.packing import covers_input, folded_bias, in_bytes
from mbn2c.ops.base.quants import quant_of
from mbn2c.ops.base.requantize import Requantize

# The odd channel of a pair is accumulated times 16; sums of the inputs, times 8, are added to the even one.
_PAIR_LIMIT = 2**27
_LONGEST_POOL_ROW = 255  # sums of a row are int16


def has_high_word_form(node: Node) -> bool:
    """Whether one high word of a product requantizes: SMMLAR and VRMULH."""
    requantize = node.attributes.requantize
    return isinstance(requantize, Requantize) and "mulhi" in requantize.form


def has_int8_weights(node: Node, graph: Graph) -> bool:
    """Imported uint8 weights with a zero point need nine bits."""
    return bool(graph.constant(node.inputs[1]).dtype == np.int8)


def high_word_multipliers(node: Node) -> np.ndarray:
    """M << (32 - shift), int64 [C], below 2^31."""
    requantize = node.attributes.requantize
    multipliers = requantize.multiplier.astype(np.int64) << (32 - requantize.shift)
    assert multipliers.max() < 2**31, f"multiplier of {node.name} leaves int32"
    return np.asarray(multipliers)


def is_linear_add(node: Node, graph: Graph) -> bool:
    """Whether two products and a shift are all of it: an imported add may have exceptions as its third input."""
    return len(node.inputs) == 2


def window_of(node: Node) -> Window:
    """The window of a node whose operator has one."""
    return OPERATORS[node.op].window(node)


def channels_in(node: Node, graph: Graph) -> int:
    """Channels of the node's first input."""
    return graph.tensors[node.inputs[0]].shape[3]


def channels_out(node: Node, graph: Graph) -> int:
    """Channels of the node's output."""
    return graph.tensors[node.outputs[0]].shape[3]


def taps_in_order(node: Node, graph: Graph) -> np.ndarray:
    """Weights of a convolution or fully connected layer, int8 [O, KH * KW * I]."""
    weights = graph.constant(node.inputs[1])
    return weights.reshape(weights.shape[0], -1)


def conv_packed(
    node: Node,
    graph: Graph,
    stream: np.ndarray,
    parts: Parts,
    before: Mapping[str, int | PixelStride],
    after: Mapping[str, int] | None = None,
) -> Packed:
    """A convolution's stream of constants and its params struct.

    before  fields between the parts and the zero point
    after   fields behind the stride of the output
    """
    return Packed(
        {
            "weights": "weights",
            "parts": parts,
            **before,
            "zero_point": quant_of(graph, node.outputs[0]).zero_point,
            "out_stride": OutStride(node.outputs[0]),
            **(after or {}),
        },
        {"weights": stream},
        graph.constant(node.inputs[1]).size,
    )


def conv_step(node: Node, graph: Graph) -> dict[str, int]:
    """Fields of a params struct: how windows of any size lie in their rows, in bytes."""
    window, channels = window_of(node), channels_in(node, graph)
    return {
        "kernel_height": window.kernel[0],
        "row_bytes": window.kernel[1] * channels,
        "step": window.stride[1] * channels,
    }


def with_odd_channels(row: Kernel, source: str = "conv2d_1x1_odd") -> tuple[Kernel, Kernel]:
    """A row for even numbers of output channels, and one for odd numbers: there `<function>_odd` does the last one.

    source  where that stands
    """

    def accepts(is_odd: bool) -> Callable[[Node, Graph], bool]:
        return lambda node, graph: channels_out(node, graph) % 2 == is_odd and row.accepts(node, graph)

    odd = row.function.replace("_s8_", "_odd_s8_")
    more_sources = (*row.more_sources, f"{row.isa}/{source}.c")
    return (
        replace(row, accepts=accepts(False)),
        replace(row, accepts=accepts(True), function=odd, more_sources=more_sources),
    )


def pointwise_rows(
    row: Callable[..., Kernel], eight_bits: Mapping[str, Any], four_bits: Mapping[str, Any]
) -> Iterator[Kernel]:
    """A table's rows for 1x1 convolutions and dense layers, by the bits of their weights.

    row         what makes one of the table: operator, name, params and what else a Kernel has
    eight_bits  what its rows have beside these, and those for weights of four bits
    """
    for op in ("conv2d", "fully_connected"):
        yield from with_odd_channels(row(op, "conv2d_1x1", "conv2d_1x1", reads_slices=always, **eight_bits))
        narrow = row(op, "conv2d_1x1_w4", "conv2d_1x1", reads_slices=always, weight_bits=4, **four_bits)
        yield from with_odd_channels(narrow, "conv2d_1x1_w4_odd")


def fields_1x1(node: Node, graph: Graph) -> dict[str, int | PixelStride]:
    """Those of a 1x1 convolution's params struct that come before its zero point."""
    return {
        "in_channels": channels_in(node, graph),
        **in_bytes(node),
        "out_channels": channels_out(node, graph),
    }


def fits_times_16(node: Node, graph: Graph) -> bool:
    """Whether int32 holds the sums of any channel times 16 and another's beside them: weights of four bits in pairs."""
    low, high = accumulator_range(taps_in_order(node, graph), folded_bias(node, graph, 0))
    return bool((low > -_PAIR_LIMIT).all() and (high < _PAIR_LIMIT).all())


def columns_are_adjacent(window: Window) -> bool:
    """Whether a kernel row is one piece of memory; how far rows are apart matters to nobody."""
    return window.kernel[1] == 1 or window.dilation[1] == 1


def accumulator_range(weights: np.ndarray, bias: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Smallest and largest accumulator of raw int8 inputs; int64 [O] each.

    weights  int8 [O, K]
    bias     int32 [O], input zero point folded in
    """
    wide = weights.astype(np.int64)
    positive, negative = np.maximum(wide, 0).sum(axis=1), np.minimum(wide, 0).sum(axis=1)
    low = bias + positive * INT8_MIN + negative * INT8_MAX
    return low, bias + positive * INT8_MAX + negative * INT8_MIN


def is_plain_depthwise(node: Node, size: int) -> bool:
    """size x size, one output per input channel, columns side by side, column stride 1 or 2."""
    window = window_of(node)
    is_plain = node.attributes.depth_multiplier == 1 and window.kernel == (size, size) and window.dilation[1] == 1
    return is_plain and window.stride[1] in (1, 2)


def padded_width(tensor: str, graph: Graph) -> int:
    """Columns of a tensor's row with the padding its readers want."""
    pads = [window_of(reader).pad for reader in graph.consumers[tensor]]
    left, right = max((pad[1] for pad in pads), default=0), max((pad[3] for pad in pads), default=0)
    return left + graph.tensors[tensor].shape[2] + right


def pixel_blocks(count: int, groups: int = 0) -> Iterator[int]:
    """How the convolution kernels split `count` pixels: as mbn_next_pixels in mbn_arm_dsp.h.

    groups  of 4 input channels; 0 where the kernel does not look at them
    """
    while count > 0:
        takes_three = count in (5, 6) or (count > 4 and groups >= 8 and count % 3 == 0)
        pixels = 3 if takes_three else min(count, 4)
        yield pixels
        count -= pixels


def has_short_rows(node: Node, graph: Graph) -> bool:
    """Whether int16 holds the sum of a row of the input."""
    return graph.tensors[node.inputs[0]].shape[2] <= _LONGEST_POOL_ROW


def accepts_pool(node: Node, graph: Graph) -> bool:
    """Whether the average is over the whole input, in the high word form, and the rows are not too long."""
    return has_short_rows(node, graph) and covers_input(node, graph) and has_high_word_form(node)


def pack_pool(node: Node, graph: Graph) -> Packed:
    """Params of a global average pool: the sum of all pixels plus `bias`, times the multiplier; no arrays."""
    window = window_of(node)
    return Packed(
        {
            "channels": channels_out(node, graph),
            "bias": -quant_of(graph, node.inputs[0]).zero_point * window.kernel[0] * window.kernel[1],
            "multiplier": int(high_word_multipliers(node)[0]),
            "zero_point": quant_of(graph, node.outputs[0]).zero_point,
        }
    )
