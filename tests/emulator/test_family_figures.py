"""No family of no exporter becomes slower, larger or wrong on a core unseen: cells of a committed table.

benchmarks/families.py writes the table and says how a cell is made.
"""

from __future__ import annotations

import pytest
from benchmark_scripts import script
from firmware import missing_tool

from mbn2c.targets import load_board, load_core

# Of instructions, either way: counts are exact for one compiler, but a constant in a header may move them.
SLACK = 0.01
SLACK_BYTES = 64
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
    if lacking := missing_tool(load_core(core), load_board(FAMILIES.BOARDS[core])):
        pytest.skip(f"not installed: {lacking}")
    expected, installed = TABLE[cell], FAMILIES.compiler_version(core)
    if installed != expected.gcc:
        pytest.skip(f"the figures are of GCC {expected.gcc}, installed is {installed}")
    found, wrong = FAMILIES.measure_cell(*cell, tmp_path_factory.getbasetemp() / f"families_{core}")
    assert wrong == ""
    assert abs(found.instructions / expected.instructions - 1) <= SLACK, "is that wanted? benchmarks/families.py"
    assert abs(found.ram_bytes - expected.ram_bytes) <= SLACK_BYTES, "is that wanted? benchmarks/families.py"
