"""The import ladder of the house holds: `.importlinter` names the layers and the doors."""

from __future__ import annotations

import subprocess
import sys

from places import ROOT


def test_imports_point_down_the_ladder() -> None:
    command = "from importlinter.cli import lint_imports; raise SystemExit(lint_imports(no_cache=True, no_logo=True))"
    done = subprocess.run([sys.executable, "-c", command], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
