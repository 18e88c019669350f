"""Reads what we need of an ELF file: sections, what is loaded into flash, symbols, call frames.

The one door to pyelftools.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from elftools.common.exceptions import ELFError
from elftools.construct import ConstructError
from elftools.dwarf.callframe import FDE
from elftools.elf.constants import SH_FLAGS
from elftools.elf.elffile import ELFFile
from elftools.elf.relocation import RelocationSection
from elftools.elf.sections import SymbolTableSection

from mbn2c.errors import BoardError

T = TypeVar("T")
_PT_LOAD = "PT_LOAD"
# In a call-frame entry the address of its function lies behind two words of four bytes.
_ADDRESS_AT = 8
# DWARF's numbers of the stack pointer.
_STACK_POINTERS = {"EM_ARM": 13, "EM_RISCV": 2, "EM_AARCH64": 31}


@dataclass(frozen=True)
class Section:
    """A section that takes memory on the device; `loaded` sections take room in the file too."""

    name: str
    address: int
    size_bytes: int
    loaded: bool
    executable: bool
    writable: bool


@dataclass(frozen=True)
class Segment:
    """Bytes that a loader writes to `address` (where they are stored, not where the firmware copies them to)."""

    address: int
    data: bytes


@dataclass(frozen=True)
class Elf:
    """sections in file order; segments by address, empty ones left out; symbols: name -> address (functions with the
    Thumb bit as the file has it)."""

    sections: tuple[Section, ...]
    segments: tuple[Segment, ...]
    symbols: dict[str, int]

    def address(self, symbol: str) -> int:
        """Where `symbol` is. Raises BoardError if the file has no such symbol."""
        if symbol not in self.symbols:
            raise BoardError(f"the firmware has no symbol '{symbol}'", hint="build it again; do not strip it")
        return self.symbols[symbol]

    def image(self, origin: int, size_bytes: int, fill: int = 0xFF) -> bytes:
        """What a memory holds after loading, up to the last byte loaded into it."""
        inside = [part for part in self.segments if origin <= part.address < origin + size_bytes]
        end = max((part.address + len(part.data) for part in inside), default=origin)
        data = bytearray([fill]) * (end - origin)
        for part in inside:
            data[part.address - origin : part.address - origin + len(part.data)] = part.data
        return bytes(data)


@dataclass(frozen=True)
class CallFrame:
    """What a function's call-frame information says.

    stack_bytes  most bytes between the caller's stack pointer and its own; None if that is not a number
    is_leaf      its machine code refers to no symbol, so that it calls nothing
    """

    stack_bytes: int | None
    is_leaf: bool


@dataclass(frozen=True)
class ObjectSection:
    """A section of an object file that takes memory when it is linked.

    labels  what others can mean it by: the global symbols it defines, and a label of its own
    refers  labels that its relocations name
    """

    name: str
    size_bytes: int
    labels: frozenset[str]
    refers: frozenset[str]


def read_object(path: Path) -> tuple[ObjectSection, ...]:
    """The sections of an object file, and which needs which.

    raises  BoardError if it is no ELF file, or a damaged one
    """
    return _read(path, lambda elf: _object_sections(elf, path.name))


def read_call_frames(path: Path) -> dict[str, CallFrame]:
    """The functions of an object file that have call-frame information (.debug_frame), by name.

    raises  BoardError if it is no ELF file, or a damaged one
    """
    return _read(path, _call_frames)


def read_pointed_functions(path: Path) -> tuple[str, ...]:
    """Functions of other object files whose addresses this object file's data holds.

    raises  BoardError if it is no ELF file, or a damaged one
    """
    return _read(path, _pointed_functions)


def read_elf(path: Path) -> Elf:
    """Parse `path`. Raises BoardError if it is no ELF file, or a damaged one."""
    return _read(path, _parse)


def _read(path: Path, parse: Callable[[ELFFile], T]) -> T:
    try:
        with path.open("rb") as file:
            return parse(ELFFile(file))
    except OSError as error:
        raise BoardError(f"cannot read {path}: {error.strerror}", hint="build the firmware first") from error
    except (ELFError, ConstructError, AssertionError, AttributeError, ValueError, OverflowError, MemoryError) as error:
        raise BoardError(f"not an ELF file of ours: {path}: {error}", hint="build the firmware again") from error


def _parse(elf: ELFFile) -> Elf:
    sections: list[Section] = []
    symbols: dict[str, int] = {}
    for section in elf.iter_sections():
        flags = section["sh_flags"]
        if flags & SH_FLAGS.SHF_ALLOC:
            sections.append(
                Section(
                    section.name,
                    section["sh_addr"],
                    section["sh_size"],
                    loaded=section["sh_type"] != "SHT_NOBITS",
                    executable=bool(flags & SH_FLAGS.SHF_EXECINSTR),
                    writable=bool(flags & SH_FLAGS.SHF_WRITE),
                )
            )
        if isinstance(section, SymbolTableSection):
            symbols.update((symbol.name, symbol["st_value"]) for symbol in section.iter_symbols() if symbol.name)
    if not sections and not symbols:
        raise ValueError("it has no sections")
    segments = [
        Segment(segment["p_paddr"], segment.data())
        for segment in elf.iter_segments(_PT_LOAD)
        if segment["p_filesz"] > 0
    ]
    return Elf(tuple(sections), tuple(sorted(segments, key=lambda part: part.address)), symbols)


def _symbol_table(elf: ELFFile) -> SymbolTableSection:
    table = elf.get_section_by_name(".symtab")
    if not isinstance(table, SymbolTableSection):
        raise ValueError("it has no symbols")
    return table


def _call_frames(elf: ELFFile) -> dict[str, CallFrame]:
    information = elf.get_dwarf_info(relocate_dwarf_sections=False)
    if not information.has_CFI():
        return {}
    symbols = _symbol_table(elf)
    functions = {
        (symbol["st_shndx"], symbol["st_value"] & ~1): symbol.name
        for symbol in symbols.iter_symbols()
        if symbol["st_info"]["type"] == "STT_FUNC"
    }
    places = {}
    referring = set()
    for section in elf.iter_sections():
        if not isinstance(section, RelocationSection):
            continue
        referring.add(section["sh_info"])
        if elf.get_section(section["sh_info"]).name == ".debug_frame":
            for relocation in section.iter_relocations():
                symbol = symbols.get_symbol(relocation["r_info_sym"])
                addend = relocation.entry.get("r_addend", 0)
                places[relocation["r_offset"]] = (symbol["st_shndx"], symbol["st_value"] + addend)
    frames = {}
    for entry in information.CFI_entries():
        if isinstance(entry, FDE):
            section, base = places.get(entry.offset + _ADDRESS_AT, (0, 0))
            name = functions.get((section, base + entry["initial_location"] & ~1))
            if name is not None:
                frames[name] = CallFrame(
                    _deepest(entry, _STACK_POINTERS.get(elf["e_machine"])), section not in referring
                )
    return frames


def _deepest(entry: FDE, stack_pointer: int | None) -> int | None:
    rules = [row["cfa"] for row in entry.get_decoded().table]
    if any(rule.reg is None or rule.reg != stack_pointer for rule in rules):
        return None
    return max((rule.offset for rule in rules), default=0)


def _pointed_functions(elf: ELFFile) -> tuple[str, ...]:
    symbols = _symbol_table(elf)
    found = set()
    for section in elf.iter_sections():
        if isinstance(section, RelocationSection):
            flags = elf.get_section(section["sh_info"])["sh_flags"]
            if flags & SH_FLAGS.SHF_ALLOC and not flags & SH_FLAGS.SHF_EXECINSTR:
                for relocation in section.iter_relocations():
                    symbol = symbols.get_symbol(relocation["r_info_sym"])
                    if symbol["st_shndx"] == "SHN_UNDEF":
                        found.add(symbol.name)
    return tuple(sorted(found))


def _object_sections(elf: ELFFile, name: str) -> tuple[ObjectSection, ...]:
    symbols = _symbol_table(elf)
    labels: dict[int, set[str]] = {}
    for symbol in symbols.iter_symbols():
        if isinstance(symbol["st_shndx"], int) and symbol["st_info"]["bind"] != "STB_LOCAL":
            labels.setdefault(symbol["st_shndx"], set()).add(symbol.name)
    refers: dict[int, set[str]] = {}
    for section in elf.iter_sections():
        if isinstance(section, RelocationSection):
            for relocation in section.iter_relocations():
                symbol = symbols.get_symbol(relocation["r_info_sym"])
                is_local = isinstance(symbol["st_shndx"], int) and symbol["st_info"]["bind"] == "STB_LOCAL"
                label = f"{name}:{symbol['st_shndx']}" if is_local else symbol.name
                refers.setdefault(section["sh_info"], set()).add(label)
    return tuple(
        ObjectSection(
            section.name,
            section["sh_size"],
            frozenset({f"{name}:{index}", *labels.get(index, ())}),
            frozenset(refers.get(index, ())),
        )
        for index, section in enumerate(elf.iter_sections())
        if section["sh_flags"] & SH_FLAGS.SHF_ALLOC
    )
