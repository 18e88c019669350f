"""No segmenter becomes slower, larger or wrong on a core unseen: cells of a committed table.

benchmarks/segmentation.py writes the table and says how a cell is made.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from benchmark_scripts import script
from cell_figures import check_cell

SEGMENTATION = script("segmentation")
TABLE = SEGMENTATION.read_figures()


def test_the_table_is_in_order() -> None:
    """`benchmarks/segmentation.py --missing` measures cells that it does not have."""
    assert list(TABLE) == [cell for cell in SEGMENTATION.cells() if cell in TABLE]


def test_what_must_be_reached_is() -> None:
    within = [
        figures.ram_bytes <= 1024 * SEGMENTATION.CASES[name].must
        for (name, core), figures in TABLE.items()
        if core == SEGMENTATION.CORE and SEGMENTATION.CASES[name].must
    ]
    assert within and all(within)


@pytest.mark.slow
@pytest.mark.parametrize("cell", [pytest.param(cell, id="-".join(cell)) for cell in TABLE])
def test_a_cell(cell: tuple[str, str], tmp_path: Path) -> None:
    if not (SEGMENTATION.SHARED / "models").is_dir():
        pytest.skip("../shared/models is not here: this test needs the real models")
    check_cell(cell[1], TABLE[cell], lambda: SEGMENTATION.measure_cell(*cell, tmp_path))
