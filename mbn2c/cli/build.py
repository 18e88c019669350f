"""`mbn2c build`."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Sequence
from pathlib import Path

from mbn2c import __version__
from mbn2c.cli.config import CONFIG, words_of
from mbn2c.cli.output_options import add_output_options, output_kinds
from mbn2c.cli.stage_display import shown_stages
from mbn2c.cli.streams import warn
from mbn2c.cli.words import (
    COUNT,
    command,
    decimal,
    numbers,
    percent,
    show,
    size,
    whole,
)
from mbn2c.commands.build import BUILD_STAGES, BuildOptions, build
from mbn2c.commands.build_options import core_and_board
from mbn2c.commands.output_folder import WRITE_STAGES, OutputFolder, check_folder, write_build
from mbn2c.emit.network.c_names import check_prefix, prefix_of
from mbn2c.emit.network.model import PlannedNetwork
from mbn2c.emit.packages.packagings import DEFAULT_EMITS, EMITS
from mbn2c.errors import UsageError
from mbn2c.files.user_files import text_of
from mbn2c.network.options import WEIGHTS_4, WEIGHTS_8
from mbn2c.planner.streaming import OPTIMIZE
from mbn2c.quantize.int16 import AUTO, MOST_RAM_GROWTH
from mbn2c.quantize.search import EFFORTS
from mbn2c.report.build_text import build_text
from mbn2c.targets import Core
from mbn2c.tasks.camera import FORMATS, Camera
from mbn2c.tasks.detection.anchors import BOX_CODERS
from mbn2c.tasks.detection.detector import MOST_KEPT
from mbn2c.tasks.detection.detector import NAME as DETECTION
from mbn2c.tasks.inputs import USUAL, Preprocess
from mbn2c.tasks.protocol import RAW
from mbn2c.tasks.segmentation.segmenter import NAME as SEGMENTATION


def add_build(parser: argparse.ArgumentParser) -> None:
    """Options of `build`."""
    command(parser, _build)
    parser.set_defaults(configure=lambda options: words_of(options.model.parent / CONFIG, "build", parser, options))
    parser.add_argument("model", type=Path, metavar="MODEL.onnx", help="a trained network")
    parser.add_argument(
        "-t", "--target", metavar="CORE", help="core to build for; see `mbn2c targets` (default: the board's)"
    )
    parser.add_argument(
        "-b",
        "--board",
        help="board to build firmware for, whose RAM is a limit; see `mbn2c boards` (default: none)",
    )
    parser.add_argument(
        "--calib",
        metavar="DIR|FILE.npz|random",
        help="images to choose the int8 scales from; a folder of images, or of one folder per class "
        "(default: none, scales from the network itself)",
    )
    parser.add_argument(
        "--calib-limit", type=COUNT, metavar="N", help="take N of the images, evenly spaced (default: all)"
    )
    parser.add_argument(
        "--quantize",
        choices=EFFORTS,
        default="default",
        help="how long to look for an int8 network near the float one: seconds, a minute, minutes",
    )
    parser.add_argument(
        "--percentile",
        type=decimal,
        default=100.0,
        metavar="P",
        help="keep P %% of each tensor's values inside its int8 range (default: found by search)",
    )
    parser.add_argument(
        "--int16",
        metavar="auto|LAYER,...",
        help="activations in 16 bits: the outputs of these layers, or of those whose rounding costs most for what they "
        f"add to the instructions, for at most {100 * MOST_RAM_GROWTH:.0f} %% more RAM",
    )
    parser.add_argument(
        "--weights",
        choices=(AUTO, WEIGHTS_8, WEIGHTS_4),
        default="",
        help="bits of the weights of 1x1 and dense layers. auto: four where they cost least for the bytes they save, "
        "in as many layers as --flash-limit and the board's flash need, without either in those that hardly change the "
        "outputs; 4: four wherever they may (default: 8, and as with auto where the board's flash is too small)",
    )
    parser.add_argument(
        "--flash-limit",
        metavar="BYTES",
        help="choose four bits for weights until code and constants take so much flash; 2M is 2097152",
    )
    parser.add_argument(
        "--weights-curve",
        type=int,
        default=0,
        metavar="N",
        help="make and judge N networks between 8 and four bits besides, for the curve of flash against agreement in "
        "report.html; each takes as long as fitting the weights once; with --weights auto|4 or --flash-limit, and "
        "images (default: 0, none)",
    )
    parser.add_argument(
        "--weights-in",
        metavar="SECTION|LAYER=SECTION,...",
        help="put the weights, all or those of these layers, apart from the other constants: into the board's flash of"
        " this name, without a board into the section .weights.SECTION for your linker script; * in LAYER means any"
        " letters (default: with the other constants; docs/external-weights.md)",
    )
    parser.add_argument(
        "--prefetch",
        action="store_true",
        help="with --weights-in: the C calls NAME_prefetch, which you may write, before each call that reads weights"
        " which lie apart; it says where they are, as in a buffer that was filled ahead (docs/external-weights.md)",
    )
    parser.add_argument(
        "--max-drop",
        type=percent,
        metavar="P",
        help="fail if int8 may lose more than P %% of accuracy on images held back, with 95 %% confidence",
    )
    parser.add_argument(
        "--calib-labels",
        type=Path,
        metavar="CSV|FILE|DIR",
        help="classes or boxes of the --calib images, for --max-drop (default: names of class folders; without either "
        "every changed class counts as lost)",
    )
    add_output_options(parser)
    _add_detection(parser)
    parser.add_argument("--preprocess", choices=tuple(USUAL), help="RGB/255; RGB/127.5-1; ImageNet's mean and std")
    parser.add_argument("--mean", metavar="R,G,B", help="in units of RGB/255; with --std")
    parser.add_argument("--std", metavar="R,G,B", help="in units of RGB/255; with --mean")
    parser.add_argument(
        "--resize", choices=("crop", "stretch"), default="crop", help="how images reach the input size (default crop)"
    )
    parser.add_argument(
        "--input",
        choices=("int8", "uint8"),
        help="uint8: the device takes raw pixels and does the preprocessing (default int8; uint8 with --camera)",
    )
    parser.add_argument(
        "--camera",
        metavar="FORMAT:WIDTHxHEIGHT[:nearest]",
        help="rows of a camera are converted and scaled on the device, and the images by the same function on the host:"
        f" {', '.join(FORMATS)} (docs/camera.md)",
    )
    parser.add_argument(
        "--optimize",
        choices=OPTIMIZE,
        default="balanced",
        help="minimum RAM, minimum product of RAM and instructions, or fewest instructions (default balanced)",
    )
    parser.add_argument(
        "--recompute",
        type=percent,
        metavar="P",
        help="less RAM for at most P %% more multiply-accumulates: a large tensor that would wait for a mean over all"
        " rows, as in a decoder's gates, is made twice of a smaller one (default: as few as make the network fit the"
        " board or --ram-limit where it would not otherwise, at most 25; 0: none)",
    )
    parser.add_argument(
        "--ram-limit", metavar="BYTES", help="the cheapest plan within so much RAM in all; 128K is 131072"
    )
    parser.add_argument(
        "--slice",
        type=COUNT,
        metavar="N",
        help="offer inferences in slices of at most N instructions, too, for a loop or a task that has other work"
        " (default: whole inferences only)",
    )
    parser.add_argument("--name", help="prefix of the C functions (default: the model's file name)")
    parser.add_argument(
        "--task",
        choices=(RAW, DETECTION, SEGMENTATION),
        default="",
        help="what the outputs mean, where it is not what the file looks like. segmentation: a class for each pixel;"
        " detection: boxes, and of a map of classes the centroids of what hangs together, as FOMO's;"
        " raw: the numbers that a detector or a segmenter would decide by (default: what the file looks like)",
    )
    parser.add_argument("--labels", type=Path, metavar="FILE", help="class names, one a line or CSV with index,name")
    parser.add_argument(
        "--emit",
        action="append",
        metavar="PACKAGING,...",
        help=f"how the C is packaged: {', '.join(EMITS)} (default {','.join(DEFAULT_EMITS)}; docs/packages.md)",
    )
    parser.add_argument(
        "--package-version",
        default=__version__,
        metavar="X.Y.Z",
        help="version of the packages of --emit (default: that of mbn2c)",
    )
    parser.add_argument(
        "--beside",
        action="append",
        default=[],
        type=Path,
        metavar="OTHER",
        help="put the C of the network in that output folder into OUT too, with shared kernels; may be given again",
    )
    parser.add_argument(
        "-o", "--output", type=Path, metavar="OUT", help="folder to write (default: out/, and the network's name)"
    )
    parser.add_argument(
        "--force", action="store_true", help="overwrite files in OUT that mbn2c did not write or that were edited"
    )


def _build(options: argparse.Namespace) -> int:
    core, board = core_and_board(options.target, options.board)
    if not 50 < options.percentile <= 100:
        raise UsageError("--percentile must be above 50 and at most 100")
    folder = options.output or Path("out") / _prefix(options)
    check_folder(folder, force=options.force)  # before the work; again when it is done
    asked = BuildOptions(
        model=options.model,
        core=core,
        board=board,
        calib=options.calib,
        calib_limit=options.calib_limit,
        preprocess=_preprocess(options),
        resize=options.resize,
        percentile=options.percentile,
        effort=options.quantize,
        int16=tuple(options.int16.split(",")) if options.int16 is not None else (),
        weights=options.weights or (AUTO if options.flash_limit is not None else ""),
        flash_limit=size(options.flash_limit, "--flash-limit") if options.flash_limit is not None else None,
        weights_curve=options.weights_curve,
        max_drop=options.max_drop,
        calib_labels=options.calib_labels,
        min_sqnr=options.min_sqnr,
        output_kinds=output_kinds(options),
        task=options.task,
        task_options=_detection(options),
        anchors=options.anchors,
        box_coder=options.box_coder,
        recompute=options.recompute,
        input_kind=options.input or ("int8" if options.camera is None else "uint8"),
        camera=Camera.parse(options.camera) if options.camera is not None else None,
        optimize=options.optimize,
        ram_limit=size(options.ram_limit, "--ram-limit") if options.ram_limit is not None else None,
        slice=options.slice,
        prefetch=options.prefetch,
        weights_in=tuple(options.weights_in.split(",")) if options.weights_in is not None else (),
        name=options.name,
        package_version=options.package_version,
        command=_shown_command(options.words),
        labels=options.labels,
        beside=_beside(options, core),
        emit=tuple(word for words in options.emit or DEFAULT_EMITS for word in words.split(",")),
    )
    with shown_stages(BUILD_STAGES + WRITE_STAGES) as stages:
        note = write_build(build(asked, stages), folder, force=options.force, stages=stages)
    built = OutputFolder(folder)
    text = build_text(built.record, str(folder), note)
    if warning := built.record.build.calibration.warning:
        warn(warning)
    layers = built.record.quantization.four_bits
    if layers and not options.weights and options.flash_limit is None:
        saved = sum(one.saved_bytes for one in layers)
        warn(
            f"weights of {len(layers)} layers have 4 bits, {saved:,} B less, for the flash of "
            f"'{built.record.board}' is too small for 8: see what is said of images held back (--weights 8 refuses)"
        )
    if note:
        warn(note)
    show(options, built.report, text)
    return 0


_KEPT = whole(1, MOST_KEPT)
# Options of a detector, by what they are called in `DetectorLimits`.
_DETECTION = {
    "max_boxes": (_KEPT, "N", "boxes that an image can have (default 32)"),
    "max_candidates": (_KEPT, "N", "anchors of each level that may become a box (default 64)"),
    "score_threshold": (
        decimal,
        "S",
        "from 0 to 1: scores below are no candidates (default 0.1), or background of a segmenter with one channel"
        " (default 0.5)",
    ),
    "iou_threshold": (decimal, "S", "from 0 to 1: boxes that overlap a better one more are dropped (default 0.5)"),
}


def _add_detection(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("detectors")
    group.add_argument(
        "--anchors",
        type=Path,
        metavar="FILE.npy",
        help="of a model without them: [N, 4] in parts of the image, "
        + "; ".join(f"{name}: {coder.written}" for name, coder in BOX_CODERS.items()),
    )
    group.add_argument(
        "--box-coder",
        choices=tuple(BOX_CODERS),
        default="",
        help="what the heads of --anchors mean, which no file says. "
        + "; ".join(f"{name}: {coder.words}" for name, coder in BOX_CODERS.items())
        + "; the first of several classes is the background",
    )
    for name, (kind, what, words) in _DETECTION.items():
        group.add_argument(f"--{name.replace('_', '-')}", type=kind, metavar=what, help=words)


def _detection(options: argparse.Namespace) -> dict[str, float]:
    given = {name: getattr(options, name) for name in _DETECTION}
    return {name: value for name, value in given.items() if value is not None}


def _beside(options: argparse.Namespace, core: Core) -> tuple[PlannedNetwork, ...]:
    others = [OutputFolder(folder) for folder in options.beside]
    prefixes = [_prefix(options), *(other.prefix for other in others)]
    for number, prefix in enumerate(prefixes):
        if prefix in prefixes[:number]:
            raise UsageError(f"two networks are called '{prefix}'", hint="--name gives this one another name")
    return tuple(other.planned(core) for other in others)


def _prefix(options: argparse.Namespace) -> str:
    return check_prefix(options.name) if options.name else prefix_of(options.model.stem)


def _preprocess(options: argparse.Namespace) -> Preprocess | None:
    if (options.mean is None) != (options.std is None):
        raise UsageError("--mean and --std belong together", hint="give both, in units of RGB/255")
    if options.mean is None:
        return Preprocess.named(options.preprocess) if options.preprocess else None
    if options.preprocess:
        raise UsageError("--preprocess and --mean/--std exclude each other")
    return Preprocess(numbers(options.mean, "--mean"), numbers(options.std, "--std"))


def _shown_command(words: Sequence[str]) -> str:
    """The command line for OUT's README: without OUT, which may lie anywhere, and no path but its last name."""
    shown, is_left_out = [], False
    for word in words:
        name, equals, value = word.partition("=") if word.startswith("-") else ("", "", word)
        if is_left_out or name in ("-o", "--output", "--force", "--json"):
            is_left_out = not is_left_out and name in ("-o", "--output") and not equals
            continue
        shown.append(name + equals + (Path(value).name if Path(value).is_absolute() else value))
    return text_of(shlex.join(["mbn2c", *shown]))
