"""Reads what we need of an ELF file: sections, what is loaded into flash, symbols. The one door to pyelftools."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from elftools.common.exceptions import ELFError
from elftools.construct import ConstructError
from elftools.elf.constants import SH_FLAGS
from elftools.elf.elffile import ELFFile
from elftools.elf.sections import SymbolTableSection

from mbn2c.errors import BoardError

_PT_LOAD = "PT_LOAD"


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


def read_elf(path: Path) -> Elf:
    """Parse `path`. Raises BoardError if it is no ELF file, or a damaged one."""
    try:
        with path.open("rb") as file:
            return _parse(ELFFile(file))
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
