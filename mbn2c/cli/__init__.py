"""The command line: words into calls, results into text or JSON, errors into exit codes. Nothing else."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import NoReturn

from mbn2c import __version__
from mbn2c.cli.build import add_build, add_inspect
from mbn2c.cli.completion import add_completion
from mbn2c.cli.config import words_of
from mbn2c.cli.demo import add_demo
from mbn2c.cli.devices import add_bench, add_bisect, add_flash, add_verify
from mbn2c.cli.diff import add_diff
from mbn2c.cli.explore import add_explore
from mbn2c.cli.guard import exit_code_of
from mbn2c.cli.listings import add_listings
from mbn2c.cli.streams import be_quiet, complain, open_streams, say, settled
from mbn2c.cli.words import EPILOG
from mbn2c.errors import UsageError
from mbn2c.printable import printable

# The command that takes options from mbn2c.toml.
_CONFIGURED = "build"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code, which does not depend on what becomes of its output."""
    open_streams()
    try:
        code = _run(arguments)
    except SystemExit as end:  # argparse has shown its help, or refused a word
        raise SystemExit(settled(int(end.code or 0))) from None
    return settled(code)


def _run(arguments: Sequence[str] | None) -> int:
    try:
        root = parser()
        options = root.parse_args(arguments)
        if options.command is None:
            say(root.format_help().rstrip())
            return UsageError.exit_code
        given = list(sys.argv[1:] if arguments is None else arguments)
        if options.command == _CONFIGURED:
            given[1:1] = words_of(options.model, _CONFIGURED, options.parser)
            options = root.parse_args(given)
        options.words = given
        be_quiet(options.quiet, options.verbose)
        code: int = options.run(options)
        return code
    except KeyboardInterrupt:
        complain("error: interrupted")
        return 130
    except Exception as error:
        return exit_code_of(error, arguments)


class _Parser(argparse.ArgumentParser):
    """Of the commands too."""

    def error(self, message: str) -> NoReturn:
        super().error(printable(message))


def parser() -> argparse.ArgumentParser:
    """All commands, each with its options and what runs it."""
    root = _Parser(
        prog="mbn2c",
        description="Compile a trained MobileNet (ONNX) to bit-exact int8 C, and prove it on the board.",
        epilog=EPILOG,
    )
    root.add_argument("--version", action="version", version=f"mbn2c {__version__}")
    commands = root.add_subparsers(dest="command", metavar="COMMAND")
    add_inspect(commands)
    add_explore(commands)
    add_build(commands)
    add_flash(commands)
    add_verify(commands)
    add_bisect(commands)
    add_bench(commands)
    add_diff(commands)
    add_listings(commands)
    add_demo(commands)
    add_completion(commands, root)
    return root
