"""Writes tests/vectors/instruction_counts.json: instructions per inference of two networks on every emulated core.

    .venv/bin/python benchmarks/instruction_counts.py        (needs ../shared for vww_96)

`make test` compares with the file, so run this after a change that is meant to move instructions, and look at the diff.
The networks are quantized on noise, so that only kernels, planner and compiler move the figures.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
from functools import cache
from pathlib import Path

import numpy as np

from mbn2c.commands import demo
from mbn2c.commands.bench.measure import Measured, measure
from mbn2c.firmware.toolchain import find_compiler
from mbn2c.ir.graph import Graph
from mbn2c.network.options import RANDOM, NetworkOptions
from mbn2c.network.read import read_network
from mbn2c.progress import no_progress
from mbn2c.targets import load_board, load_core

ROOT = Path(__file__).resolve().parent.parent
SHARED = ROOT.parent / "shared"
TABLE = ROOT / "tests" / "vectors" / "instruction_counts.json"
MODELS = {"digits": demo.MODEL_FILE, "vww_96": SHARED / "models" / "vww_96.onnx"}
# A board for each core that counts and has memory enough.
BOARDS = {
    "cortex-m0plus": "qemu-mps2-an385",
    "cortex-m3": "qemu-mps2-an385",
    "cortex-m4": "qemu-mps2-an386",
    "cortex-m7": "qemu-mps2-an500",
    "cortex-m33": "qemu-mps2-an505",
    "cortex-m55": "qemu-mps3-an547",
    "rv32imc": "qemu-riscv32-virt",
}
# All that are counted; the tables of docs/benchmarks.md are of microcontrollers.
COUNTED = {**BOARDS, "aarch64-neon": "aarch64-user", "aarch64-dotprod": "aarch64-user"}
OPTIMIZE = "speed"


@cache
def network(model: str) -> Graph:
    """The int8 Graph of a model, calibrated on noise."""
    return read_network(NetworkOptions(model=MODELS[model], calib=RANDOM), (), no_progress).graph


def count(model: str, core: str) -> Measured:
    """One inference of noise on the core's emulated board."""
    graph = network(model)
    shape = graph.tensors[graph.inputs[0].tensor].shape
    noise = np.random.default_rng(0).integers(-128, 128, shape).astype(np.int8)
    with tempfile.TemporaryDirectory() as folder:
        return measure(graph, load_core(core), load_board(COUNTED[core]), OPTIMIZE, noise, Path(folder))


def compiler_version(core: str) -> str:
    """The counts hold for one version only."""
    command = [find_compiler(load_core(core)), "-dumpfullversion"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def main() -> None:
    counts: dict[str, dict[str, int]] = {}
    for model in MODELS:
        counts[model] = {}
        for core in COUNTED:
            measured = count(model, core)
            if measured.mismatches:
                raise SystemExit(f"{model} on {core}: {measured.mismatches} output bytes differ from the reference")
            counts[model][core] = measured.instructions
            print(f"{model:8} {core:14} {measured.instructions:>12,}", flush=True)
    versions = {core: compiler_version(core) for core in COUNTED}
    text = json.dumps({"compilers": versions, "instructions": counts}, indent=2)
    TABLE.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
