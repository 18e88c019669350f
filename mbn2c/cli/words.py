"""What the commands have in common: how they are declared, how they print, how sizes and lists are written."""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from tqdm import tqdm

from mbn2c.cli.streams import is_quiet, say, tell_stage
from mbn2c.errors import UsageError
from mbn2c.tasks.registry import all_kinds

Item = TypeVar("Item")
Json = dict[str, Any]

EPILOG = """exit codes: 0 ok, 1 a gate failed (mismatch, accuracy), 2 usage, 3 unsupported or broken model,
4 does not fit, 5 board, tool, line or this computer, 70 bug in mbn2c"""


class _Help(argparse.HelpFormatter):
    """Each option that takes a value ends with its default, where its text does not say it in other words."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        text = action.help
        if text is None or not action.option_strings or action.nargs == 0 or action.required or "default" in text:
            return text
        default = str(action.default or "none").replace("%", "%%")
        return f"{text} (default: {default})"


def command(commands: Any, name: str, run: Callable[[argparse.Namespace], int], text: str) -> argparse.ArgumentParser:
    """Add a command with `--json`; `run` takes its options and returns the exit status."""
    parser: argparse.ArgumentParser = commands.add_parser(
        name, help=text, description=text, epilog=EPILOG, formatter_class=_Help
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object and nothing else")
    told = parser.add_mutually_exclusive_group()
    told.add_argument("-q", "--quiet", action="store_true", help="no progress bars and no warnings; errors are told")
    told.add_argument("-v", "--verbose", action="store_true", help="say on standard error how long each stage took")
    parser.set_defaults(run=run, parser=parser)
    return parser


def show(options: argparse.Namespace, result: Json, text: str) -> None:
    """Print `result` as one JSON object if the options ask for it, else `text`."""
    say(json.dumps(result, indent=1, allow_nan=False) if options.json else text)


def progress(items: Iterable[Item], title: str, total: int) -> Iterable[Item]:
    """A progress bar on standard error, only on a terminal; with --verbose a line when the stage is done."""
    started = time.monotonic()
    yield from tqdm(items, desc=title, total=total, unit="", disable=is_quiet() or None, leave=False)
    tell_stage(f"{title}: {total} in {time.monotonic() - started:.1f} s")


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
    return argparse.ArgumentTypeError(f"'{_start(text)}' is not {wanted}")


def _start(text: str) -> str:
    return text if len(text) <= _MOST_DIGITS else text[:_MOST_DIGITS] + "..."


COUNT = whole(1, 10**9)  # of images


def size(text: str, option: str) -> int:
    """Bytes; K and M are binary."""
    factor = {"K": 1024, "M": 1024**2}.get(text[-1:].upper(), 1)
    digits = text[:-1] if factor > 1 else text
    try:
        return whole(1, 2**40)(digits) * factor
    except argparse.ArgumentTypeError:
        raise UsageError(f"{option} {_start(text)} is no size", hint="e.g. 131072, 128K or 1M") from None


def add_output_options(parser: argparse.ArgumentParser) -> None:
    """What `build` and `verify` are told of the outputs, and the gate for those that say no class."""
    parser.add_argument(
        "--min-sqnr",
        type=decimal,
        metavar="DB",
        help="fail if an output has less signal to noise against the float model: the gate for embeddings, regressions "
        "and maps; 30 dB is a usual value",
    )
    parser.add_argument(
        "--output-kind",
        action="append",
        default=[],
        metavar="NAME=KIND",
        help=f"what an output says, where its shape misleads: {', '.join(all_kinds())} (docs/accuracy.md); "
        "again for each (default: what its shape suggests)",
    )


def output_kinds(options: argparse.Namespace) -> dict[str, str]:
    """The kinds of --output-kind NAME=KIND, by output name. Raises UsageError for other words and for a name twice."""
    kinds: dict[str, str] = {}
    for word in options.output_kind:
        name, found, kind = word.rpartition("=")
        if not found or kinds.setdefault(name, kind) != kind:
            raise UsageError(
                f"--output-kind {_start(word)} is no NAME=KIND, or the second for that name",
                hint=f"NAME is the output's in the ONNX file, KIND one of {', '.join(all_kinds())}",
            )
    return kinds


def numbers(text: str, option: str) -> tuple[float, ...]:
    """Numbers with commas between them. Raises UsageError, naming the option, for anything else."""
    try:
        return tuple(decimal(word) for word in text.split(","))
    except argparse.ArgumentTypeError:
        what = f"{option} {_start(text)} is not a list of numbers"
        raise UsageError(what, hint="e.g. 0.485,0.456,0.406") from None
