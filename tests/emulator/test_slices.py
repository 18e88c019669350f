"""Kernels that read and write among other channels, as assembly: tensors that are put together or taken apart and not
copied, on every core."""

from __future__ import annotations

import zlib
from functools import cache
from pathlib import Path

import pytest
from firmware import missing_tool
from models import RELU, Builder, same_window
from networks import int8_inputs, quantized

from mbn2c.emit.c_files import c_files
from mbn2c.emit.network.model import Names
from mbn2c.files.bundle import write_bundle
from mbn2c.firmware import toolchain
from mbn2c.ir.graph import Graph
from mbn2c.ir.plan import in_memory
from mbn2c.ir.window import Window
from mbn2c.link.session import EMULATED, Session
from mbn2c.link.transports.emulator import EmulatedBoard
from mbn2c.ops.base.quants import quant_of
from mbn2c.planner.choice import choose_plan
from mbn2c.reference.run_graph import run_graph
from mbn2c.targets import load_board, load_core

# Core, board, and how many of the four concatenations and the slice copy nothing.
CASES = {
    "cortex-m0plus": ("qemu-mps2-an385", 4),
    "cortex-m3": ("qemu-mps2-an385", 5),
    "cortex-m7": ("qemu-mps2-an500", 5),
    "cortex-m55": ("qemu-mps3-an547", 5),
    "rv32imc": ("qemu-riscv32-virt", 5),
}


@cache
def fires() -> Graph:
    """Concatenations of 1x1, 3x3 and depthwise convolutions (even, odd, in fours), sums and tables of the same rows."""
    builder = Builder((9, 13, 3), 5)
    x = builder.conv2d("input", 8, same_window(3, 1), RELU)
    for expand in (12, 7):
        squeezed = builder.conv2d(x, 8, activation=RELU)
        ends = (builder.conv2d(squeezed, expand), builder.conv2d(squeezed, expand + 1, same_window(3, 1)))
        x = builder.concat(*ends)
    y, z = builder.conv2d(x, 12, activation=RELU), builder.conv2d(x, 12, activation=RELU)
    ends = (
        builder.depthwise(z, same_window(3, 1)),
        builder.depthwise(y, same_window(3, 1)),
        builder.depthwise(y, same_window(5, 1)),
    )
    x = builder.concat(*ends)
    part = builder.select(x, *range(3, 14))
    y = builder.conv2d(part, 6)
    ends = (builder.add(builder.conv2d(part, 6), y), builder.average_pool(builder.conv2d(part, 5), same_window(3, 1)))
    x = builder.concat(*ends)
    return quantized(builder.graph(builder.conv2d(x, 4, Window((3, 3), (2, 2), (1, 1, 1, 1)))))


@pytest.mark.parametrize("core_name", CASES)
def test_slices_in_the_emulator(tmp_path: Path, core_name: str) -> None:
    board_name, views = CASES[core_name]
    core, board = load_core(core_name), load_board(board_name)
    if lacking := missing_tool(core, board):
        pytest.skip(f"not installed: {lacking}")
    graph, names = fires(), Names("net", "a test", bytes(range(32)))
    choice = choose_plan(graph, core, "speed")
    assert sum(call.is_view for call in choice.plan.calls) == views
    write_bundle(c_files(choice.plan, choice.kernels, names, core, board), tmp_path)
    elf = toolchain.build(tmp_path, "net", core, board).path
    with EmulatedBoard(board, elf) as transport:
        session = Session(transport, digest=names.digest, timing=EMULATED)
        for values in int8_inputs(graph, 3, seed=2):
            expected = run_graph(graph, {"input": values})
            digests = session.layer_digests(values.tobytes())
            for call in choice.plan.calls:
                buffer, zero_point = choice.plan.buffers[call.write], quant_of(graph, call.write).zero_point
                rows = in_memory(buffer, expected[call.write], zero_point)
                assert digests[call.step] == zlib.crc32(rows.tobytes()), f"step {call.step}, {call.node}"
            assert session.run(values.tobytes()) == expected[graph.outputs[0].tensor].tobytes()
