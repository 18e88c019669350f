"""No detector becomes slower, larger or wrong on a core unseen: cells of a committed table.

benchmarks/detection.py writes the table and says how a cell is made.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from benchmark_scripts import script
from cell_figures import SLACK_BYTES, check_cell

from mbn2c.planner.choice import choose_plan
from mbn2c.targets import load_core

PLANNED = ("st_ssd_mobilenet_v1_025_256", "cortex-m7")

DETECTION = script("detection")
TABLE = DETECTION.read_figures()


def need_models() -> None:
    if not DETECTION.DETECTION.is_dir():
        pytest.skip("../shared/models/detection is not here: this test needs the real models")


def test_the_table_is_in_order() -> None:
    """`benchmarks/detection.py --missing` measures cells that it does not have."""
    assert list(TABLE) == [cell for cell in DETECTION.cells() if cell in TABLE]
    assert PLANNED in TABLE


def test_an_arena_is_as_planned() -> None:
    need_models()
    name, core = PLANNED
    choice = choose_plan(DETECTION.network(name).graph, load_core(core), DETECTION.GOAL)
    assert abs(choice.plan.arena_bytes - TABLE[PLANNED].arena_bytes) <= SLACK_BYTES, "is that wanted?"


@pytest.mark.slow
@pytest.mark.parametrize("cell", [pytest.param(cell, id="-".join(cell)) for cell in TABLE])
def test_a_cell(cell: tuple[str, str], tmp_path: Path) -> None:
    need_models()
    found = check_cell(cell[1], TABLE[cell], lambda: DETECTION.measure_cell(*cell, tmp_path))
    assert found.boxes == TABLE[cell].boxes > 0
