"""Writes tests/vectors/families.csv: what each family of each exporter takes on every emulated core.

    PYTHONPATH=tests/support .venv/bin/python benchmarks/families.py [FAMILY ...] [--cores CORE ...] [--missing]

Small networks (a quarter of the width, 64x64), random weights, quantized on noise, planned for `balanced`. A cell is
written only if every row of every step, and the outputs, are the reference's on the emulated board; instructions are of
one inference, RAM is arena, context and worst-case stack. Cells that are not measured stay as they are. `make test`
compares some of them with the file, `make test-all` all: run this after a change that is meant to move them, and look
at the diff.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import onnx
from cells import measure_all_rows, read_cells, write_cells
from instruction_counts import BOARDS, compiler_version
from networks import quantized
from onnx_models.families import EXPORTERS, FAMILIES, NARROW

from mbn2c.ir.graph import Graph
from mbn2c.network.lowered import import_lowered
from mbn2c.planner.choice import choose_plan
from mbn2c.targets import load_board, load_core

TABLE = Path(__file__).resolve().parent.parent / "tests" / "vectors" / "families.csv"
KEY = ("family", "exporter", "core")
GOAL = "balanced"
SIZE = 64
# Those of the boards that the families are verified on; Cortex-M33 has Cortex-M4's kernels.
CORES = ("cortex-m0plus", "cortex-m4", "cortex-m7", "cortex-m55", "rv32imc")

Cell = tuple[str, str, str]


@dataclass(frozen=True)
class Figures:
    """What a cell says; gcc is the version of the compiler."""

    gcc: str
    instructions: int
    ram_bytes: int


def cells() -> Iterator[Cell]:
    """(family, exporter, core), in the order of the table."""
    yield from ((family, exporter, core) for family in FAMILIES for exporter in EXPORTERS for core in CORES)


def read_table() -> dict[Cell, Figures]:
    return read_cells(TABLE, KEY, Figures)  # type: ignore[return-value]


def write_table(found: Mapping[Cell, Figures]) -> None:
    write_cells(TABLE, KEY, Figures, found, cells())


@cache
def network(family: str, exporter: str) -> Graph:
    """The int8 Graph of an exporter's file."""
    model = FAMILIES[family](NARROW[family], SIZE, EXPORTERS[exporter]).model()
    with tempfile.TemporaryDirectory() as folder:
        onnx.save(model, f"{folder}/net.onnx")
        return quantized(import_lowered(Path(folder) / "net.onnx"), 1)


def measure_cell(family: str, exporter: str, core: str, folder: Path) -> tuple[Figures, str]:
    """The figures, and what differs first from the reference: "" for nothing.

    folder  where the firmware is built; with that of another network of the same core, its kernels are compiled already
    """
    graph, board = network(family, exporter), load_board(BOARDS[core])
    choice = choose_plan(graph, load_core(core), GOAL)
    shape = graph.tensors[graph.inputs[0].tensor].shape
    noise = np.random.default_rng(0).integers(-128, 128, shape).astype(np.int8)
    measured, wrong = measure_all_rows(choice, load_core(core), board, noise, folder)
    return Figures(compiler_version(core), measured.instructions, measured.ram_bytes), wrong


def measure(wanted: Iterable[Cell]) -> None:
    """Renew these cells, one by one."""
    with tempfile.TemporaryDirectory() as folder:
        for cell in wanted:
            figures, wrong = measure_cell(*cell, Path(folder) / cell[2])
            if wrong:
                raise SystemExit(f"{', '.join(cell)}: {wrong} differs from the reference")
            print(*cell, figures, flush=True)
            write_table({**read_table(), cell: figures})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("families", nargs="*", metavar="FAMILY", help=f"of {', '.join(FAMILIES)}; all if none is named")
    parser.add_argument("--cores", nargs="+", choices=CORES, default=CORES)
    parser.add_argument("--exporters", nargs="+", choices=tuple(EXPORTERS), default=list(EXPORTERS))
    parser.add_argument("--missing", action="store_true", help="only the cells that the table does not have")
    options = parser.parse_args()
    there = read_table() if options.missing else {}
    wanted = (options.families or FAMILIES, options.exporters, options.cores)
    measure(
        cell
        for cell in cells()
        if cell not in there and all(part in parts for part, parts in zip(cell, wanted, strict=True))
    )


if __name__ == "__main__":
    main()
