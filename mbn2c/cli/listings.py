"""`mbn2c targets`, `boards`, `devices` and `doctor`."""

from __future__ import annotations

import argparse

from mbn2c.cli.words import command, show
from mbn2c.commands.devices import attached_devices, devices_text
from mbn2c.commands.doctor import all_required_ok, checks, format_checks
from mbn2c.errors import BoardError
from mbn2c.files.typed_json import to_plain
from mbn2c.report.listing_text import boards_text, targets_text
from mbn2c.targets import all_boards, all_cores


def add_targets(parser: argparse.ArgumentParser) -> None:
    """Options of `targets`."""
    command(parser, _targets)


def add_boards(parser: argparse.ArgumentParser) -> None:
    """Options of `boards`."""
    command(parser, _boards)


def add_devices(parser: argparse.ArgumentParser) -> None:
    """Options of `devices`."""
    command(parser, _devices)


def add_doctor(parser: argparse.ArgumentParser) -> None:
    """Options of `doctor`."""
    command(parser, _doctor)


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
