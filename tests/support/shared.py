"""The real models and images beside the checkout, which are used when present and never committed."""

from __future__ import annotations

from pathlib import Path

import pytest
from places import ROOT

SHARED = ROOT.parent / "shared"


def shared(path: str) -> Path:
    """A file of ../shared; skips the test, in words, where it is not."""
    found = SHARED / path
    if not found.exists():
        pytest.skip(f"../shared/{path} is not here: this test needs the real models and images")
    return found
