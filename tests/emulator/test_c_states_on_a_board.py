"""The C API in every state, on an emulated board, where writing at address 0 goes unseen."""

from __future__ import annotations

from pathlib import Path

import pytest
from c_states import COUNT, assert_expected, source
from firmware import missing_tool
from tiny_nets import tiny_nets

from mbn2c.files.bundle import write_bundle
from mbn2c.firmware.files import firmware_files, package_files
from mbn2c.firmware.toolchain import build
from mbn2c.link.transports.emulator import EmulatedBoard
from mbn2c.targets import load_board, load_core

ON_BOARD = """#include "mbn_port.h"
int main(void)
{
    mbn_board_setup();
    mbn_port_open();
    for (int s = 0; s < %d; s++) {
        for (int c = 0; c < %d; c++) {
            const uint8_t byte = (uint8_t)code(s, c);
            mbn_port_put(&byte, 1);
        }
    }
    mbn_port_flush();
    for (;;) { (void)mbn_port_get(); }
}
"""


def test_on_a_board(tmp_path: Path) -> None:
    board = load_board("qemu-mps2-an385")
    core = load_core(board.core)
    if lacking := missing_tool(core, board):
        pytest.skip(f"{board.name}: not installed: {lacking}")
    files = tiny_nets()["stream"].files()
    firmware = firmware_files(name="stream", core=core, board=board, network=files)
    firmware["firmware/main.c"] = source(ON_BOARD).encode()
    sources = sorted(path for path in files if path.endswith(".c"))
    package = package_files(name="stream", core=core, sources=sources, board=board, firmware=firmware)
    write_bundle({**files, **firmware, **package}, tmp_path)
    with EmulatedBoard(board, build(tmp_path, "stream", core, board).path) as line:
        said = b""
        while len(said) < COUNT:
            data = line.read(60.0)
            assert data, f"silence after {said!r}"
            said += data
    assert_expected(said.decode())
