"""`mbn2c inspect`."""

from __future__ import annotations

import argparse
from pathlib import Path

from mbn2c.cli.stage_display import shown_stages
from mbn2c.cli.words import command, show
from mbn2c.commands.build_options import core_and_board
from mbn2c.commands.inspect import INSPECT_STAGES, format_inspection, inspect_model
from mbn2c.commands.inspect.plan import inspect_folder, inspect_model_plan
from mbn2c.errors import UsageError
from mbn2c.files.typed_json import to_plain


def add_inspect(parser: argparse.ArgumentParser) -> None:
    """Options of `inspect`."""
    command(parser, _inspect)
    parser.add_argument("model", type=Path, metavar="MODEL.onnx|OUT", help="a trained network, or what build wrote")
    parser.add_argument(
        "--plan", action="store_true", help="the plan that a build of MODEL.onnx for --target would make"
    )
    parser.add_argument("-t", "--target", metavar="CORE", help="for this core only; see `mbn2c targets` (default: all)")
    parser.add_argument("-b", "--board", help="whose RAM and flash are limits; see `mbn2c boards`")


def _inspect(options: argparse.Namespace) -> int:
    is_folder = options.model.is_dir()
    if is_folder and (options.target is not None or options.board is not None):
        raise UsageError("--target and --board belong to a model: OUT has its own", where=str(options.model))
    if is_folder or options.plan:
        return _inspect_plan(options, is_folder)
    is_all = options.target is None and options.board is None
    core, board = (None, None) if is_all else core_and_board(options.target, options.board)
    with shown_stages(INSPECT_STAGES) as stages:
        result = inspect_model(options.model, core, board, stages)
    show(options, to_plain(result), format_inspection(result))
    return 0


def _inspect_plan(options: argparse.Namespace, is_folder: bool) -> int:
    if is_folder:
        found = inspect_folder(options.model)
    else:
        found = inspect_model_plan(options.model, *core_and_board(options.target, options.board))
    result = to_plain(found)
    del result["text"]
    show(options, result, found.text)
    return 0
