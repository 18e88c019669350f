"""Which kernel a node gets, and the integer forms and lanes that its constants are packed for; no C is needed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from models import Builder, tiny_mobilenet_v2
from networks import plan_with_cuts, quantized

from mbn2c.ir.graph import Graph
from mbn2c.ir.window import Window
from mbn2c.kernels import isas_for, kernels_of_plan, lanes, select
from mbn2c.kernels.arm_dsp.table import halfword_add
from mbn2c.kernels.staircase import Staircases, long_form, short_form, short_rounding
from mbn2c.numerics import (
    LARGEST_RECIPROCAL,
    add_integer,
    prove_add,
    prove_scales,
    requantize_integer,
    snap_add_scale,
    step_positions,
)

ISAS = {"arm_dsp": isas_for(("arm_dsp", "scalar"), "speed"), "arm_mve": ("arm_mve", "arm_dsp", "scalar")}
SAME = Window((3, 3), pad=(1, 1, 1, 1))


def layer_scales(seed: int) -> tuple[np.ndarray, int, int, np.ndarray]:
    """(multiplier, shift, zero point, bound of the accumulators) as `prove_scales` chooses them."""
    rng = np.random.default_rng(seed)
    wanted = 2.0 ** rng.uniform(-14, -3, 64)
    zero_point = int(rng.integers(-128, 128))
    bound = np.rint(rng.uniform(0.5, 12, 64) * 256 / np.maximum(wanted, 1 / LARGEST_RECIPROCAL)).astype(np.int64)
    proved = prove_scales(np.float32(1), wanted, np.float32(1), zero_point, bound)
    return proved.multiplier, proved.shift, zero_point, bound


@pytest.mark.parametrize("seed", range(4))
def test_forms_equal_the_reference_at_every_step(seed: int) -> None:
    multiplier, shift, zero_point, bound = layer_scales(seed)
    stairs = Staircases(multiplier, shift, zero_point, -bound, bound)
    acc = np.concatenate([step_positions(multiplier, shift, zero_point) + nudge for nudge in (-1, 0)], axis=1)
    acc = np.clip(np.concatenate([acc, -bound[:, None], bound[:, None]], axis=1), -bound[:, None], bound[:, None])
    expected = requantize_integer(acc.T, multiplier, shift, zero_point).T
    short, long = short_form(stairs), long_form(stairs, 34)
    assert short.holds.sum() > 20 and (short.holds | long.holds).mean() > 0.9
    span = short.last_high - short.first_low
    n = np.clip(acc - short.first_low[:, None], 0, span[:, None])
    value = (n * short.factor[:, None] + (short_rounding(zero_point) + short.first_low * short.factor)[:, None]) >> 24
    assert np.array_equal((value & 255).astype(np.uint8).view(np.int8)[short.holds], expected[short.holds])
    stair = ((acc - long.low[:, None]) * long.factor[:, None]) >> 34
    assert np.array_equal((np.clip(stair, 0, 255) - 128)[long.holds], expected[long.holds])


@given(
    st.lists(st.lists(st.integers(-127, 127), min_size=1, max_size=40), min_size=1, max_size=3),
    st.sampled_from([12, 127]),
)
def test_no_group_leaves_16_bits(rows: list[list[int]], longest: int) -> None:
    inputs = min(len(row) for row in rows)
    weights = np.array([row[:inputs] for row in rows], np.int8)
    lengths = lanes.group_lengths(weights[np.newaxis], longest)[0]
    assert sum(lengths) == inputs and max(lengths) <= longest
    for start, length in zip(np.cumsum([0, *lengths]), lengths, strict=False):
        group = weights[:, start : start + length].astype(int)
        largest = np.where(group > 0, 127, -128) * group
        smallest = np.where(group > 0, -128, 127) * group
        assert largest.sum(axis=1).max() <= 32767 and smallest.sum(axis=1).min() >= -32767


def test_optimize_chooses_among_the_kernels_of_a_core() -> None:
    graph = quantized(tiny_mobilenet_v2(height=24, width=24))
    node = next(node for node in graph.nodes if node.op == "conv2d")
    found = {}
    for optimize in ("smallest", "lean", "ram", "balanced", "speed"):
        kernel = select(node, graph, isas_for(("armv6m", "scalar"), optimize))
        found[optimize] = kernel.function
        assert kernel.scratch_bytes(node, graph) == 0 or optimize != "smallest"
    assert found == {
        "smallest": "mbn_conv2d_direct_s8_armv6m",
        "lean": "mbn_conv2d_s8_armv6m",
        "ram": "mbn_conv2d_lanes_s8_armv6m",
        "balanced": "mbn_conv2d_lanes_s8_armv6m",
        "speed": "mbn_conv2d_lanes_s8_armv6m",
    }
    assert isas_for(("arm_dsp", "scalar"), "balanced") == ("arm_dsp", "scalar")
    many = Builder((6, 6, 3), 0)
    graph = quantized(many.graph(many.conv2d(many.conv2d("input", 80), 4)))
    assert select(graph.nodes[1], graph, isas_for(("armv6m", "scalar"), "lean")).function == found["smallest"]


def test_a_low_lane_that_could_overflow_falls_back() -> None:
    builder = Builder((1, 1, 600), 0)
    graph = quantized(builder.graph(builder.conv2d("input", 2)))
    node = graph.nodes[0]
    assert select(node, graph, ("armv7m", "scalar")).isa == "armv7m"
    tensor = graph.tensors[node.inputs[1]]
    assert tensor.data is not None
    heavy = graph.rebuild(tensors=[replace(tensor, data=np.full(tensor.shape, 127, np.int8))])
    assert select(node, heavy, ("armv7m", "scalar")).isa == "scalar"


def chosen(graph: Graph, isa: str) -> dict[str, str]:
    return {node.name: select(node, graph, ISAS[isa]).function for node in graph.nodes}


@pytest.mark.parametrize("isa", ISAS)
def test_depthwise_is_planar_only_where_its_input_can_be(isa: str) -> None:
    builder = Builder((8, 8, 3), 0)
    first = builder.depthwise("input", SAME)
    made = builder.conv2d(first, 8)
    both = builder.depthwise(made, SAME)
    shared = builder.add(made, both)
    last = builder.depthwise(builder.conv2d(shared, 8), SAME)
    found = list(chosen(quantized(builder.graph(last)), isa).items())
    depthwise = [function for name, function in found if "depthwise" in name]
    planar = f"mbn_depthwise_conv2d_3x3_s8_{isa}"
    assert depthwise[0] != planar, "the input comes interleaved"
    assert depthwise[1] != planar, "the sum reads the same tensor interleaved"
    assert depthwise[2] == planar


@pytest.mark.parametrize("isa", ISAS)
def test_a_strip_is_read_by_a_kernel_that_can(isa: str) -> None:
    graph = quantized(tiny_mobilenet_v2())
    plan = plan_with_cuts(graph, [], (4,), ISAS[isa])
    kernels = kernels_of_plan(plan, ISAS[isa])
    streamed = [call for call in plan.calls if any(plan.buffers[read.tensor].strip_columns for read in call.reads)]
    assert streamed
    assert not any(kernels[call.node].reads_planar for call in streamed)


def test_halfword_add_equals_the_add_it_stands_for() -> None:
    generator = np.random.default_rng(3)
    a, b = np.meshgrid(np.arange(-128, 128), np.arange(-128, 128))
    found = 0
    for _ in range(12):
        output = np.float32(generator.uniform(0.01, 0.2))
        scales = [snap_add_scale(float(output) * share, output)[0] for share in generator.uniform(0.2, 1.2, 2)]
        zero_points = tuple(int(point) for point in generator.integers(-128, 128, 3))
        multipliers, offset, shift = prove_add((*scales, output), zero_points)
        form = halfword_add(multipliers, offset, shift)
        if form is None:
            continue
        (wide_a, wide_b), new_offset, new_shift = form
        value = (new_offset + ((a * wide_a) >> 16) + ((b * wide_b) >> 16)) >> new_shift
        assert np.array_equal(np.clip(value, -128, 127), add_integer(a, b, multipliers, offset, shift))
        found += 1
    assert found > 6


def test_an_accumulator_beyond_23_bits_falls_back() -> None:
    builder = Builder((2, 2, 3), 0)
    x = builder.conv2d("input", 4)
    graph = quantized(builder.graph(x))
    node = graph.nodes[0]
    assert select(node, graph, ISAS["arm_dsp"]).isa == "arm_dsp"
    bias = graph.tensors[node.inputs[2]]
    assert bias.data is not None
    huge = bias.data.copy()
    huge[1] = 2**24
    changed = graph.rebuild(tensors=[replace(bias, data=huge)])
    assert select(node, changed, ISAS["arm_dsp"]).isa == "scalar"
    assert select(node, changed, ISAS["arm_mve"]).isa == "arm_mve"
