"""Reads what we need of an ELF file: sections and symbols, 32 or 64 bits, little-endian.

Source: System V ABI, chapter 4 (object files).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path

from mbn2c.errors import BoardError

_SYMTAB = 2
_NOBITS = 8
_ALLOC = 2
_EXECUTE = 4
_WRITE = 1


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
class Elf:
    """sections in file order; symbols: name -> address (functions with the Thumb bit as the file has it)."""

    sections: tuple[Section, ...]
    symbols: dict[str, int]

    def address(self, symbol: str) -> int:
        """Where `symbol` is. Raises BoardError if the file has no such symbol."""
        if symbol not in self.symbols:
            raise BoardError(f"the firmware has no symbol '{symbol}'", hint="build it again; do not strip it")
        return self.symbols[symbol]


def read_elf(path: Path) -> Elf:
    """Parse `path`. Raises BoardError if it is no little-endian ELF file."""
    try:
        data = path.read_bytes()
        return _parse(data)
    except OSError as error:
        raise BoardError(f"cannot read {path}: {error.strerror}", hint="build the firmware first") from error
    except (struct.error, IndexError, ValueError, OverflowError) as error:
        raise BoardError(f"not an ELF file of ours: {path}: {error}", hint="build the firmware again") from error


def _parse(data: bytes) -> Elf:
    if data[:4] != b"\x7fELF" or data[5] != 1:
        raise ValueError("wrong magic number")
    wide = data[4] == 2
    if wide:
        (table,) = struct.unpack_from("<Q", data, 40)
        entry_bytes, count, names_index = struct.unpack_from("<HHH", data, 58)
        header = "<IIQQQQIIQQ"
    else:
        (table,) = struct.unpack_from("<I", data, 32)
        entry_bytes, count, names_index = struct.unpack_from("<HHH", data, 46)
        header = "<IIIIIIIIII"
    headers = [struct.unpack_from(header, data, table + index * entry_bytes) for index in range(count)]
    names_at = headers[names_index][4]
    sections = []
    symbols: dict[str, int] = {}
    for name, kind, flags, address, offset, size, link, *_ in headers:
        if flags & _ALLOC:
            sections.append(
                Section(
                    _text(data, names_at + name),
                    address,
                    size,
                    loaded=kind != _NOBITS,
                    executable=bool(flags & _EXECUTE),
                    writable=bool(flags & _WRITE),
                )
            )
        if kind == _SYMTAB:
            symbols.update(_symbols(data[offset : offset + size], data, headers[link][4], wide))
    return Elf(tuple(sections), symbols)


def _symbols(table: bytes, data: bytes, names_at: int, wide: bool) -> dict[str, int]:
    """Named symbols of a symbol table."""
    found: dict[str, int] = {}
    for entry in struct.iter_unpack("<IBBHQQ" if wide else "<IIIBBH", table):
        name, address = (entry[0], entry[4]) if wide else (entry[0], entry[1])
        if name:
            found[_text(data, names_at + name)] = address
    return found


def _text(data: bytes, start: int) -> str:
    return data[start : data.index(b"\x00", start)].decode("utf-8", "replace")
