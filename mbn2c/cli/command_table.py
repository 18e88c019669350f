"""The commands by name, and the parser of those that are asked for.

A command's own options are declared by its module, which knows names of tasks, ISAs and formats and so imports numpy,
onnx and most of mbn2c: a second, for which neither `mbn2c --help` nor `mbn2c targets` has a use.
"""

from __future__ import annotations

import argparse
from collections.abc import Collection, Sequence
from importlib import import_module
from types import ModuleType
from typing import NoReturn

from mbn2c import __version__
from mbn2c.printable import printable

EPILOG = """exit codes: 0 ok, 1 a gate failed (mismatch, accuracy), 2 usage, 3 unsupported or broken model,
4 does not fit, 5 board, tool, line or this computer, 70 bug in mbn2c"""

# Command -> what it is for, and the module beside this one that has its `add_<command>`.
COMMANDS = {
    "inspect": (
        "of a model: layers, MACs, parameters, RAM and flash per target before a build; of an output folder: its plan",
        "inspect",
    ),
    "explore": (
        "before training: what networks of several widths and input sizes take, and which are worth training",
        "explore",
    ),
    "build": ("quantize, plan memory, write C, compile it", "build"),
    "flash": ("write the firmware to a board attached to this computer", "devices"),
    "verify": ("prove image by image that the device computes what ONNX Runtime computes", "devices"),
    "bisect": ("where a device computes something else: the first wrong layer and element", "devices"),
    "bench": (
        "per layer: instructions by class and estimated cycles (emulator), cycles (board), or time (this computer)",
        "devices",
    ),
    "diff": ("what changed between two builds: RAM, flash, cycles, accuracy, layers, plan, C", "diff"),
    "targets": ("the cores C can be built for", "listings"),
    "boards": ("the boards firmware can be built for", "listings"),
    "devices": ("serial ports and debug probes attached to this computer", "listings"),
    "doctor": ("which tools are installed, and what installs the missing ones", "listings"),
    "demo": ("build a bundled network and verify it, on an emulated Cortex-M7 or your board", "demo"),
    "completion": ("print what lets a shell complete commands, options, boards and files", "completion"),
}


class _Parser(argparse.ArgumentParser):
    """Of the commands too."""

    def error(self, message: str) -> NoReturn:
        super().error(printable(message))


def chosen_of(words: Sequence[str]) -> list[str]:
    """The command that a command line names, if any."""
    return [word for word in words if not word.startswith("-")][:1]


def load(words: Sequence[str]) -> None:
    """Import the module of the command that a command line names."""
    for name in chosen_of(words):
        if name in COMMANDS:
            _module_of(name)


def _module_of(name: str) -> ModuleType:
    return import_module(f"mbn2c.cli.{COMMANDS[name][1]}")


def parser(chosen: Collection[str]) -> argparse.ArgumentParser:
    """All commands; those that are chosen with their options and what runs them."""
    root = _Parser(
        prog="mbn2c",
        description="Compile a trained MobileNet (ONNX) to bit-exact int8 C, and prove it on the board.",
        epilog=EPILOG,
    )
    root.add_argument("--version", action="version", version=f"mbn2c {__version__}")
    commands = root.add_subparsers(dest="command", metavar="COMMAND")
    for name, (text, _) in COMMANDS.items():
        command = commands.add_parser(name, help=text, description=text)
        command.set_defaults(configure=None, json=False, quiet=False, verbose=False)
        if name in chosen:
            getattr(_module_of(name), f"add_{name}")(command)
    return root


def all_commands() -> argparse.ArgumentParser:
    """The parser of every command with its options."""
    return parser(COMMANDS)
