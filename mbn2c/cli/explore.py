"""`mbn2c explore`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from mbn2c.cli.stage_display import shown_stages
from mbn2c.cli.streams import complain
from mbn2c.cli.words import command, decimal, show, whole
from mbn2c.commands.build_options import core_and_board
from mbn2c.commands.explore.export import export
from mbn2c.commands.explore.families import FAMILIES
from mbn2c.commands.explore.points import EXPLORE_STAGES, SIZES, WIDTHS, ExploreOptions, explore
from mbn2c.errors import UsageError
from mbn2c.files.bundle import write_bundle
from mbn2c.files.typed_json import to_plain
from mbn2c.planner.streaming import OPTIMIZE
from mbn2c.report.explore_text import explore_text
from mbn2c.report.html.exploration import explore_page

_EXPORT, _PAGE = "export", "write the page"
_SIZE = whole(16, 1024)
_CLASSES = whole(1, 100_000)


def add_explore(parser: argparse.ArgumentParser) -> None:
    """Options of `explore`."""
    command(parser, _explore)
    parser.add_argument("-t", "--target", metavar="CORE", help="core to plan for; see `mbn2c targets`")
    parser.add_argument("-b", "--board", help="board whose clock makes milliseconds; see `mbn2c boards`")
    parser.add_argument(
        "--fits",
        metavar="BOARD",
        help="the same, and leave out what does not fit its memories (default: show all)",
    )
    parser.add_argument(
        "--max-ms",
        type=decimal,
        metavar="MS",
        help="leave out what may take more milliseconds an inference (default: show all)",
    )
    parser.add_argument(
        "--family",
        default=",".join(FAMILIES),
        metavar="NAME,...",
        help=f"of MobileNet (default {','.join(FAMILIES)})",
    )
    parser.add_argument(
        "--model", type=Path, metavar="FILE.onnx", help="change the widths and sizes of this network instead"
    )
    parser.add_argument(
        "--width",
        default=",".join(f"{one:g}" for one in WIDTHS),
        metavar="FACTOR,...",
        help=f"of the channels, the papers' alpha (default {','.join(f'{one:g}' for one in WIDTHS)})",
    )
    parser.add_argument(
        "--size",
        default=",".join(map(str, SIZES)),
        metavar="PIXELS,...",
        help=f"height and width of the input (default {','.join(map(str, SIZES))})",
    )
    parser.add_argument(
        "--classes",
        type=_CLASSES,
        default=1000,
        metavar="N",
        help="of a family's classifier (default 1000, as ImageNet)",
    )
    parser.add_argument(
        "--optimize", choices=OPTIMIZE, default="balanced", help="as `build --optimize` (default balanced)"
    )
    parser.add_argument("--html", type=Path, metavar="FILE.html", help="write a page with pictures, too")
    parser.add_argument(
        "--export",
        type=Path,
        metavar="DIR",
        help="write each network that is shown as untrained ONNX, and what defines it in Keras and PyTorch to train",
    )


def _explore(options: argparse.Namespace) -> int:
    if options.fits and options.board and options.fits != options.board:
        raise UsageError("--fits and --board name two boards", hint="one of them is enough")
    core, board = core_and_board(options.target, options.fits or options.board)
    families = tuple(options.family.split(","))
    if unknown := [name for name in families if name not in FAMILIES]:
        raise UsageError(f"no family is called '{unknown[0][:40]}'", hint=f"of {', '.join(FAMILIES)}")
    asked = ExploreOptions(
        core=core,
        board=board,
        families=families,
        model=options.model,
        widths=tuple(_listed(options.width, decimal, "--width", 0.01, 4)),
        sizes=tuple(int(one) for one in _listed(options.size, _SIZE, "--size", 16, 1024)),
        classes=options.classes,
        optimize=options.optimize,
        max_ms=options.max_ms,
        fits_only=options.fits is not None,
    )
    more = {_EXPORT: options.export, _PAGE: options.html}
    with shown_stages([*EXPLORE_STAGES, *(name for name, path in more.items() if path is not None)]) as stages:
        found = explore(asked, stages)
        if options.export is not None:
            stages.begin(_EXPORT)
            for path in export(asked, found, options.export):
                complain(f"wrote {path}")
        if options.html is not None:
            stages.begin(_PAGE)
            write_bundle({options.html.name: explore_page(found).encode()}, options.html.parent)
    show(options, to_plain(found), explore_text(found))
    return 0


def _listed(text: str, read: Any, option: str, least: float, most: float) -> list[float]:
    """Numbers with commas between them, each once. Raises UsageError, naming the option."""
    try:
        found = list(dict.fromkeys(float(read(word)) for word in text.split(",")))
    except argparse.ArgumentTypeError as error:
        raise UsageError(f"{option}: {error}", hint="numbers with commas between them") from None
    if not all(least <= one <= most for one in found):
        raise UsageError(f"{option} has a number that is not from {least:g} to {most:g}", hint="another one")
    return found
