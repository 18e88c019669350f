"""`mbn2c demo`: a bundled network from the ONNX file to a board that is proved exact, in one command."""

from __future__ import annotations

import argparse
import contextlib
import tempfile
from pathlib import Path

from mbn2c.cli.stage_display import shown_stages
from mbn2c.cli.streams import complain
from mbn2c.cli.words import COUNT, command, show
from mbn2c.commands import demo
from mbn2c.commands.build import BUILD_STAGES, BuildOptions, build
from mbn2c.commands.output_folder import WRITE_STAGES, OutputFolder, check_folder, firmware_on, write_build
from mbn2c.commands.verify import RESULTS, VerifyOptions, check_gates, verify_on_all, verify_stages
from mbn2c.commands.verify.open_devices import OPEN_STAGES, Place, emulated_board, open_devices
from mbn2c.errors import UsageError
from mbn2c.firmware.flash.tools import flash
from mbn2c.report.build_text import build_text
from mbn2c.report.text import verify_text
from mbn2c.targets import load_board, load_core
from mbn2c.tasks.inputs import Preprocess

_EMULATED = "qemu-mps2-an500"
_FLASH = "write firmware"


def add_demo(parser: argparse.ArgumentParser) -> None:
    """Options of `demo`."""
    command(parser, _demo)
    parser.add_argument(
        "--task",
        choices=tuple(demo.DEMOS),
        default="classification",
        help="classification of a digit (default), detection: boxes of digits on a canvas, or segmentation: shapes",
    )
    parser.add_argument("--images", type=COUNT, default=50, metavar="N", help="images to check (default 50)")
    parser.add_argument(
        "-b",
        "--board",
        default=_EMULATED,
        help="board to build for: an emulated one, or with --port the real one that is attached",
    )
    parser.add_argument(
        "-p", "--port", help="serial port of the real --board, whose firmware is written first (default: none)"
    )
    parser.add_argument(
        "-o", "--output", type=Path, metavar="OUT", help="keep the output folder here (default: a temporary one)"
    )
    parser.add_argument(
        "--force", action="store_true", help="overwrite files in OUT that mbn2c did not write or that were edited"
    )


def _demo(options: argparse.Namespace) -> int:
    board = load_board(options.board) if options.port else emulated_board(options.board)
    if options.port and board.emulated:
        raise UsageError(f"board '{board.name}' is an emulated one", hint="with --port name the real --board there")
    chosen = demo.DEMOS[options.task]
    with tempfile.TemporaryDirectory(prefix="mbn2c-demo-") as temporary:
        folder = options.output or Path(temporary) / chosen.name
        check_folder(folder, force=options.force)
        checked = VerifyOptions(chosen.images, chosen.labels, options.images, results=folder / RESULTS)
        asked = BuildOptions(
            model=chosen.model,
            core=load_core(board.core),
            board=board,
            calib=str(chosen.calibration),
            preprocess=Preprocess.named(demo.PREPROCESS),
            input_kind="uint8",
            name=chosen.name,
            labels=chosen.classes,
            task_options=chosen.task_options,
        )
        place = Place(port=options.port) if options.port else Place(emulated=board.name)
        flashing = (_FLASH,) if options.port else ()
        with (
            contextlib.ExitStack() as opened,
            shown_stages(BUILD_STAGES + WRITE_STAGES + flashing + OPEN_STAGES + verify_stages(checked)) as stages,
        ):
            write_build(build(asked, stages), folder, force=options.force, stages=stages)
            output = OutputFolder(folder)
            if flashing:
                stages.begin(_FLASH)
                flash(firmware_on(output, board, Path(temporary) / "firmware").elf, board, complain)
            devices, _ = open_devices(output, [place], Path(temporary) / "emulated", opened, stages)
            result = verify_on_all(output, devices, checked, stages=stages)
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
