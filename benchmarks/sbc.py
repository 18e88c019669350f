"""Time on this computer and instructions on 64-bit Arm, of two real networks, beside ONNX Runtime and LiteRT.

    .venv/bin/python benchmarks/sbc.py [vww_96] [mobilenet_v2_1.0_224] [--rounds 200] [--no-arm]      (needs ../shared)

Time: this CPU, one thread, the same network in ONNX Runtime as float32 and as int8 and as our C, one inference of each
in turn, the minimum of all rounds; then our C with two threads. LiteRT is not among them: nothing here makes a .tflite
of these networks. Instructions: user-mode emulation of the CPU named, the network quantized on noise
as in instruction_counts.py; LiteRT's figures are those of its int8 kernels on the same networks, measured once. Every
output byte must equal the reference's.
"""

from __future__ import annotations

import argparse
import ctypes
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnxruntime as ort
from instruction_counts import SHARED
from pages import markdown

from mbn2c.commands.bench.measure import measure
from mbn2c.emit.c_files import c_files
from mbn2c.emit.network.model import Names
from mbn2c.files.bundle import write_bundle
from mbn2c.frontend.export import to_onnx_int8
from mbn2c.ir.graph import Graph
from mbn2c.network.options import RANDOM, NetworkOptions
from mbn2c.network.read import read_network
from mbn2c.planner.choice import choose_plan
from mbn2c.progress import no_progress
from mbn2c.reference.run_graph import run_graph
from mbn2c.targets import load_board, load_core

NETWORKS = ("vww_96", "mobilenet_v2_1.0_224")
OPTIMIZE = "speed"
# Core, emulated CPU, and million instructions of LiteRT for each network.
ARM = (("aarch64", "cortex-a72", (3.62, 114.5)), ("aarch64", "cortex-a76", (1.93, 50.1)))
_WRAPPER = """
#include "network.h"
static network_arena_t arena;
static network_t network;
#ifdef MBN_THREADS_H
static network_threads_t threads;
#else /* too small to be shared */
#define network_start_threads(threads, count) 0
#define network_run_threads(net, threads, input, output) network_run(net, input, output)
#endif
int bench_start(void)
{
    const int error = network_init(&network, &arena, sizeof arena);
    return error != 0 ? error : network_start_threads(&threads, 2);
}
int bench_run(const network_input_t *input, int8_t *output)
{
    return network_run(&network, input, output);
}
int bench_run_threads(const network_input_t *input, int8_t *output)
{
    return network_run_threads(&network, &threads, input, output);
}
"""


def core_of_this_cpu() -> str:
    """The one that asks the processor. Raises SystemExit if this is none of its family."""
    if "x86-64" not in load_board("host").cores:
        raise SystemExit("this computer is no x86-64")
    return "x86-64"


def noise_for(graph: Graph) -> np.ndarray:
    """int8 NHWC."""
    shape = graph.tensors[graph.inputs[0].tensor].shape
    return np.random.default_rng(0).integers(-128, 128, shape).astype(np.int8)


def our_runs(graph: Graph, core_name: str, folder: Path) -> tuple[Callable[[], object], Callable[[], object]]:
    """One inference of noise as the C for a core, compiled by this computer's GCC; its bytes are compared here.

    returns  by one thread, and by two

    raises  SystemExit if a byte differs
    """
    core = load_core(core_name)
    choice = choose_plan(graph, core, OPTIMIZE)
    names = Names("network", graph.name, bytes(32))
    write_bundle(c_files(choice.plan, choice.kernels, names, core, None), folder)
    (folder / "bench.c").write_text(_WRAPPER)
    sources = sorted(path.name for path in folder.glob("*.c"))
    command = ["gcc", *core.cflags, "-fPIC", "-shared", "-o", "bench.so", *sources, "-lm"]
    subprocess.run(command, cwd=folder, check=True)
    library = ctypes.CDLL(str(folder / "bench.so"))
    image = noise_for(graph)
    reference = run_graph(graph, {graph.inputs[0].tensor: image})
    expected = b"".join(reference[port.tensor].tobytes() for port in graph.outputs)
    source, output = image.tobytes(), ctypes.create_string_buffer(len(expected))
    if error := library.bench_start():
        raise SystemExit(f"{graph.name} on {core_name}: error {error}")
    for run in (library.bench_run, library.bench_run_threads):
        wrong = run(source, output) or sum(a != b for a, b in zip(output.raw, expected, strict=True))
        if wrong:
            raise SystemExit(f"{graph.name} on {core_name}: {wrong} output bytes differ from the reference")
    return lambda: library.bench_run(source, output), lambda: library.bench_run_threads(source, output)


def peer_run(model: bytes) -> Callable[[], object]:
    """One inference of an ONNX model in ONNX Runtime, one thread."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    source = session.get_inputs()[0]
    shape = [extent if isinstance(extent, int) else 1 for extent in source.shape]
    inputs = {source.name: np.random.default_rng(0).random(shape, np.float32)}
    return lambda: session.run(None, inputs)


def best_times(runs: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Milliseconds, the minimum of all rounds; each round runs all, one after the other."""
    best = dict.fromkeys(runs, float("inf"))
    for _ in range(rounds):
        for name, run in runs.items():
            start = time.perf_counter()
            run()
            best[name] = min(best[name], 1000 * (time.perf_counter() - start))
    return best


def print_times(names: list[str], graphs: dict[str, Graph], rounds: int) -> None:
    """The table of times on this computer."""
    core, rows = core_of_this_cpu(), []
    for name in names:
        with tempfile.TemporaryDirectory() as folder:
            one, two = our_runs(graphs[name], core, Path(folder))
            runs = {
                "float32": peer_run((SHARED / "models" / f"{name}.onnx").read_bytes()),
                "int8": peer_run(to_onnx_int8(graphs[name])),
                "ours": one,
            }
            # By itself: threads that wait spin, and would take the others' time.
            best = best_times(runs, rounds) | best_times({"two": two}, 4 * rounds)
        ratio = best["ours"] / min(best["float32"], best["int8"])
        times = (f"{best[run]:.3f}" for run in (*runs, "two"))
        rows.append([name, *times, f"{ratio:.2f}", f"{best['ours'] / best['two']:.2f}"])
    print(f"milliseconds, minimum of {rounds}; ONNX Runtime {ort.__version__}, one thread; ours: {core}\n")
    head = ["", "ONNX Runtime float32", "int8", "ours", "ours, 2 threads", "ours : best peer", "1 : 2 threads"]
    print(markdown(head, rows), "\n")


def print_instructions(names: list[str], graphs: dict[str, Graph]) -> None:
    """The table of instructions on 64-bit Arm."""
    rows = []
    for core, cpu, peers in ARM:
        for name in names:
            board = load_board("aarch64-user")
            assert board.emulator is not None
            as_cpu = replace(board, emulator=replace(board.emulator, args=("-cpu", cpu)))
            with tempfile.TemporaryDirectory() as folder:
                graph = graphs[name]
                found = measure(graph, load_core(core), as_cpu, OPTIMIZE, noise_for(graph), Path(folder))
            if found.mismatches:
                raise SystemExit(f"{name} on {core}: {found.mismatches} output bytes differ from the reference")
            peer = peers[NETWORKS.index(name)]
            ram = f"{found.ram_bytes / 1024:.1f}"
            rows.append([f"{name}, {cpu}", f"{peer}", f"{found.instructions / 1e6:.2f}", ram])
    print(markdown(["", "LiteRT, M instructions", "ours", "ours: arena and stack, KiB"], rows))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("networks", nargs="*", default=list(NETWORKS), help="of ../shared/models")
    parser.add_argument("--rounds", type=int, default=200, help="inferences of each (default 200)")
    parser.add_argument("--no-arm", action="store_true", help="times only")
    arguments = parser.parse_args()
    graphs = {}
    for name in arguments.networks:
        options = NetworkOptions(model=SHARED / "models" / f"{name}.onnx", calib=RANDOM)
        graphs[name] = read_network(options, (), no_progress).graph
    print_times(arguments.networks, graphs, arguments.rounds)
    if not arguments.no_arm:
        print_instructions(arguments.networks, graphs)


if __name__ == "__main__":
    main()
