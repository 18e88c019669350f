"""Arm DSP and Helium kernels are bit by bit the reference: as portable twins under sanitizers, and in the emulator."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from emulated import check_in_emulator
from firmware import missing_tool
from host_c import SANITIZE, STRICT, Net, compile_c, first_difference, run_program
from hypothesis import Phase, given, settings
from models import RELU, RELU6, Builder, tiny_mobilenet_v1, tiny_mobilenet_v2, tiny_two_outputs
from networks import cut_lists, int8_inputs, kernels_of, networks, piece_lists, plan_with_cuts, quantized

from mbn2c.emit.c_files import c_files
from mbn2c.emit.network.model import Names
from mbn2c.files.bundle import write_bundle
from mbn2c.ir.graph import Graph
from mbn2c.ir.plan import Plan
from mbn2c.ir.text import print_graph, print_plan
from mbn2c.ir.window import Window
from mbn2c.kernels import isas_for, kernels_of_plan
from mbn2c.planner.layerwise import plan_layerwise
from mbn2c.planner.overlap import check_overlaps
from mbn2c.reference.run_graph import run_graph
from mbn2c.reference.run_plan import run_plan
from mbn2c.targets import load_board, load_core

ISAS = {"arm_dsp": isas_for(("arm_dsp", "scalar"), "speed"), "arm_mve": ("arm_mve", "arm_dsp", "scalar")}
CPU = {"arm_dsp": "cortex-m4", "arm_mve": "cortex-m55"}
BOARDS = {
    "cortex-m4": "qemu-mps2-an386",
    "cortex-m7": "qemu-mps2-an500",
    "cortex-m33": "qemu-mps2-an505",
    "cortex-m55": "qemu-mps3-an547",
}
SAME = Window((3, 3), pad=(1, 1, 1, 1))
HALF = Window((3, 3), (2, 2), (1, 1, 1, 1))


# --- networks that need every variant ------------------------------------------------------------


def chain(width: int, channels: int, image: int = 3, height: int = 5, seed: int = 0) -> Graph:
    """First layer, depthwise with both strides, a 5x5 one, odd channels, a shortcut, pool, classes."""
    builder = Builder((height, width, image), seed)
    x = builder.conv2d("input", channels, SAME, RELU6)
    x = builder.depthwise(x, SAME, RELU6)
    x = builder.conv2d(x, channels + 1, activation=RELU)
    x = builder.depthwise(x, SAME)
    x = builder.conv2d(x, 2 * channels + 1)
    y = builder.inverted_residual(x, 2 * channels + 1, 2, SAME)
    y = builder.conv2d(y, channels, activation=RELU6)
    y = builder.depthwise(y, HALF, RELU6)
    y = builder.conv2d(y, 3 * channels, Window((1, 3), pad=(0, 1, 0, 1)))
    y = builder.depthwise(y, Window((5, 5), pad=(2, 2, 2, 2)))
    y = builder.conv2d(y, 7, Window((3, 3), (2, 2), (0, 1, 1, 1)))
    y = builder.average_pool(y)
    return quantized(builder.graph(builder.fully_connected(y, 3)))


def plan_of(graph: Graph, isa: str, how: str) -> Plan:
    """Layer by layer, in one stream of rows, or of pieces."""
    isas = ISAS[isa]
    if how == "layers":
        return plan_layerwise(graph, kernels_of(graph, isas))
    return plan_with_cuts(graph, [], (4,) if how == "pieces" else (), isas)


# --- on this machine, as portable twins ----------------------------------------------------------


def check_on_host(folder: Path, plan: Plan, isa: str) -> None:
    """The Plan holds together, and its C with portable twins gives every row of every tensor, under sanitizers."""
    check_overlaps(plan)
    graph, net = plan.graph, Net("net", plan, isas=ISAS[isa])
    inputs = list(int8_inputs(graph, 3, seed=1))
    found = run_program(folder, [net], [inputs], "gcc", SANITIZE)[0]
    for values, tensors in zip(inputs, found, strict=True):
        expected = run_graph(graph, {graph.inputs[0].tensor: values})
        difference = first_difference(expected, tensors)
        assert difference == "", f"{difference}\n{print_graph(graph)}{print_plan(plan)}"
    by_plan = run_plan(plan, {graph.inputs[0].tensor: inputs[-1]})
    assert first_difference(expected, by_plan) == "", print_plan(plan)


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize(
    ("make", "how"), [(tiny_mobilenet_v2, "stream"), (tiny_mobilenet_v1, "pieces"), (tiny_two_outputs, "layers")]
)
def test_tiny_networks_with_twins(tmp_path: Path, make: Callable[[], Graph], how: str, isa: str) -> None:
    check_on_host(tmp_path, plan_of(quantized(make()), isa, how), isa)


SHAPES = [
    (1, 1, 1, "layers"),
    (6, 4, 3, "stream"),
    (11, 5, 1, "stream"),
    (17, 8, 3, "pieces"),
    (9, 3, 2, "layers"),
    (13, 17, 1, "stream"),
]


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize(("width", "channels", "image", "how"), SHAPES)
def test_every_variant_with_twins(tmp_path: Path, isa: str, width: int, channels: int, image: int, how: str) -> None:
    check_on_host(tmp_path, plan_of(chain(width, channels, image), isa, how), isa)


def fours(width: int, channels: int) -> Graph:
    """Channels in fours, which quads want, written planar and interleaved."""
    builder = Builder((4, width, 3), 5)
    x = builder.conv2d("input", channels, SAME, RELU6)
    x = builder.depthwise(x, SAME, RELU6)
    x = builder.conv2d(x, 12, activation=RELU)
    x = builder.depthwise(x, SAME, RELU6)
    x = builder.conv2d(builder.conv2d(x, 20), 8)
    return quantized(builder.graph(builder.fully_connected(builder.average_pool(x), 3)))


@pytest.mark.parametrize(("width", "channels", "how"), [(6, 4, "stream"), (6, 36, "pieces"), (12, 32, "layers")])
def test_quads_with_twins(tmp_path: Path, width: int, channels: int, how: str) -> None:
    plan = plan_of(fours(width, channels), "arm_dsp", how)
    kernels = {kernel.function for kernel in kernels_of_plan(plan, ISAS["arm_dsp"]).values()}
    assert "mbn_conv2d_1x1_quads_s8_arm_dsp" in kernels
    check_on_host(tmp_path, plan, "arm_dsp")


def fives(width: int, channels: int, stride: int = 1) -> Graph:
    """5x5 depthwise layers without padding on the sides, so that every column counts, until no window fits.

    Every second one reads a hard-swish; the first is followed by a gate.
    """
    builder = Builder((4, width, 3), 6)
    x, window = builder.conv2d("input", channels, activation=RELU6), Window((5, 5), (1, stride), (2, 0, 2, 0))
    for index in range(width):
        if builder.tensors[x].shape[2] < 5:
            break
        x = builder.depthwise(builder.hard_swish(x) if index % 2 else x, window, RELU6)
        x = builder.conv2d(x if index else builder.squeeze_excite(x, 4), channels, activation=RELU6)
    return quantized(builder.graph(builder.fully_connected(builder.average_pool(x), 3)))


# Every size of block, as the only one of a row and as one of several.
FIVES = [(16, 4, 1), (17, 4, 1), (18, 4, 1), (19, 20, 1), (35, 4, 2), (37, 4, 2), (31, 4, 2), (21, 20, 2)]


@pytest.mark.parametrize("isa", ISAS)
def test_five_by_five_with_twins(tmp_path: Path, isa: str) -> None:
    plans = [plan_of(fives(*shape), isa, "layers") for shape in (FIVES if isa == "arm_dsp" else FIVES[3:5])]
    plans += [plan_of(fives(*FIVES[index]), isa, "pieces") for index in (3, 7)]
    nets = [Net(f"net{index}", plan, isas=ISAS[isa]) for index, plan in enumerate(plans)]
    functions = {kernel.function for plan in plans for kernel in kernels_of_plan(plan, ISAS[isa]).values()}
    wanted = {"arm_dsp": {"depthwise_conv2d_5x5", "depthwise_conv2d_5x5_interleaved", "lookup", "mul_vector"}}
    wanted["arm_mve"] = wanted["arm_dsp"] - {"depthwise_conv2d_5x5"}
    assert {f"mbn_{name}_s8_{isa}" for name in wanted[isa]} <= functions
    inputs = [list(int8_inputs(plan.graph, 2, seed=3)) for plan in plans]
    found = run_program(tmp_path, nets, inputs, "gcc", SANITIZE)
    for plan, images, results in zip(plans, inputs, found, strict=True):
        for values, tensors in zip(images, results, strict=True):
            assert first_difference(run_graph(plan.graph, {"input": values}), tensors) == "", print_plan(plan)


@pytest.mark.slow
@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("how", ["layers", "stream", "pieces"])
@pytest.mark.parametrize("width", range(1, 33, 3))
def test_many_widths_with_twins(tmp_path: Path, isa: str, how: str, width: int) -> None:
    check_on_host(tmp_path, plan_of(chain(width, 1 + width * 7 % 19, 1 + 2 * (width % 2)), isa, how), isa)


@pytest.mark.parametrize("isa", ISAS)
def test_random_networks_with_twins(tmp_path_factory: pytest.TempPathFactory, isa: str) -> None:
    @settings(max_examples=2, phases=[Phase.generate])
    @given(networks(), cut_lists, piece_lists)
    def sweep(graph: Graph, cuts: list[bool], pieces: list[int]) -> None:
        check_on_host(tmp_path_factory.mktemp("net"), plan_with_cuts(graph, cuts, pieces, ISAS[isa]), isa)

    sweep()


@pytest.mark.slow
@pytest.mark.parametrize("isa", ISAS)
def test_many_random_networks_with_twins(tmp_path_factory: pytest.TempPathFactory, isa: str) -> None:
    @settings(max_examples=60, phases=[Phase.generate])
    @given(networks(blocks=6), cut_lists, piece_lists)
    def sweep(graph: Graph, cuts: list[bool], pieces: list[int]) -> None:
        folder = tmp_path_factory.mktemp("net")
        check_on_host(folder, plan_with_cuts(graph, cuts, pieces, ISAS[isa]), isa)

    sweep()


# --- in the emulator, as they are ----------------------------------------------------------------


def need_tools(core: str) -> None:
    if lacking := missing_tool(load_core(core), load_board(BOARDS[core])):
        pytest.skip(f"not installed: {lacking}")


def check(folder: Path, plan: Plan, core: str) -> None:
    check_in_emulator(folder, plan, core, BOARDS[core], isas_for(load_core(core).isas, "speed"))


@pytest.mark.parametrize("core", BOARDS)
@pytest.mark.parametrize(("width", "channels", "image", "pieces"), [(11, 5, 1, ()), (17, 8, 3, (4,))])
def test_networks_in_the_emulator(
    tmp_path: Path, core: str, width: int, channels: int, image: int, pieces: tuple[int, ...]
) -> None:
    need_tools(core)
    graph = chain(width, channels, image)
    check(tmp_path, plan_with_cuts(graph, [], pieces, isas_for(load_core(core).isas, "speed")), core)


@pytest.mark.parametrize(("width", "pieces"), [(6, ()), (12, (2,))])
def test_quads_in_the_emulator(tmp_path: Path, width: int, pieces: tuple[int, ...]) -> None:
    need_tools("cortex-m4")
    check(tmp_path, plan_with_cuts(fours(width, 32), [], pieces, ISAS["arm_dsp"]), "cortex-m4")


@pytest.mark.parametrize("core", ["cortex-m4", "cortex-m55"])
@pytest.mark.parametrize(("width", "stride", "pieces"), [(18, 1, ()), (19, 1, (6,)), (37, 2, ()), (37, 2, (6,))])
def test_five_by_five_in_the_emulator(
    tmp_path: Path, core: str, width: int, stride: int, pieces: tuple[int, ...]
) -> None:
    need_tools(core)
    isas = isas_for(load_core(core).isas, "speed")
    check(tmp_path, plan_with_cuts(fives(width, 4, stride), [], pieces, isas), core)


@pytest.mark.slow
@pytest.mark.parametrize("core", ["cortex-m4", "cortex-m55"])
@pytest.mark.parametrize("width", range(1, 33))
def test_every_width_in_the_emulator(tmp_path: Path, core: str, width: int) -> None:
    need_tools(core)
    graph = chain(width, 1 + width * 7 % 19, 1 + 2 * (width % 2), seed=width)
    pieces = () if width % 2 else (2,)
    check(tmp_path, plan_with_cuts(graph, [], pieces, isas_for(load_core(core).isas, "speed")), core)


@pytest.mark.parametrize("isa", ISAS)
def test_c_is_clean(tmp_path: Path, isa: str) -> None:
    graph = chain(17, 8)
    need_tools(CPU[isa])
    plan = plan_with_cuts(graph, [], (), ISAS[isa])
    names = Names("net", "a test", bytes(range(32)))
    core = load_core(CPU[isa])
    write_bundle(c_files(plan, kernels_of_plan(plan, ISAS[isa]), names, core, None), tmp_path)
    sources = sorted(path.name for path in tmp_path.glob("*.c"))
    compile_c(tmp_path, sources, *core.cflags, *STRICT, "-c", compiler=f"{core.prefix}gcc")
