"""What the commands have in common: how they are declared, how they print, how sizes and lists are written."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from tqdm import tqdm

from mbn2c.cli.streams import say
from mbn2c.errors import UsageError

Item = TypeVar("Item")
Json = dict[str, Any]

EPILOG = """exit codes: 0 ok, 1 a gate failed (mismatch, accuracy), 2 usage, 3 unsupported or broken model,
4 does not fit, 5 board, tool or line"""


def command(commands: Any, name: str, run: Callable[[argparse.Namespace], int], text: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(name, help=text, description=text, epilog=EPILOG)
    parser.add_argument("--json", action="store_true", help="print one JSON object and nothing else")
    parser.set_defaults(run=run)
    return parser


def show(options: argparse.Namespace, result: Json, text: str) -> None:
    say(json.dumps(result, indent=1, allow_nan=False) if options.json else text)


def progress(items: Iterable[Item], title: str, total: int) -> Iterable[Item]:
    """A progress bar on standard error, only on a terminal."""
    return tqdm(items, desc=title, total=total, unit="", disable=None, leave=False)


def size(text: str, option: str) -> int:
    """Bytes; K and M are binary."""
    factor = {"K": 1024, "M": 1024**2}.get(text[-1:].upper(), 1)
    digits = text[:-1] if factor > 1 else text
    if not digits.isdigit() or int(digits) == 0:
        raise UsageError(f"{option} {text} is no size", hint="e.g. 131072, 128K or 1M")
    return int(digits) * factor


def numbers(text: str, option: str) -> tuple[float, ...]:
    try:
        return tuple(float(word) for word in text.split(","))
    except ValueError:
        raise UsageError(f"{option} {text} is not a list of numbers", hint="e.g. 0.485,0.456,0.406") from None
