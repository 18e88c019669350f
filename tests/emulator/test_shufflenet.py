"""ShuffleNetV2 in torchvision's shape: exact against ONNX Runtime, on this machine and on an emulated Cortex-M7."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest
from emulated import first_wrong_step
from firmware import missing_tool
from networks import as_image, compare_with_onnx_runtime, int8_inputs, int8_model, quantized
from onnx_models.families import EXPORTERS, shufflenet_v2

from mbn2c.emit.c_files import c_files
from mbn2c.emit.network.model import Names
from mbn2c.files.bundle import write_bundle
from mbn2c.firmware import toolchain
from mbn2c.ir.graph import Graph
from mbn2c.link.session import EMULATED, Session
from mbn2c.link.transports.emulator import EmulatedBoard
from mbn2c.network.lowered import import_lowered
from mbn2c.planner.choice import choose_plan
from mbn2c.reference.run_graph import run_graph
from mbn2c.targets import load_board, load_core


def lowered(folder: Path, width: float, size: int, repeats: tuple[int, ...]) -> Graph:
    path = folder / "shufflenet.onnx"
    onnx.save(shufflenet_v2(width, size, EXPORTERS["TorchScript"], repeats).model(), path)
    return import_lowered(path)


@pytest.mark.parametrize(
    ("width", "size", "repeats"),
    [
        (0.5, 32, (2, 3)),
        pytest.param(0.5, 224, (4, 8, 4), marks=pytest.mark.slow),
        pytest.param(1.0, 224, (4, 8, 4), marks=pytest.mark.slow),
    ],
)
def test_exact_on_an_emulated_board(tmp_path: Path, width: float, size: int, repeats: tuple[int, ...]) -> None:
    core, board = load_core("cortex-m7"), load_board("qemu-mps2-an500")
    if lacking := missing_tool(core, board):
        pytest.skip(f"not installed: {lacking}")
    graph = quantized(lowered(tmp_path, width, size, repeats), 1)
    oracle = int8_model(graph)
    choice, names = choose_plan(graph, core, "speed"), Names("net", "a test", bytes(range(32)))
    # A unit's concatenation, and what the convolutions of the next one take of it.
    assert sum(call.is_view for call in choice.plan.calls) == sum(repeats) + sum(count - 1 for count in repeats)
    write_bundle(c_files(choice.plan, choice.kernels, names, core, board), tmp_path)
    elf = toolchain.build(tmp_path, "net", core, board).path
    with EmulatedBoard(board, elf) as transport:
        session = Session(transport, digest=names.digest, timing=EMULATED)
        for values in int8_inputs(graph, 3, seed=3):
            expected = run_graph(graph, {graph.inputs[0].tensor: values})
            assert compare_with_onnx_runtime(graph, expected, oracle(as_image(graph, values))) == ""
            assert first_wrong_step(session, choice.plan, values) == ""
