"""The table of docs/weights.md: flash against agreement, and what layers with weights of four bits cost.

    .venv/bin/python benchmarks/weights.py [MODEL ...] [--calib N] [--limit N] [--ways WORDS ...]      (needs ../shared)

Each model is built as `mbn2c build` does, its C compiled, with the limits of flash below, on evenly spaced images of a
folder of ../shared; ONNX Runtime runs its model.int8.onnx on the other images only. Prints a table in Markdown.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from accuracy import CASES, SHARED, Images, cpu_seconds, line, load, model_file, percent, predict

import mbn2c
from mbn2c.commands.output_folder.reading import OutputFolder
from mbn2c.report.record import BuildRecord

HEAD = (
    "model",
    "weights",
    "flash KiB",
    "layers with 4 bits",
    "top-1 % (95 %)",
    "same as float32 % (95 %)",
    "M instr.",
    "CPU s",
)


@dataclass(frozen=True)
class Way:
    """Options of a build, by what the table calls them.

    share  the limit, as a share of what the first way of the model takes
    board  whose flash is the limit
    """

    words: str
    weights: str
    flash_limit: int | None = None
    share: float | None = None
    board: str | None = None


@dataclass(frozen=True)
class Subject:
    """What a model is built for, and the ways to build it."""

    target: str
    optimize: str
    ways: tuple[Way, ...]


SUBJECTS = {
    "mobilenet_v2_1.0_224": Subject(
        "cortex-m7",
        "balanced",
        (
            Way("8", "8"),
            Way("2.75 MiB", "auto", 2816 * 1024),
            Way("nucleo-h743zi2", "auto", board="nucleo-h743zi2"),
            Way("4", "4"),
        ),
    ),
    "mobilenet_v1_0.25_224": Subject(
        "cortex-m7", "balanced", (Way("8", "8"), Way("65 %", "auto", share=0.65), Way("4", "4"))
    ),
    "vww_96": Subject("cortex-m4", "speed", (Way("8", "8"), Way("144 KiB", "auto", 144 * 1024), Way("4", "4"))),
}


def build(name: str, subject: Subject, way: Way, limit: int | None, calibration: int) -> tuple[BuildRecord, bytes]:
    """The record of a build, and its model.int8.onnx."""
    given = CASES[name].preprocess
    with tempfile.TemporaryDirectory() as folder:
        record = mbn2c.build(
            model_file(name),
            Path(folder) / "out",
            target=subject.target,
            board=way.board,
            calib=SHARED / "data" / CASES[name].images,
            calib_limit=calibration,
            preprocess=(given.mean, given.std),
            optimize=subject.optimize,
            weights=way.weights,
            flash_limit=limit,
        )
        return record, OutputFolder(Path(folder) / "out").int8_model.read_bytes()


def rows(name: str, images: Images, ways: Sequence[Way], calibration: int) -> Iterator[list[str]]:
    subject = SUBJECTS[name]
    floats = predict(model_file(name), images.judged, "float32")
    total = len(floats)
    yield [name, "float32", "", "", percent(int((floats == images.labels).sum()), total), "", "", ""]
    first_bytes = 0
    for way in ways:
        limit = way.flash_limit if way.share is None else int(way.share * first_bytes)
        started = cpu_seconds()
        record, model = build(name, subject, way, limit, calibration)
        seconds = cpu_seconds() - started
        flash_bytes = record.flash.total_bytes
        assert flash_bytes is not None, "its C was not compiled"
        first_bytes = first_bytes or flash_bytes
        found = predict(model, images.judged, way.words)
        hits, agreements = int((found == images.labels).sum()), int((found == floats).sum())
        yield [
            name,
            way.words,
            f"{flash_bytes / 1024:,.1f}",
            str(len(record.quantization.four_bits)),
            percent(hits, total),
            percent(agreements, total),
            f"{record.time.instructions / 1e6:.1f}",
            f"{seconds:.0f}",
        ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", metavar="MODEL", help=f"of {', '.join(SUBJECTS)} (default all)")
    parser.add_argument("--calib", type=int, help="images that calibrate (default as benchmarks/accuracy.py)")
    parser.add_argument("--limit", type=int, help="judge on so many of the other images")
    parser.add_argument("--ways", nargs="+", help="of a model's rows, by their words (default all)")
    options = parser.parse_args()
    print(line(HEAD), line(["---"] * len(HEAD)), sep="\n", flush=True)
    for name in options.models or SUBJECTS:
        calibration = options.calib or CASES[name].calibration
        images = load(name, replace(CASES[name], calibration=calibration), options.limit)
        ways = [way for way in SUBJECTS[name].ways if not options.ways or way.words in options.ways]
        for row in rows(name, images, ways, calibration):
            print(line(row), flush=True)


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent))
    main()
