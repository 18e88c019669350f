"""Compiled output folder -> what the network takes of flash and stack, for the report."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from mbn2c.files.elf import read_pointed_functions
from mbn2c.firmware.stack import worst_case_stack
from mbn2c.firmware.toolchain import Built

# What a caller of the network runs; the deepest of them counts.
_ENTRY_POINTS = ("run", "begin", "push_rows", "finish")


@dataclass(frozen=True)
class Sizes:
    """Bytes of the network without its firmware.

    code   machine code and the compiler's own constants, without the arrays the report counts as constants
    stack  worst case below any function of the API
    """

    code_bytes: int
    stack_bytes: int


def network_sizes(folder: Path, prefix: str, sources: Iterable[str], built: Built, array_bytes: int) -> Sizes:
    """Sizes of the objects of the network in a folder that was built.

    sources      C files of the network and its kernels
    array_bytes  weights, biases and tables among the network's constants
    """
    stems = [(folder / source).stem for source in sources]
    pieces = built.size_bytes(("code", "constants", "data"), frozenset(f"{stem}.o" for stem in stems))
    # The network calls the observer through a pointer, which in normal use is NULL; inlining may move the call upward.
    # Kernels call what the tables beside the constants name.
    callers = [f"{prefix}_{function}" for function in ("forward", *_ENTRY_POINTS)]
    stack = worst_case_stack(
        [folder / "build" / f"{stem}.ci" for stem in stems],
        [f"{prefix}_{entry}" for entry in _ENTRY_POINTS],
        dict.fromkeys(callers, ()),
        [folder / "build" / f"{stem}.o" for stem in stems],
        read_pointed_functions(folder / "build" / f"{prefix}_constants.o"),
    )
    return Sizes(pieces - array_bytes, stack.bytes)
