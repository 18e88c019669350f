"""Time on this computer and instructions on 64-bit Arm, of two real networks, beside ONNX Runtime and LiteRT.

    .venv/bin/python benchmarks/sbc.py [vww_96] [mobilenet_v2_1.0_224] [--rounds 200] [--no-arm]      (needs ../shared)

Time: this CPU, the same network in ONNX Runtime as float32 and as int8, in LiteRT as int8 and as our C, by one thread,
one inference of each in turn, the minimum of all rounds; then each by two threads, one after the other. LiteRT is there
if PYTHONPATH has it (benchmarks/tflite.py); how far its output, of the same scales and weights, is from ours is told.
Instructions: user-mode emulation of the CPU named, the network quantized on noise as in instruction_counts.py; LiteRT's
figures are those of its int8 kernels on the same networks, measured once. Every output byte must equal the reference's.
"""

from __future__ import annotations

import argparse
import ctypes
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
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

try:
    import tflite
except ImportError:  # the table is without LiteRT
    tflite = None

NETWORKS = ("vww_96", "mobilenet_v2_1.0_224")
OPTIMIZE = "speed"
OURS = "ours"
Run = Callable[[], object]
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


def reference_output(graph: Graph) -> np.ndarray:
    """What the integer reference makes of the noise, int8, flat."""
    reference = run_graph(graph, {graph.inputs[0].tensor: noise_for(graph)})
    return np.concatenate([reference[port.tensor].reshape(-1) for port in graph.outputs])


def our_runs(graph: Graph, core_name: str, folder: Path) -> Iterator[Run]:
    """One inference of noise as the C for a core, compiled by this computer's GCC: by one thread, and by two.

    raises  SystemExit if a byte differs from the reference
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
    expected = reference_output(graph).tobytes()
    source, output = noise_for(graph).tobytes(), ctypes.create_string_buffer(len(expected))
    if error := library.bench_start():
        raise SystemExit(f"{graph.name} on {core_name}: error {error}")
    for run in (library.bench_run, library.bench_run_threads):
        wrong = run(source, output) or sum(a != b for a, b in zip(output.raw, expected, strict=True))
        if wrong:
            raise SystemExit(f"{graph.name} on {core_name}: {wrong} output bytes differ from the reference")
        yield partial(run, source, output)


def onnx_run(model: bytes, threads: int) -> Run:
    """One inference of an ONNX model in ONNX Runtime."""
    options = ort.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    source = session.get_inputs()[0]
    shape = [extent if isinstance(extent, int) else 1 for extent in source.shape]
    return partial(session.run, None, {source.name: np.random.default_rng(0).random(shape, np.float32)})


def peer_runs(name: str, graph: Graph, threads: int) -> dict[str, Run]:
    """One inference in each runtime; how far LiteRT's output is from ours is printed."""
    runs = {
        "ONNX Runtime float32": onnx_run((SHARED / "models" / f"{name}.onnx").read_bytes(), threads),
        "ONNX Runtime int8": onnx_run(to_onnx_int8(graph), threads),
    }
    if tflite is not None:
        runs["LiteRT int8"], output = tflite.litert_run(tflite.to_tflite(graph), noise_for(graph), threads)
        apart = np.abs(output.reshape(-1).astype(int) - reference_output(graph)).max()
        print(f"{name}: LiteRT's output, {threads} threads, is up to {apart} quanta from the reference")
    return runs


def best_times(runs: dict[str, Run], rounds: int) -> dict[str, float]:
    """Milliseconds, the minimum of all rounds; each round runs all, one after the other."""
    best = dict.fromkeys(runs, float("inf"))
    for _ in range(rounds):
        for name, run in runs.items():
            start = time.perf_counter()
            run()
            best[name] = min(best[name], 1000 * (time.perf_counter() - start))
    return best


def best_times_alone(runs: dict[str, Run], rounds: int) -> dict[str, float]:
    """The same, one after the other: threads that wait spin, and would take the others' time."""
    return {name: best_times({name: run}, rounds)[name] for name, run in runs.items()}


def print_times(names: list[str], graphs: dict[str, Graph], rounds: int) -> None:
    """The table of times on this computer."""
    core, rows, head = core_of_this_cpu(), [], []
    for name in names:
        with tempfile.TemporaryDirectory() as folder:
            ours = dict(enumerate(our_runs(graphs[name], core, Path(folder)), 1))
            one = best_times(peer_runs(name, graphs[name], 1) | {OURS: ours[1]}, rounds)
            two = best_times_alone(peer_runs(name, graphs[name], 2) | {OURS: ours[2]}, rounds)
        for threads, best in ((1, one), (2, two)):
            ratio = best[OURS] / min(time for runtime, time in best.items() if runtime != OURS)
            times = (f"{time:.3f}" for time in best.values())
            rows.append([name, str(threads), *times, f"{ratio:.2f}", f"{one[OURS] / best[OURS]:.2f}"])
        head = ["", "threads", *one, "ours : best peer", "1 thread : these"]
    litert = f", LiteRT {tflite.VERSION}" if tflite is not None else ""
    print(f"milliseconds, minimum of {rounds}; ONNX Runtime {ort.__version__}{litert}; ours: {core}\n")
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
