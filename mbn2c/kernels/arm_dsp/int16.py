"""Layers whose input or output is int16, on Armv7E-M and Armv8-M with DSP: constants as the C wants them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from mbn2c.ir.graph import Graph, Node
from mbn2c.ir.kernel import Kernel, Packed, Parts, Rates
from mbn2c.kernels.arm_common import (
    channels_in,
    channels_out,
    pixel_blocks,
    taps_in_order,
    window_of,
)
from mbn2c.kernels.arm_dsp.conv import widen_function
from mbn2c.kernels.arm_wide import (
    accepts_conv,
    accepts_depthwise,
    channel_pairs,
    conv_fields,
    depthwise_fields,
    form_of,
)
from mbn2c.ops.add import S16_PARAMS, pack_wide
from mbn2c.ops.base.packing import folded_bias
from mbn2c.ops.base.quants import quant_of

_HEADERS = ("arm_dsp/mbn_arm_dsp.h", "arm_dsp/mbn_dsp.h", "arm/mbn_arm_asm.h")
# The second has what widens int8.
_CONV_CORES = ("arm_dsp/conv_s16_core.c", "arm_dsp/conv_core.c")
_WORD_OF_TAPS = (0, 2, 1, 3)
# Of the last pixel: up to three channels of int16 that are not there.
_READS_PAST_BYTES = 6


def _block(pixels: int, is_wide: bool) -> str:
    return f"mbn_conv_s16_block{pixels}_{'wide' if is_wide else 'narrow'}_arm_dsp"


_PIXELS = (1, 2, 3, 4)
CONV_S16_PARTS = Parts(
    "conv_s16_parts_arm_dsp",
    "mbn_conv_s16_parts_arm_dsp",
    (
        *(tuple(_block(pixels, is_wide) for pixels in _PIXELS) for is_wide in (True, False)),
        tuple(widen_function(pixels) for pixels in _PIXELS),
    ),
)

_CONV_RATES = Rates(0.8, 10, 250, 0.05, 0.4, 0.2, 4)
_DEPTHWISE_3X3_RATES = Rates(2.0, 9, 150, 0, 0.4)
_DEPTHWISE_RATES = Rates(3.0, 20, 120, 0, 0.4)
_ADD_RATES = Rates(0, 11, 120, 0, 0.4)


# --- conv2d, fully_connected ---


def _is_direct(node: Node, graph: Graph) -> bool:
    """Whether the window is a pixel, of int16 or of whole words."""
    is_wide_in = quant_of(graph, node.inputs[0]).bits == 16
    return window_of(node).kernel == (1, 1) and (is_wide_in or channels_in(node, graph) % 4 == 0)


def _taps(node: Node, graph: Graph) -> int:
    return -(-taps_in_order(node, graph).shape[1] // 4) * 4


def conv_scratch_bytes(node: Node, graph: Graph) -> int:
    """Four windows as pairs of int16, and as they are where they are gathered first."""
    gathered = 0 if _is_direct(node, graph) else quant_of(graph, node.inputs[0]).bits // 8
    return (8 + 4 * gathered) * _taps(node, graph)


def pack_conv(node: Node, graph: Graph) -> Packed:
    """Per channel pair: biases, per two taps a word of bytes even odd even odd, multipliers."""
    weights, taps = taps_in_order(node, graph), _taps(node, graph)
    pairs = -(-len(weights) // 2)
    padded = np.zeros((2 * pairs, taps), np.int8)
    padded[: len(weights), : weights.shape[1]] = weights
    order = (0, 1, 2, 3) if quant_of(graph, node.inputs[0]).bits == 16 else _WORD_OF_TAPS
    ordered = padded.reshape(pairs, 2, taps // 4, 4)[..., order].reshape(pairs, 2, taps)
    words = np.ascontiguousarray(ordered.transpose(0, 2, 1)).reshape(pairs, -1).view("<u4")
    biases, multipliers = (
        channel_pairs(folded_bias(node, graph, 0), pairs),
        channel_pairs(form_of(node).multiplier, pairs),
    )
    stream = np.concatenate([biases, words, multipliers], axis=1)
    return Packed(
        {
            "weights": "weights",
            "parts": CONV_S16_PARTS,
            **conv_fields(node, graph, taps, _is_direct(node, graph)),
        },
        {"weights": stream.reshape(-1)},
        graph.constant(node.inputs[1]).size,
    )


def parts_conv(node: Node, graph: Graph, counts: Sequence[int], writes_planar: bool) -> frozenset[str]:
    """Of the core's functions those that rows of `counts` pixels need."""
    is_wide_in, is_wide_out = (quant_of(graph, name).bits == 16 for name in (node.inputs[0], node.outputs[0]))
    found = set()
    for pixels in {pixels for count in counts for pixels in pixel_blocks(count, _taps(node, graph) // 4)}:
        if channels_out(node, graph) > 1:
            found.add(_block(pixels, is_wide_out))
        if not is_wide_in:
            found.add(widen_function(pixels))
    return frozenset(found)


# --- depthwise_conv2d ---


def pack_depthwise(node: Node, graph: Graph) -> Packed:
    """Per four channels: biases, per tap two pairs of int16, multipliers."""
    channels = channels_out(node, graph)
    groups = -(-channels // 4)
    weights = graph.constant(node.inputs[1]).reshape(-1, channels)
    padded = np.zeros((len(weights), 4 * groups), np.int16)
    padded[:, :channels] = weights
    order = (0, 1, 2, 3) if quant_of(graph, node.inputs[0]).bits == 16 else _WORD_OF_TAPS
    words = padded.reshape(len(weights), groups, 4)[..., order].transpose(1, 0, 2)
    words = np.ascontiguousarray(words).view("<u4").reshape(groups, -1)
    bias = channel_pairs(folded_bias(node, graph, 2), 2 * groups).reshape(groups, 4)
    multiplier = channel_pairs(form_of(node).multiplier, 2 * groups).reshape(groups, 4)
    return Packed(
        {
            "weights": "weights",
            **depthwise_fields(node, graph),
        },
        {"weights": np.concatenate([bias, words, multiplier], axis=1).reshape(-1)},
        weights.size,
    )


def _from_to(is_wide_in: bool, is_wide_out: bool) -> str:
    words = ("narrow", "wide")
    return f"mbn_depthwise_s16_{words[is_wide_in]}_to_{words[is_wide_out]}_arm_dsp"


DEPTHWISE_S16_PARTS = Parts(
    "depthwise_s16_parts_arm_dsp",
    "mbn_depthwise_s16_parts_arm_dsp",
    (_from_to(True, True), _from_to(True, False), _from_to(False, True)),
)


def accepts_depthwise_3x3(node: Node, graph: Graph) -> bool:
    """3x3, and at least a group of four channels."""
    return channels_out(node, graph) >= 4 and window_of(node).kernel == (3, 3) and accepts_depthwise(node, graph)


def pack_depthwise_3x3(node: Node, graph: Graph) -> Packed:
    """As `pack_depthwise`."""
    packed = pack_depthwise(node, graph)
    fields = {name: value for name, value in packed.fields.items() if name not in ("kernel_height", "kernel_width")}
    return replace(packed, fields={"weights": fields.pop("weights"), "parts": DEPTHWISE_S16_PARTS, **fields})


def parts_depthwise_3x3(node: Node, graph: Graph, counts: Sequence[int], writes_planar: bool) -> frozenset[str]:
    """One function for what the layer reads and makes."""
    return frozenset({_from_to(*(quant_of(graph, name).bits == 16 for name in (node.inputs[0], node.outputs[0])))})


# --- add ---


def accepts_add(node: Node, graph: Graph) -> bool:
    """Whether both inputs are int16, whose factors are halfwords."""
    return all(quant_of(graph, name).bits == 16 for name in node.inputs)


# --- the rows of the table ---


def _conv_row(op: str) -> Kernel:
    return Kernel(
        op,
        "arm_dsp",
        "mbn_conv2d_s16_arm_dsp",
        "mbn_conv2d_s16_arm_dsp_params",
        "arm_dsp/conv2d_s16.c",
        pack_conv,
        _CONV_RATES,
        accepts=accepts_conv,
        scratch_bytes=conv_scratch_bytes,
        more_sources=_CONV_CORES,
        parts=parts_conv,
        takes_int16=True,
        headers=_HEADERS,
        reads_past_bytes=_READS_PAST_BYTES,
    )


KERNELS = (
    _conv_row("conv2d"),
    _conv_row("fully_connected"),
    Kernel(
        "depthwise_conv2d",
        "arm_dsp",
        "mbn_depthwise_conv2d_3x3_s16_arm_dsp",
        "mbn_depthwise_3x3_s16_arm_dsp_params",
        "arm_dsp/depthwise_conv2d_3x3_s16.c",
        pack_depthwise_3x3,
        _DEPTHWISE_3X3_RATES,
        accepts=accepts_depthwise_3x3,
        more_sources=("arm_dsp/depthwise_s16_core.c",),
        parts=parts_depthwise_3x3,
        takes_int16=True,
        headers=_HEADERS,
        reads_past_bytes=_READS_PAST_BYTES,
    ),
    Kernel(
        "depthwise_conv2d",
        "arm_dsp",
        "mbn_depthwise_conv2d_s16_arm_dsp",
        "mbn_depthwise_s16_arm_dsp_params",
        "arm_dsp/depthwise_conv2d_s16.c",
        pack_depthwise,
        _DEPTHWISE_RATES,
        accepts=accepts_depthwise,
        takes_int16=True,
        headers=_HEADERS,
        reads_past_bytes=_READS_PAST_BYTES,
    ),
    Kernel(
        "add",
        "arm_dsp",
        "mbn_add_s16_arm_dsp",
        S16_PARAMS.name,
        "arm_dsp/add_s16.c",
        pack_wide,
        _ADD_RATES,
        accepts=accepts_add,
        takes_int16=True,
        headers=_HEADERS,
    ),
)
