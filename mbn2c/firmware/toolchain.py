"""Turns an output folder into a built firmware or library, and tells what it takes of the board's memories.

`make` does the work, with the Makefile that lies in the folder: what mbn2c runs the user can run too.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from mbn2c.errors import BoardError, FitError, InternalError, UsageError
from mbn2c.files.elf import read_elf, read_object
from mbn2c.targets import Board, Core

BUILD_FOLDER = "build"
"""Where the Makefile builds."""
_MOST_JOBS = 4
# Variables by which make or the compiler would take in other files.
_MISLEADING = {"MAKEFILES", "MAKEFLAGS", "MFLAGS", "GNUMAKEFLAGS", "MAKELEVEL", "VPATH"} | {
    *("CPATH", "C_INCLUDE_PATH", "LIBRARY_PATH", "COMPILER_PATH", "GCC_EXEC_PREFIX"),
    *("DEPENDENCIES_OUTPUT", "SUNPRO_DEPENDENCIES"),
}
_UNWRITABLE = re.compile(r"(No space left on device|Disk quota exceeded|File too large|Read-only file system)")
_KILLED = re.compile(r"\bKilled\b")
_OVERFLOW = re.compile(r"region [`']([^']+)' overflowed by (\d+) bytes")
_WONT_FIT = re.compile(r"section [`']([^']+)' will not fit in region [`']([^']+)'")
_PIECE = re.compile(r"^ (\S+)\s+0x([0-9a-f]+)\s+0x([0-9a-f]+)\s+(\S.*)$")
_PIECE_NAME = re.compile(r"^ (\.\S+|COMMON)$")
_PIECE_REST = re.compile(r"^\s+0x([0-9a-f]+)\s+0x([0-9a-f]+)\s+(\S.*)$")
_OUTPUT_SECTION = re.compile(r"^(\.\S+)")
_KINDS = (
    ("code", (".text", ".vectors", ".init", ".fini", ".plt")),
    ("constants", (".rodata", ".srodata", ".data.rel.ro", ".weights")),
    ("data", (".data", ".sdata")),
    ("zero", (".bss", ".sbss", ".arena", "COMMON")),
)


@dataclass(frozen=True)
class Piece:
    """One section of one object file, as linked.

    object   name of the object file, "person.o"; "libc.a(memcpy.o)" for a library's
    section  its name there, ".rodata.person_weights"
    kind     "code", "constants", "data" (initialised variables) or "zero"
    """

    object: str
    section: str
    kind: str
    size_bytes: int


@dataclass(frozen=True)
class Built:
    """What make has made: the ELF file or library, and its pieces."""

    path: Path
    pieces: tuple[Piece, ...]

    def size_bytes(self, kinds: tuple[str, ...], objects: frozenset[str] | None = None) -> int:
        """Bytes of all pieces of these kinds, of all objects or of those named."""
        return sum(
            piece.size_bytes
            for piece in self.pieces
            if piece.kind in kinds and (objects is None or piece.object in objects)
        )


def find_compiler(core: Core) -> str:
    """Path of the C compiler for `core`. Raises BoardError naming the package that brings it."""
    path = shutil.which(core.prefix + "gcc")
    if path is None:
        raise BoardError(
            f"no compiler for {core.name}: {core.prefix}gcc is not installed",
            where=f"targets/cores/{core.name}.toml",
            hint=f"apt install {core.apt}",
        )
    return path


def build(folder: Path, name: str, core: Core, board: Board | None = None, *, cflags: Sequence[str] = ()) -> Built:
    """Run make in `folder`.

    name    the model's C prefix
    board   None for the library
    cflags  compiler flags besides the core's own
    raises  BoardError if a tool is missing, FitError if a memory overflows, InternalError if our C does not compile,
            UsageError if what it makes cannot be written
    """
    find_compiler(core)
    make = shutil.which("make")
    if make is None:
        raise BoardError("make is not installed", hint="apt install make")
    jobs = f"-j{min(os.cpu_count() or 1, _MOST_JOBS)}"
    command = [
        make,
        "--no-print-directory",
        jobs,
        "-C",
        str(folder),
        *([f"EXTRA={' '.join(cflags)}"] if cflags else []),
    ]
    result = subprocess.run(
        command,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
        env=_environment(),
        stdin=subprocess.DEVNULL,
    )
    if result.returncode != 0:
        _raise_failed(result.stderr, board)
    made = folder / BUILD_FOLDER
    if board is not None:
        elf, link_map = made / f"{name}.elf", made / f"{name}.map"
        if not elf.is_file() or not link_map.is_file():
            raise InternalError(f"make does not make {BUILD_FOLDER}/{elf.name}", where="Makefile")
        return Built(elf, linked_pieces(link_map.read_text(encoding="utf-8", errors="replace")))
    return Built(made / f"lib{name}.a", library_pieces(name, sorted(made.glob("*.o"))))


def _environment() -> dict[str, str]:
    """The user's, without what would let make or the compiler take in other files; what they say is in English."""
    return {name: value for name, value in os.environ.items() if name not in _MISLEADING} | {"LC_ALL": "C"}


def memory_use(elf: Path, board: Board) -> dict[str, int]:
    """Bytes used of each memory of the board, the stack's reserve included, by memory name."""
    used = {memory.name: 0 for memory in board.memories}
    for section in read_elf(elf).sections:
        for memory in board.memories:
            if memory.origin <= section.address < memory.origin + memory.size_bytes:
                used[memory.name] += section.size_bytes
    if board.memories:
        # Variables with initial values lie in flash too, behind the constants.
        initial = [section.size_bytes for section in read_elf(elf).sections if section.name == ".data"]
        used[board.memory("constants").name] += sum(initial)
    return used


def linked_pieces(link_map: str) -> tuple[Piece, ...]:
    """The pieces that GNU ld's map file says were kept, in address order."""
    _, _, text = link_map.partition("Linker script and memory map")
    found: list[Piece] = []
    output = ""
    pending = ""
    for line in text.splitlines():
        if header := _OUTPUT_SECTION.match(line):
            output = header.group(1)
        if whole := _PIECE.match(line):
            section, _, size, origin = whole.groups()
        elif name := _PIECE_NAME.match(line):
            pending = name.group(1)
            continue
        elif pending and (rest := _PIECE_REST.match(line)):
            section, (_, size, origin) = pending, rest.groups()
        else:
            pending = ""
            continue
        pending = ""
        kind = _kind_of(section) or _kind_of(output)
        if kind and int(size, 16) and not section.startswith("*"):
            found.append(Piece(_object_name(origin), section, kind, int(size, 16)))
    return tuple(found)


def library_pieces(name: str, objects: Iterable[Path]) -> tuple[Piece, ...]:
    """What a linker that leaves out unused sections keeps of it for a program that runs the network.

    name  the network's C prefix: what its own file does not need, as of kernels and helpers, is left out
    """
    sections = [(path.name, section) for path in objects for section in read_object(path)]
    makers = {label: place for place, (_, section) in enumerate(sections) for label in section.labels}
    kept: set[int] = set()
    wanted = [place for place, (owner, _) in enumerate(sections) if owner == f"{name}.o"]
    while wanted:
        place = wanted.pop()
        if place not in kept:
            kept.add(place)
            wanted += [makers[label] for label in sections[place][1].refers if label in makers]
    return tuple(
        Piece(owner, section.name, kind, section.size_bytes)
        for owner, section in (sections[place] for place in sorted(kept))
        if section.size_bytes and (kind := _kind_of(section.name))
    )


def _kind_of(section: str) -> str:
    for kind, stems in _KINDS:
        if any(section == stem or section.startswith(stem + ".") for stem in stems):
            return kind
    return ""


def _object_name(origin: str) -> str:
    return origin.strip().rsplit("/", 1)[-1]


def _raise_failed(errors: str, board: Board | None) -> None:
    where = f"targets/boards/{board.name}.toml" if board is not None else ""
    hint = "--optimize ram, a smaller input or width, or a board with more memory"
    if (overflow := _OVERFLOW.search(errors)) and board is not None:
        name, excess = overflow.group(1), int(overflow.group(2))
        size = next((memory.size_bytes for memory in board.memories if memory.name == name), 0)
        raise FitError(f"{size + excess:,} B do not fit '{name}' ({size:,} B)", where=where, hint=hint)
    if unwritable := _UNWRITABLE.search(errors):
        raise UsageError(
            f"cannot write what is compiled: {unwritable.group(1)}", hint="make room on the disk or in TMPDIR"
        )
    if _KILLED.search(errors):
        raise BoardError("the compiler was killed", hint="it may need more memory than this computer has free")
    if fit := _WONT_FIT.search(errors):
        raise FitError(f"section {fit.group(1)} does not fit '{fit.group(2)}'", where=where, hint=hint)
    first = next((line for line in errors.splitlines() if "error" in line), errors.strip()[-400:])
    raise InternalError(
        "the generated C does not build", where=first, hint="report it, with the model and what the compiler says"
    )
