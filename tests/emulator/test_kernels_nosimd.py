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
from models import RELU, RELU6, Builder, tiny_mobilenet_v2
from networks import cut_lists, int8_inputs, networks, piece_lists, plan_with_cuts, quantized

from mbn2c.emit.c_files import c_files
from mbn2c.emit.network.model import Names, runtime_headers
from mbn2c.files.bundle import write_bundle
from mbn2c.firmware import toolchain
from mbn2c.ir.graph import Graph
from mbn2c.ir.plan import Plan, in_memory
from mbn2c.ir.window import Window
from mbn2c.kernels import kernels_of_plan, lanes, select
from mbn2c.link.session import EMULATED, Session
from mbn2c.link.transports.emulator import EmulatedBoard
from mbn2c.numerics import requantize_integer, step_positions
from mbn2c.ops.base.quants import quant_of
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
    assert depthwise == [f"mbn_depthwise_conv2d_{window}s8_{table}" for window in ("5x5_s1_", "5x5_s2_", "")]
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


_C_REQUANTIZE = """
#include "mbn_armv6m.h"
#include "mbn_armv7m.h"
#include "mbn_smlal.h"
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
    (tmp_path / "mbn_smlal.h").write_text(plain_text("kernels/armv7m/portable/mbn_smlal.h"))
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
