"""--emit blob on emulated boards: the C of `blob/`, and a blob among the constants, make the reference's rows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from emulated import first_wrong_step
from firmware import missing_tool
from models import tiny_mobilenet_v2
from networks import int8_inputs, plan_with_cuts, quantized

from mbn2c.emit.c_files import files_around
from mbn2c.emit.network.c_values import array_lines
from mbn2c.emit.network.model import Names
from mbn2c.emit.packages.blob import blob_folder
from mbn2c.files.bundle import write_bundle
from mbn2c.firmware import toolchain
from mbn2c.kernels import isas_for, kernels_of_plan
from mbn2c.link.session import EMULATED, Session
from mbn2c.link.transports.emulator import EmulatedBoard
from mbn2c.targets import load_board, load_core

CASES = [("cortex-m7", "qemu-mps2-an500"), ("cortex-m0plus", "qemu-mps2-an385"), ("cortex-m55", "qemu-mps3-an547")]
# What the firmware of a build calls, where the constants are the program's own.
INIT = """
#include "net.h"
static const NET_ALIGNED uint8_t blob[NET_BLOB_BYTES] = {{
{bytes}
}};
int net_init(net_t *net, void *arena, size_t arena_bytes)
{{
    return net_init_blob(net, blob, sizeof blob, arena, arena_bytes);
}}
"""
HEADER = """
#define NET_DIGEST NET_PROGRAM
int net_init(net_t *net, void *arena, size_t arena_bytes);
#endif
"""


@pytest.mark.parametrize(("core_name", "board_name"), CASES)
def test_every_step_is_the_reference(tmp_path: Path, core_name: str, board_name: str) -> None:
    core, board = load_core(core_name), load_board(board_name)
    if lacking := missing_tool(core, board):
        pytest.skip(f"not installed: {lacking}")
    graph, isas = quantized(tiny_mobilenet_v2()), isas_for(core.isas, "balanced")
    plan = plan_with_cuts(graph, [], (), isas)
    found = blob_folder(plan, kernels_of_plan(plan, isas), Names("net", "a test", bytes(32)), core, "1.0.0")
    code = {path.removeprefix("blob/"): content for path, content in found.items() if path.endswith((".c", ".h"))}
    blob = found["blob/net.blob"]
    code["net.h"] = code["net.h"].rsplit(b"#endif", 1)[0] + HEADER.encode()
    code["net_init.c"] = INIT.format(bytes=array_lines(np.frombuffer(blob, np.uint8))).encode()
    write_bundle({**code, **files_around(code, (), "net", core, board)}, tmp_path)
    built = toolchain.build(tmp_path, "net", core, board)
    with EmulatedBoard(board, built.path) as transport:
        session = Session(transport, digest=blob[32:64], timing=EMULATED)
        for values in int8_inputs(graph, 3, seed=2):
            assert first_wrong_step(session, plan, values) == ""
