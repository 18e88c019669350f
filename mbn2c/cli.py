"""The command line: words into calls, results into text or JSON, errors into exit codes. Nothing else."""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
import tempfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from tqdm import tqdm

from mbn2c import __version__, demo
from mbn2c.bench import bench
from mbn2c.build.flash import flash
from mbn2c.doctor import all_required_ok, checks, format_checks
from mbn2c.emit.bundle import write_bundle
from mbn2c.errors import BoardError, Mbn2cError, UsageError
from mbn2c.inspect import format_inspection, inspect_model
from mbn2c.link.emulator import EmulatedBoard
from mbn2c.link.serial_port import SerialPort
from mbn2c.link.session import EMULATED, Session
from mbn2c.network import RANDOM
from mbn2c.output_folder import OutputFolder, compile_folder, firmware_for
from mbn2c.pipeline import BuildOptions, build
from mbn2c.planner.streaming import OPTIMIZE
from mbn2c.quantize.search import EFFORTS
from mbn2c.target import Board, all_boards, all_cores, load_board, load_core
from mbn2c.tasks.task import Preprocess
from mbn2c.texts import bench_text, boards_text, build_text, targets_text, verify_text
from mbn2c.verify import JOURNAL, Device, VerifyOptions, check_gates, verify, verify_on_all

Item = TypeVar("Item")
Json = dict[str, Any]

_EPILOG = """exit codes: 0 ok, 1 a gate failed (mismatch, accuracy), 2 usage, 3 unsupported or broken model,
4 does not fit, 5 board, tool or line"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code."""
    options = _parser().parse_args(arguments)
    try:
        code: int = options.run(options)
        return code
    except Mbn2cError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    except BrokenPipeError:
        return 0
    except KeyboardInterrupt:
        print("error: interrupted", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="mbn2c",
        description="Compile a trained MobileNet (ONNX) to bit-exact int8 C, and prove it on the board.",
        epilog=_EPILOG,
    )
    parser.add_argument("--version", action="version", version=f"mbn2c {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_inspect(commands)
    _add_build(commands)
    _add_flash(commands)
    _add_verify(commands)
    _add_bench(commands)
    _add_listings(commands)
    _add_demo(commands)
    return parser


def _command(commands: Any, name: str, run: Callable[[argparse.Namespace], int], text: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(name, help=text, description=text, epilog=_EPILOG)
    parser.add_argument("--json", action="store_true", help="print one JSON object and nothing else")
    parser.set_defaults(run=run)
    return parser


def _show(options: argparse.Namespace, result: Json, text: str) -> None:
    print(json.dumps(result, indent=1, allow_nan=False) if options.json else text)


def _progress(items: Iterable[Item], title: str, total: int) -> Iterable[Item]:
    """A progress bar on standard error, only on a terminal."""
    return tqdm(items, desc=title, total=total, unit="", disable=None, leave=False)


# --- inspect ---


def _add_inspect(commands: Any) -> None:
    parser = _command(
        commands, "inspect", _inspect, "layers, MACs, parameters, and RAM and flash per target, before any build"
    )
    parser.add_argument("model", type=Path, metavar="MODEL.onnx")


def _inspect(options: argparse.Namespace) -> int:
    result = inspect_model(options.model)
    _show(options, result, format_inspection(result))
    return 0


# --- build ---


def _add_build(commands: Any) -> None:
    parser = _command(commands, "build", _build, "quantize, plan memory, write C, compile it")
    parser.add_argument("model", type=Path, metavar="MODEL.onnx")
    parser.add_argument("--target", metavar="CORE", help="core to build for; see `mbn2c targets`")
    parser.add_argument("--board", help="board to build firmware for; see `mbn2c boards`")
    parser.add_argument("--calib", metavar="DIR|FILE.npz|random", help="images to choose the int8 scales from")
    parser.add_argument("--calib-limit", type=int, metavar="N", help="take N of them, evenly spaced")
    parser.add_argument(
        "--quantize",
        choices=EFFORTS,
        default="default",
        help="how long to look for an int8 network near the float one: seconds, a minute, minutes",
    )
    parser.add_argument(
        "--percentile",
        type=float,
        default=100.0,
        metavar="P",
        help="keep this share of each tensor's values inside its int8 range (default: found by search)",
    )
    parser.add_argument(
        "--preprocess", choices=("unit", "pm1", "imagenet"), help="RGB/255; RGB/127.5-1; ImageNet's mean and std"
    )
    parser.add_argument("--mean", metavar="R,G,B", help="in units of RGB/255; with --std")
    parser.add_argument("--std", metavar="R,G,B", help="in units of RGB/255; with --mean")
    parser.add_argument(
        "--resize", choices=("crop", "stretch"), default="crop", help="how images reach the input size (default crop)"
    )
    parser.add_argument(
        "--input",
        choices=("int8", "uint8"),
        default="int8",
        help="uint8: the device takes raw pixels and does the preprocessing",
    )
    parser.add_argument(
        "--optimize",
        choices=OPTIMIZE,
        default="balanced",
        help="least RAM, least product of RAM and instructions, or least instructions (default balanced)",
    )
    parser.add_argument(
        "--ram-limit", metavar="BYTES", help="the cheapest plan within so much RAM in all; 128K is 131072"
    )
    parser.add_argument("--name", help="prefix of the C functions (default: the model's file name)")
    parser.add_argument("--labels", type=Path, metavar="FILE", help="class names, one a line or CSV with index,name")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="OUT", help="folder to write")


def _build(options: argparse.Namespace) -> int:
    board = load_board(options.board) if options.board else None
    if options.target is None and board is None:
        raise UsageError(
            "no target", hint="--target cortex-m7, or --board; `mbn2c targets` and `mbn2c boards` list them"
        )
    core = load_core(options.target or board.core)  # type: ignore[union-attr]
    if board is not None and core.name not in board.cores:
        raise UsageError(f"board '{board.name}' does not run code of {core.name}", hint=f"--target {board.core}")
    if options.calib_limit is not None and options.calib_limit < 1:
        raise UsageError("--calib-limit must be at least 1")
    if not 50 < options.percentile <= 100:
        raise UsageError("--percentile must be above 50 and at most 100")
    bundle = build(
        BuildOptions(
            model=options.model,
            core=core,
            board=board,
            calib=options.calib,
            calib_limit=options.calib_limit,
            preprocess=_preprocess(options),
            resize=options.resize,
            percentile=options.percentile,
            effort=options.quantize,
            input_kind=options.input,
            optimize=options.optimize,
            ram_limit=_size(options.ram_limit, "--ram-limit") if options.ram_limit else None,
            name=options.name,
            labels=options.labels,
        ),
        _progress,
    )
    write_bundle(bundle, options.output)
    note = ""
    try:
        compile_folder(OutputFolder(options.output))
    except BoardError as error:
        # Without a compiler the C is complete all the same; a board's firmware is not.
        if board is not None:
            raise
        note = f"not compiled, so code and stack are not known: {error.what}; {error.hint}"
    report = OutputFolder(options.output).report
    text = build_text(report, str(options.output), note)
    if report["build"]["calibration"]["source"] == RANDOM:
        print("warning: calibrated on noise (--calib random): sizes are right, accuracy is not", file=sys.stderr)
    if note:
        print(f"warning: {note}", file=sys.stderr)
    _show(options, report, text)
    return 0


def _preprocess(options: argparse.Namespace) -> Preprocess | None:
    if (options.mean is None) != (options.std is None):
        raise UsageError("--mean and --std belong together", hint="give both, in units of RGB/255")
    if options.mean is None:
        return Preprocess.named(options.preprocess) if options.preprocess else None
    if options.preprocess:
        raise UsageError("--preprocess and --mean/--std exclude each other")
    return Preprocess(_numbers(options.mean, "--mean"), _numbers(options.std, "--std"))


def _size(text: str, option: str) -> int:
    """Bytes; K and M are binary."""
    factor = {"K": 1024, "M": 1024**2}.get(text[-1:].upper(), 1)
    digits = text[:-1] if factor > 1 else text
    if not digits.isdigit() or int(digits) == 0:
        raise UsageError(f"{option} {text} is no size", hint="e.g. 131072, 128K or 1M")
    return int(digits) * factor


def _numbers(text: str, option: str) -> tuple[float, ...]:
    try:
        return tuple(float(word) for word in text.split(","))
    except ValueError:
        raise UsageError(f"{option} {text} is not a list of numbers", hint="e.g. 0.485,0.456,0.406") from None


# --- flash ---


def _add_flash(commands: Any) -> None:
    parser = _command(commands, "flash", _flash, "write the firmware to a board attached to this computer")
    parser.add_argument("output", type=Path, metavar="OUT", help="folder that build wrote")
    parser.add_argument("--board", help="board; its firmware is built if OUT has none for it (default: OUT's own)")
    parser.add_argument(
        "--to",
        default="",
        metavar="WHICH",
        help="a debug probe's id or its start; drive or serial port of a boot loader; user@host of a Linux board",
    )
    parser.add_argument("--dry-run", action="store_true", help="only say what would be done")


def _flash(options: argparse.Namespace) -> int:
    output = OutputFolder(options.output)
    name = options.board or output.report["board"]
    if name is None:
        raise UsageError("no board to flash", hint="--board; `mbn2c boards` lists them")
    board = load_board(name)
    said: list[str] = []

    def say(what: str) -> None:
        said.append(what)
        if not options.json:
            print(what, flush=True)

    with tempfile.TemporaryDirectory(prefix="mbn2c-") as folder:
        elf = _firmware_file(output, board, Path(folder))
        flash(elf, board, say, to=options.to, dry_run=options.dry_run)
    if options.json:
        print(json.dumps({"board": name, "dry_run": options.dry_run, "steps": said}, indent=1))
    return 0


# --- verify ---


def _add_verify(commands: Any) -> None:
    parser = _command(
        commands, "verify", _verify, "prove image by image that the device computes what ONNX Runtime computes"
    )
    parser.add_argument("output", type=Path, metavar="OUT", help="folder that build wrote")
    _add_device(parser)
    parser.add_argument("--images", required=True, type=Path, metavar="DIR|FILE.npz")
    parser.add_argument("--labels", type=Path, metavar="CSV", help="columns file, and index or label")
    parser.add_argument("--limit", type=int, metavar="N", help="take N images, evenly spaced")
    parser.add_argument("--layers", action="store_true", help="compare every layer and name the first bad one")
    parser.add_argument(
        "--digest", action="store_true", help="compare the outputs' CRC-32; fetch an output only where that differs"
    )
    parser.add_argument("--resume", action="store_true", help="go on where an earlier verify of OUT was broken off")
    parser.add_argument(
        "--max-drop",
        type=float,
        metavar="P",
        help="fail if accuracy may drop by more than P %% against the float model",
    )


def _add_device(parser: argparse.ArgumentParser) -> None:
    device = parser.add_mutually_exclusive_group()
    device.add_argument(
        "--port",
        action="append",
        help="serial port, or socket://host:port, of a board that runs the firmware; again for each further board",
    )
    device.add_argument("--board", help="emulated board; its firmware is built if OUT has none for it")
    device.add_argument("--host", action="store_true", help="the same firmware as a program on this computer")
    parser.add_argument("--baud", type=int, default=115200, help="rate to change to after the first 115200")


def _verify(options: argparse.Namespace) -> int:
    output = OutputFolder(options.output)
    checked = VerifyOptions(
        options.images,
        options.labels,
        options.limit,
        options.layers,
        options.max_drop,
        options.digest,
        options.output / JOURNAL,
        options.resume,
    )
    with tempfile.TemporaryDirectory(prefix="mbn2c-") as folder, contextlib.ExitStack() as open_lines:
        devices = _open_devices(options, output, Path(folder), open_lines)
        result = verify_on_all(output, devices, checked, _progress)
    _show(options, result, verify_text(result))
    check_gates(result, options.max_drop)
    return 0


def _open_devices(
    options: argparse.Namespace, output: OutputFolder, folder: Path, open_lines: contextlib.ExitStack
) -> list[Device]:
    devices = []
    for name in options.port or ():
        session = Session(SerialPort(name), digest=output.digest)
        open_lines.callback(session.close)
        session.connect(options.baud, output.report["model"]["macs"])
        devices.append(Device(session.transport, session))
    if not devices:
        board = _device_board(options, output)
        emulated = EmulatedBoard(board, _firmware_file(output, board, folder), count=True)
        open_lines.callback(emulated.close)
        devices.append(Device(emulated, Session(emulated, digest=output.digest, timing=EMULATED)))
    return devices


def _firmware_file(output: OutputFolder, board: Board, folder: Path) -> Path:
    """The firmware of OUT for a board; built in `folder` if OUT has none."""
    built = output.report.get("firmware")
    if built and output.report["board"] == board.name and (output.path / built["file"]).is_file():
        file: Path = output.path / built["file"]
        return file
    return firmware_for(output, board, folder)


def _device_board(options: argparse.Namespace, output: OutputFolder) -> Board:
    name = "host" if options.host else options.board or output.report["board"]
    if name is None:
        raise UsageError("no device to verify", hint="--board (see `mbn2c boards`), --host, or --port /dev/ttyACM0")
    board = load_board(name)
    if not board.emulated:
        raise UsageError(f"board '{board.name}' is not emulated", hint="flash it and give its --port")
    return board


# --- bench ---


def _add_bench(commands: Any) -> None:
    parser = _command(commands, "bench", _bench, "instructions of one inference, per layer and class, in the emulator")
    parser.add_argument("output", type=Path, metavar="OUT", help="folder that build wrote")
    parser.add_argument("--board", help="emulated board (default: the board OUT was built for)")


def _bench(options: argparse.Namespace) -> int:
    output = OutputFolder(options.output)
    options.host = False
    with tempfile.TemporaryDirectory(prefix="mbn2c-") as folder:
        result = bench(output, _device_board(options, output), Path(folder))
    _show(options, result, bench_text(result))
    return 0


# --- listings, demo ---


def _add_listings(commands: Any) -> None:
    _command(commands, "targets", _targets, "the cores C can be built for")
    _command(commands, "boards", _boards, "the boards firmware can be built for")
    _command(commands, "doctor", _doctor, "which tools are installed, and what installs the missing ones")


def _targets(options: argparse.Namespace) -> int:
    cores = all_cores()
    listing = [
        {"name": core.name, "title": core.title, "isas": list(core.isas), "compiler": f"{core.prefix}gcc"}
        for core in cores
    ]
    _show(options, {"targets": listing}, targets_text(cores))
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
    _show(options, {"boards": listing}, boards_text(boards))
    return 0


def _doctor(options: argparse.Namespace) -> int:
    found = checks()
    ok = all_required_ok(found)
    _show(options, {"ok": ok, "checks": [check.as_json() for check in found]}, format_checks(found))
    return 0 if ok else BoardError.exit_code


def _add_demo(commands: Any) -> None:
    parser = _command(
        commands, "demo", _demo, "build the bundled digits network for Cortex-M7 and verify it on the emulated board"
    )
    parser.add_argument("--images", type=int, default=50, metavar="N", help="images to check (default 50)")
    parser.add_argument("--board", default="qemu-mps2-an500", help="emulated board (default qemu-mps2-an500)")
    parser.add_argument("-o", "--output", type=Path, metavar="OUT", help="keep the output folder here")


def _demo(options: argparse.Namespace) -> int:
    board = load_board(options.board)
    with tempfile.TemporaryDirectory(prefix="mbn2c-demo-") as temporary:
        folder = options.output or Path(temporary)
        bundle = build(
            BuildOptions(
                model=demo.MODEL_FILE,
                core=load_core(board.core),
                board=board,
                calib=str(demo.CALIBRATION_FOLDER),
                preprocess=Preprocess.named(demo.PREPROCESS),
                input_kind="uint8",
                name="digits",
                labels=demo.CLASS_NAMES_FILE,
            ),
            _progress,
        )
        write_bundle(bundle, folder)
        output = OutputFolder(folder)
        compile_folder(output)
        output = OutputFolder(folder)
        assert output.report["firmware"] is not None
        elf = folder / output.report["firmware"]["file"]
        with EmulatedBoard(board, elf, count=True) as transport:
            session = Session(transport, digest=output.digest, timing=EMULATED)
            checked = VerifyOptions(demo.TEST_FOLDER, demo.TEST_LABELS, options.images)
            result = verify(output, transport, session, checked, _progress)
    text = (
        build_text(output.report, str(folder) if options.output else "a temporary folder", "")
        + "\n"
        + verify_text(result)
    )
    _show(options, {"build": output.report, "verify": result}, text)
    check_gates(result, None)
    return 0
