"""Kernels in intrinsics for computers with an operating system: as they are, in user-mode emulation or on this CPU.

As portable twins under sanitizers they run in tests/host/test_operators_c.py.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from host_c import STRICT, Net, compile_c, first_difference, run_program, write_c
from models import RELU, RELU6, Builder
from networks import int8_inputs, kernels_of, plan_with_cuts, quantized

from mbn2c.ir.graph import Graph
from mbn2c.ir.text import print_plan
from mbn2c.ir.window import Window
from mbn2c.planner.layerwise import plan_layerwise
from mbn2c.reference.run_graph import run_graph
from mbn2c.targets import load_board, load_core

# Core and a CPU: the oldest that has its instructions; one that chooses, on CPUs of each kind.
EMULATED = (
    ("aarch64-neon", "cortex-a53"),
    ("aarch64-dotprod", "cortex-a76"),
    ("aarch64", "cortex-a72"),
    ("aarch64", "max"),
)
NATIVE = (("x86-64-vnni", ""), ("x86-64-avx2", ""), ("x86-64", ""))
SAME, HALF = Window((3, 3), pad=(1, 1, 1, 1)), Window((3, 3), (2, 2), (1, 1, 1, 1))


def chain(width: int, channels: int, image: int) -> Graph:
    """Every kernel: odd numbers of channels, both strides, 5x5, a shortcut, a table, a pool, classes."""
    builder = Builder((5, width, image), 0)
    x = builder.conv2d("input", channels, SAME, RELU6)
    x = builder.depthwise(x, SAME, RELU6)
    x = builder.conv2d(x, 2 * channels + 1, activation=RELU)
    x = builder.inverted_residual(x, 2 * channels + 1, 2, SAME)
    x = builder.hard_swish(builder.conv2d(x, channels))
    x = builder.depthwise(x, HALF, RELU6)
    x = builder.conv2d(x, 3 * channels, Window((1, 3), pad=(0, 1, 0, 1)))
    x = builder.depthwise(x, Window((5, 5), pad=(2, 2, 2, 2)))
    x = builder.average_pool(builder.conv2d(x, 40, HALF))
    return quantized(builder.graph(builder.fully_connected(x, 3)))


# Widths that leave every rest of a block of pixels, channels every rest of the taps and outputs of a vector.
SHAPES = ((11, 5, 1), (17, 8, 3), (6, 36, 3), (4, 17, 2))


def runner_of(name: str, cpu: str, need_tool: Callable[[str], str]) -> list[str]:
    """The command before a program for the core, or a skip in words."""
    if cpu:
        return [need_tool("qemu-aarch64"), "-cpu", cpu]
    if name not in load_board("host").cores:
        pytest.skip(f"this CPU lacks some of {', '.join(load_core(name).cpu_flags)}")
    return []


@pytest.mark.parametrize(("name", "cpu"), [*EMULATED, *NATIVE])
def test_intrinsics_are_the_reference(tmp_path: Path, need_tool: Callable[[str], str], name: str, cpu: str) -> None:
    core = load_core(name)
    compiler, runner = need_tool(f"{core.prefix}gcc"), runner_of(name, cpu, need_tool)
    graphs = [chain(*shape) for shape in SHAPES]
    plans = [
        plan_with_cuts(graph, [], (), core.isas) if index % 2 else plan_layerwise(graph, kernels_of(graph, core.isas))
        for index, graph in enumerate(graphs)
    ]
    nets = [Net(f"net{index}", plan, isas=core.isas) for index, plan in enumerate(plans)]
    inputs = [list(int8_inputs(graph, 3, seed=1)) for graph in graphs]
    flags = (*core.cflags, "-static", "-w")
    found = run_program(tmp_path, nets, inputs, compiler, flags, twins=False, runner=runner)
    for plan, images, results in zip(plans, inputs, found, strict=True):
        for values, tensors in zip(images, results, strict=True):
            assert first_difference(run_graph(plan.graph, {"input": values}), tensors) == "", print_plan(plan)


@pytest.mark.parametrize("name", ["aarch64", "aarch64-dotprod", "x86-64", "x86-64-avx2", "x86-64-vnni"])
def test_c_is_clean(tmp_path: Path, need_tool: Callable[[str], str], name: str) -> None:
    core = load_core(name)
    compiler = need_tool(f"{core.prefix}gcc")
    graph = chain(*SHAPES[0])
    sources = write_c(
        tmp_path, [Net("net", plan_layerwise(graph, kernels_of(graph, core.isas)), isas=core.isas)], twins=False
    )
    compile_c(tmp_path, sources, *core.cflags, *STRICT, "-c", compiler=compiler)


@pytest.mark.parametrize(("name", "cpu", "error"), [("aarch64-dotprod", "cortex-a72", 4), ("aarch64", "cortex-a72", 0)])
def test_init_refuses_a_lesser_cpu(
    tmp_path: Path, need_tool: Callable[[str], str], name: str, cpu: str, error: int
) -> None:
    core = load_core(name)
    compiler, runner = need_tool(f"{core.prefix}gcc"), runner_of(name, cpu, need_tool)
    graph = chain(*SHAPES[0])
    net = Net("net", plan_layerwise(graph, kernels_of(graph, core.isas)), isas=core.isas)
    sources = write_c(tmp_path, [net], twins=False)
    (tmp_path / "main.c").write_text(
        '#include "net.h"\nstatic net_arena_t arena;\nstatic net_t net;\n'
        "int main(void)\n{\n    return net_init(&net, &arena, sizeof arena);\n}\n"
    )
    compile_c(tmp_path, [*sources, "main.c"], *core.cflags, "-static", "-w", "-o", "program", compiler=compiler)
    done = subprocess.run([*runner, str(tmp_path / "program")], capture_output=True, text=True)
    assert done.returncode == error, done.stderr
