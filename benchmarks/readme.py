"""Fills README.md and docs/tutorial.md: runs each command below and puts what it prints under its marker; the headline
table is taken from the tables of docs/benchmarks.md.

    .venv/bin/python benchmarks/readme.py [NAME ...]    (the worked example needs ../shared)
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from pages import BENCHMARKS, README, ROOT, markdown, renew, renew_output, table_rows

SHARED = ROOT.parent / "shared"
TUTORIAL = ROOT / "docs" / "tutorial.md"
VWW_IMAGES = str(SHARED / "data" / "vww_96")
BOARD = "qemu-mps2-an500"
# Longer outputs are cut in the middle to this many lines.
MOST_LINES = 26


@dataclass(frozen=True)
class Example:
    """A command of a page.

    words  after `mbn2c`
    lines  how those begin that are shown; () for all
    """

    page: Path
    words: tuple[str, ...]
    lines: tuple[str, ...] = ()


# By marker, run in order in one empty folder.
EXAMPLES = {
    "demo": Example(
        README,
        ("demo",),
        (
            *("model ", "target ", "RAM ", "device ", "device against", "reference against"),
            *("top-1 of the device", "instructions per inference"),
        ),
    ),
    "inspect": Example(TUTORIAL, ("inspect", str(SHARED / "models" / "vww_96.onnx"))),
    "build": Example(
        TUTORIAL,
        (
            *("build", str(SHARED / "models" / "vww_96.onnx"), "--target", "cortex-m7", "--board", BOARD),
            *("--calib", VWW_IMAGES, "--preprocess", "unit", "--resize", "stretch", "--name", "person"),
            *("-o", "out/person"),
        ),
    ),
    "verify": Example(
        TUTORIAL,
        (
            *("verify", "out/person", "--board", BOARD, "--images", VWW_IMAGES),
            *("--labels", f"{VWW_IMAGES}/labels.csv", "--limit", "40"),
        ),
    ),
}


def output_of(example: Example, folder: str) -> str:
    """What a command prints, without what hangs on the clock and differs on every run."""
    print("mbn2c", *example.words, file=sys.stderr)
    run = subprocess.run(
        [sys.executable, "-m", "mbn2c", *example.words], cwd=folder, stdout=subprocess.PIPE, check=True, text=True
    )
    lines = re.sub(r", [\d.]+ (s|images/s)$", "", run.stdout.rstrip(), flags=re.MULTILINE).splitlines()
    if example.lines:
        found = [next((line for line in lines if line.startswith(start)), None) for start in example.lines]
        if None in found:
            raise SystemExit(f"no line of 'mbn2c {example.words[0]}' begins with '{example.lines[found.index(None)]}'")
        lines = [line for line in lines if line in found]
    if len(lines) > MOST_LINES:
        half = MOST_LINES // 2
        lines = [*lines[:half], f"... {len(lines) - 2 * half} lines ...", *lines[-half:]]
    return "\n".join(lines)


def headline() -> str:
    """Six rows of what is in docs/benchmarks.md."""
    rows = []
    networks = {"vww_96": "MobileNetV1 0.25, 96x96", "mobilenet_v2_1.0_224": "MobileNetV2 1.0, 224x224"}
    for network, title in networks.items():
        cores = table_rows(BENCHMARKS, network)
        for core in ("Cortex-M4", "Cortex-M55 (Helium)"):
            speed, balanced, _, _, peer, *_ = cores[core,]
            best = min((speed, balanced), key=float)
            factor = float(peer.split(" ")[0]) / float(best)
            rows.append((f"{title}, {core}: M instructions", best, f"{peer.split(' ')[0]} ({factor:.1f} x)"))
    memory = table_rows(BENCHMARKS, "memory", key_cells=2)
    for network, title in networks.items():
        smallest, _, _, elsewhere = memory[network, "cortex-m7"]
        rows.append((f"{title}, Cortex-M7: RAM in all, KiB", smallest.split(" ")[0], elsewhere))
    return markdown(
        ("one inference, every output byte compared", "mbn2c", "best open peer measured or published"), rows
    )


def main() -> None:
    names = sys.argv[1:] or ["headline", *EXAMPLES]
    if "headline" in names:
        renew(README, "headline", headline())
    with tempfile.TemporaryDirectory() as folder:
        for name, example in EXAMPLES.items():
            if name in names:
                renew_output(example.page, name, output_of(example, folder))


if __name__ == "__main__":
    main()
