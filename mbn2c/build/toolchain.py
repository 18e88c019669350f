"""Turns an output folder into a built firmware or library, and tells what it takes of the board's memories.

`make` does the work, with the Makefile that lies in the folder: what mbn2c runs the user can run too.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from mbn2c.elf import read_elf
from mbn2c.errors import BoardError, FitError, InternalError
from mbn2c.target import Board, Core

_MOST_JOBS = 4
_OVERFLOW = re.compile(r"region [`']([^']+)' overflowed by (\d+) bytes")
_WONT_FIT = re.compile(r"section [`']([^']+)' will not fit in region [`']([^']+)'")
_PIECE = re.compile(r"^ (\S+)\s+0x([0-9a-f]+)\s+0x([0-9a-f]+)\s+(\S.*)$")
_PIECE_NAME = re.compile(r"^ (\.\S+|COMMON)$")
_PIECE_REST = re.compile(r"^\s+0x([0-9a-f]+)\s+0x([0-9a-f]+)\s+(\S.*)$")
_OUTPUT_SECTION = re.compile(r"^(\.\S+)")
_KINDS = (
    ("code", (".text", ".vectors", ".init", ".fini", ".plt")),
    ("constants", (".rodata", ".srodata", ".data.rel.ro")),
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


def build(folder: Path, name: str, core: Core, board: Board | None = None, *, build: str = "build") -> Built:
    """Run make in `folder`.

    name    the model's C prefix
    board   None for the library
    build   the folder that the Makefile builds in
    raises  BoardError if a tool is missing, FitError if a memory overflows, InternalError if our C does not compile
    """
    find_compiler(core)
    make = shutil.which("make")
    if make is None:
        raise BoardError("make is not installed", hint="apt install make")
    jobs = f"-j{min(os.cpu_count() or 1, _MOST_JOBS)}"
    command = [make, "--no-print-directory", jobs, "-C", str(folder)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        _raise_failed(result.stderr, board)
    if board is not None:
        elf = folder / build / f"{name}.elf"
        pieces = linked_pieces((folder / build / f"{name}.map").read_text(encoding="utf-8", errors="replace"))
        return Built(elf, pieces)
    objects = sorted((folder / build).glob("*.o"))
    return Built(folder / build / f"lib{name}.a", tuple(piece for path in objects for piece in _object_pieces(path)))


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


def _object_pieces(path: Path) -> list[Piece]:
    """The pieces of an object file that is not linked yet."""
    return [
        Piece(path.name, section.name, kind, section.size_bytes)
        for section in read_elf(path).sections
        if section.size_bytes and (kind := _kind_of(section.name))
    ]


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
    if fit := _WONT_FIT.search(errors):
        raise FitError(f"section {fit.group(1)} does not fit '{fit.group(2)}'", where=where, hint=hint)
    first = next((line for line in errors.splitlines() if "error" in line), errors.strip()[-400:])
    raise InternalError("the generated C does not build", where=first, hint="run make there to see all, and report it")
