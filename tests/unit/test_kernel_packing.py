"""Packed constants, read again by the rule that the C states: weights, biases and multipliers are where C looks."""

from __future__ import annotations

import itertools
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from models import Builder
from networks import quantized

from mbn2c.ir.graph import Graph, Node
from mbn2c.ir.kernel import Parts, PixelStride
from mbn2c.ir.window import Window
from mbn2c.kernels import lanes
from mbn2c.kernels.arm_common import pixel_blocks
from mbn2c.kernels.arm_dsp import conv
from mbn2c.kernels.staircase import Staircases, long_form, short_form, short_rounding
from mbn2c.numerics import requantize_integer
from mbn2c.ops.base.packing import folded_bias

SAME = Window((3, 3), pad=(1, 1, 1, 1))


@cache
def one_conv(channels: int, outputs: int, window: Window = Window(), width: int = 6) -> Graph:
    builder = Builder((4, width, channels), seed=channels + outputs)
    return quantized(builder.graph(builder.conv2d("input", outputs, window)))


def weighted(graph: Graph) -> Node:
    return next(node for node in graph.nodes if len(node.inputs) == 3)


# --- arm_dsp: pairs of channels ------------------------------------------------------------------


def int32(word: int) -> int:
    return word - 2**32 if word >= 2**31 else word


def halves_of(word: int) -> tuple[int, int]:
    """A word as two int16."""
    return tuple((half ^ 0x8000) - 0x8000 for half in (word & 0xFFFF, word >> 16))  # type: ignore[return-value]


def pair_of(half: int) -> tuple[int, int]:
    """256 * odd + even -> (even, odd), both int8."""
    even = ((half & 0xFF) ^ 0x80) - 0x80
    return even, (half - even) // 256


def read_stream(
    stream: np.ndarray, taps: int, outputs: int, at_once: int = 1
) -> tuple[np.ndarray, list[int], list[int]]:
    """(taps [O, K], biases, multipliers) of a stream in which the words of `at_once` channel pairs alternate."""
    words, pairs = iter(stream.tolist()), -(-outputs // 2)
    weights = np.zeros((2 * pairs, taps), np.int64)
    biases, multipliers = [0] * 2 * pairs, [0] * 2 * pairs
    for first in range(0, pairs, at_once):
        group = range(first, first + at_once)
        for pair in group:
            even = int32(next(words))
            both = int32(next(words))
            biases[2 * pair], biases[2 * pair + 1] = even, (both - even) // 256
        for tap in range(0, taps, 4):
            for word, pair in itertools.product((0, 1), group):
                for place, half in zip((tap + word, tap + word + 2), halves_of(next(words)), strict=True):
                    weights[2 * pair, place], weights[2 * pair + 1, place] = pair_of(half)
        for pair in group:
            multipliers[2 * pair], multipliers[2 * pair + 1] = next(words), next(words)
    assert next(words, None) is None
    return weights[:outputs], biases[:outputs], multipliers[:outputs]


@pytest.mark.parametrize("outputs", [1, 2, 5])
@pytest.mark.parametrize("taps", [4, 12])
def test_stream_of_pairs(outputs: int, taps: int) -> None:
    generator = np.random.default_rng(outputs + taps)
    weights = generator.integers(-127, 128, (outputs, taps)).astype(np.int8)
    biases = generator.integers(-(2**22), 2**22, outputs).astype(np.int32)
    multipliers = generator.integers(1, 2**31, outputs)
    stream = conv.pack_taps(weights, biases, multipliers)
    assert stream.dtype == np.uint32 and len(stream) == -(-outputs // 2) * (4 + taps // 2)
    found = read_stream(stream, taps, outputs)
    assert np.array_equal(found[0], weights) and found[1:] == (biases.tolist(), multipliers.tolist())


def expected_of(graph: Graph) -> tuple[np.ndarray, list[int], list[int]]:
    node = weighted(graph)
    weights = graph.constant(node.inputs[1])
    multipliers = [int(m) * 2 ** (32 - node.attributes.requantize.shift) for m in node.attributes.requantize.multiplier]
    return weights.reshape(len(weights), -1), folded_bias(node, graph, 0).tolist(), multipliers


@pytest.mark.parametrize("channels, outputs", [(4, 2), (5, 3), (7, 8)])
def test_1x1(channels: int, outputs: int) -> None:
    graph = one_conv(channels, outputs)
    node = weighted(graph)
    assert conv.accepts_1x1(node, graph)
    packed = conv.pack_conv_1x1(node, graph)
    assert packed.fields["in_channels"] == channels and packed.fields["out_channels"] == outputs
    whole = -(-channels // 4) * 4
    found, expected = read_stream(packed.arrays["weights"], whole, outputs), expected_of(graph)
    assert np.array_equal(found[0][:, :channels], expected[0]) and not found[0][:, channels:].any()
    assert found[1:] == expected[1:]
    assert conv.scratch_1x1(node, graph) == 4 * 2 * whole, "four pixels as int16"


@pytest.mark.parametrize("channels, outputs", [(4, 4), (36, 8)])
def test_quads(channels: int, outputs: int) -> None:
    graph = one_conv(channels, outputs)
    node = weighted(graph)
    found, expected = (
        read_stream(conv.pack_quads(node, graph).arrays["weights"], channels, outputs, 2),
        expected_of(graph),
    )
    assert np.array_equal(found[0], expected[0]) and found[1:] == expected[1:]
    assert conv.scratch_quads(node, graph) == 2 * 2 * channels, "two pixels as int16"


@pytest.mark.parametrize("channels, outputs", [(2, 3), (3, 4)])
def test_any_window(channels: int, outputs: int) -> None:
    graph = one_conv(channels, outputs, SAME)
    node = weighted(graph)
    packed = conv.pack_conv(node, graph)
    taps = 9 * channels
    whole = -(-taps // 4) * 4
    assert packed.fields["taps"] == whole and packed.fields["out_channels"] == outputs
    found, expected = read_stream(packed.arrays["weights"], whole, outputs), expected_of(graph)
    assert np.array_equal(found[0][:, :taps], expected[0]) and not found[0][:, taps:].any()
    assert found[1:] == expected[1:]
    assert conv.scratch_conv(node, graph) == 4 * (whole + 2 * whole), "four columns as bytes and as int16"


@pytest.mark.parametrize("channels, gathered_bytes", [(1, 12), (3, 28)])
def test_3x3_of_an_image(channels: int, gathered_bytes: int) -> None:
    """As mbn_gather leaves a window: a row of one channel takes 4 bytes; of three, 8 of each row, then their ninths."""
    graph = one_conv(channels, 4, Window((3, 3), (2, 2), (0, 0, 1, 1)))
    node = weighted(graph)
    assert conv.accepts_3x3(channels)(node, graph) and not conv.accepts_3x3(4 - channels)(node, graph)
    packed = conv.pack_conv_3x3(node, graph)
    assert packed.fields["out_channels"] == 4 and packed.fields["step"] == 2 * channels
    weights, biases, multipliers = expected_of(graph)
    rows = weights.reshape(4, 3, 3 * channels)
    places = {
        1: [(row, column) for row in range(3) for column in (0, 1, 2, None)],
        3: [*((row, column) for row in range(3) for column in range(8)), (0, 8), (2, 8), (1, 8), (0, None)],
    }[channels]
    expected = np.stack(
        [rows[:, row, column] if column is not None else rows[:, 0, 0] * 0 for row, column in places], 1
    )
    found = read_stream(packed.arrays["weights"], gathered_bytes, 4)
    assert np.array_equal(found[0], expected) and found[1:] == (biases, multipliers)
    assert conv.scratch_3x3(node, graph) == 4 * 2 * gathered_bytes, "four windows as int16"


def with_constants(graph: Graph, weights: list[list[int]], bias: list[int]) -> Graph:
    node = weighted(graph)
    tensor, biases = graph.tensors[node.inputs[1]], graph.tensors[node.inputs[2]]
    x = graph.tensors[node.inputs[0]]
    assert x.quant is not None
    data = np.array(weights, np.int8).reshape(tensor.shape)
    raw = np.array(bias) + x.quant.zero_point * data.reshape(len(data), -1).sum(
        axis=1
    )  # so that the folded one is `bias`
    return graph.rebuild(tensors=[replace(tensor, data=data), replace(biases, data=raw.astype(np.int32))])


# the odd channel's accumulators stay below 2^23 in magnitude; 256 * odd + even is an int16
PAIRS = [
    ([[0, 0], [1, 0]], [2**30, 2**23 - 1 - 128], True),
    ([[0, 0], [1, 0]], [0, 2**23 - 127], False),
    ([[0, 0], [-1, 0]], [0, -(2**23) + 127 + 1], True),
    ([[0, 0], [-1, 0]], [0, -(2**23) + 127], False),
    ([[127, 0], [127, 0]], [0, 0], True),
    ([[-128, 0], [-128, 0]], [0, 0], False),
    ([[-128, 0], [127, 0]], [0, 0], True),
    ([[-127, 0], [-127, 0]], [0, 0], True),
]


@pytest.mark.parametrize("weights, bias, accepted", PAIRS)
def test_which_channels_can_share_a_multiplication(weights: list[list[int]], bias: list[int], accepted: bool) -> None:
    graph = with_constants(one_conv(2, 2), weights, bias)
    assert conv.accepts_conv(weighted(graph), graph) == accepted


def c_names(*names: str) -> tuple[str, ...]:
    return tuple(name and f"mbn_{name}_arm_dsp" for name in names)


BLOCKS = [c_names(*(f"conv_block{pixels}_{layout}" for pixels in (1, 2, 3, 4))) for layout in ("planar", "interleaved")]
TABLES = [
    (conv.CONV_PARTS, [*BLOCKS, c_names("widen1", "widen2", "widen3", "widen4")]),
    (
        conv.QUAD_PARTS,
        [
            c_names("conv_quad1_planar", "conv_quad2_planar", "", ""),
            c_names("conv_quad1_interleaved", "conv_quad2_interleaved", "", ""),
            c_names("widen1", "widen2", "", ""),
        ],
    ),
    (conv.GATHER_PARTS[1], [*BLOCKS, c_names(*(f"gather{pixels}_3x3x1" for pixels in (1, 2, 3, 4)))]),
    (conv.GATHER_PARTS[3], [*BLOCKS, c_names(*(f"gather{pixels}_3x3x3" for pixels in (1, 2, 3, 4)))]),
]


@pytest.mark.parametrize("parts, members", TABLES, ids=[parts.name for parts, _ in TABLES])
def test_tables_of_parts_stand_in_the_order_of_the_c(parts: Parts, members: list[tuple[str, ...]]) -> None:
    assert list(parts.members) == members


@pytest.mark.parametrize("counts", [(1,), (2,), (5,), (4, 7)])
@pytest.mark.parametrize("layout", ["planar", "interleaved"])
@pytest.mark.parametrize("outputs", [1, 4])
def test_parts_are_those_that_rows_need(counts: tuple[int, ...], layout: str, outputs: int) -> None:
    graph = one_conv(4, outputs)
    node, is_planar = weighted(graph), layout == "planar"
    pixels = {size for count in counts for size in pixel_blocks(count, 1)}
    blocks = {f"conv_block{size}_{layout}" for size in pixels if outputs > 1}
    assert conv.parts_1x1(node, graph, counts, is_planar) == {*c_names(*blocks, *(f"widen{size}" for size in pixels))}
    sizes = [size for size, wanted in ((2, max(counts) > 1), (1, any(count % 2 for count in counts))) if wanted]
    quads = [f"conv_quad{size}_{layout}" for size in sizes] + [f"widen{size}" for size in sizes]
    assert conv.parts_quads(node, graph, counts, is_planar) == {*c_names(*quads)}
    fours = {4 for count in counts if count >= 4} | {count % 4 for count in counts if count % 4}
    assert conv.parts_conv(node, graph, counts, is_planar) == conv.parts_1x1(node, graph, sorted(fours), is_planar)


# --- lanes ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "value, expected",
    [(0, 0), (2**31 - 1, 2**31 - 1), (2**31, -(2**31)), (2**32 + 5, 5), (-1, -1), (-(2**31) - 1, 2**31 - 1)],
)
def test_as_int32(value: int, expected: int) -> None:
    found = lanes.as_int32(np.array([value]))
    assert found.dtype == np.int32 and found.tolist() == [expected]


@pytest.mark.parametrize("value", [0, 1, 2**32 - 1, 2**32, -1, -(2**40) + 7, 2**62])
def test_words_of(value: int) -> None:
    low, high = (int(word[0]) for word in lanes.words_of(np.array([value])))
    assert 0 <= low < 2**32 and (high << 32) + low == value


def fits_16_bits(group: np.ndarray) -> bool:
    """Whether no int8 inputs bring a lane to -32768 or out of 16 bits: every weight [C, K] with its worst input."""
    largest = np.where(group > 0, 127, -128) * group.astype(int)
    smallest = np.where(group > 0, -128, 127) * group.astype(int)
    return bool(largest.sum(axis=1).max() <= 32767 and smallest.sum(axis=1).min() >= -32767)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("longest", [3, 127])
def test_groups_are_as_long_as_lanes_allow(seed: int, longest: int) -> None:
    generator = np.random.default_rng(seed)
    span = (127, 127, 20, 5, 1, 90)[seed]
    weights = generator.integers(-span, span + 1, (3, 2, 150)).astype(np.int8)
    for several, lengths in zip(weights, lanes.group_lengths(weights, longest), strict=True):
        assert sum(lengths) == 150 and all(0 < length <= longest for length in lengths)
        start = 0
        for length in lengths:
            assert fits_16_bits(several[:, start : start + length])
            if start + length < 150 and length < longest:
                assert not fits_16_bits(several[:, start : start + length + 1]), "one more would have fitted"
            start += length


@pytest.mark.parametrize(
    "weights, lengths",
    [
        ([127, 127, 2, 1], [2, 2]),  # 128 * 256 = 32,768 does not fit, 128 * 255 does
        ([127, 127, 1, 1], [3, 1]),
        ([-127, -127, -2, -1], [2, 2]),
        ([-127, -127, -1, -1], [3, 1]),
        ([127, -127, 127, -127], [2, 2]),
        ([0, 0, 0], [3]),
    ],
)
def test_groups_by_hand(weights: list[int], lengths: list[int]) -> None:
    assert lanes.group_lengths(np.array(weights, np.int8).reshape(1, 1, -1)) == [lengths]


def raw_sums(graph: Graph, values: np.ndarray) -> np.ndarray:
    """Sums of int8 inputs [N, K] times the weights; int64 [N, O]."""
    weights = graph.constant(weighted(graph).inputs[1]).astype(np.int64)
    return values.astype(np.int64) @ weights.reshape(len(weights), -1).T


@pytest.mark.parametrize("shift", [32, 22])
def test_high_word_is_the_result(shift: int) -> None:
    graph = one_conv(9, 5)
    node = weighted(graph)
    given = node.attributes.requantize
    assert given.shift == 32
    shorter = replace(given, multiplier=given.multiplier >> (32 - shift), shift=shift)
    node = replace(node, attributes=replace(node.attributes, requantize=shorter))
    assert lanes.has_high_word_form(node)
    values = np.random.default_rng(0).integers(-128, 128, (2000, 9))
    sums = raw_sums(graph, values)
    requantize, quant = node.attributes.requantize, graph.tensors[node.outputs[0]].quant
    assert quant is not None
    acc = sums + folded_bias(node, graph, 0)
    expected = requantize_integer(acc, requantize.multiplier, requantize.shift, quant.zero_point)
    multiplier, rounding = lanes.high_word_constants(node, graph, 0)
    assert np.array_equal(np.clip((sums * multiplier + rounding) >> 32, -128, 127), expected)


def test_reachable_accumulators_are_met_exactly() -> None:
    graph = one_conv(7, 6)
    node = weighted(graph)
    stairs = lanes.staircases(node, graph, 0)
    weights = graph.constant(node.inputs[1]).reshape(6, 7)
    bias = folded_bias(node, graph, 0)
    most = raw_sums(graph, np.where(weights > 0, 127, -128)).diagonal() + bias
    least = raw_sums(graph, np.where(weights > 0, -128, 127)).diagonal() + bias
    assert stairs.low.tolist() == least.tolist() and stairs.high.tolist() == most.tolist()


@pytest.mark.parametrize("shift", [22, 32])
def test_forms_of_a_staircase(shift: int) -> None:
    """Every reachable accumulator of small layers, with multipliers that are reciprocals of odd numbers."""
    odd = np.array([3, 5, 17, 129, 1001])
    multiplier = np.rint(2.0**shift / odd).astype(np.int64)
    bound = np.minimum(300 * odd, 20_000)
    stairs = Staircases(multiplier, shift, -7, -bound, bound)
    short, long = short_form(stairs), long_form(stairs, 34)
    assert short.holds.all() == (shift == 22) and (shift == 22 or long.holds.all())
    for channel in range(len(odd)):
        acc = np.arange(-bound[channel], bound[channel] + 1)
        expected = requantize_integer(acc, multiplier[channel], shift, -7)
        if short.holds[channel]:
            for low, high in itertools.product(
                (short.first_low[channel], short.last_low[channel]),
                (short.first_high[channel], short.last_high[channel]),
            ):
                offset = short_rounding(-7) + low * short.factor[channel]
                value = (np.clip(acc - low, 0, high - low) * short.factor[channel] + offset) >> 24
                assert np.array_equal((value & 255).astype(np.uint8).view(np.int8), expected)
        else:
            stair = ((acc - long.low[channel]) * long.factor[channel]) >> 34
            assert np.array_equal(np.clip(stair, 0, 255) - 128, expected)


def with_form(graph: Graph, form: object) -> tuple[Node, Graph]:
    """The weighted node requantized in another way."""
    node = weighted(graph)
    requantize = node.attributes.requantize
    if isinstance(form, tuple):
        form = replace(requantize, form=form)
    return replace(node, attributes=replace(node.attributes, requantize=form)), graph


@pytest.mark.parametrize(
    "form, fits",
    [(("mulhi",), True), (("mul32", "mulhi"), True), (("mul32",), False), (("mul64",), False), (None, False)],
)
def test_only_the_high_word_form_is_taken(form: object, fits: bool) -> None:
    node, graph = with_form(one_conv(4, 4), form)
    assert lanes.has_high_word_form(node) == fits
    assert conv.accepts_conv(node, graph) == fits and conv.accepts_1x1(node, graph) == fits


@pytest.mark.parametrize("depth_multiplier, window, fits", [(1, SAME, True), (2, SAME, False)])
def test_depthwise_of_one_channel_each(depth_multiplier: int, window: Window, fits: bool) -> None:
    builder = Builder((5, 5, 3), 0)
    graph = quantized(builder.graph(builder.depthwise("input", window, depth_multiplier=depth_multiplier)))
    node = weighted(graph)
    assert lanes.accepts_depthwise(node, graph) == fits
    assert not lanes.accepts_depthwise(*with_form(graph, ("mul64",)))


@pytest.mark.parametrize(
    "window, one_by_one",
    [(Window(), True), (Window((1, 1), (2, 1)), True), (Window((1, 1), (1, 2)), False), (Window((1, 3)), False)],
)
def test_1x1_steps_by_one_pixel(window: Window, one_by_one: bool) -> None:
    graph = one_conv(4, 4, window)
    assert conv.accepts_1x1(weighted(graph), graph) == one_by_one


QUADS = [
    # channels in and out, width: pairs would take three pixels at a time where scratch is long
    (36, 8, 6, True),
    (36, 6, 6, False),
    (34, 8, 6, False),
    (36, 8, 7, False),
]


@pytest.mark.parametrize("channels, outputs, width, accepted", QUADS)
def test_quads_where_pairs_take_threes(channels: int, outputs: int, width: int, accepted: bool) -> None:
    graph = one_conv(channels, outputs, Window(), width)
    node = weighted(graph)
    whole = -(-channels // 4) * 4
    in_threes = set(pixel_blocks(width, whole // 4)) == {3}
    assert conv.accepts_quads(node, graph) == (accepted and in_threes)


WINDOWS = [
    (Window((3, 3)), True),
    (Window((3, 3), (2, 2)), True),
    (Window((5, 5)), True),
    (Window((3, 3), (3, 3)), True),
    (Window((1, 3)), True),
    (Window((3, 3), dilation=(2, 2)), False),
]


@pytest.mark.parametrize("window, fits", WINDOWS)
def test_windows(window: Window, fits: bool) -> None:
    builder = Builder((9, 9, 4), 0)
    graph = quantized(builder.graph(builder.depthwise(builder.conv2d("input", 4), window)))
    node = graph.nodes[1]
    assert lanes.fits_fields(node, graph) == fits
    kernel, stride = window.kernel, window.stride[1]
    assert lanes.depthwise_fields(node) == {"kernel_height": kernel[0], "kernel_width": kernel[1], "stride": stride}
    assert lanes.window_fields(node, graph) == {
        "kernel_height": kernel[0], "row_bytes": 4 * kernel[1], "step_bytes": PixelStride("conv2d_0", stride),
    }  # fmt: skip
    width = graph.tensors[node.outputs[0]].shape[2]
    assert [lanes.pixels_at_once(node, graph, most) for most in (1, 2, 99)] == [1, min(2, width), width]
    weights = graph.constant(node.inputs[1])
    assert np.array_equal(lanes.depthwise_weights(node, graph), [weights[..., channel].ravel() for channel in range(4)])


@pytest.mark.parametrize("channels, fits", [(65_535 - 8, True), (65_535 - 7, False)])
def test_a_field_has_16_bits(channels: int, fits: bool) -> None:
    """Kernels round the inputs up to 8."""
    graph = one_conv(2, 2)
    x = graph.tensors[weighted(graph).inputs[0]]
    wide = graph.rebuild(tensors=[replace(x, shape=(*x.shape[:3], channels))])
    assert lanes.fits_fields(weighted(graph), wide) == fits
