"""What a camera's rows take on an emulated Cortex-M4: instructions a pixel of the input, and bytes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from firmware import missing_tool
from models import Builder
from networks import quantized

from mbn2c.emit.c_files import c_files
from mbn2c.emit.network.model import Names
from mbn2c.files.bundle import write_bundle
from mbn2c.firmware import toolchain
from mbn2c.link.transports.emulator import EmulatedBoard
from mbn2c.planner.choice import choose_plan
from mbn2c.targets import load_board, load_core
from mbn2c.tasks.camera import Camera

MOST_INSTRUCTIONS, MOST_BYTES = 60, 6 * 1024
# Two brackets: a frame through the camera, and as many rows of its size as the network takes, pushed by themselves.
PROGRAM = """
#include "mbn_port.h"
#include "net.h"

static net_t net;
static NET_ARENA(arena) __attribute__((section(".arena")));
static net_camera_t camera;
static uint8_t row[NET_CAMERA_ROW_BYTES];

int main(void)
{
    mbn_board_setup();
    mbn_port_open();
    const int size = (int)sizeof camera;
    int bad = net_init(&net, &arena, sizeof arena);
    bad |= net_begin_camera(&net, &camera);
    mbn_count_start();
    for (int y = 0; y < NET_CAMERA_ROWS; y++) {
        bad |= net_push_camera_row(&net, &camera, row);
    }
    mbn_count_stop();
    bad |= net_begin(&net);
    mbn_count_start();
    for (int y = 0; y < NET_INPUT_ROWS; y++) {
        bad |= net_push_rows(&net, camera.row, 1);
    }
    mbn_count_stop();
    const uint8_t said[3] = {(uint8_t)bad, (uint8_t)size, (uint8_t)(size >> 8)};
    mbn_port_put(said, sizeof said);
    for (;;) {
    }
}
"""


@pytest.mark.parametrize(
    ("camera", "shape"),
    [("rgb565:320x240", (96, 96, 3)), ("yuv422:320x240", (224, 224, 3)), ("gray:160x120", (96, 96, 1))],
)
def test_instructions_and_bytes(camera: str, shape: tuple[int, int, int], tmp_path: Path) -> None:
    core, board = load_core("cortex-m4"), load_board("qemu-mps2-an386")
    if lacking := missing_tool(core, board):
        pytest.skip(f"not installed: {lacking}")
    builder = Builder(shape)
    choice = choose_plan(quantized(builder.graph(builder.average_pool("input"))), core, "balanced")
    tables = np.tile(np.arange(-128, 128), (shape[2], 1)).astype(np.int8)
    names = Names("net", "a test", bytes(32), tables=tables, camera=Camera.parse(camera))
    write_bundle(c_files(choice.plan, choice.kernels, names, core, board), tmp_path)
    (tmp_path / "firmware" / "main.c").write_text(PROGRAM)
    elf = toolchain.build(tmp_path, "net", core, board).path
    with EmulatedBoard(board, elf, count=True) as line:
        said = b""
        while len(said) < 3:
            data = line.read(60.0)
            assert data, "no answer"
            said += data
        through, alone = line.instruction_counts()
    assert said[0] == 0
    per_pixel = (through - alone) / (shape[0] * shape[1])
    print(camera, shape, per_pixel, said[1] + 256 * said[2])
    assert 5 < per_pixel <= MOST_INSTRUCTIONS
    assert 2 * shape[1] < said[1] + 256 * said[2] <= MOST_BYTES
