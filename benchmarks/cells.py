"""Figures of networks on emulated boards: one cell measured, tables of cells on disk, a script's tables in a page.

A cell is a dataclass of texts and whole numbers, found by a few words.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from emulated import first_wrong_step
from pages import renew

from mbn2c.commands.bench.measure import Measured, measure_choice
from mbn2c.firmware import toolchain
from mbn2c.link.session import EMULATED, Session
from mbn2c.link.transports.emulator import EmulatedBoard
from mbn2c.planner.choice import Choice
from mbn2c.targets import Board, Core

Key = TypeVar("Key", bound=tuple[str, ...])
Figures = TypeVar("Figures")


def measure_all_rows(choice: Choice, core: Core, board: Board, image: np.ndarray, folder: Path) -> tuple[Measured, str]:
    """What one inference takes, and what differs first from the reference, of each row of each step: "" for nothing.

    image   int8 NHWC, what the network starts from
    folder  where the firmware is built; with that of another network of the same core, its kernels are compiled already
    """
    measured = measure_choice(choice, core, board, image, folder)
    elf = toolchain.build(folder, "network", core, board).path  # which is there
    digest = hashlib.sha256(choice.plan.graph.name.encode()).digest()
    with EmulatedBoard(board, elf) as transport:
        return measured, first_wrong_step(Session(transport, digest=digest, timing=EMULATED), choice.plan, image)


def read_cells(file: Path, key: Sequence[str], made: type[Figures]) -> dict[tuple[str, ...], Figures]:
    """key: the names of the first columns; the others are the fields of `made`."""
    if not file.exists():
        return {}
    with file.open(encoding="utf-8", newline="") as opened:
        head, *rows = csv.reader(opened)
    columns = fields(made)  # type: ignore[arg-type]
    assert head == [*key, *(one.name for one in columns)]
    return {
        tuple(row[: len(key)]): made(
            *(
                cell if one.type in (str, "str") else int(cell)
                for one, cell in zip(columns, row[len(key) :], strict=True)
            )
        )
        for row in rows
    }


def write_cells(
    file: Path, key: Sequence[str], made: type[Figures], found: Mapping[Key, Figures], order: Iterable[Key]
) -> None:
    """In that order, those that are there."""
    with file.open("w", encoding="utf-8", newline="") as opened:
        writer = csv.writer(opened, lineterminator="\n")
        writer.writerow((*key, *(one.name for one in fields(made))))  # type: ignore[arg-type]
        writer.writerows((*cell, *astuple(found[cell])) for cell in order if cell in found)  # type: ignore[call-overload]


@dataclass(frozen=True)
class ModelTables:
    """The tables of a page, some of them made of cells (model, core).

    about           what the script says of itself
    page            its tables are called `<topic> <name>`
    of_cells        names of tables, each with what makes it for some models; these need cells
    others          those that do not
    models, cores   that there are
    cells           all that there may be, in order
    measure         a cell's model and core, and a folder -> its figures, and what differs from the reference
    read, write     the cells on disk
    """

    about: str
    page: Path
    topic: str
    of_cells: Mapping[str, Callable[[Sequence[str]], str]]
    others: Mapping[str, Callable[[Sequence[str]], str]]
    models: Sequence[str]
    cores: Sequence[str]
    cells: Sequence[tuple[str, str]]
    measure: Callable[[str, str, Path], tuple[Any, str]]
    read: Callable[[], dict[tuple[str, str], Any]]
    write: Callable[[Mapping[tuple[str, str], Any]], None]

    def main(self) -> None:
        """What the command line asks for: cells measured one by one, and tables renewed."""
        tables = {**self.of_cells, **self.others}
        parser = argparse.ArgumentParser(description=self.about, formatter_class=argparse.RawDescriptionHelpFormatter)
        parser.add_argument("tables", nargs="*", metavar="TABLE", help=f"of {', '.join(tables)} (default all)")
        parser.add_argument("--models", nargs="+", choices=tuple(self.models), default=list(self.models))
        parser.add_argument("--cores", nargs="+", choices=tuple(self.cores), default=list(self.cores))
        parser.add_argument("--missing", action="store_true", help="only the cells that are not there")
        options = parser.parse_args()
        chosen = [name for name in tables if name in (options.tables or tables)]
        if any(name in self.of_cells for name in chosen):
            there = self.read() if options.missing else {}
            asked = [cell for cell in self.cells if cell[0] in options.models and cell[1] in options.cores]
            self.renew_cells(cell for cell in asked if cell not in there)
        for name in chosen:
            table = tables[name](options.models)
            print(f"{table}\n", flush=True)
            renew(self.page, f"{self.topic} {name}", table)

    def renew_cells(self, wanted: Iterable[tuple[str, str]]) -> None:
        """One by one, each written as soon as it is measured. Raises SystemExit if one differs from the reference."""
        for cell in wanted:
            with tempfile.TemporaryDirectory() as folder:
                figures, wrong = self.measure(*cell, Path(folder))
            if wrong:
                raise SystemExit(f"{', '.join(cell)}: {wrong} differs from the reference")
            print(*cell, figures, file=sys.stderr, flush=True)
            self.write({**self.read(), cell: figures})
