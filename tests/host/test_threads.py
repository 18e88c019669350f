"""Threads share the rows of a run: the same bytes whatever their number, no races, and C that does without them."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from class_maps import class_map_network
from host_c import Net, compile_c, write_c
from models import RELU6, Builder
from networks import int8_inputs, kernels_of, quantized

from mbn2c.ir.graph import Graph
from mbn2c.ir.window import Window
from mbn2c.ops.class_map import ClassMapAttributes
from mbn2c.planner.blocks import in_blocks
from mbn2c.planner.cost import node_instructions
from mbn2c.planner.layerwise import plan_layerwise
from mbn2c.reference.run_graph import run_graph

_MAIN = """
#include <stdio.h>
#include "net.h"
static net_arena_t arena;
static net_t net;
static net_threads_t threads;
static int8_t input[NET_INPUT_BYTES], output[NET_OUTPUT_BYTES];
int main(void)
{
    if (fread(input, 1, sizeof input, stdin) != sizeof input) return 1;
    if (net_init(&net, &arena, sizeof arena) != NET_OK) return 1;
    if (net_start_threads(&threads, MBN_MOST_THREADS + 1) != NET_E_ARGUMENT) return 2;
    if (net_run_threads(&net, &threads, input, output) != NET_E_ORDER) return 3;
    for (int count = 1; count <= 4; count++) {
        if (net_start_threads(&threads, count) != NET_OK) return 4;
        for (int i = 0; i < 3; i++) {
            if (net_run_threads(&net, &threads, input, output) != NET_OK) return 5;
            fwrite(output, 1, sizeof output, stdout);
        }
        net_stop_threads(&threads);
    }
    return 0;
}
"""


def network() -> Graph:
    """Rows that split, steps that join a round, halves, a shortcut, a table, a pool, classes."""
    builder = Builder((3, 13, 11), 0)
    same = Window((3, 3), pad=(1, 1, 1, 1))
    x = builder.conv2d("input", 8, same, RELU6)
    x = builder.inverted_residual(x, 8, 2, same)
    x = builder.hard_swish(builder.conv2d(x, 9))
    x = builder.average_pool(builder.conv2d(x, 12, Window((3, 3), (2, 2), (1, 1, 1, 1))))
    return quantized(builder.graph(builder.fully_connected(x, 5)))


def sources_of(graph: Graph, folder: Path, isas: tuple[str, ...] = ("scalar",), least: int = 0) -> list[str]:
    """least: instructions of a run that threads share."""
    kernels = kernels_of(graph, isas)
    plan = in_blocks(plan_layerwise(graph, kernels), kernels, 4, least)
    assert max(call.rows_per_run for call in plan.calls) > 1
    return write_c(folder, [Net("net", plan, isas=isas)])


def check_threads(graph: Graph, folder: Path, isas: tuple[str, ...], *flags: str, least: int = 0) -> None:
    """The reference's bytes, three times for each number of threads."""
    sources = sources_of(graph, folder, isas, least)
    (folder / "main.c").write_text(_MAIN)
    compile_c(folder, [*sources, "main.c"], *flags, "-w", "-pthread", "-o", "program", "-lm")
    image = next(iter(int8_inputs(graph, 1, seed=1)))
    done = subprocess.run([str(folder / "program")], input=image.tobytes(), capture_output=True)
    assert done.returncode == 0, done.stderr.decode()[:2000]
    expected = run_graph(graph, {"input": image})[graph.outputs[0].tensor].tobytes()
    assert done.stdout == 12 * expected


RACES, MEMORY, PLAIN = ("-O1", "-fsanitize=thread"), ("-O1", "-fsanitize=address,undefined"), ("-O1",)


# Kernels of computers read some bytes behind the last pixel, which another thread may be writing, and drop them: a
# sanitizer would call that a race.
@pytest.mark.parametrize(
    ("isas", "flags"),
    [
        (("scalar",), RACES),
        (("scalar",), MEMORY),
        (("arm_dotprod", "arm_neon", "scalar"), PLAIN),
        (("x86_avx512_vnni", "scalar"), PLAIN),
    ],
)
def test_bytes_are_those_of_one_thread(tmp_path: Path, isas: tuple[str, ...], flags: tuple[str, ...]) -> None:
    check_threads(network(), tmp_path, isas, *flags)


def test_rows_that_leave(tmp_path: Path) -> None:
    """They fill the output, as those of person_run do, whoever made them."""
    attributes = ClassMapAttributes((25, 33), "align_corners")
    check_threads(class_map_network((1, 4, 5, 21), attributes), tmp_path, ("scalar",), *RACES)


def test_small_steps_are_one_threads(tmp_path: Path) -> None:
    """One step is shared, the others are the first thread's."""
    check_threads(network(), tmp_path, ("scalar",), *RACES, least=24_000)


def test_rows_a_run_where_it_pays() -> None:
    graph = network()
    kernels = kernels_of(graph, ("scalar",))
    plan = plan_layerwise(graph, kernels)
    assert in_blocks(plan, kernels, 4, 10**6) is plan
    costs = node_instructions(plan, kernels)
    blocks = in_blocks(plan, kernels, 4, 24_000)
    for call in blocks.calls:
        height = blocks.buffers[call.write].height
        run = height if height < 8 else 4
        pays = bool(call.node) and not call.accumulates and height > 1 and costs[call.node] * run >= 24_000 * height
        assert call.rows_per_run == (run if pays else 1)
    assert sum(call.rows_per_run > 1 for call in blocks.calls) == 1


def test_a_flag_leaves_threads_out(tmp_path: Path) -> None:
    sources = sources_of(network(), tmp_path)
    compile_c(tmp_path, sources, "-DMBN_NO_THREADS", "-Wall", "-Wextra", "-Wconversion", "-Werror", "-c")
    symbols = subprocess.run(["nm", "net.o"], cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    assert "pthread" not in symbols and "run_threads" not in symbols
