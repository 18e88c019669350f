"""No change makes a network slower unseen: instructions per inference against a committed table.

benchmarks/instruction_counts.py writes the table and says how a count is made.
"""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from benchmark_scripts import script

from mbn2c.targets import load_board, load_core

# Counts are exact for one compiler version; what else may move them is a constant in a header, not a kernel.
SLACK = 0.01
QUICK = {
    *(
        ("digits", core)
        for core in ("cortex-m0plus", "cortex-m3", "cortex-m4", "cortex-m55", "rv32imc", "aarch64-dotprod")
    ),
    ("vww_96", "cortex-m4"),
    ("vww_96", "cortex-m0plus"),
}


COUNTS = script("instruction_counts")
TABLE = json.loads(COUNTS.TABLE.read_text(encoding="utf-8"))


def test_the_table_is_complete() -> None:
    assert TABLE["instructions"].keys() == COUNTS.MODELS.keys()
    for counts in TABLE["instructions"].values():
        assert counts.keys() == COUNTS.COUNTED.keys() == TABLE["compilers"].keys()


@pytest.mark.parametrize(
    ("model", "core"),
    [
        pytest.param(model, core, marks=() if (model, core) in QUICK else pytest.mark.slow)
        for model in COUNTS.MODELS
        for core in COUNTS.COUNTED
    ],
)
def test_instructions_per_inference(model: str, core: str, need_tool: Callable[[str], str]) -> None:
    if not COUNTS.MODELS[model].exists():
        pytest.skip(f"../shared/models/{model}.onnx is not here: this test needs the real models")
    emulator = load_board(COUNTS.COUNTED[core]).emulator
    assert emulator is not None
    for tool in (f"{load_core(core).prefix}gcc", emulator.program):
        need_tool(tool)
    recorded, installed = TABLE["compilers"][core], COUNTS.compiler_version(core)
    if installed != recorded:
        pytest.skip(f"the counts are of GCC {recorded}, installed is {installed}")
    measured = COUNTS.count(model, core)
    assert measured.mismatches == 0
    expected = TABLE["instructions"][model][core]
    assert measured.instructions <= expected * (1 + SLACK), "slower: is that wanted? benchmarks/instruction_counts.py"
    assert measured.instructions >= expected * (1 - SLACK), "faster: run benchmarks/instruction_counts.py"
