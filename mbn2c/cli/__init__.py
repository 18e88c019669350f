"""The command line: words into calls, results into text or JSON, errors into exit codes. Nothing else."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from mbn2c import __version__
from mbn2c.cli.build import add_build, add_inspect
from mbn2c.cli.devices import add_bench, add_flash, add_verify
from mbn2c.cli.listings import add_demo, add_listings
from mbn2c.cli.words import EPILOG
from mbn2c.errors import Mbn2cError


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
        epilog=EPILOG,
    )
    parser.add_argument("--version", action="version", version=f"mbn2c {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    add_inspect(commands)
    add_build(commands)
    add_flash(commands)
    add_verify(commands)
    add_bench(commands)
    add_listings(commands)
    add_demo(commands)
    return parser
