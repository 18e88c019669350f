"""What the code of a family takes on a core, as a build for it measures it. Renewed by benchmarks/explore.py."""

from __future__ import annotations

import csv
from functools import cache
from pathlib import Path

FILE = Path(__file__).with_name("code_sizes.csv")


@cache
def _table() -> dict[tuple[str, str], int]:
    with FILE.open(newline="", encoding="utf-8") as file:
        return {(row["core"], row["family"]): int(row["code_bytes"]) for row in csv.DictReader(file)}


def code_bytes_of(core: str, family: str) -> int | None:
    """Bytes of code and of the compiler's own constants, whatever the width and size; None: not measured."""
    return _table().get((core, family))
