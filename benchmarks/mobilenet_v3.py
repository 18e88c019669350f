"""MobileNetV3 small and large 1.0 224 on every emulated core, as the tables in docs/benchmarks.md.

    PYTHONPATH=tests/support .venv/bin/python benchmarks/mobilenet_v3.py [small] [large] [--cores CORE ...]

Torchvision's shape with random weights, quantized on noise: sizes and instructions do not depend on them. Each is built
for `balanced`, run once on the core's emulated board, and all output bytes must equal the reference's. With all cores
the tables are renewed; otherwise they are only printed.
"""

from __future__ import annotations

import argparse
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from instruction_counts import BOARDS
from kernels import TITLES
from mobilenets import mobilenet_v3_large, mobilenet_v3_small
from networks import quantized
from pages import BENCHMARKS, markdown, renew

from mbn2c.commands.bench.measure import CLASSES, Measured, measure_choice
from mbn2c.ir.graph import Graph
from mbn2c.ops import OPERATORS
from mbn2c.planner.choice import Choice, choose_plan
from mbn2c.targets import load_board, load_core

GOAL = "balanced"
# Whose instructions are shown kernel by kernel.
SHOWN = "cortex-m7"


@dataclass(frozen=True)
class Case:
    """A network.

    most_kib  of RAM on Cortex-M7, and `most_millions` of instructions there, the limits
    """

    make: Callable[[], Graph]
    most_kib: int
    most_millions: int | None


CASES: Mapping[str, Case] = {
    "small": Case(lambda: mobilenet_v3_small(1.0, 224), 80, 85),
    "large": Case(lambda: mobilenet_v3_large(1.0, 224), 208, None),
}


@cache
def network(name: str) -> Graph:
    """The int8 Graph."""
    return quantized(CASES[name].make(), 1)


def run(name: str, core: str, *, steps: bool = False) -> tuple[Choice, Measured]:
    graph = network(name)
    choice = choose_plan(graph, load_core(core), GOAL)
    shape = graph.tensors[graph.inputs[0].tensor].shape
    noise = np.random.default_rng(0).integers(-128, 128, shape).astype(np.int8)
    with tempfile.TemporaryDirectory() as folder:
        measured = measure_choice(choice, load_core(core), load_board(BOARDS[core]), noise, Path(folder), steps=steps)
    if measured.mismatches:
        raise SystemExit(f"{name}, {core}: {measured.mismatches} output bytes differ from the reference")
    return choice, measured


def core_row(name: str, core: str) -> tuple[str, ...]:
    """Instructions and memory."""
    _, measured = run(name, core)
    macs = sum(OPERATORS[node.op].macs(node, network(name)) for node in network(name).nodes)
    case, is_shown = CASES[name], core == SHOWN
    millions, kib = measured.instructions / 1e6, measured.ram_bytes / 1024
    asked = f" of {case.most_millions}" if is_shown and case.most_millions else ""
    print(f"{name} {core} {measured}", flush=True)
    return (
        TITLES[core],
        f"{millions:.1f}{asked}",
        f"{measured.instructions / macs:.2f}",
        f"{kib:.1f}{f' of {case.most_kib}' if is_shown else ''}",
        f"{measured.flash_bytes / 1024:.0f}",
    )


def kernel_rows(name: str) -> list[tuple[str, ...]]:
    """Where the instructions go, the most first."""
    choice, measured = run(name, SHOWN, steps=True)
    found: Counter[str] = Counter()
    for call in choice.plan.calls:
        counts = measured.by_step.get(str(call.step))
        if call.node and counts:
            found[choice.kernels[call.node].function] += sum(counts[: len(CLASSES)])
    return [(f"`{function}`", f"{count / 1e6:.2f}") for function, count in found.most_common() if count >= 10_000]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("networks", nargs="*", metavar="NETWORK", help=f"of {', '.join(CASES)}; both if none is named")
    parser.add_argument("--cores", nargs="+", choices=tuple(TITLES), default=list(TITLES))
    options = parser.parse_args()
    for name in options.networks or CASES:
        head = ("core", "million instructions", "per MAC", "RAM, KiB", "flash, KiB")
        table = markdown(head, [core_row(name, core) for core in options.cores])
        kernels = markdown(("kernel", "million instructions"), kernel_rows(name))
        print(f"{table}\n\n{kernels}")
        if options.cores == list(TITLES):
            renew(BENCHMARKS, f"mobilenet_v3_{name}", table)
            renew(BENCHMARKS, f"mobilenet_v3_{name} kernels", kernels)


if __name__ == "__main__":
    main()
