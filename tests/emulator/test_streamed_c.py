"""What the planner streams is exact in C: random networks under sanitizers, real classifiers on host and boards."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from firmware import missing_tool
from host_c import SANITIZE, Net, first_difference, run_program
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from mobilenets import mobilenet_v1
from networks import int8_inputs, kernels_of, networks, quantized
from shared import SHARED, shared

from mbn2c.emit.c_files import c_files
from mbn2c.emit.network.model import Names
from mbn2c.files.bundle import write_bundle
from mbn2c.firmware.toolchain import build
from mbn2c.ir.graph import Graph
from mbn2c.ir.plan import in_memory
from mbn2c.link.session import EMULATED, Session
from mbn2c.link.transports.emulator import EmulatedBoard
from mbn2c.network.lowered import import_lowered
from mbn2c.ops.base.quants import quant_of
from mbn2c.planner.choice import choose_plan
from mbn2c.planner.overlap import check_overlaps
from mbn2c.planner.streaming import TradeOffs
from mbn2c.reference.run_graph import run_graph
from mbn2c.targets import load_board, load_core

GOALS = ("ram", "balanced")
# Kernels that run on this machine: plain C, or the portable twins of those in assembly.
ISAS = (("scalar",), ("arm_dsp", "scalar"), ("arm_mve", "arm_dsp", "scalar"))
CLASSIFIERS = (
    "vww_96",
    "mobilenet_v1_0.25_224",
    "mobilenet_v2_0.35_128_flowers_tf2onnx",
    "mobilenet_v2_1.0_224",
    "mobilenet_v2_1.0_224_bn",
)
BOARDS = {
    # 16 KiB of RAM and 256 KiB of flash for a network with 208 KiB of weights.
    "cortex-m0plus": "qemu-microbit",
    "cortex-m4": "qemu-mps2-an386",
    "cortex-m7": "qemu-mps2-an500",
    "cortex-m55": "qemu-mps3-an547",
}


def check_streamed(folder: Path, graphs: Sequence[Graph]) -> int:
    """Each network as the planner streams it for `ram` and `balanced`, with each family of kernels, in one program.

    returns  how many of the Plans have pieces
    """
    nets, inputs = [], []
    for index, graph in enumerate(graphs):
        isas = ISAS[index % len(ISAS)]
        ways = TradeOffs(graph, kernels_of(graph, isas))
        for goal in GOALS:
            plan = ways.best(goal).plan
            check_overlaps(plan)
            nets.append(Net(f"n{index}_{goal}", plan, isas=isas))
            inputs.append(list(int8_inputs(graph, 3, seed=index)))
    found = run_program(folder, nets, inputs, "gcc", SANITIZE)
    for net, images, results in zip(nets, inputs, found, strict=True):
        for values, tensors in zip(images, results, strict=True):
            reference = run_graph(net.plan.graph, {"input": values})
            assert first_difference(reference, tensors) == "", f"{net.prefix}, {net.isas}"
    return sum(net.plan.pieced_steps > 0 for net in nets)


def batches(size: int, blocks: int) -> st.SearchStrategy[list[Graph]]:
    return st.lists(networks(blocks), min_size=size, max_size=size)


@settings(max_examples=1, phases=[Phase.generate])
@given(batches(12, 6))
def test_a_dozen_random_networks_under_sanitizers(
    tmp_path_factory: pytest.TempPathFactory, graphs: list[Graph]
) -> None:
    check_streamed(tmp_path_factory.mktemp("nets"), graphs)


@pytest.mark.slow
def test_200_random_networks_under_sanitizers(tmp_path_factory: pytest.TempPathFactory) -> None:
    with_pieces: list[int] = []

    @settings(max_examples=10, phases=[Phase.generate], report_multiple_bugs=False)
    @given(batches(20, 8))
    def sweep(graphs: list[Graph]) -> None:
        with_pieces.append(check_streamed(tmp_path_factory.mktemp("nets"), graphs))

    sweep()
    assert sum(with_pieces) >= 20, with_pieces


@pytest.mark.slow
@pytest.mark.parametrize("name", CLASSIFIERS)
def test_classifiers_on_this_machine(name: str, tmp_path: Path) -> None:
    graph = quantized(import_lowered(shared(f"models/{name}.onnx")), 1)
    nets = [Net(goal, choose_plan(graph, load_core("host"), goal).plan) for goal in GOALS]
    source = graph.inputs[0].tensor
    images = list(int8_inputs(graph, 4))
    found = run_program(tmp_path, nets, [images] * len(nets), "gcc", ("-O2", "-w"))
    for index, values in enumerate(images):
        reference = run_graph(graph, {source: values})
        for net, results in zip(nets, found, strict=True):
            assert first_difference(reference, results[index]) == "", f"{net.prefix}, image {index}"


@pytest.mark.parametrize("goal", [pytest.param("balanced", marks=pytest.mark.slow), "ram"])
@pytest.mark.parametrize("core", BOARDS)
def test_every_layer_on_emulated_boards(core: str, goal: str, tmp_path: Path) -> None:
    """The person detector, real where ../shared has it; every row of every step is what the reference says."""
    target, board = load_core(core), load_board(BOARDS[core])
    if lacking := missing_tool(target, board):
        pytest.skip(f"{board.name}: not installed: {lacking}")
    file = SHARED / "models" / "vww_96.onnx"
    graph = quantized(import_lowered(file) if file.exists() else mobilenet_v1(0.25, 96, classes=2), 1)
    choice = choose_plan(graph, target, goal, board=board)
    names = Names("net", "a test", bytes(32))
    write_bundle(c_files(choice.plan, choice.kernels, names, target, board), tmp_path)
    elf = build(tmp_path, "net", target, board).path
    with EmulatedBoard(board, elf) as transport:
        session = Session(transport, digest=names.digest, timing=EMULATED)
        for values in int8_inputs(graph, 4):
            digests = session.layer_digests(values.tobytes())
            reference = run_graph(graph, {graph.inputs[0].tensor: values})
            for call in choice.plan.calls:
                zero_point = quant_of(graph, call.write).zero_point
                expected = np.asarray(in_memory(choice.plan.buffers[call.write], reference[call.write], zero_point))
                assert digests[call.step] == zlib.crc32(expected.tobytes()), f"step {call.step}, {call.node}"
