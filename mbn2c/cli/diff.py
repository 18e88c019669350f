"""`mbn2c diff`."""

from __future__ import annotations

import argparse
from pathlib import Path

from mbn2c.cli.words import command, percent, show
from mbn2c.commands.diff import check_growth, diff
from mbn2c.files.bundle import write_bundle
from mbn2c.files.typed_json import to_plain
from mbn2c.report.diff_text import diff_text
from mbn2c.report.html.difference import diff_page


def add_diff(parser: argparse.ArgumentParser) -> None:
    """Options of `diff`."""
    command(parser, _diff)
    parser.add_argument("before", type=Path, metavar="OUT1", help="folder that build wrote, or its report.json")
    parser.add_argument("after", type=Path, metavar="OUT2", help="another one")
    parser.add_argument(
        "--max-growth",
        type=percent,
        metavar="P",
        help="exit 1 if RAM, flash or instructions grew by more than P %% (default: no limit)",
    )
    parser.add_argument("--html", type=Path, metavar="FILE.html", help="write the same as a page, too (default: none)")


def _diff(options: argparse.Namespace) -> int:
    found = diff(options.before, options.after, options.max_growth)
    if options.html is not None:
        write_bundle({options.html.name: diff_page(found).encode()}, options.html.parent)
    show(options, to_plain(found), diff_text(found))
    check_growth(found)
    return 0
