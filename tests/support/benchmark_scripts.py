"""Scripts of benchmarks/ as modules: tests assert the figures that these print."""

from __future__ import annotations

import importlib
import sys
from types import ModuleType

from places import ROOT


def script(name: str) -> ModuleType:
    """benchmarks/NAME.py, which may import others beside it."""
    folder = str(ROOT / "benchmarks")
    if folder not in sys.path:
        sys.path.append(folder)
    return importlib.import_module(name)
