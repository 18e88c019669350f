"""RAM of five networks against what must be reached, and its price in instructions, as the table in docs/benchmarks.md.

    PYTHONPATH=tests/support .venv/bin/python benchmarks/memory.py [NETWORK ...] [--cores CORE ...]

RAM is arena, context and the worst-case stack; input rows come one by one. Every network is quantized on noise, since
sizes do not depend on it; those that ../shared has not, or all without it, have random weights. Each is run once on the
core's emulated board, and all output bytes must equal the reference's. With all networks and cores the table is renewed
in docs/benchmarks.md; otherwise it is only printed. `tests/emulator/test_memory_figures.py` asserts the same figures.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from instruction_counts import BOARDS, SHARED
from mobilenets import mobilenet_v1, mobilenet_v2
from networks import quantized
from pages import BENCHMARKS, markdown, renew

from mbn2c.commands.bench.measure import Measured, measure_choice
from mbn2c.ir.graph import Graph
from mbn2c.kernels import isas_for, kernels_of_plan, select
from mbn2c.network.lowered import import_lowered
from mbn2c.planner.choice import Choice, choose_plan
from mbn2c.planner.layerwise import plan_layerwise
from mbn2c.targets import load_board, load_core


@dataclass(frozen=True)
class Case:
    """A network and the most KiB it may take.

    make      with random weights, where ../shared has it not
    limits    by what is optimized
    peers     the least RAM published for it, in words
    """

    make: Callable[[], Graph]
    limits: Mapping[str, int]
    peers: str


CASES = {
    "mobilenet_v2_1.0_224": Case(
        lambda: mobilenet_v2(1.0, 224), {"ram": 100, "balanced": 132}, "1470; 172 with recomputed MACs"
    ),
    "mobilenet_v2_0.35_224": Case(lambda: mobilenet_v2(0.35, 224), {"ram": 46, "balanced": 60}, "833"),
    "mobilenet_v2_0.35_96": Case(lambda: mobilenet_v2(0.35, 96), {"ram": 13, "balanced": 19}, "none known"),
    "vww_96": Case(lambda: mobilenet_v1(0.25, 96, classes=2), {"ram": 13, "balanced": 17}, "55"),
    "mobilenet_v1_1.0_224": Case(lambda: mobilenet_v1(1.0, 224), {"ram": 140, "balanced": 195}, "1331"),
}
CORES = ("cortex-m7", "cortex-m4")
# The networks that are held to their limits on further cores.
MORE_CORES = {"vww_96": ("cortex-m0plus", "cortex-m55")}
# Instructions, as a multiple of those of the plan layer by layer with the same kernels.
MOST_INSTRUCTIONS = {"ram": 1.12, "balanced": 1.05}
NAME = "memory"


@dataclass(frozen=True)
class Figure:
    """What one goal reached; `folder` holds the build."""

    choice: Choice
    measured: Measured
    layerwise: Measured

    @property
    def ram_kib(self) -> float:
        return self.measured.ram_bytes / 1024

    @property
    def instructions_ratio(self) -> float:
        return self.measured.instructions / self.layerwise.instructions


def cores_of(name: str) -> tuple[str, ...]:
    return (*CORES, *MORE_CORES.get(name, ()))


@cache
def network(name: str) -> Graph:
    """The int8 Graph."""
    file = SHARED / "models" / f"{name}.onnx"
    return quantized(import_lowered(file) if file.exists() else CASES[name].make(), 1)


@cache
def noise(name: str) -> np.ndarray:
    graph = network(name)
    shape = graph.tensors[graph.inputs[0].tensor].shape
    return np.random.default_rng(0).integers(-128, 128, shape).astype(np.int8)


def run(name: str, core: str, choice: Choice, folder: Path) -> Measured:
    return measure_choice(choice, load_core(core), load_board(BOARDS[core]), noise(name), folder)


@cache
def layerwise(name: str, core: str, isas: Sequence[str]) -> Measured:
    """Layer by layer, with the kernels of some tables."""
    graph = network(name)
    plan = plan_layerwise(graph, {node.name: select(node, graph, isas) for node in graph.nodes})
    with tempfile.TemporaryDirectory() as folder:
        return run(name, core, Choice(plan, kernels_of_plan(plan, isas)), Path(folder))


def figure(name: str, core: str, goal: str, folder: Path) -> Figure:
    """Build and run a network for one goal; `folder` is where it is built."""
    choice = choose_plan(network(name), load_core(core), goal)
    measured = run(name, core, choice, folder)
    return Figure(choice, measured, layerwise(name, core, isas_for(load_core(core).isas, goal)))


def row(name: str, core: str) -> list[str]:
    """One network on one core."""
    found = {}
    for goal in MOST_INSTRUCTIONS:
        with tempfile.TemporaryDirectory() as folder:
            found[goal] = figure(name, core, goal, Path(folder))
        if found[goal].measured.mismatches:
            raise SystemExit(f"{name}, {core}, {goal}: wrong bytes")
        print(name, core, goal, f"{found[goal].ram_kib:.2f} KiB, x {found[goal].instructions_ratio:.4f}", flush=True)
    limits = CASES[name].limits
    return [
        name,
        core,
        *(f"{found[goal].ram_kib:.1f} of {limits[goal]} (x {found[goal].instructions_ratio:.2f})" for goal in found),
        f"{found['ram'].layerwise.ram_bytes / 1024:.0f}",
        CASES[name].peers,
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("networks", nargs="*", metavar="NETWORK", help=f"of {', '.join(CASES)}; all if none is named")
    parser.add_argument("--cores", nargs="+", choices=tuple(BOARDS), default=[])
    options = parser.parse_args()
    rows = [row(name, core) for name in options.networks or CASES for core in options.cores or cores_of(name)]
    head = ("network", "core", "`ram`, KiB", "`balanced`, KiB", "layer by layer, KiB", "published elsewhere, KiB")
    table = markdown(head, rows)
    print(f"\n{table}")
    if not options.networks and not options.cores:
        renew(BENCHMARKS, NAME, table)


if __name__ == "__main__":
    main()
