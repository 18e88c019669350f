"""A Plan as firmware on an emulated board: each step's rows by CRC, and the outputs, are the reference's."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from networks import int8_inputs

from mbn2c.emit.c_files import c_files
from mbn2c.emit.network.model import Names
from mbn2c.files.bundle import write_bundle
from mbn2c.firmware import toolchain
from mbn2c.ir.plan import Plan, in_memory
from mbn2c.ir.text import print_plan
from mbn2c.kernels import kernels_of_plan
from mbn2c.link.session import EMULATED, Session
from mbn2c.link.transports.emulator import EmulatedBoard
from mbn2c.ops.base.quants import quant_of
from mbn2c.reference.run_graph import run_graph
from mbn2c.targets import load_board, load_core


def first_wrong_step(session: Session, plan: Plan, values: np.ndarray) -> str:
    """ "" if each step's rows and the outputs are the reference's, else what differs first.

    values  int8 NHWC, what the network starts from
    """
    graph = plan.graph
    expected = run_graph(graph, {graph.inputs[0].tensor: values})
    digests = session.layer_digests(values.tobytes())
    for call in plan.calls:
        rows = in_memory(plan.buffers[call.write], expected[call.write], quant_of(graph, call.write).zero_point)
        if digests[call.step] != zlib.crc32(rows.tobytes()):
            return f"step {call.step}, {call.node}"
    same = session.run(values.tobytes()) == b"".join(expected[port.tensor].tobytes() for port in graph.outputs)
    return "" if same else "the outputs"


def check_in_emulator(folder: Path, plan: Plan, core_name: str, board_name: str, isas: Sequence[str]) -> None:
    """Raises AssertionError naming the first step that differs."""
    core, board = load_core(core_name), load_board(board_name)
    graph, names = plan.graph, Names("net", "a test", bytes(range(32)))
    write_bundle(c_files(plan, kernels_of_plan(plan, isas), names, core, board), folder)
    elf = toolchain.build(folder, "net", core, board).path
    with EmulatedBoard(board, elf) as transport:
        session = Session(transport, digest=names.digest, timing=EMULATED)
        for values in int8_inputs(graph, 3, seed=2):
            assert first_wrong_step(session, plan, values) == "", print_plan(plan)
