"""A cell of a committed table of figures, measured again on its emulated board."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from benchmark_scripts import script
from firmware import missing_tool

from mbn2c.targets import load_board, load_core

# Of instructions, either way: counts are exact for one compiler, but a constant in a header may move them.
SLACK = 0.01
SLACK_BYTES = 64
_COUNTED = script("instruction_counts")


def check_cell(core: str, expected: Any, measure: Callable[[], tuple[Any, str]]) -> Any:
    """What was measured; skips where a tool is missing or the compiler is another.

    expected  figures of the table: gcc, instructions, ram_bytes and more
    measure   the same now, and what differs from the reference
    """
    if lacking := missing_tool(load_core(core), load_board(_COUNTED.COUNTED[core])):
        pytest.skip(f"not installed: {lacking}")
    installed = _COUNTED.compiler_version(core)
    if installed != expected.gcc:
        pytest.skip(f"the figures are of GCC {expected.gcc}, installed is {installed}")
    found, wrong = measure()
    assert wrong == ""
    assert abs(found.instructions / expected.instructions - 1) <= SLACK, "is that wanted? run the table's script"
    assert abs(found.ram_bytes - expected.ram_bytes) <= SLACK_BYTES, "is that wanted? run the table's script"
    return found
