"""`mbn2c flash`, `verify` and `bench`: the commands that talk to boards."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from mbn2c.cli.config import CONFIG, file_above, words_of
from mbn2c.cli.output_options import add_output_options, output_kinds
from mbn2c.cli.stage_display import shown_stages
from mbn2c.cli.streams import say
from mbn2c.cli.words import COUNT, command, percent, show, whole
from mbn2c.commands.bench import BENCH_DEVICE_STAGES, BENCH_STAGES, bench, bench_device
from mbn2c.commands.bisect import BISECT_STAGES, bisect
from mbn2c.commands.output_folder import OutputFolder, firmware_on
from mbn2c.commands.verify import JOURNAL, RESULTS, VerifyOptions, check_gates, verify_on_all, verify_stages
from mbn2c.commands.verify.open_devices import (
    BAUD_RANGE,
    FIRST_BAUD,
    OPEN_STAGES,
    Place,
    emulated_board,
    open_devices,
    read_lab,
)
from mbn2c.errors import Page, UsageError
from mbn2c.files.typed_json import to_plain
from mbn2c.firmware.flash.tools import flash
from mbn2c.report.bench_text import bench_text
from mbn2c.report.bisect_text import bisect_text
from mbn2c.report.text import OWN_FIRMWARE, verify_text
from mbn2c.targets import Board, load_board

_BAUD = whole(*BAUD_RANGE)
# Of the environment: a device where the command line names none.
BOARD_VARIABLE, PORT_VARIABLE = "MBN2C_BOARD", "MBN2C_PORT"
_DEFAULTS = f"default: {PORT_VARIABLE} or {BOARD_VARIABLE} of the environment, or OUT's own board"


def _from_environment(variable: str) -> str | None:
    """What a variable says; None where it is not set, or empty."""
    return os.environ.get(variable) or None


def _command_on_out(parser: argparse.ArgumentParser, name: str, run: Callable[[argparse.Namespace], int]) -> None:
    """Declare a command whose subject is an output folder, with options also from `[name]` of mbn2c.toml."""

    def configure(options: argparse.Namespace) -> list[str]:
        variables = {"port": PORT_VARIABLE, "board": BOARD_VARIABLE}
        given = [option for option, variable in variables.items() if _from_environment(variable)]
        model = OutputFolder(options.output).record.model.file
        return words_of(file_above(options.output, model), name, parser, options, given)

    command(parser, run)
    parser.set_defaults(configure=configure)
    parser.add_argument("output", type=Path, metavar="OUT", help="folder that build wrote")


def add_flash(parser: argparse.ArgumentParser) -> None:
    """Options of `flash`."""
    _command_on_out(parser, "flash", _flash)
    parser.add_argument(
        "-b",
        "--board",
        help=f"board; its firmware is built if OUT has none for it (default: {BOARD_VARIABLE} of the environment, or "
        "OUT's own)",
    )
    parser.add_argument(
        "--to",
        default="",
        metavar="WHICH",
        help="a debug probe's id or its start; drive or serial port of a boot loader; user@host of a Linux board "
        "(default: the only one there is)",
    )
    parser.add_argument(
        "--unlock", action="store_true", help="erase the whole chip if its debug port is locked, which opens it (nRF52)"
    )
    parser.add_argument("--dry-run", action="store_true", help="only say what would be done")


def _flash(options: argparse.Namespace) -> int:
    output = OutputFolder(options.output)
    name = options.board or _from_environment(BOARD_VARIABLE) or output.record.board
    if name is None:
        raise UsageError("no board to flash", hint="--board; `mbn2c boards` lists them")
    board = load_board(name)
    said: list[str] = []

    def tell(what: str) -> None:
        said.append(what)
        if not options.json:
            say(what)

    with tempfile.TemporaryDirectory(prefix="mbn2c-") as folder:
        firmware = firmware_on(output, board, Path(folder))
        if firmware.words != OWN_FIRMWARE and not options.json:
            say(f"firmware: {firmware.words}")
        flash(firmware.elf, board, tell, to=options.to, dry_run=options.dry_run, unlock=options.unlock)
    result = {"board": name, "firmware": firmware.words, "dry_run": options.dry_run, "steps": said}
    if options.json:
        say(json.dumps(result, indent=1))
    return 0


def add_verify(parser: argparse.ArgumentParser) -> None:
    """Options of `verify`."""
    _command_on_out(parser, "verify", _verify)
    _add_device(parser)
    parser.add_argument(
        "--images",
        type=Path,
        metavar="DIR|FILE.npz",
        help="a folder of PNG or JPEG files, or of one folder per class (default: that of mbn2c.toml)",
    )
    parser.add_argument(
        "--labels",
        type=Path,
        metavar="CSV|FILE|DIR",
        help="columns file, and index or label (default: names of class folders); of a detector's images boxes: CSV, "
        "COCO's JSON, or a folder of VOC's XML or YOLO's text files (docs/detection.md)",
    )
    parser.add_argument("--limit", type=COUNT, metavar="N", help="take N images, evenly spaced (default: all)")
    parser.add_argument("--layers", action="store_true", help="compare every layer and name the first bad one")
    parser.add_argument(
        "--digest", action="store_true", help="compare the outputs' CRC-32; fetch an output only where that differs"
    )
    parser.add_argument(
        "--no-stress",
        action="store_true",
        help="leave out the stress set: synthetic inputs compared layer by layer, and checksums of the constants",
    )
    parser.add_argument(
        "--no-results", action="store_true", help="leave out OUT/results: a page, tables and pictures of the images"
    )
    parser.add_argument("--resume", action="store_true", help="go on where an earlier verify of OUT was broken off")
    parser.add_argument(
        "--max-drop",
        type=percent,
        metavar="P",
        help="fail if accuracy may drop by more than P %% against the float model",
    )
    add_output_options(parser)


def _add_device(parser: argparse.ArgumentParser) -> None:
    device = parser.add_mutually_exclusive_group()
    device.add_argument(
        "-p",
        "--port",
        action="append",
        help="serial port, or socket://host:port, of a board that runs the firmware; again for each further board "
        f"(default: {PORT_VARIABLE} of the environment)",
    )
    device.add_argument(
        "--boards",
        type=Path,
        metavar="LAB.toml",
        help="several boards, by port, emulated or labgrid place, that share the images (docs/lab.md)",
    )
    device.add_argument(
        "-b", "--board", help=f"emulated board; its firmware is built if OUT has none for it ({_DEFAULTS})"
    )
    device.add_argument("--host", action="store_true", help="the same firmware as a program on this computer")
    parser.add_argument(
        "--baud", type=_BAUD, default=FIRST_BAUD, help="bits per second to change to after the first 115200"
    )


def _verify(options: argparse.Namespace) -> int:
    output = OutputFolder(options.output)
    if options.images is None:
        hint = f"--images FOLDER, or `images` in the table [verify] of {CONFIG} beside the model"
        raise UsageError("no images to verify with", hint=hint)
    checked = VerifyOptions(
        options.images,
        options.labels,
        options.limit,
        options.layers,
        options.max_drop,
        options.digest,
        options.output / JOURNAL,
        options.resume,
        output_kinds(options),
        stress=not options.no_stress,
        results=None if options.no_results else options.output / RESULTS,
    )
    with (
        tempfile.TemporaryDirectory(prefix="mbn2c-") as folder,
        contextlib.ExitStack() as open_lines,
        shown_stages(OPEN_STAGES + verify_stages(checked)) as stages,
    ):
        devices, lost = open_devices(output, _places(options, output), Path(folder), open_lines, stages)
        result = verify_on_all(output, devices, checked, lost, stages)
    show(options, result, verify_text(result))
    worst = output.record.quantization.worst_layers
    check_gates(result, options.max_drop, {layer.name: layer.noise_share for layer in worst}, options.min_sqnr)
    return 0


def _places(options: argparse.Namespace, output: OutputFolder) -> list[Place]:
    if options.boards:
        return read_lab(options.boards)
    if options.port:
        return [Place(port=name, baud=options.baud) for name in options.port]
    if not (options.host or options.board) and (port := _from_environment(PORT_VARIABLE)):
        return [Place(port=port, baud=options.baud)]
    return [Place(emulated=_device_board(options, output).name)]


def _device_board(options: argparse.Namespace, output: OutputFolder) -> Board:
    name = "host" if options.host else options.board or _from_environment(BOARD_VARIABLE) or output.record.board
    if name is None:
        hint = "--board (see `mbn2c boards`), --host, or --port /dev/ttyACM0"
        raise UsageError("no device to verify", hint=hint, page=Page.DEVICE)
    return emulated_board(name)


def add_bisect(parser: argparse.ArgumentParser) -> None:
    """Options of `bisect`."""
    _command_on_out(parser, "bisect", _bisect)
    _add_one_device(parser)


def _bisect(options: argparse.Namespace) -> int:
    output = OutputFolder(options.output)
    with (
        tempfile.TemporaryDirectory(prefix="mbn2c-") as folder,
        contextlib.ExitStack() as open_lines,
        shown_stages(OPEN_STAGES + BISECT_STAGES) as stages,
    ):
        [device], _ = open_devices(output, [_one_place(options, output)], Path(folder), open_lines, stages)
        found = bisect(output, device, stages)
        baud = device.session.baud
    result = {**to_plain(found), "is_right": found.is_right}
    show(options, result, bisect_text(result, baud))
    return 0 if found.is_right else 1


def _one_place(options: argparse.Namespace, output: OutputFolder) -> Place:
    port = options.port or (None if options.board else _from_environment(PORT_VARIABLE))
    return Place(port=port, baud=options.baud) if port else Place(emulated=_device_board(options, output).name)


def _add_one_device(parser: argparse.ArgumentParser) -> None:
    device = parser.add_mutually_exclusive_group()
    device.add_argument("-b", "--board", help=f"emulated board ({_DEFAULTS})")
    device.add_argument(
        "-p",
        "--port",
        help=f"serial port, or socket://host:port, of a board that runs the firmware (default: {PORT_VARIABLE})",
    )
    parser.add_argument(
        "--baud", type=_BAUD, default=FIRST_BAUD, help="bits per second to change to after the first 115200"
    )
    parser.set_defaults(host=False)


def add_bench(parser: argparse.ArgumentParser) -> None:
    """Options of `bench`."""
    _command_on_out(parser, "bench", _bench)
    _add_one_device(parser)


def _bench(options: argparse.Namespace) -> int:
    output = OutputFolder(options.output)
    place = _one_place(options, output)
    board = emulated_board(place.emulated) if place.emulated else None
    is_counted = board is not None and not board.is_process
    with (
        tempfile.TemporaryDirectory(prefix="mbn2c-") as folder,
        contextlib.ExitStack() as open_lines,
        shown_stages(BENCH_STAGES if is_counted else OPEN_STAGES + BENCH_DEVICE_STAGES) as stages,
    ):
        if board is not None and is_counted:
            result = bench(output, board, Path(folder), stages)
        else:
            [device], _ = open_devices(output, [place], Path(folder), open_lines, stages)
            result = bench_device(output, device, stages)
    show(options, result, bench_text(result))
    return 0
