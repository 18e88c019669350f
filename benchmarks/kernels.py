"""Instructions, cycles, RAM and flash of two real networks on every emulated core, as the tables in docs/benchmarks.md.

    .venv/bin/python benchmarks/kernels.py [vww_96] [mobilenet_v2_1.0_224] [--cores CORE ...]      (needs ../shared)

Each network is quantized once, built for each core and goal, and run on the emulated board with a real image; all
output bytes must equal the reference's. With all cores the tables of the networks named are renewed between the lines
`<!-- table: NAME -->` and `<!-- end -->` of docs/benchmarks.md; otherwise they are only printed.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from instruction_counts import BOARDS, SHARED
from pages import BENCHMARKS, markdown, renew

from mbn2c.commands.bench.cycles import MODELS as CYCLE_MODELS
from mbn2c.commands.bench.measure import CLASSES, Measured, measure
from mbn2c.ir.graph import Graph, Node
from mbn2c.network.inputs import input_spec, quantize_input
from mbn2c.network.options import NetworkOptions
from mbn2c.network.read import read_network
from mbn2c.ops import OPERATORS
from mbn2c.planner.choice import choose_plan
from mbn2c.planner.streaming import OPTIMIZE
from mbn2c.progress import no_progress
from mbn2c.targets import load_board, load_core
from mbn2c.tasks.inputs import Preprocess

GOALS = tuple(reversed(OPTIMIZE))
RATES = "kernel rates"
RATED = "vww_96"
TITLES = {
    "cortex-m0plus": "Cortex-M0+",
    "cortex-m3": "Cortex-M3",
    "cortex-m4": "Cortex-M4",
    "cortex-m7": "Cortex-M7",
    "cortex-m33": "Cortex-M33",
    "cortex-m55": "Cortex-M55 (Helium)",
    "rv32imc": "RV32IMC",
}


@dataclass(frozen=True)
class Case:
    """A network, its images, and what the best open peer takes on a core.

    peers  million instructions, of the same network on the same emulator with GCC 12.2
    """

    preprocess: str
    resize: str
    images: str
    calibration: int
    peers: Mapping[str, float]


CASES = {
    "vww_96": Case(
        "unit",
        "stretch",
        "vww_96",
        16,
        {
            "cortex-m0plus": 72.9,
            "cortex-m3": 32.0,
            "cortex-m4": 19.7,
            "cortex-m7": 24.0,
            "cortex-m33": 19.7,
            "cortex-m55": 6.4,
        },
    ),
    "mobilenet_v2_1.0_224": Case(
        "imagenet",
        "crop",
        "imagenet_500",
        8,
        {
            "cortex-m0plus": 2595,
            "cortex-m3": 1118,
            "cortex-m4": 681,
            "cortex-m7": 800,
            "cortex-m33": 681,
            "cortex-m55": 176,
        },
    ),
}


@dataclass(frozen=True)
class Network:
    graph: Graph
    image: np.ndarray

    @property
    def macs(self) -> int:
        return sum(OPERATORS[node.op].macs(node, self.graph) for node in self.graph.nodes)


def read(name: str) -> Network:
    """A network and the first of the images it is calibrated with, as int8."""
    case = CASES[name]
    preprocess = Preprocess.named(case.preprocess)
    options = NetworkOptions(
        model=SHARED / "models" / f"{name}.onnx",
        calib=str(SHARED / "data" / case.images),
        calib_limit=case.calibration,
        preprocess=preprocess,
        resize=case.resize,
        effort="fast",
    )
    network = read_network(options, (), no_progress)
    assert network.samples is not None
    spec = input_spec(network.graph)
    values = network.samples[0].model_input(spec, preprocess)
    return Network(network.graph, quantize_input(network.graph, spec, values))


def run(network: Network, core: str, goal: str, *, steps: bool = False) -> Measured:
    with tempfile.TemporaryDirectory() as folder:
        board = load_board(BOARDS[core])
        measured = measure(network.graph, load_core(core), board, goal, network.image, Path(folder), steps=steps)
    if measured.mismatches:
        raise SystemExit(f"{core}, {goal}: {measured.mismatches} output bytes differ from the reference")
    return measured


def model_table(name: str, network: Network, cores: Sequence[str]) -> str:
    """A row per core: instructions for each goal, and memory."""
    rows = []
    for core in cores:
        peer = CASES[name].peers.get(core)
        found = {}
        for goal in GOALS:
            found[goal] = run(network, core, goal)
            print(f"{name} {core} {goal} {found[goal]}", flush=True)
        millions = [found[goal].instructions / 1e6 for goal in GOALS]
        rows.append(
            (
                TITLES[core],
                *(_short(value) for value in millions),
                f"{found['speed'].instructions / network.macs:.2f}",
                "none measured" if peer is None else f"{_short(peer)} ({peer / millions[0]:.1f} x)",
                " / ".join(f"{found[goal].ram_bytes / 1024:.1f}" for goal in GOALS),
                " / ".join(f"{found[goal].flash_bytes / 1024:.0f}" for goal in GOALS),
                " / ".join(f"{found[goal].other_flash_bytes / 1024:.1f}" for goal in GOALS),
            )
        )
    head = (
        *("core", *(f"`{goal}`" for goal in GOALS), "per MAC", "best open peer"),
        *("RAM, KiB", "flash, KiB", "of it not weights, KiB"),
    )
    return markdown(head, rows)


def rate_table(network: Network, cores: Sequence[str]) -> str:
    """A row per core: what one output or MAC of each kind of layer takes, and the cycles of it all."""
    rows = []
    for core in cores:
        measured = run(network, core, "speed", steps=True)
        choice = choose_plan(network.graph, load_core(core), "speed")
        steps = {
            call.node: sum(measured.by_step[str(call.step)][: len(CLASSES)]) for call in choice.plan.calls if call.node
        }
        first, *others = network.graph.nodes
        depthwise = [node for node in others if node.op == "depthwise_conv2d"]
        pointwise = [node for node in others if node.op == "conv2d"]
        cycles = [sum(counts[len(CLASSES) + i] for counts in measured.by_step.values()) / 1e6 for i in (0, 1)]
        rows.append(
            (
                TITLES[core],
                f"{steps[first.name] / _macs(first, network.graph):.2f}",
                f"{sum(steps[node.name] for node in depthwise) / sum(_outputs(depthwise, network.graph)):.1f}",
                f"{sum(steps[n.name] for n in pointwise) / sum(_macs(n, network.graph) for n in pointwise):.2f}",
                f"{_short(cycles[0])} to {_short(cycles[1])}" if core in CYCLE_MODELS else "no model",
            )
        )
        print(rows[-1], flush=True)
    head = ("core", "first 3x3x3 layer, per MAC", "depthwise 3x3, per output", "1x1, per MAC", "M cycles, estimated")
    return markdown(head, rows)


def _macs(node: Node, graph: Graph) -> int:
    return OPERATORS[node.op].macs(node, graph)


def _outputs(nodes: Sequence[Node], graph: Graph) -> Iterator[int]:
    return (graph.tensors[node.outputs[0]].size_bytes for node in nodes)


def _short(value: float) -> str:
    """Three digits."""
    return f"{value:.{max(0, 3 - len(str(int(value))))}f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", metavar="MODEL", help=f"of {', '.join(CASES)}; all if none is named")
    parser.add_argument("--cores", nargs="+", choices=tuple(BOARDS), default=list(BOARDS))
    options = parser.parse_args()
    for name in options.models or CASES:
        network = read(name)
        tables = {name: model_table(name, network, options.cores)}
        if name == RATED:
            tables[RATES] = rate_table(network, options.cores)
        for title, table in tables.items():
            print(f"\n{title}\n\n{table}\n", flush=True)
            if len(options.cores) == len(BOARDS):
                renew(BENCHMARKS, title, table)


if __name__ == "__main__":
    main()
