"""The command line: words into calls, results into text or JSON, errors into exit codes. Nothing else."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from mbn2c.cli.command_table import chosen_of, load, parser
from mbn2c.cli.guard import exit_code_of
from mbn2c.cli.streams import be_quiet, complain, open_streams, say, settled
from mbn2c.errors import UsageError

__all__ = ["load", "main"]


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
        given = list(sys.argv[1:] if arguments is None else arguments)
        root = parser(chosen_of(given))
        options = root.parse_args(given)
        if options.command is None:
            say(root.format_help().rstrip())
            return UsageError.exit_code
        if options.configure is not None:
            given[1:1] = options.configure(options)
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
