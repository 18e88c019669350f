"""`--slice N`: on emulated cores no slice of an inference takes more than N instructions, the smallest N included."""

from __future__ import annotations

from pathlib import Path

import pytest
from firmware import missing_tool
from models import tiny_mobilenet_v2
from networks import int8_inputs, quantized
from shared import shared

from mbn2c.emit.c_files import c_files
from mbn2c.emit.network.model import Names
from mbn2c.files.bundle import write_bundle
from mbn2c.firmware import toolchain
from mbn2c.ir.graph import Graph
from mbn2c.kernels.call_bounds import TRIED, call_bounds
from mbn2c.link.transports.emulator import EmulatedBoard
from mbn2c.network.lowered import import_lowered
from mbn2c.planner.choice import choose_plan
from mbn2c.reference.run_graph import run_graph
from mbn2c.targets import load_board, load_core

BOARDS = {
    "cortex-m4": "qemu-mps2-an386",
    "cortex-m0plus": "qemu-mps2-an385",
    "cortex-m55": "qemu-mps3-an547",
    "rv32imc": "qemu-riscv32-virt",
}
# An image comes over the line; each slice is a bracket, and the rest of what the caller does is none.
PROGRAM = """
#include "mbn_port.h"
#include "net.h"

static net_t net;
static NET_ARENA(arena) __attribute__((section(".arena")));
static net_input_t image[NET_INPUT_BYTES];
static int8_t output[1 + NET_OUTPUT_BYTES];

int main(void)
{
    mbn_board_setup();
    mbn_port_open();
    const uint8_t ready = 42;
    mbn_port_put(&ready, 1); /* what comes before that may be lost: a UART is emptied when it is set up */
    for (uint32_t i = 0; i < NET_INPUT_BYTES; i++) {
        image[i] = (net_input_t)mbn_port_get();
    }
    int state = net_init(&net, &arena, sizeof arena) | net_start(&net, image);
    do {
        mbn_count_start();
        state = net_step(&net);
        mbn_count_stop();
    } while (state == NET_MORE);
    output[0] = (int8_t)(state != NET_OK ? state : net_finish(&net, &output[1]));
    mbn_port_put((const uint8_t *)output, sizeof output);
    for (;;) {
    }
}
"""


def check_slices(graph: Graph, core_name: str, times_smallest: int, folder: Path) -> None:
    """Slices of so many times the smallest N hold it, and the output is the reference's."""
    core, board = load_core(core_name), load_board(BOARDS[core_name])
    if lacking := missing_tool(core, board):
        pytest.skip(f"not installed: {lacking}")
    choice = choose_plan(graph, core, "balanced")
    smallest = max(call_bounds(choice.plan, choice.kernels)) + 2 * TRIED
    names = Names("net", "a test", bytes(32), slice=times_smallest * smallest)
    write_bundle(c_files(choice.plan, choice.kernels, names, core, board), folder)
    (folder / "firmware" / "main.c").write_text(PROGRAM)
    elf = toolchain.build(folder, "net", core, board).path
    *_, values = int8_inputs(graph, 3, seed=4)
    expected = run_graph(graph, {graph.inputs[0].tensor: values})[graph.outputs[0].tensor].tobytes()
    with EmulatedBoard(board, elf, count=True) as line:
        assert line.read(120.0) == b"*"
        line.write(values.tobytes())
        said = b""
        while len(said) < 1 + len(expected):
            data = line.read(120.0)
            assert data, "no answer"
            said += data
        counts = line.instruction_counts()
    assert said == b"\0" + expected
    print(core_name, times_smallest * smallest, len(counts), max(counts), sum(counts))
    assert max(counts) <= times_smallest * smallest
    # They are no smaller than they must be, either: a slice that is nearly empty would pass for nothing.
    assert len(counts) > 3 and max(counts) > smallest / 8


@pytest.mark.parametrize("core", ["cortex-m4", "cortex-m0plus"])
def test_a_tiny_network(core: str, tmp_path: Path) -> None:
    check_slices(quantized(tiny_mobilenet_v2()), core, 1, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("times", [1, 4])
@pytest.mark.parametrize("core", BOARDS)
def test_a_real_network(core: str, times: int, tmp_path: Path) -> None:
    check_slices(quantized(import_lowered(shared("models/vww_96.onnx"))), core, times, tmp_path)
