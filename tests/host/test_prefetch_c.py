"""--prefetch on this machine: kernels read weights where the user's function says, and nowhere else.

Every array that lies apart has pages of its own, which cannot be read once the program starts. The function copies into
one of two buffers of just the size it is told; the one before is given back to the sanitizer.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from host_c import SANITIZE, STRICT, Net, compile_c, files_of
from models import tiny_mobilenet_v2
from networks import int8_inputs, plan_with_cuts, quantized

from mbn2c.cli import main
from mbn2c.commands import demo
from mbn2c.files.bundle import write_bundle
from mbn2c.ir.plan import Plan
from mbn2c.kernels.sections import sections_of
from mbn2c.reference.run_graph import run_graph

PLACE = '__attribute__((section("apart"),aligned(4096)))'
DRIVER = r"""
#include "n.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

extern const char __start_apart[], __stop_apart[];
/* So that nothing else is in the last page: this file is linked last. */
__attribute__((section("apart"), aligned(4096))) const char behind[4096] = {1};

typedef struct {
    const void *of;
    size_t bytes;
    void *at;
} buffer;

static char *copy;
static buffer now, ahead;
static long calls, hits, fetched;

static buffer fetch(const void *weights, size_t bytes)
{
    const ptrdiff_t offset = (const char *)weights - __start_apart;
    if (offset < 0 || (size_t)offset + bytes > (size_t)(__stop_apart - __start_apart)) exit(6);
    /* As large as promised and no larger, at an address that is aligned to 16. */
    buffer exact = {weights, bytes, NULL};
    if (posix_memalign(&exact.at, 16, bytes) != 0) exit(7);
    memcpy(exact.at, copy + offset, bytes);
    fetched++;
    return exact;
}

const void *n_prefetch(const void *weights, size_t bytes, const void *next, size_t next_bytes)
{
    calls++;
    if (now.of != weights) {
        hits += ahead.of == weights;
        if (ahead.of != weights) {
            free(ahead.at);
            ahead = fetch(weights, bytes);
        }
        if (ahead.bytes != bytes) exit(8);
        free(now.at);
        now = ahead;
        ahead = (buffer){NULL, 0, NULL};
    } else {
        hits++;
    }
    if (next != weights && ahead.of != next) {
        free(ahead.at);
        ahead = fetch(next, next_bytes);
    }
    return now.at;
}

int main(void)
{
    static N_ARENA(arena);
    static n_t net;
    static int8_t input[N_INPUT_BYTES], output[N_OUTPUT_BYTES];
    const size_t bytes = (size_t)(__stop_apart - __start_apart);
    copy = (char *)malloc(bytes);
    memcpy(copy, __start_apart, bytes);
    if (mprotect((void *)__start_apart, bytes, PROT_NONE) != 0) return 2;
    if (n_init(&net, &arena, sizeof arena) != N_OK) return 3;
    while (fread(input, 1, sizeof input, stdin) == sizeof input) {
        if (n_run(&net, input, output) != N_OK) return 4;
        fwrite(output, 1, sizeof output, stdout);
    }
    fprintf(stderr, "%ld %ld %ld\n", calls, hits, fetched);
    free(copy);
    free(now.at);
    free(ahead.at);
    return 0;
}
"""


def network(isas: tuple[str, ...], *, half: bool = False) -> tuple[Plan, Net]:
    graph = quantized(tiny_mobilenet_v2())
    plan = plan_with_cuts(graph, [4], (), isas)
    sections = sections_of(("qspi",), graph)
    if half:
        sections = dict(list(sections.items())[::2])
    return plan, Net("n", plan, isas=isas, sections=sections, prefetches=True)


def run(folder: Path, net: Net, *flags: str) -> tuple[subprocess.CompletedProcess[bytes], list[bytes]]:
    write_bundle({**files_of([net]), "z_driver.c": DRIVER.encode()}, folder)
    sources = sorted(path.name for path in folder.glob("*.c"))
    compile_c(folder, sources, *SANITIZE, f"-DN_IN_QSPI={PLACE}", *flags, "-o", "program", "-lm", standard="-std=gnu11")
    graph = net.plan.graph
    inputs = list(int8_inputs(graph, 4, seed=2))
    expected = [run_graph(graph, {"input": values})[graph.outputs[0].tensor].tobytes() for values in inputs]
    given = b"".join(values.tobytes() for values in inputs)
    return subprocess.run([str(folder / "program")], input=given, capture_output=True, timeout=60), expected


@pytest.mark.parametrize(("isas", "half"), [(("scalar",), True), (("arm_dsp", "scalar"), False)])
def test_kernels_read_what_was_fetched(
    tmp_path: Path, need_tool: Callable[[str], str], isas: tuple[str, ...], half: bool
) -> None:
    need_tool("gcc")
    plan, net = network(isas, half=half)
    done, expected = run(tmp_path, net)
    assert done.returncode == 0, done.stderr.decode()[:2000]
    assert done.stdout == b"".join(expected)
    calls, hits, fetched = (int(word) for word in done.stderr.split())
    graph = plan.graph
    rows = sum(graph.tensors[call.write].shape[1] for call in plan.calls if call.node in net.sections)
    assert calls == len(expected) * rows
    # What is named as the next one is: else there were no use in fetching it.
    assert hits > 0.5 * calls and fetched < 2 * calls


def test_without_the_function_they_read_them_in_place(tmp_path: Path, need_tool: Callable[[str], str]) -> None:
    """Which is what the test above must find."""
    need_tool("gcc")
    _, net = network(("scalar",))
    plain = Net("n", net.plan, sections=net.sections)
    done, _ = run(tmp_path, plain)
    assert done.returncode != 0 and b"SEGV" in done.stderr


@pytest.mark.parametrize("own", [False, True])
def test_it_compiles_and_runs_as_it_comes(tmp_path: Path, need_tool: Callable[[str], str], own: bool) -> None:
    need_tool("gcc")
    _, net = network(("scalar",))
    write_bundle(net.files(), tmp_path)
    sources = sorted(path.name for path in tmp_path.glob("*.c"))
    flags = ["-DN_OWN_PREFETCH"] if own else []
    compile_c(tmp_path, sources, *STRICT, *flags, "-shared", "-fPIC", "-o", "n.so", "-lm")
    symbols = subprocess.run(["nm", "n.so"], cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    assert f" {'U' if own else 'W'} n_prefetch\n" in symbols
    compile_c(tmp_path, sources, "-x", "c++", "-Wall", "-Werror", "-fsyntax-only", standard="-std=c++11")


def test_it_is_for_weights_that_lie_apart(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["build", str(demo.MODEL_FILE), "--target", "host", "--calib", "random", "--prefetch"]
    assert main([*words, "-o", str(tmp_path / "out")]) == 2
    assert "--weights-in SECTION" in capsys.readouterr().err
