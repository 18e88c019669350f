"""No family of no exporter becomes slower, larger or wrong on a core unseen: cells of a committed table.

benchmarks/families.py writes the table and says how a cell is made.
"""

from __future__ import annotations

import pytest
from benchmark_scripts import script
from cell_figures import check_cell

QUICK = {("MobileNetV1", "Paddle", "cortex-m4"), ("SqueezeNet 1.1", "tf2onnx", "rv32imc")}

FAMILIES = script("families")
TABLE = FAMILIES.read_table()


def test_the_table_has_each_file() -> None:
    """Each exporter's file of each family on one core at least; `benchmarks/families.py --missing` measures others."""
    cells = list(FAMILIES.cells())
    assert list(TABLE) == [cell for cell in cells if cell in TABLE]
    assert {cell[:2] for cell in TABLE} == {cell[:2] for cell in cells}


@pytest.mark.parametrize(
    "cell",
    [pytest.param(cell, marks=() if cell in QUICK else pytest.mark.slow, id="-".join(cell)) for cell in TABLE],
)
def test_a_cell(cell: tuple[str, str, str], tmp_path_factory: pytest.TempPathFactory) -> None:
    core = cell[2]
    folder = tmp_path_factory.getbasetemp() / f"families_{core}"
    check_cell(core, TABLE[cell], lambda: FAMILIES.measure_cell(*cell, folder))
