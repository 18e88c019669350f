"""Output folder and board -> the firmware that is run there, and in words what of the folder it was made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mbn2c.commands.output_folder.reading import OutputFolder
from mbn2c.commands.output_folder.staging import is_of_network
from mbn2c.emit.c_files import c_files, files_around
from mbn2c.errors import InternalError, UsageError
from mbn2c.files.bundle import write_bundle
from mbn2c.firmware import toolchain
from mbn2c.firmware.files import build_number, renumbered
from mbn2c.report.text import OWN_FIRMWARE
from mbn2c.targets import Board


@dataclass(frozen=True)
class Sources:
    """What a firmware is made of.

    files  path -> content of all that the compiler is given
    words  whose C that is: OWN_FIRMWARE, or how it differs
    """

    files: Mapping[str, bytes]
    words: str


@dataclass(frozen=True)
class Firmware:
    """An ELF file, and in words what was compiled."""

    elf: Path
    words: str


def sources_for(output: OutputFolder, board: Board) -> Sources:
    """For the board OUT was built for, what lies in OUT; for others, OUT's C if that fits them, else new C.

    The manifest proves that the C is that of the saved Plan, so it is not made again to compare.

    raises  UsageError if the C in OUT was edited and is not what would be compiled
    """
    if output.record.board == board.name:
        if not output.edited:
            return Sources(output.code, OWN_FIRMWARE)
        changed = {path: output.code[path] for path in output.edited}
        words = f"the C in OUT as it was edited since its build ({output.edits})"
        return Sources({**output.code, **renumbered(output.code, changed)}, words)
    output.refuse_edited(f"what runs on {board.name}")
    core = output.core_on(board)
    choice = output.choice(core, board)
    own = f"OUT's own C, in the firmware of {board.name}"
    if choice is output.own_choice:
        network = {path: content for path, content in output.code.items() if is_of_network(path)}
        arrays = [array.name for array in output.expectations(core, board).constants]
        return Sources({**network, **files_around(network, arrays, output.prefix, core, board)}, own)
    files = c_files(choice.plan, choice.kernels, output.names, core, board)
    if all(output.code.get(path) == content for path, content in files.items() if is_of_network(path)):
        return Sources(files, own)
    other = (
        f"the {output.core.name} C in OUT" if core.name != output.core.name else "the C in OUT, whose plan is another"
    )
    return Sources(files, f"C for {board.name} planned and made from network.npz, not {other}")


def firmware_on(output: OutputFolder, board: Board, folder: Path, cflags: Sequence[str] = ()) -> Firmware:
    """The firmware for a board that runs the core's code, or else of the board's own core.

    That of OUT where it is for this board and made of the C that lies there; otherwise it is built.

    folder  where sources and objects go
    cflags  compiler flags besides the core's own
    raises  UsageError, FitError, BoardError
    """
    sources = sources_for(output, board)
    words = sources.words
    if words == OWN_FIRMWARE and not cflags:
        built = output.record.firmware
        if built and output.is_intact(built.file):
            return Firmware(output.path / built.file, words)
        words = "OUT's own C, compiled again: its firmware is not there as the build made it"
    write_bundle(sources.files, folder)
    try:
        elf = toolchain.build(folder, output.prefix, output.core_on(board), board, cflags=cflags).path
    except InternalError as error:
        if not output.edited:
            raise
        what = "the C in OUT does not compile as it was edited since its build"
        raise UsageError(what, where=f"{output.edits}: {error.where}", hint="undo the edit, or build again") from error
    return Firmware(elf, words)


def firmware_for(output: OutputFolder, board: Board, folder: Path) -> Path:
    """The ELF of `firmware_on`."""
    return firmware_on(output, board, folder).elf


def expected_build(sources: Sources) -> int:
    """The build number that the firmware made of them tells."""
    return build_number(sources.files)
