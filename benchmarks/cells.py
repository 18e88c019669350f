"""Figures of networks on emulated boards: one cell measured, and tables of cells on disk.

A cell is a dataclass of texts and whole numbers, found by a few words.
"""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import astuple, fields
from pathlib import Path
from typing import TypeVar

import numpy as np
from emulated import first_wrong_step

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
