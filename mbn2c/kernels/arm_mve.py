"""Kernels for Armv8.1-M with Helium: Cortex-M55.

Constants are packed as the assembly reads them: see templates/kernels/arm_mve/mbn_arm_mve.h.j2.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from mbn2c.ir.graph import Graph, Node
from mbn2c.ir.kernel import ChannelStride, Kernel, Packed
from mbn2c.kernels.arm_common import (
    LONGEST_POOL_ROW,
    channels_in,
    channels_out,
    columns_are_adjacent,
    has_high_word_form,
    has_int8_weights,
    high_word_multipliers,
    is_linear_add,
    is_plain_depthwise_3x3,
    padded_width,
    pixel_blocks,
    taps_in_order,
    window_of,
)
from mbn2c.kernels.scalar import covers_input, folded_bias, pack_add, sum_bytes
from mbn2c.numerics import INT8_MIN
from mbn2c.ops.operator import quant_of

_VECTOR_BYTES = 16
_PAST_BYTES = _VECTOR_BYTES - 1
# Scatter stores have offsets of 16 bits.
_LARGEST_OFFSET = 65535
_LONG_BLOCKS_S1 = (14, 12, 10, 8)
_FEWEST_OUTPUTS = 5
_HEADERS = ("arm_mve/mbn_arm_mve.h.j2", "arm_mve/mbn_mve.h.j2")
_CONV_CORE = "arm_mve/conv_core.c.j2"
_CONV_1X1 = "arm_mve/conv2d_1x1.c.j2"


# --- convolution ---------------------------------------------------------------------------------


def pack_taps(taps: np.ndarray, bias: np.ndarray, multipliers: np.ndarray) -> np.ndarray:
    """The stream of the convolution core; int32.

    taps         int8 [O, K] in the order of the inputs
    bias         int32 [O], input zero point folded in
    multipliers  int64 [O], of the high word form
    returns      per channel pair: 4 times bias_even, 4 times bias_odd, per 16 taps their bytes of the even and of
                 the odd channel, twice each multiplier; a last odd channel gets a partner of zeros
    """
    taps = np.pad(taps, ((0, len(taps) % 2), (0, -taps.shape[1] % _VECTOR_BYTES)))
    if len(bias) % 2:
        bias, multipliers = np.append(bias, 0), np.append(multipliers, 1)
    pairs, vectors = len(taps) // 2, taps.shape[1] // _VECTOR_BYTES
    by_vector = taps.reshape(pairs, 2, vectors, _VECTOR_BYTES).transpose(0, 2, 1, 3)
    words = np.ascontiguousarray(by_vector).reshape(pairs, -1).view("<i4")
    biases = np.repeat(bias.astype(np.int64).reshape(pairs, 2), 4, axis=1)
    scales = np.repeat(multipliers.reshape(pairs, 2), 2, axis=1)
    return np.asarray(np.concatenate([biases, words, scales], axis=1).reshape(-1).astype(np.int32))


def accepts_conv(node: Node, graph: Graph) -> bool:
    is_near = 4 * channels_out(node, graph) <= _LARGEST_OFFSET
    is_plain = has_high_word_form(node) and has_int8_weights(node, graph)
    return is_near and is_plain and columns_are_adjacent(window_of(node))


def writes_planar(node: Node, graph: Graph) -> bool:
    return channels_out(node, graph) * padded_width(node.outputs[0], graph) <= _LARGEST_OFFSET


def _conv_packed(node: Node, graph: Graph, before: dict[str, int], after: dict[str, int]) -> Packed:
    """The params struct with the fields that stand before the zero point and behind the channel stride."""
    stream = pack_taps(taps_in_order(node, graph), folded_bias(node, graph, 0), high_word_multipliers(node))
    return Packed(
        {
            "weights": "weights",
            **before,
            "zero_point": quant_of(graph, node.outputs[0]).zero_point,
            "channel_stride": ChannelStride(node.outputs[0]),
            **after,
        },
        {"weights": stream},
        graph.constant(node.inputs[1]).size,
    )


def pack_conv_1x1(node: Node, graph: Graph) -> Packed:
    before = {"in_channels": channels_in(node, graph), "out_channels": channels_out(node, graph)}
    return _conv_packed(node, graph, before, {})


def accepts_1x1(node: Node, graph: Graph) -> bool:
    window = window_of(node)
    return window.kernel == (1, 1) and window.stride[1] == 1 and accepts_conv(node, graph)


def pack_conv(node: Node, graph: Graph) -> Packed:
    """Any window."""
    window, channels = window_of(node), channels_in(node, graph)
    before = {"taps": _taps(node, graph), "out_channels": channels_out(node, graph)}
    after = {
        "kernel_height": window.kernel[0],
        "row_bytes": window.kernel[1] * channels,
        "step": window.stride[1] * channels,
    }
    return _conv_packed(node, graph, before, after)


def scratch_conv(node: Node, graph: Graph) -> int:
    """Four columns of taps, and what vectors read and write behind them."""
    return 4 * _taps(node, graph) + 2 * _VECTOR_BYTES


def accepts_3rows(node: Node, graph: Graph) -> bool:
    """Three kernel rows of a vector at most."""
    window = window_of(node)
    is_short = window.kernel[0] == 3 and window.kernel[1] * channels_in(node, graph) <= _VECTOR_BYTES
    return is_short and channels_out(node, graph) % 2 == 0 and accepts_conv(node, graph)


def _scratch_3rows(node: Node, graph: Graph) -> int:
    """Four windows in whole vectors, and what the last store writes behind them."""
    vectors = -(-_taps(node, graph) // _VECTOR_BYTES)
    return 4 * vectors * _VECTOR_BYTES + 2 * _VECTOR_BYTES


def _taps(node: Node, graph: Graph) -> int:
    return taps_in_order(node, graph).shape[1]


def variants_conv(node: Node, graph: Graph, counts: Sequence[int], writes_planar: bool) -> frozenset[str]:
    """Of the core's functions those that rows of `counts` pixels need."""
    is_short, channels = _taps(node, graph) <= _VECTOR_BYTES, channels_out(node, graph)
    found = {"last_channel"} if channels % 2 else set()
    for pixels in {pixels for count in counts for pixels in pixel_blocks(count)}:
        if channels > 1:
            found.add(f"conv_block{pixels}_short" if is_short and pixels >= 3 else f"conv_block{pixels}")
        if channels % 2:
            found |= {"conv_block3", "conv_block1"} if pixels == 4 else {f"conv_block{pixels}"}
    return frozenset(found)


# --- depthwise -----------------------------------------------------------------------------------


def pack_depthwise(node: Node, graph: Graph) -> Packed:
    """Per channel 28 bytes: 0 0 0 0, three columns of w_0j w_1j w_2j 0, 0 0 0 0, bias, multiplier."""
    weights = graph.constant(node.inputs[1])
    columns = np.pad(weights.transpose(2, 1, 0), ((0, 0), (1, 1), (0, 1))).astype(np.int8)
    numbers = np.stack([folded_bias(node, graph, 2).astype(np.int64), high_word_multipliers(node)], axis=1)
    tail = numbers.astype("<i4").view(np.int8)
    channels = len(columns)
    stream = np.concatenate([columns.reshape(channels, -1), tail], axis=1)
    return Packed(
        {
            "weights": "weights",
            "channels": channels,
            "zero_point": quant_of(graph, node.outputs[0]).zero_point,
            "channel_stride": ChannelStride(node.inputs[0]),
            "block": best_block(graph.tensors[node.outputs[0]].shape[2], window_of(node).stride[1]),
        },
        {"weights": np.ascontiguousarray(stream).view("<i4").reshape(-1).astype(np.int32)},
        weights.size,
    )


def best_block(count: int, stride: int) -> int:
    """Outputs per block of a row of `count`: one block if it fits, or a size that leaves no rest."""
    if stride == 2:
        return 6 if count % 7 and count % 6 == 0 else 7
    for block in (*_LONG_BLOCKS_S1, 7, 6):
        if count % block == 0:
            return block
    return min(count, _LONG_BLOCKS_S1[0])


def block_sizes(count: int, block: int) -> list[int]:
    """How a row of `count` is split: as in depthwise_conv2d_3x3.c."""
    sizes = []
    while count > 0:
        size = min(count, block)
        if size > 7:
            size = min(size, _LONG_BLOCKS_S1[0]) // 2 * 2
        sizes.append(size)
        count -= size
    return sizes


def variants_depthwise(node: Node, graph: Graph, counts: Sequence[int], writes_planar: bool) -> frozenset[str]:
    stride = window_of(node).stride[1]
    block = best_block(graph.tensors[node.outputs[0]].shape[2], stride)
    sizes = {size for count in counts for size in block_sizes(count, block)}
    return frozenset({f"s{stride}"} | {f"depthwise_block{size}_s{stride}" for size in sizes})


def _accepts_depthwise(stride: int) -> Callable[[Node, Graph], bool]:
    """Rows of a few outputs are cheaper with interleaved rows: 8 instructions per output, not 13."""

    def accepts(node: Node, graph: Graph) -> bool:
        is_near = 8 * channels_out(node, graph) <= _LARGEST_OFFSET
        if graph.tensors[node.outputs[0]].shape[2] < _FEWEST_OUTPUTS:
            return False
        fits = is_plain_depthwise_3x3(node) and window_of(node).stride[1] == stride
        return is_near and fits and has_high_word_form(node) and has_int8_weights(node, graph)

    return accepts


# Biases and multipliers of 16 channels in the order in which sums of two taps lie in four vectors.
_LANES = (0, 4, 8, 12, 2, 6, 10, 14, 1, 5, 9, 13, 3, 7, 11, 15)


def pack_depthwise_interleaved(node: Node, graph: Graph) -> Packed:
    """Per 16 channels: biases, 9 taps of 16 bytes, multipliers; the last group is filled up with zeros."""
    weights = graph.constant(node.inputs[1])
    channels = weights.shape[2]
    fill = -channels % _VECTOR_BYTES
    taps = np.pad(weights.reshape(9, channels), ((0, 0), (0, fill))).reshape(9, -1, _VECTOR_BYTES)
    words = np.ascontiguousarray(taps.transpose(1, 0, 2)).view("<i4").reshape(taps.shape[1], -1)
    bias, multipliers = (
        np.pad(numbers.astype(np.int64), (0, fill)).reshape(-1, _VECTOR_BYTES)[:, _LANES]
        for numbers in (folded_bias(node, graph, 2), high_word_multipliers(node))
    )
    stream = np.concatenate([bias, words, multipliers], axis=1)
    return Packed(
        {
            "weights": "weights",
            "channels": channels,
            "stride": window_of(node).stride[1],
            "zero_point": quant_of(graph, node.outputs[0]).zero_point,
        },
        {"weights": stream.reshape(-1).astype(np.int32)},
        weights.size,
    )


def accepts_depthwise_interleaved(node: Node, graph: Graph) -> bool:
    """Two products must fit 16 bits."""
    is_plain = is_plain_depthwise_3x3(node) and has_high_word_form(node) and has_int8_weights(node, graph)
    return is_plain and int(graph.constant(node.inputs[1]).min()) > INT8_MIN


def _scratch_depthwise(node: Node, graph: Graph) -> int:
    """16 columns of three rows and one without meaning."""
    return 4 * _VECTOR_BYTES


# --- add, average pool ---------------------------------------------------------------------------


def accepts_add(node: Node, graph: Graph) -> bool:
    return is_linear_add(node)


def accepts_pool(node: Node, graph: Graph) -> bool:
    is_short = graph.tensors[node.inputs[0]].shape[2] <= LONGEST_POOL_ROW
    return is_short and covers_input(node, graph) and has_high_word_form(node)


def pack_pool(node: Node, graph: Graph) -> Packed:
    window = window_of(node)
    return Packed(
        {
            "channels": channels_out(node, graph),
            "bias": -quant_of(graph, node.inputs[0]).zero_point * window.kernel[0] * window.kernel[1],
            "multiplier": int(high_word_multipliers(node)[0]),
            "zero_point": quant_of(graph, node.outputs[0]).zero_point,
        }
    )


# --- the table -----------------------------------------------------------------------------------


def _row(op: str, name: str, params: str, pack: object, source: str = "", **more: object) -> Kernel:
    template = f"arm_mve/{source or name}.c.j2"
    return Kernel(
        op,
        "arm_mve",
        f"mbn_{name}_arm_mve",
        f"mbn_{params}_arm_mve_params",
        template,
        pack,  # type: ignore[arg-type]
        headers=_HEADERS,
        reads_past_bytes=_PAST_BYTES,
        **more,  # type: ignore[arg-type]
    )


def _one_by_one(op: str) -> Kernel:
    return _row(
        op,
        "conv2d_1x1",
        "conv2d_1x1",
        pack_conv_1x1,
        accepts=accepts_1x1,
        more_sources=(_CONV_CORE,),
        variants=variants_conv,
        writes_planar=writes_planar,
    )


def _depthwise(stride: int) -> Kernel:
    return _row(
        "depthwise_conv2d",
        f"depthwise_conv2d_3x3_s{stride}",
        "depthwise_conv2d",
        pack_depthwise,
        "depthwise_conv2d_3x3",
        more_sources=("arm_mve/depthwise_core.c.j2",),
        accepts=_accepts_depthwise(stride),
        scratch_bytes=_scratch_depthwise,
        variants=variants_depthwise,
        reads_planar=True,
    )


KERNELS = (
    _one_by_one("conv2d"),
    _one_by_one("fully_connected"),
    _row(
        "conv2d",
        "conv2d_3rows",
        "conv2d",
        pack_conv,
        accepts=accepts_3rows,
        more_sources=(_CONV_CORE,),
        scratch_bytes=_scratch_3rows,
        variants=variants_conv,
        writes_planar=writes_planar,
    ),
    _row(
        "conv2d",
        "conv2d",
        "conv2d",
        pack_conv,
        accepts=accepts_conv,
        more_sources=(_CONV_1X1, _CONV_CORE),
        scratch_bytes=scratch_conv,
        variants=variants_conv,
        writes_planar=writes_planar,
    ),
    _depthwise(1),
    _depthwise(2),
    _row(
        "depthwise_conv2d",
        "depthwise_conv2d_3x3_interleaved",
        "depthwise_interleaved",
        pack_depthwise_interleaved,
        more_sources=("arm_mve/depthwise_interleaved_core.c.j2",),
        accepts=accepts_depthwise_interleaved,
    ),
    _row("add", "add", "add", pack_add, accepts=accepts_add),
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
