"""Renew `mbn2c/commands/explore/code_sizes.csv`: what a family's code takes on each bare-metal core.

    python benchmarks/explore.py [CORE ...]

A network is generated and compiled, none is run. Code differs by few hundred bytes between widths and sizes.
"""

from __future__ import annotations

import csv
import hashlib
import itertools
import sys
import tempfile
from pathlib import Path

from mbn2c.commands.explore.code_sizes import FILE, NO, YES, has_pieces
from mbn2c.commands.explore.families import FAMILIES
from mbn2c.commands.explore.untrained import untrained
from mbn2c.commands.sized_graph import sized
from mbn2c.emit.c_files import c_files
from mbn2c.emit.network.model import Names
from mbn2c.files.bundle import write_bundle
from mbn2c.firmware import toolchain
from mbn2c.firmware.sizes import network_sizes
from mbn2c.kernels import packed_constants
from mbn2c.planner.choice import choose_plan
from mbn2c.targets import Core, all_cores, load_core

# Width and size: one whose rows are cut into pieces, which takes other kernels, and one whose are not.
NETWORKS = ((0.5, 96), (0.25, 32))


def code_bytes(family: str, core: Core, width: float, size: int) -> tuple[bool, int]:
    """Whether rows come in pieces, and the code of the library that a build for the core makes."""
    graph = sized(untrained(family, width, size))
    choice = choose_plan(graph, core, "balanced", is_checked=False)
    names = Names("network", graph.name, hashlib.sha256(graph.name.encode()).digest())
    bundle = c_files(choice.plan, choice.kernels, names, core, None)
    arrays = sum(one.size_bytes for one in packed_constants(choice.plan, choice.kernels).values())
    sources = [path for path in bundle if path.endswith(".c") and "/" not in path]
    with tempfile.TemporaryDirectory() as folder:
        write_bundle(bundle, Path(folder))
        built = toolchain.build(Path(folder), names.prefix, core)
        code = network_sizes(Path(folder), names.prefix, sources, built, arrays).code_bytes
    return has_pieces(choice.plan), code


def main() -> None:
    """Measure the cores named, or all; other rows of the table stay."""
    cores = [load_core(name) for name in sys.argv[1:]] or [core for core in all_cores() if not core.hosted]
    rows = {}
    if FILE.is_file():
        with FILE.open(newline="") as file:
            rows = {(row["core"], row["family"], row["pieces"]): row["code_bytes"] for row in csv.DictReader(file)}
    for core in cores:
        for family, network in itertools.product(FAMILIES, NETWORKS):
            is_cut, size = code_bytes(family, core, *network)
            rows[core.name, family, YES if is_cut else NO] = str(size)
            print(core.name, family, network, is_cut, size, flush=True)
            with FILE.open("w", newline="") as file:
                writer = csv.writer(file, lineterminator="\n")
                writer.writerow(("core", "family", "pieces", "code_bytes"))
                writer.writerows((*key, value) for key, value in sorted(rows.items()))


if __name__ == "__main__":
    main()
