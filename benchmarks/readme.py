"""Fills the outputs in README.md: runs each command of the table below and puts what it prints under its marker.

    .venv/bin/python benchmarks/readme.py            (needs ../shared for the worked example)

A marker is a line `<!-- output: NAME -->` before a fenced block.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SHARED = ROOT.parent / "shared"
VWW_IMAGES = str(SHARED / "data" / "vww_96")
BOARD = "qemu-mps2-an500"

# name -> words after `mbn2c`, run in order in one empty folder
COMMANDS: dict[str, list[str]] = {
    "demo": ["demo"],
    "inspect": ["inspect", str(SHARED / "models" / "vww_96.onnx")],
    "build": [
        *("build", str(SHARED / "models" / "vww_96.onnx"), "--target", "cortex-m7", "--board", BOARD),
        *("--calib", VWW_IMAGES, "--preprocess", "unit", "--resize", "stretch", "--name", "person", "-o", "out/person"),
    ],
    "verify": [
        *("verify", "out/person", "--board", BOARD, "--images", VWW_IMAGES),
        *("--labels", f"{VWW_IMAGES}/labels.csv", "--limit", "40"),
    ],
}
# Longer outputs are cut in the middle to this many lines.
MOST_LINES = 26


def output_of(words: list[str], folder: str) -> str:
    """What a command prints, without what hangs on the clock and differs on every run."""
    print("mbn2c", *words, file=sys.stderr)
    run = subprocess.run(
        [sys.executable, "-m", "mbn2c", *words], cwd=folder, stdout=subprocess.PIPE, check=True, text=True
    )
    lines = re.sub(r", [\d.]+ (s|images/s)$", "", run.stdout.rstrip(), flags=re.MULTILINE).splitlines()
    if len(lines) > MOST_LINES:
        half = MOST_LINES // 2
        lines = [*lines[:half], f"... {len(lines) - 2 * half} lines ...", *lines[-half:]]
    return "\n".join(lines)


def main() -> None:
    readme = ROOT / "README.md"
    text = readme.read_text(encoding="utf-8")
    with tempfile.TemporaryDirectory() as folder:
        for name, words in COMMANDS.items():
            block = re.compile(rf"(<!-- output: {name} -->\n```\n).*?(\n```)", re.DOTALL)
            if not block.search(text):
                raise SystemExit(f"README.md has no marker for '{name}'")
            output = output_of(words, folder)
            text = block.sub(lambda found, output=output: found.group(1) + output + found.group(2), text)
    readme.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
