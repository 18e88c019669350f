"""ruff on everything, mypy --strict on the package."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter

import pytest
from places import ROOT

TOOLS = {
    "ruff": ["ruff", "check", "--no-cache", "."],
    "mypy": ["mypy", "mbn2c"],
}


@pytest.mark.parametrize("tool", TOOLS)
def test_tool_has_no_complaint(tool: str) -> None:
    done = subprocess.run([sys.executable, "-m", *TOOLS[tool]], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_no_two_test_files_share_a_name() -> None:
    """pytest imports one module of a name: the other file would not be collected."""
    names = Counter(file.name for file in (ROOT / "tests").rglob("test_*.py"))
    assert [name for name, count in names.items() if count > 1] == []
