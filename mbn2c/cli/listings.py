"""`mbn2c targets`, `boards`, `devices`, `doctor` and `demo`."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

from mbn2c.cli.words import COUNT, command, progress, show
from mbn2c.commands import demo
from mbn2c.commands.build import BuildOptions, build
from mbn2c.commands.devices import attached_devices, devices_text
from mbn2c.commands.doctor import all_required_ok, checks, format_checks
from mbn2c.commands.output_folder import OutputFolder, check_folder, firmware_for, write_build
from mbn2c.commands.verify import RESULTS, VerifyOptions, check_gates, verify
from mbn2c.errors import BoardError
from mbn2c.files.typed_json import to_plain
from mbn2c.link.session import EMULATED, Session
from mbn2c.link.transports.emulator import EmulatedBoard
from mbn2c.report.build_text import build_text
from mbn2c.report.text import boards_text, targets_text, verify_text
from mbn2c.targets import all_boards, all_cores, load_board, load_core
from mbn2c.tasks.inputs import Preprocess


def add_listings(commands: Any) -> None:
    """Add `targets`, `boards`, `devices` and `doctor`; `commands` is what argparse's add_subparsers returns."""
    command(commands, "targets", _targets, "the cores C can be built for")
    command(commands, "boards", _boards, "the boards firmware can be built for")
    command(commands, "devices", _devices, "serial ports and debug probes attached to this computer")
    command(commands, "doctor", _doctor, "which tools are installed, and what installs the missing ones")


def _targets(options: argparse.Namespace) -> int:
    cores = all_cores()
    listing = [
        {"name": core.name, "title": core.title, "isas": list(core.isas), "compiler": f"{core.prefix}gcc"}
        for core in cores
    ]
    show(options, {"targets": listing}, targets_text(cores))
    return 0


def _boards(options: argparse.Namespace) -> int:
    boards = all_boards()
    listing = [
        {
            "name": board.name,
            "title": board.title,
            "core": board.core,
            "also_runs": list(board.also_runs),
            "emulated": board.emulated,
            "memories": [
                {"name": memory.name, "kind": memory.kind, "size_bytes": memory.size_bytes} for memory in board.memories
            ],
            "flash_tool": board.flash.tool if board.flash else None,
        }
        for board in boards
    ]
    show(options, {"boards": listing}, boards_text(boards))
    return 0


def _devices(options: argparse.Namespace) -> int:
    found = attached_devices()
    show(options, to_plain(found), devices_text(found))
    return 0


def _doctor(options: argparse.Namespace) -> int:
    found = checks()
    ok = all_required_ok(found)
    show(options, {"ok": ok, "checks": [check.as_json() for check in found]}, format_checks(found))
    return 0 if ok else BoardError.exit_code


def add_demo(commands: Any) -> None:
    """Add the command `demo`; `commands` is what argparse's add_subparsers returns."""
    parser = command(
        commands, "demo", _demo, "build a bundled network for Cortex-M7 and verify it on the emulated board"
    )
    parser.add_argument(
        "--task",
        choices=tuple(demo.DEMOS),
        default="classification",
        help="classification of a digit (default), detection: boxes of digits on a canvas, or segmentation: shapes",
    )
    parser.add_argument("--images", type=COUNT, default=50, metavar="N", help="images to check (default 50)")
    parser.add_argument("-b", "--board", default="qemu-mps2-an500", help="emulated board (default qemu-mps2-an500)")
    parser.add_argument("-o", "--output", type=Path, metavar="OUT", help="keep the output folder here")
    parser.add_argument(
        "--force", action="store_true", help="overwrite files in OUT that mbn2c did not write or that were edited"
    )


def _demo(options: argparse.Namespace) -> int:
    board = load_board(options.board)
    with tempfile.TemporaryDirectory(prefix="mbn2c-demo-") as temporary:
        chosen = demo.DEMOS[options.task]
        folder = options.output or Path(temporary) / chosen.name
        check_folder(folder, force=options.force)
        bundle = build(
            BuildOptions(
                model=chosen.model,
                core=load_core(board.core),
                board=board,
                calib=str(chosen.calibration),
                preprocess=Preprocess.named(demo.PREPROCESS),
                input_kind="uint8",
                name=chosen.name,
                labels=chosen.classes,
                task_options=chosen.task_options,
            ),
            progress,
        )
        write_build(bundle, folder, force=options.force)
        output = OutputFolder(folder)
        elf = firmware_for(output, board, Path(temporary) / "firmware")
        with EmulatedBoard(board, elf, count=True) as transport:
            session = Session(transport, digest=output.digest, timing=EMULATED)
            checked = VerifyOptions(chosen.images, chosen.labels, options.images, results=folder / RESULTS)
            result = verify(output, transport, session, checked, progress)
        found = chosen.first_lines(folder / RESULTS)
    if not options.output:
        result["results"] = None  # it is gone
    text = (
        build_text(output.record, str(folder) if options.output else "a temporary folder", "")
        + "\n"
        + verify_text(result)
        + "".join(f"\n{line}" for line in found)
    )
    show(options, {"build": output.report, "verify": result}, text)
    check_gates(result, None)
    return 0
