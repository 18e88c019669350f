"""What `build` and `verify` are told of the outputs."""

from __future__ import annotations

import argparse

from mbn2c.cli.words import decimal, start_of
from mbn2c.errors import UsageError
from mbn2c.tasks.registry import all_kinds


def add_output_options(parser: argparse.ArgumentParser) -> None:
    """Options of both, with the gate for outputs that say no class."""
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
                f"--output-kind {start_of(word)} is no NAME=KIND, or the second for that name",
                hint=f"NAME is the output's in the ONNX file, KIND one of {', '.join(all_kinds())}",
            )
    return kinds
