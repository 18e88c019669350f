"""Kernels of cores without SIMD: bit by bit the reference, in portable C under sanitizers and in the emulator."""

from __future__ import annotations

import ctypes
import zlib
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from firmware import missing_tool
from host_c import SANITIZE, STRICT, Net, compile_c, first_difference, run_program
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from models import RELU, RELU6, Builder, tiny_mobilenet_v2
from networks import cut_lists, int8_inputs, networks, piece_lists, plan_with_cuts, quantized

from mbn2c.emit.c_files import c_files
from mbn2c.emit.network.model import Names, runtime_headers
from mbn2c.files.bundle import write_bundle
from mbn2c.firmware import toolchain
from mbn2c.firmware.stack import assembly_pushes
from mbn2c.ir.graph import Graph
from mbn2c.ir.plan import Plan, in_memory
from mbn2c.ir.window import Window
from mbn2c.kernels import isas_for, kernels_of_plan, lanes, select
from mbn2c.kernels.staircase import Staircases, long_form, short_form, short_rounding
from mbn2c.link.session import EMULATED, Session
from mbn2c.link.transports.emulator import EmulatedBoard
from mbn2c.numerics import LARGEST_RECIPROCAL, prove_scales, requantize_integer, step_positions
from mbn2c.ops.base.operator import quant_of
from mbn2c.reference.run_graph import run_graph
from mbn2c.resources.render import plain_text
from mbn2c.targets import load_board, load_core

# Every table, the core it is for and a board that runs that core's code.
TABLES = {
    "armv7m": ("cortex-m3", "qemu-mps2-an385"),
    "armv6m": ("cortex-m0plus", "qemu-mps2-an385"),
    "armv6m_lanes": ("cortex-m0plus", "qemu-mps2-an385"),
    "armv6m_direct": ("cortex-m0plus", "qemu-mps2-an385"),
    "rv32im": ("rv32imc", "qemu-riscv32-virt"),
}
SAME = Window((3, 3), pad=(1, 1, 1, 1))
HALF = Window((3, 3), (2, 2), (1, 1, 1, 1))


def isas_of(table: str) -> tuple[str, ...]:
    """The table before its ISA's own, and plain C last."""
    return tuple(dict.fromkeys((table, table.split("_")[0], "scalar")))


def with_small_channels(graph: Graph) -> Graph:
    """Channels of very different size, so that requantization takes both forms."""
    factors = np.array([1, 0.2, 1, 0.05, 0.01, 1, 1e-4])
    changed = []
    for node in graph.nodes:
        if len(node.inputs) == 3:
            tensor = graph.tensors[node.inputs[1]]
            assert tensor.data is not None
            axis = 2 if node.op == "depthwise_conv2d" else 0
            shape = [1] * tensor.data.ndim
            shape[axis] = -1
            factor = np.resize(factors, tensor.shape[axis]).reshape(shape)
            changed.append(replace(tensor, data=(tensor.data * factor).astype(np.float32)))
    return graph.rebuild(tensors=changed)


@cache
def chain(width: int, channels: int, image: int = 3, height: int = 5, seed: int = 0) -> Graph:
    """First layer, depthwise with both strides, a 5x5 one, odd channels, many inputs, a shortcut, pool, classes."""
    builder = Builder((height, width, image), seed)
    x = builder.conv2d("input", channels, HALF, RELU6)
    x = builder.depthwise(x, SAME, RELU6)
    x = builder.conv2d(x, channels + 1, activation=RELU)
    x = builder.depthwise(x, SAME)
    x = builder.inverted_residual(x, channels + 1, 2, SAME)
    x = builder.conv2d(x, 7 * channels + 1, activation=RELU6)
    x = builder.depthwise(x, HALF, RELU6)
    x = builder.conv2d(x, 3 * channels, Window((1, 3), pad=(0, 1, 0, 1)))
    x = builder.depthwise(x, Window((5, 5), pad=(2, 2, 2, 2)))
    x = builder.conv2d(x, 7, Window((3, 3), (2, 2), (0, 1, 1, 1)))
    x = builder.average_pool(x)
    return quantized(with_small_channels(builder.graph(builder.fully_connected(x, 5))))


def functions(graph: Graph, table: str) -> dict[str, str]:
    """Which kernel each convolution gets."""
    weighted = [node for node in graph.nodes if len(node.inputs) == 3]
    return {node.name: select(node, graph, isas_of(table)).function for node in weighted}


# --- on this machine, as portable C --------------------------------------------------------------


def inputs_of(graph: Graph, seed: int) -> list[np.ndarray]:
    """The usual ones, and pixels in turn at both ends and near zero, so that both lanes of a word differ."""
    shape = graph.tensors[graph.inputs[0].tensor].shape
    turns = [np.resize(np.repeat(turn, shape[3]), shape) for turn in ((-3, -128), (-128, 2, 127, -1), (3, 127, -2))]
    return [*int8_inputs(graph, 3, seed), *(turn.astype(np.int8) for turn in turns)]


def check_on_host(folder: Path, plan: Plan, table: str) -> None:
    graph, net = plan.graph, Net("net", plan, isas=isas_of(table))
    inputs = inputs_of(graph, 1)
    for values, tensors in zip(inputs, run_program(folder, [net], [inputs], "gcc", SANITIZE)[0], strict=True):
        assert first_difference(run_graph(graph, {graph.inputs[0].tensor: values}), tensors) == ""


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize(("width", "channels", "image"), [(1, 1, 1), (11, 5, 1), (31, 3, 3), (14, 17, 2)])
def test_chains_on_the_host(tmp_path: Path, table: str, width: int, channels: int, image: int) -> None:
    graph = chain(width, channels, image)
    plain = [name for name, function in functions(graph, table).items() if "scalar" in function]
    assert not plain or channels == 1, plain
    # Odd widths run in pieces, so that kernels see every count of pixels.
    check_on_host(tmp_path, plan_with_cuts(graph, [], (4,) if width % 2 else (), isas_of(table)), table)


def wide_windows(width: int) -> Graph:
    """Depthwise 5x5 with both strides, and a window that has no function of its own."""
    builder = Builder((6, width, 2), 0)
    x = builder.depthwise(builder.conv2d("input", 5), Window((5, 5), pad=(2, 2, 2, 2)), RELU6)
    x = builder.depthwise(builder.conv2d(x, 3), Window((5, 5), (2, 2), (2, 2, 2, 2)))
    x = builder.depthwise(builder.conv2d(x, 4), Window((3, 5), pad=(1, 2, 1, 2)))
    return quantized(with_small_channels(builder.graph(builder.fully_connected(builder.average_pool(x), 3))))


@pytest.mark.parametrize("table", ["armv7m", "armv6m", "rv32im"])
@pytest.mark.parametrize("width", [1, 12, 23])
def test_wide_windows_on_the_host(tmp_path: Path, table: str, width: int) -> None:
    graph = wide_windows(width)
    depthwise = [function for function in functions(graph, table).values() if "depthwise" in function]
    assert depthwise == [f"mbn_depthwise_conv2d_{table}"] * 3
    check_on_host(tmp_path, plan_with_cuts(graph, [], (4,) if width % 2 else (), isas_of(table)), table)


@pytest.mark.parametrize("table", TABLES)
def test_random_networks_on_the_host(tmp_path_factory: pytest.TempPathFactory, table: str) -> None:
    @settings(max_examples=3, phases=[Phase.generate])
    @given(networks(), cut_lists, piece_lists)
    def sweep(graph: Graph, cuts: list[bool], pieces: list[int]) -> None:
        check_on_host(tmp_path_factory.mktemp("net"), plan_with_cuts(graph, cuts, pieces, isas_of(table)), table)

    sweep()


def at_the_bounds() -> Graph:
    """One convolution whose sums reach the bounds of their lanes, 256 * -128 among them, where all inputs are alike."""
    builder = Builder((1, 21, 13), 0)
    graph = quantized(builder.graph(builder.conv2d("input", 6)))
    tensor = graph.tensors[graph.nodes[0].inputs[1]]
    rows = [(127, 127, 2), (-127, -127, -2), (127, 127, 1), (64, 64, 64, 64), (-127, -127, -1), (127, -127)]
    return graph.rebuild(
        tensors=[replace(tensor, data=np.stack([np.resize(row, tensor.shape[1:]) for row in rows]).astype(np.int8))]
    )


@pytest.mark.parametrize("table", TABLES)
def test_bounds_of_lanes_on_the_host(tmp_path: Path, table: str) -> None:
    graph = at_the_bounds()
    assert "scalar" not in str(functions(graph, table))
    check_on_host(tmp_path, plan_with_cuts(graph, [], (), isas_of(table)), table)


# --- in the emulator, as assembly ----------------------------------------------------------------


def need_tools(table: str) -> None:
    core, board = TABLES[table]
    if lacking := missing_tool(load_core(core), load_board(board)):
        pytest.skip(f"not installed: {lacking}")


def check_in_emulator(folder: Path, plan: Plan, table: str) -> None:
    """Each step's rows, compared by CRC, and the outputs."""
    core, board = load_core(TABLES[table][0]), load_board(TABLES[table][1])
    graph, names = plan.graph, Names("net", "a test", bytes(range(32)))
    write_bundle(c_files(plan, kernels_of_plan(plan, isas_of(table)), names, core, board), folder)
    elf = toolchain.build(folder, "net", core, board).path
    with EmulatedBoard(board, elf) as transport:
        session = Session(transport, digest=names.digest, timing=EMULATED)
        for values in inputs_of(graph, 2):
            expected = run_graph(graph, {graph.inputs[0].tensor: values})
            digests = session.layer_digests(values.tobytes())
            for call in plan.calls:
                rows = in_memory(plan.buffers[call.write], expected[call.write], quant_of(graph, call.write).zero_point)
                assert digests[call.step] == zlib.crc32(rows.tobytes()), f"step {call.step}, {call.node}"
            assert session.run(values.tobytes()) == b"".join(expected[p.tensor].tobytes() for p in graph.outputs)


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize(("width", "channels", "image"), [(11, 5, 1), (34, 8, 3)])
def test_chains_in_the_emulator(tmp_path: Path, table: str, width: int, channels: int, image: int) -> None:
    need_tools(table)
    check_in_emulator(tmp_path, plan_with_cuts(chain(width, channels, image), [], (), isas_of(table)), table)


@pytest.mark.parametrize("table", TABLES)
def test_bounds_of_lanes_in_the_emulator(tmp_path: Path, table: str) -> None:
    need_tools(table)
    check_in_emulator(tmp_path, plan_with_cuts(at_the_bounds(), [], (), isas_of(table)), table)


@pytest.mark.slow
@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("width", range(1, 33))
def test_every_width_in_the_emulator(tmp_path: Path, table: str, width: int) -> None:
    need_tools(table)
    graph = chain(width, 1 + width * 7 % 19, 1 + 2 * (width % 2), seed=width)
    check_in_emulator(tmp_path, plan_with_cuts(graph, [], (), isas_of(table)), table)


@pytest.mark.parametrize("table", TABLES)
def test_c_is_clean(tmp_path: Path, table: str) -> None:
    need_tools(table)
    core, names = load_core(TABLES[table][0]), Names("net", "a test", bytes(range(32)))
    plan = plan_with_cuts(chain(17, 8), [], (), isas_of(table))
    write_bundle(c_files(plan, kernels_of_plan(plan, isas_of(table)), names, core, None), tmp_path)
    sources = sorted(path.name for path in tmp_path.glob("*.c"))
    compile_c(tmp_path, sources, *core.cflags, *STRICT, "-c", compiler=f"{core.prefix}gcc")


# --- requantization ------------------------------------------------------------------------------


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


_C_REQUANTIZE = """
#include "mbn_armv6m.h"
#include "mbn_armv7m.h"
#include "mbn_rv32im.h"
void armv6m(const int32_t *sums, const int32_t *q, int32_t rounding, int8_t *out, int32_t count);
void armv7m(const int32_t *sums, const int32_t *q, int32_t rounding, int8_t *out, int32_t count);
void rv32im(const int32_t *sums, const int32_t *q, int32_t rounding, int8_t *out, int32_t count);
void armv6m(const int32_t *sums, const int32_t *q, int32_t rounding, int8_t *out, int32_t count)
{
    const mbn_stairs_armv6m stairs = mbn_stairs_of_armv6m(q, rounding);
    for (int32_t i = 0; i < count; i++) out[i] = mbn_requantize_armv6m(sums[i], &stairs);
}
void armv7m(const int32_t *sums, const int32_t *q, int32_t rounding, int8_t *out, int32_t count)
{
    (void)rounding;
    for (int32_t i = 0; i < count; i++) out[i] = mbn_requantize_armv7m(sums[i], q[0], q + 1);
}
void rv32im(const int32_t *sums, const int32_t *q, int32_t rounding, int8_t *out, int32_t count)
{
    (void)rounding;
    for (int32_t i = 0; i < count; i++) out[i] = mbn_requantize_rv32im(sums[i], q);
}
"""


def test_c_requantizes_as_the_reference(tmp_path: Path) -> None:
    for isa in ("armv6m", "armv7m", "rv32im"):
        (tmp_path / f"mbn_{isa}.h").write_text(plain_text(f"kernels/{isa}/mbn_{isa}.h"))
    (tmp_path / "mbn_version.h").write_text(runtime_headers()["mbn_version.h"])
    (tmp_path / "requantize.c").write_text(_C_REQUANTIZE)
    compile_c(tmp_path, ["requantize.c"], *STRICT, "-shared", "-fPIC", "-o", "requantize.so")
    library = ctypes.CDLL(str(tmp_path / "requantize.so"))
    graph = quantized(with_small_channels(tiny_mobilenet_v2()))
    rng = np.random.default_rng(5)
    shifts = set()
    for node in (node for node in graph.nodes if node.op == "depthwise_conv2d"):
        stairs = lanes.staircases(node, graph, 2)
        shifts.add(stairs.shift)
        bias = lanes.folded_bias(node, graph, 2).astype(np.int64)
        steps = step_positions(stairs.multiplier, stairs.shift, stairs.zero_point)
        for isa in ("armv6m", "armv7m", "rv32im"):
            packed = select(node, graph, (isa,)).pack(node, graph)
            words = packed.arrays["requantize"].reshape(len(bias), -1)
            rounding = packed.fields.get("rounding", 0)
            for channel, (low, high) in enumerate(zip(stairs.low, stairs.high, strict=True)):
                acc = np.concatenate(
                    [steps[channel] - 1, steps[channel], rng.integers(low, high + 1, 500), [low, high]]
                )
                acc = np.clip(acc, low, high)
                sums = np.ascontiguousarray((acc - bias[channel]).astype(np.int32))
                found = np.zeros(len(sums), np.int8)
                row = np.ascontiguousarray(words[channel])
                pointers = [array.ctypes.data_as(ctypes.c_void_p) for array in (sums, row, found)]
                getattr(library, isa)(pointers[0], pointers[1], ctypes.c_int32(int(rounding)), pointers[2], len(sums))  # type: ignore[arg-type]
                one = stairs.multiplier[channel : channel + 1]
                assert np.array_equal(found, requantize_integer(acc, one, stairs.shift, stairs.zero_point)), isa
    assert shifts == {22, 32} or shifts == {32}


# --- lanes ---------------------------------------------------------------------------------------


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


# --- which kernel --------------------------------------------------------------------------------


def test_optimize_chooses_among_the_kernels_of_a_core() -> None:
    graph = quantized(tiny_mobilenet_v2(height=24, width=24))
    node = next(node for node in graph.nodes if node.op == "conv2d")
    found = {}
    for optimize in ("smallest", "lean", "ram", "balanced", "speed"):
        kernel = select(node, graph, isas_for(("armv6m", "scalar"), optimize))
        found[optimize] = kernel.function
        assert kernel.scratch_bytes(node, graph) == 0 or optimize != "smallest"
    assert found == {
        "smallest": "mbn_conv2d_direct_armv6m",
        "lean": "mbn_conv2d_armv6m",
        "ram": "mbn_conv2d_lanes_armv6m",
        "balanced": "mbn_conv2d_lanes_armv6m",
        "speed": "mbn_conv2d_lanes_armv6m",
    }
    assert isas_for(("arm_dsp", "scalar"), "balanced") == ("arm_dsp", "scalar")
    many = Builder((6, 6, 3), 0)
    graph = quantized(many.graph(many.conv2d(many.conv2d("input", 80), 4)))
    assert select(graph.nodes[1], graph, isas_for(("armv6m", "scalar"), "lean")).function == found["smallest"]


def test_a_low_lane_that_could_overflow_falls_back() -> None:
    builder = Builder((1, 1, 600), 0)
    graph = quantized(builder.graph(builder.conv2d("input", 2)))
    node = graph.nodes[0]
    assert select(node, graph, isas_of("armv7m")).isa == "armv7m"
    tensor = graph.tensors[node.inputs[1]]
    assert tensor.data is not None
    heavy = graph.rebuild(tensors=[replace(tensor, data=np.full(tensor.shape, 127, np.int8))])
    assert select(node, heavy, isas_of("armv7m")).isa == "scalar"


def test_pushes_of_assembly_are_read(tmp_path: Path) -> None:
    path = tmp_path / "mbn_a.c"
    path.write_text("/* assembly pushes 28 bytes */\nstatic void a(void)\n/* assembly pushes 100 bytes */\n")
    (tmp_path / "mbn_b.c").write_text("int b;\n")
    assert assembly_pushes(tmp_path.glob("*.c")) == {"mbn_a": 100}
