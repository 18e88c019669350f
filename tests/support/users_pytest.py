"""A pytest of its own, as a user of the plugin starts it."""

from __future__ import annotations

import importlib.metadata
import os
import subprocess
import sys
from pathlib import Path

import mbn2c


def run_pytest(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run it in a folder; the plugin is named where mbn2c is not installed, which would name it too."""
    installed = "mbn2c" in importlib.metadata.entry_points(group="pytest11").names
    named = [] if installed else ["-p", "mbn2c.commands.pytest_plugin"]
    command = [sys.executable, "-m", "pytest", "-q", "-rs", "-p", "no:cacheprovider", *named]
    environment = {**os.environ, "PYTHONPATH": str(Path(mbn2c.__file__).parent.parent)}
    return subprocess.run([*command, *words], cwd=folder, capture_output=True, text=True, env=environment)
