"""What the commands have in common: how they are declared, how they print, how sizes and lists are written."""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Callable
from typing import Any

from mbn2c.cli.command_table import EPILOG
from mbn2c.cli.streams import say
from mbn2c.errors import UsageError

Json = dict[str, Any]


class _Help(argparse.HelpFormatter):
    """Each option that takes a value ends with its default, where its text does not say it in other words."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        text = action.help
        if text is None or not action.option_strings or action.nargs == 0 or action.required or "default" in text:
            return text
        default = str(action.default or "none").replace("%", "%%")
        return f"{text} (default: {default})"


def command(parser: argparse.ArgumentParser, run: Callable[[argparse.Namespace], int]) -> None:
    """Give a command the options of all; `run` takes its options and returns the exit status."""
    parser.epilog, parser.formatter_class = EPILOG, _Help
    parser.add_argument("--json", action="store_true", help="print one JSON object and nothing else")
    told = parser.add_mutually_exclusive_group()
    told.add_argument("-q", "--quiet", action="store_true", help="no progress and no warnings; errors are told")
    told.add_argument("-v", "--verbose", action="store_true", help="say on standard error how long each stage took")
    parser.set_defaults(run=run)


def show(options: argparse.Namespace, result: Json, text: str) -> None:
    """Print `result` as one JSON object if the options ask for it, else `text`."""
    say(json.dumps(result, indent=1, allow_nan=False) if options.json else text)


# Of a number on the command line: no more digits than a double and any size in bytes need.
_MOST_DIGITS = 40


def whole(least: int, most: int) -> Callable[[str], int]:
    """A reader of whole numbers for argparse, from `least` to `most`."""

    def read(text: str) -> int:
        if not (text.isascii() and text.lstrip("+-").isdigit() and len(text) <= _MOST_DIGITS):
            raise _refused(text, f"a whole number from {least:,} to {most:,}")
        number = int(text)
        if not least <= number <= most:
            raise _refused(text, f"a whole number from {least:,} to {most:,}")
        return number

    return read


def decimal(text: str) -> float:
    """A finite decimal number, for argparse: no NaN, no infinity, no digits of other scripts."""
    try:
        found = float(text) if text.isascii() and len(text) <= _MOST_DIGITS else math.nan
    except ValueError:
        found = math.nan
    if not math.isfinite(found):
        raise _refused(text, "a decimal number, e.g. 1.5")
    return found


def percent(text: str) -> float:
    """A share of 100, for argparse."""
    try:
        found = decimal(text)
    except argparse.ArgumentTypeError:
        found = math.nan
    if not 0 <= found <= 100:
        raise _refused(text, "between 0 and 100, in per cent")
    return found


def _refused(text: str, wanted: str) -> argparse.ArgumentTypeError:
    return argparse.ArgumentTypeError(f"'{start_of(text)}' is not {wanted}")


def start_of(text: str) -> str:
    """As much of a word as a message may show."""
    return text if len(text) <= _MOST_DIGITS else text[:_MOST_DIGITS] + "..."


COUNT = whole(1, 10**9)  # of images


def size(text: str, option: str) -> int:
    """Bytes; K and M are binary."""
    factor = {"K": 1024, "M": 1024**2}.get(text[-1:].upper(), 1)
    digits = text[:-1] if factor > 1 else text
    try:
        return whole(1, 2**40)(digits) * factor
    except argparse.ArgumentTypeError:
        raise UsageError(f"{option} {start_of(text)} is no size", hint="e.g. 131072, 128K or 1M") from None


def numbers(text: str, option: str) -> tuple[float, ...]:
    """Numbers with commas between them. Raises UsageError, naming the option, for anything else."""
    try:
        return tuple(decimal(word) for word in text.split(","))
    except argparse.ArgumentTypeError:
        what = f"{option} {start_of(text)} is not a list of numbers"
        raise UsageError(what, hint="e.g. 0.485,0.456,0.406") from None
