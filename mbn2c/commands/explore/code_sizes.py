"""What the code of a family takes on a core, as a build for it measures it. Renewed by benchmarks/explore.py."""

from __future__ import annotations

import csv
from functools import cache
from pathlib import Path

from mbn2c.ir.plan import Plan

FILE = Path(__file__).with_name("code_sizes.csv")
YES, NO = "yes", "no"


@cache
def _table() -> dict[tuple[str, str, str], int]:
    with FILE.open(newline="", encoding="utf-8") as file:
        return {(row["core"], row["family"], row["pieces"]): int(row["code_bytes"]) for row in csv.DictReader(file)}


def has_pieces(plan: Plan) -> bool:
    """Whether some rows are made in pieces: 3 to 5 KiB of other kernels."""
    return any(call.pieces for call in plan.calls)


def code_bytes_of(core: str, family: str, plan: Plan) -> int | None:
    """Bytes of code and of the compiler's own constants, whatever the width and size; None: not measured."""
    return _table().get((core, family, YES if has_pieces(plan) else NO))
