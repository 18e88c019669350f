"""`mbn2c targets`, `boards`, `devices` and `doctor`."""

from __future__ import annotations

import argparse
from typing import Any

from mbn2c.cli.words import command, show
from mbn2c.commands.devices import attached_devices, devices_text
from mbn2c.commands.doctor import all_required_ok, checks, format_checks
from mbn2c.errors import BoardError
from mbn2c.files.typed_json import to_plain
from mbn2c.report.text import boards_text, targets_text
from mbn2c.targets import all_boards, all_cores


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
