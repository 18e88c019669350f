"""The tables of docs/weights.md: flash against agreement, and what layers with weights of four bits cost.

    .venv/bin/python benchmarks/weights.py [MODEL ...] [--calib N] [--limit N]      (needs ../shared)

Each model is quantized for its board's core as `mbn2c build` does, with the limits of flash below, on evenly spaced
images of a folder of ../shared; ONNX Runtime runs model.int8.onnx on the other images only. Flash is weights and
constants of the plan; code is not compiled here. Prints a table in Markdown.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from accuracy import CASES, SHARED, Images, cpu_seconds, line, load, model_file, percent, predict

from mbn2c.ir.graph import Graph
from mbn2c.network.options import NetworkOptions
from mbn2c.network.read import read_network
from mbn2c.planner.choice import choose_plan, constants_bytes
from mbn2c.planner.cost import node_instructions, plan_instructions
from mbn2c.progress import no_progress
from mbn2c.quantize.four_bits import candidates, four_bit_layers
from mbn2c.quantize.int16 import Planned
from mbn2c.targets import load_core

CODE_BYTES = 26 * 1024
CORE = "cortex-m7"
HEAD = (
    "model",
    "weights",
    "flash KiB",
    "layers with 4 bits",
    "top-1 % (95 %)",
    "same as float32 % (95 %)",
    "M instr.",
    "CPU s",
)


@dataclass(frozen=True)
class Way:
    """Options of a build, by what the table calls them."""

    words: str
    weights: str
    flash_limit: int | None = None


WAYS = {
    "mobilenet_v2_1.0_224": (
        Way("8", "8"),
        Way("2.75 MiB", "auto", 2816 * 1024),
        Way("2 MiB", "auto", 2048 * 1024),
        Way("4", "4"),
    ),
    "mobilenet_v1_0.25_224": (Way("8", "8"), Way("65 %", "auto", 0), Way("4", "4")),
    "vww_96": (Way("8", "8"), Way("144 KiB", "auto", 144 * 1024), Way("4", "4")),
}


@dataclass(frozen=True)
class Row:
    """One build."""

    graph: Graph
    model: bytes
    flash_bytes: int
    instructions: float
    seconds: float


def build(name: str, way: Way, calibration: int) -> Row:
    case, core = CASES[name], load_core(CORE)
    started = cpu_seconds()

    def planned(graph: Graph) -> Planned:
        choice = choose_plan(graph, core, "balanced")
        return Planned(
            choice.plan, node_instructions(choice.plan, choice.kernels), constants_bytes(choice) + CODE_BYTES
        )

    options = NetworkOptions(
        model=model_file(name),
        calib=str(SHARED / "data" / case.images),
        calib_limit=calibration,
        preprocess=case.preprocess,
        weights=way.weights,
        flash_limit=way.flash_limit,
    )
    network = read_network(options, (), no_progress, planned)
    seconds = cpu_seconds() - started
    choice = choose_plan(network.graph, core, "balanced")
    instructions = plan_instructions(choice.plan, choice.kernels)
    return Row(network.graph, network.int8_model, constants_bytes(choice) + CODE_BYTES, instructions, seconds)


def rows(name: str, images: Images, ways: Sequence[Way], calibration: int) -> Iterator[list[str]]:
    floats = predict(model_file(name), images.judged, "float32")
    total = len(floats)
    yield [name, "float32", "", "", percent(int((floats == images.labels).sum()), total), "", "", ""]
    eight_bits = 0
    for way in ways:
        if way.flash_limit == 0:
            way = replace(way, flash_limit=int(0.65 * eight_bits))
        row = build(name, way, calibration)
        eight_bits = eight_bits or row.flash_bytes
        found = predict(row.model, images.judged, way.words)
        hits, agreements = int((found == images.labels).sum()), int((found == floats).sum())
        narrow = len(four_bit_layers(row.graph))
        yield [
            name,
            way.words,
            f"{row.flash_bytes / 1024:,.0f}",
            f"{narrow} of {len(candidates(row.graph))}",
            percent(hits, total),
            percent(agreements, total),
            f"{row.instructions / 1e6:.1f}",
            f"{row.seconds:.0f}",
        ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", metavar="MODEL", help=f"of {', '.join(WAYS)} (default all)")
    parser.add_argument("--calib", type=int, help="images that calibrate (default as benchmarks/accuracy.py)")
    parser.add_argument("--limit", type=int, help="judge on so many of the other images")
    parser.add_argument("--ways", nargs="+", help="of a model's rows, by their words (default all)")
    options = parser.parse_args()
    print(line(HEAD), line(["---"] * len(HEAD)), sep="\n", flush=True)
    for name in options.models or WAYS:
        calibration = options.calib or CASES[name].calibration
        images = load(name, replace(CASES[name], calibration=calibration), options.limit)
        ways = [way for way in WAYS[name] if not options.ways or way.words in options.ways]
        for row in rows(name, images, ways, calibration):
            print(line(row), flush=True)


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent))
    main()
