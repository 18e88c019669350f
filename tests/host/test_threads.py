"""Threads share the rows of a run: the same bytes whatever their number, no races, and C that does without them."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from host_c import Net, compile_c, write_c
from models import RELU6, Builder
from networks import int8_inputs, kernels_of, quantized

from mbn2c.ir.graph import Graph
from mbn2c.ir.window import Window
from mbn2c.planner.blocks import in_blocks
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
    builder = Builder((3, 13, 11), 0)
    same = Window((3, 3), pad=(1, 1, 1, 1))
    x = builder.conv2d("input", 8, same, RELU6)
    x = builder.inverted_residual(x, 8, 2, same)
    x = builder.average_pool(builder.conv2d(x, 12, Window((3, 3), (2, 2), (1, 1, 1, 1))))
    return quantized(builder.graph(builder.fully_connected(x, 5)))


def sources_of(graph: Graph, folder: Path) -> list[str]:
    kernels = kernels_of(graph, ("scalar",))
    plan = in_blocks(plan_layerwise(graph, kernels), kernels, 4)
    assert max(call.rows_per_run for call in plan.calls) > 1
    return write_c(folder, [Net("net", plan)])


@pytest.mark.parametrize("flags", [("-O1", "-fsanitize=thread"), ("-O1", "-fsanitize=address,undefined")])
def test_bytes_are_those_of_one_thread(tmp_path: Path, flags: tuple[str, ...]) -> None:
    graph = network()
    sources = sources_of(graph, tmp_path)
    (tmp_path / "main.c").write_text(_MAIN)
    compile_c(tmp_path, [*sources, "main.c"], *flags, "-w", "-pthread", "-o", "program", "-lm")
    image = next(iter(int8_inputs(graph, 1, seed=1)))
    done = subprocess.run([str(tmp_path / "program")], input=image.tobytes(), capture_output=True)
    assert done.returncode == 0, done.stderr.decode()[:2000]
    expected = run_graph(graph, {"input": image})[graph.outputs[0].tensor].tobytes()
    assert done.stdout == 12 * expected


def test_a_flag_leaves_threads_out(tmp_path: Path) -> None:
    sources = sources_of(network(), tmp_path)
    compile_c(tmp_path, sources, "-DMBN_NO_THREADS", "-Wall", "-Wextra", "-Wconversion", "-Werror", "-c")
    symbols = subprocess.run(["nm", "net.o"], cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    assert "pthread" not in symbols and "run_threads" not in symbols
