"""Detectors on emulated boards: what the committed table says, and the same again.

benchmarks/detectors_verified.py writes the table and says how a cell is made.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from benchmark_scripts import script
from firmware import missing_tool

from mbn2c.targets import load_board, load_core

DETECTION, VERIFIED = script("detection"), script("detectors_verified")
TABLE = VERIFIED.read_verified()


def test_the_table_says_that_nothing_differs() -> None:
    assert TABLE and list(TABLE) == [cell for cell in VERIFIED.cells() if cell in TABLE]
    wrong = {cell: one for cell, one in TABLE.items() if not one.refused and not one.is_exact}
    assert not wrong
    assert all(one.boxes > 0 and one.images > 0 for one in TABLE.values() if not one.refused), "nothing was compared"


@pytest.mark.slow
@pytest.mark.parametrize("cell", [pytest.param(cell, id="-".join(cell)) for cell in TABLE])
def test_a_cell(cell: tuple[str, str], tmp_path: Path) -> None:
    name, core = cell
    if not DETECTION.DETECTION.is_dir():
        pytest.skip("../shared/models/detection is not here: this test needs the real models")
    if lacking := missing_tool(load_core(core), load_board(DETECTION.COUNTED[core])):
        pytest.skip(f"not installed: {lacking}")
    found = VERIFIED.verify(name, core, tmp_path)
    assert found.refused or found.is_exact
    assert (found.images, found.boxes, found.refused) == (TABLE[cell].images, TABLE[cell].boxes, TABLE[cell].refused)
