"""Boards by port, emulator, or labgrid place, as the command line or a lab.toml names them -> devices to verify on."""

from __future__ import annotations

import contextlib
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

from mbn2c import __version__
from mbn2c.commands.output_folder import OutputFolder, expected_build, firmware_on, sources_for
from mbn2c.commands.verify.device import Device
from mbn2c.commands.verify.reported_target import reported_target
from mbn2c.errors import BoardError, DeviceFaultError, Page, UsageError
from mbn2c.files.user_files import read_text
from mbn2c.link import wire
from mbn2c.link.session import EMULATED, Session, TensorSizes
from mbn2c.link.transports.emulator import EmulatedBoard
from mbn2c.link.transports.labgrid_console import LabgridConsole
from mbn2c.link.transports.serial_port import SerialPort
from mbn2c.progress import Stages
from mbn2c.targets import Board, load_board

FIRST_BAUD = 115200
BAUD_RANGE = (300, 100_000_000)
OPEN_STAGES = (_OPEN,) = ("open devices",)
_KINDS = ("port", "emulated", "labgrid")


@dataclass(frozen=True)
class Place:
    """Where one board is to be found; exactly one of the first three is set.

    port      serial port, or socket://host:port
    emulated  name of an emulated board, or `host`
    labgrid   place of a labgrid coordinator
    baud      rate to change to; not for emulated boards
    """

    port: str = ""
    emulated: str = ""
    labgrid: str = ""
    baud: int = FIRST_BAUD

    @property
    def name(self) -> str:
        """The one of the three that is set."""
        return self.port or self.emulated or self.labgrid


def read_lab(file: Path) -> list[Place]:
    """The `[[boards]]` of a lab.toml. Raises UsageError for anything else than such tables."""
    text = read_text(file, "list of boards", "a lab.toml (docs/lab.md)")
    try:
        facts = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # a TOMLDecodeError, or numbers and nesting that Python refuses
        raise UsageError(f"not a TOML file: {error}", where=str(file)) from None
    boards = facts.get("boards")
    if set(facts) != {"boards"} or not isinstance(boards, list) or not boards:
        raise UsageError("no boards", where=str(file), hint='[[boards]] with port, emulated or labgrid = "..."')
    return [_place(entry, file) for entry in boards]


def _place(entry: object, file: Path) -> Place:
    known = {one.name: (int if one.name == "baud" else str) for one in fields(Place)}
    if not isinstance(entry, dict) or any(not isinstance(entry[key], known.get(key, ())) for key in entry):
        raise UsageError(f"not a board: {entry}", where=str(file), hint=f"facts: {', '.join(known)}")
    if sum(bool(entry.get(kind)) for kind in _KINDS) != 1:
        raise UsageError(f"not a board: {entry}", where=str(file), hint=f"exactly one of {', '.join(_KINDS)}")
    if not BAUD_RANGE[0] <= entry.get("baud", FIRST_BAUD) <= BAUD_RANGE[1]:
        hint = f"a baud from {BAUD_RANGE[0]:,} to {BAUD_RANGE[1]:,}"
        raise UsageError(f"not a board: {entry}", where=str(file), hint=hint)
    return Place(**entry)


def open_devices(
    output: OutputFolder,
    places: Sequence[Place],
    folder: Path,
    opened: contextlib.ExitStack,
    stages: Stages | None = None,
) -> tuple[list[Device], list[str]]:
    """The boards that answer, and in words those that do not.

    folder  where firmware for emulated boards is built
    opened  closes the lines
    stages  that OPEN_STAGES begin in
    raises  UsageError for a board that is not emulated, BoardError when no board answers, DeviceFaultError
            for one that answers with another firmware: verified by the others alone, it would pass unseen
    """
    progress = (stages or Stages(OPEN_STAGES)).begin(_OPEN)
    devices, lost = [], []
    for number, place in enumerate(progress(places, "devices", len(places))):
        try:
            devices.append(_open(output, place, folder / str(number), opened))
        except DeviceFaultError:
            raise
        except BoardError as error:
            lost.append(f"{place.name}: {error.what}")
            if len(lost) == len(places):
                raise
    return devices, lost


def _open(output: OutputFolder, place: Place, folder: Path, opened: contextlib.ExitStack) -> Device:
    if place.emulated:
        board = emulated_board(place.emulated)
        firmware = firmware_on(output, board, folder)
        line = EmulatedBoard(board, firmware.elf, count=True)
        opened.callback(line.close)
        session = Session(line, digest=output.digest, sizes=_sizes(output), timing=EMULATED)
        return Device(line, session, place.name, firmware.words)
    port = LabgridConsole(place.labgrid) if place.labgrid else SerialPort(place.port)
    session = Session(port, digest=output.digest, sizes=_sizes(output))
    opened.callback(session.close)
    facts = session.connect(place.baud, output.record.model.macs)
    return Device(session.transport, session, place.name, refuse_stale(output, facts))


def _sizes(output: OutputFolder) -> TensorSizes:
    graph = output.graph
    tensors = graph.tensors
    outputs = sum(tensors[port.tensor].size_bytes for port in graph.outputs)
    return TensorSizes(tensors[graph.inputs[0].tensor].size_bytes, outputs)


def refuse_stale(output: OutputFolder, facts: wire.Facts) -> str:
    """In words, of whose C the firmware is made.

    raises  DeviceFaultError if it is not made of the sources that OUT stands for, with what is known of it
    """
    hint = f"mbn2c flash {output.path} --board {facts.board}"
    if facts.version != __version__:
        what = f"the board's firmware is of mbn2c {facts.version}, this is {__version__}"
        raise DeviceFaultError(what, where=facts.board, hint=hint, page=Page.FIRMWARE)
    _, board = reported_target(facts)
    if facts.clock_hz != board.clock_hz:
        what = f"the board's firmware runs at {facts.clock_hz:,} Hz, its TOML says {board.clock_hz:,}"
        raise DeviceFaultError(what, where=f"targets/boards/{board.name}.toml", hint=hint)
    sources = sources_for(output, board)
    expected = expected_build(sources)
    if facts.build != expected:
        what = f"the board's firmware is another build of this network: {facts.build:08x}, not {expected:08x}"
        raise DeviceFaultError(what, where=facts.board, hint=hint, page=Page.FIRMWARE)
    return sources.words


def emulated_board(name: str) -> Board:
    """Raises UsageError for a board without emulator."""
    board = load_board(name)
    if not board.emulated:
        raise UsageError(f"board '{board.name}' is not emulated", hint="flash it and give its --port", page=Page.DEVICE)
    return board
