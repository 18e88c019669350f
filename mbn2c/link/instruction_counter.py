"""Counts the guest instructions of each inference in QEMU: compiles the plugin, reads what it wrote."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from mbn2c.errors import BoardError
from mbn2c.files.elf import read_elf
from mbn2c.resources.folders import templates


@dataclass(frozen=True)
class Table:
    """Instructions per function and class, and their cycles, besides the total.

    ranges  file of address ranges, as templates/emulator/count_instructions.c wants it
    path    file the plugin writes when QEMU ends
    costs   file of each instruction's cycles, as the plugin wants it; None: cycles are 0
    """

    ranges: Path
    path: Path
    costs: Path | None = None

    def read(self) -> dict[str, tuple[int, ...]]:
        """Counts per class, least and most cycles by range name; ranges of the same name are added up.

        raises  BoardError if there is no file
        """
        if not self.path.exists():
            raise BoardError("the emulator wrote no instruction table", hint="mbn2c doctor")
        counts: dict[str, tuple[int, ...]] = {}
        for line in self.path.read_text(encoding="ascii").splitlines():
            name, *numbers = line.split()
            seen = tuple(int(number) for number in numbers)
            counts[name] = tuple(a + b for a, b in zip(counts.get(name, (0,) * len(seen)), seen, strict=True))
        return counts


@dataclass(frozen=True)
class InstructionCounter:
    """A plugin set to count between `mbn_count_start` and `mbn_count_stop` of one firmware.

    counts     text file: one decimal line per closed bracket
    histogram  text file, written when QEMU ends; None for none
    """

    plugin: Path
    start: int
    stop: int
    counts: Path
    histogram: Path | None = None
    table: Table | None = None

    @property
    def arguments(self) -> list[str]:
        """For the command line of QEMU, system or user mode."""
        options = f"{self.plugin},start={self.start:#x},stop={self.stop:#x},out={self.counts}"
        if self.histogram is not None:
            options += f",histogram={self.histogram}"
        if self.table is not None:
            options += f",ranges={self.table.ranges},table={self.table.path}"
            if self.table.costs is not None:
                options += f",costs={self.table.costs}"
        return ["-plugin", options]

    def read(self) -> list[int]:
        """Instructions of each bracket so far."""
        if not self.counts.exists():
            return []
        text = self.counts.read_text(encoding="ascii")
        return [int(line) for line in text[: text.rfind("\n") + 1].split()]


def instruction_counter(
    elf: Path, folder: Path, histogram: Path | None = None, table: Table | None = None
) -> InstructionCounter:
    """A counter for the firmware `elf` that writes into `folder`."""
    symbols = read_elf(elf)
    return InstructionCounter(
        plugin=build_plugin(),
        start=symbols.address("mbn_count_start"),
        stop=symbols.address("mbn_count_stop"),
        counts=folder / "counts.txt",
        histogram=histogram,
        table=table,
    )


def build_plugin() -> Path:
    """The compiled plugin, from the user's cache folder; compiled on first use.

    raises  BoardError without a compiler
    """
    source = templates() / "emulator" / "count_instructions.c"
    key = hashlib.sha256(source.read_bytes()).hexdigest()[:16]
    library = _cache_folder() / f"count_instructions-{key}.so"
    if library.exists():
        return library
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        raise BoardError("no C compiler for the instruction counter", hint="apt install gcc libc6-dev")
    with tempfile.TemporaryDirectory(dir=library.parent) as folder:
        built = Path(folder) / library.name
        command = [compiler, "-shared", "-fPIC", "-O2", "-o", str(built), str(source)]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        if result.returncode != 0:
            raise BoardError(
                "the instruction counter does not compile", where=result.stderr.strip()[-400:], hint="mbn2c doctor"
            )
        built.replace(library)
    return library


def _cache_folder() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    folder = Path(base) / "mbn2c"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if os.access(folder, os.W_OK):
            return folder
    except OSError:
        pass
    return Path(tempfile.mkdtemp(prefix="mbn2c-"))
