"""Accuracy of int8 against float32 on real models: mbn2c beside ONNX Runtime's own quantizer, in one run.

    .venv/bin/python benchmarks/accuracy.py [MODEL ...] [--quantize fast default best] [--int16] [--no-images]
                                            [--limit N] [--renew]

Calibrates on evenly spaced images of a folder of ../shared and judges on its other images only. Prints a table in
Markdown, with 95 % intervals (Wilson). --renew renews the rows it measured, and leaves the others, between
`<!-- table: accuracy -->` and `<!-- end -->` of docs/benchmarks.md and docs/quantization.md.
"""

from __future__ import annotations

import argparse
import re
import resource
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnx.version_converter
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process
from rich.console import Console
from rich.progress import track

from mbn2c.frontend.runtime import Oracle
from mbn2c.ir.graph import Graph
from mbn2c.network.inputs import input_spec
from mbn2c.network.lowered import import_lowered
from mbn2c.network.options import NetworkOptions
from mbn2c.network.read import read_network
from mbn2c.planner.choice import choose_plan
from mbn2c.planner.cost import node_instructions
from mbn2c.progress import no_progress
from mbn2c.quantize.int16 import AUTO, Planned
from mbn2c.quantize.search import EFFORTS
from mbn2c.targets import load_core
from mbn2c.tasks.classification.csv_labels import read_labels
from mbn2c.tasks.images import evenly_spaced, open_samples
from mbn2c.tasks.inputs import Preprocess
from mbn2c.tasks.statistics import Share

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared"
PAGES = ("docs/benchmarks.md", "docs/quantization.md")
HEAD = ("model", "int8 by", "top-1 % (95 %)", "same top-1 as float32 % (95 %)", "CPU s")
_INT16_WAY = "mbn2c --int16 auto"
_DRAWN_WAY = "mbn2c without images"


@dataclass(frozen=True)
class Case:
    """A model, the images it is calibrated and judged with, and how many of them calibrate.

    classes  from the label of an image to the class the model has for it; None: the same
    """

    preprocess: Preprocess
    images: str
    calibration: int
    classes: Callable[[int], int] | None = None


def animal5(index: int) -> int:
    """The class that ../shared/models/README.md gives an ImageNet class: bird, dog, other animal, food, other."""
    if 7 <= index <= 24 or 80 <= index <= 100 or 127 <= index <= 146:
        return 0
    if 151 <= index <= 268:
        return 1
    if index < 398:
        return 2
    return 3 if 924 <= index <= 969 else 4


UNIT, PM1, IMAGENET = (Preprocess.named(name) for name in ("unit", "pm1", "imagenet"))
RAW = Preprocess(std=(1 / 255,))
CASES = {
    "mobilenet_v2_1.0_224": Case(IMAGENET, "imagenet_500", 64),
    "mobilenet_v2_1.0_224_bn": Case(IMAGENET, "imagenet_500", 64),
    "mobilenet_v1_0.25_224": Case(PM1, "imagenet_500", 64),
    "vww_96": Case(UNIT, "vww_96", 16),
    "classification/efficientnet_lite0_224_bn": Case(PM1, "imagenet_500", 64),
    "classification/squeezenet1.1_224": Case(IMAGENET, "imagenet_500", 64),
    "mobilenet_v3/mobilenet_v3_large_0.75_animal5_224": Case(RAW, "imagenet_500", 64, animal5),
    "classification/pplcnet_x1.0_text_orientation_224_paddle2onnx": Case(IMAGENET, "text_orientation", 16),
}


@dataclass(frozen=True)
class Images:
    """Model inputs of one case: those that calibrate, those that judge, and the labels of the latter."""

    calibration: list[np.ndarray]
    judged: list[np.ndarray]
    labels: list[int]


def load(name: str, case: Case, limit: int | None) -> Images:
    spec = input_spec(import_lowered(model_file(name)))
    folder = SHARED / "data" / case.images
    samples = open_samples(folder, spec)
    labels = read_labels(folder / "labels.csv")
    chosen = evenly_spaced(len(samples), case.calibration)
    others = sorted(set(range(len(samples))) - set(chosen))
    others = [others[position] for position in evenly_spaced(len(others), limit)]
    classes = case.classes or (lambda label: label)

    def inputs(positions: Sequence[int]) -> list[np.ndarray]:
        return [samples[position].model_input(spec, case.preprocess) for position in positions]

    return Images(inputs(chosen), inputs(others), [classes(labels[samples.names[position]]) for position in others])


def model_file(name: str) -> Path:
    return SHARED / "models" / f"{name}.onnx"


def predict(model: Path | bytes, images: Sequence[np.ndarray], title: str) -> np.ndarray:
    """The top-1 class of each image."""
    oracle = Oracle(model)
    bar = track(images, title, console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty())
    return np.array([oracle.run({oracle.input_names[0]: x})[oracle.output_names[0]].argmax() for x in bar])


def by_mbn2c(name: str, case: Case, effort: str, int16: tuple[str, ...] = ()) -> bytes:
    """model.int8.onnx of a build, calibrated on the same images; with int16, of one for Cortex-M7."""
    options = NetworkOptions(
        model=model_file(name),
        calib=str(SHARED / "data" / case.images),
        calib_limit=case.calibration,
        preprocess=case.preprocess,
        effort=effort,
        int16=int16,
    )
    core = load_core("cortex-m7")

    def planned(graph: Graph) -> Planned:
        choice = choose_plan(graph, core, "balanced")
        return Planned(choice.plan, node_instructions(choice.plan, choice.kernels))

    return read_network(options, (), no_progress, planned).int8_model


def without_images(name: str) -> bytes:
    """model.int8.onnx of the plain command: nothing is said of images or preprocessing."""
    return read_network(NetworkOptions(model=model_file(name)), (), no_progress).int8_model


class _Reader(CalibrationDataReader):  # type: ignore[misc]
    """Images, as ONNX Runtime's quantizer wants them."""

    def __init__(self, name: str, images: Sequence[np.ndarray]) -> None:
        self._feeds: Iterator[dict[str, np.ndarray]] = iter([{name: image} for image in images])

    def get_next(self) -> dict[str, np.ndarray] | None:
        return next(self._feeds, None)


def by_onnx_runtime(name: str, images: Sequence[np.ndarray]) -> bytes:
    """ONNX Runtime's static quantization with its best usual settings: QDQ, int8, per channel, min-max.

    A file below opset 13, which has no scale per channel, is converted to it first.
    """
    with tempfile.TemporaryDirectory() as folder:
        source, prepared, quantized = (f"{folder}/{name}.onnx" for name in ("source", "prepared", "quantized"))
        model = onnx.load(model_file(name))
        opset = next(entry.version for entry in model.opset_import if not entry.domain)
        onnx.save(onnx.version_converter.convert_version(model, 13) if opset < 13 else model, source)
        quant_pre_process(source, prepared, skip_symbolic_shape=True)
        reader = _Reader(Oracle(model_file(name)).input_names[0], images)
        quantize_static(
            prepared,
            quantized,
            reader,
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            activation_type=QuantType.QInt8,
            weight_type=QuantType.QInt8,
        )
        return Path(quantized).read_bytes()


def percent(hits: int, total: int) -> str:
    share = Share(hits, total)
    low, high = share.interval
    return f"{100 * share.value:.1f} ({100 * low:.1f} to {100 * high:.1f})"


def cpu_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def rows(name: str, efforts: Sequence[str], limit: int | None, int16: bool, no_images: bool) -> Iterator[list[str]]:
    case = CASES[name]
    images = load(name, case, limit)
    floats = predict(model_file(name), images.judged, "float32")
    total = len(floats)
    yield [name, "float32", percent(int((floats == images.labels).sum()), total), "", ""]
    ways = {"ONNX Runtime quantize_static": lambda: by_onnx_runtime(name, images.calibration)}
    for effort in efforts:
        ways[f"mbn2c --quantize {effort}"] = lambda effort=effort: by_mbn2c(name, case, effort)  # type: ignore[misc]
    if int16:
        ways[_INT16_WAY] = lambda: by_mbn2c(name, case, "default", (AUTO,))
    if no_images:
        ways[_DRAWN_WAY] = lambda: without_images(name)
    for way, make in ways.items():
        started = cpu_seconds()
        model = make()
        seconds = cpu_seconds() - started
        found = predict(model, images.judged, way)
        hits, agreements = int((found == images.labels).sum()), int((found == floats).sum())
        yield [name, way, percent(hits, total), percent(agreements, total), f"{seconds:.0f}"]


def line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def renew_rows(page: Path, measured: Sequence[Sequence[str]]) -> None:
    """Put rows into the table of a page; those of other models and ways stay."""
    text = page.read_text(encoding="utf-8")
    block = re.compile(r"(<!-- table: accuracy -->\n)(.*?)(<!-- end -->)", re.DOTALL)
    found = block.search(text)
    if found is None:
        raise SystemExit(f"{page} has no marker for 'accuracy'")
    old = [[cell.strip() for cell in row.strip("|").split("|")] for row in found.group(2).splitlines()[2:]]
    known = {(row[0], row[1]): row for row in [*old, *measured]}
    ways = [
        "float32",
        "ONNX Runtime quantize_static",
        *(f"mbn2c --quantize {effort}" for effort in EFFORTS),
        _INT16_WAY,
        _DRAWN_WAY,
    ]
    lines = [line(HEAD), line(["---"] * len(HEAD))]
    lines += [line(known[name, way]) for name in CASES for way in ways if (name, way) in known]
    page.write_text(text[: found.start(2)] + "\n".join(lines) + "\n" + text[found.start(3) :], encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", metavar="MODEL", help=f"of {', '.join(CASES)} (default all)")
    parser.add_argument("--quantize", nargs="+", choices=EFFORTS, default=["default"])
    parser.add_argument("--int16", action="store_true", help="measure --int16 auto, too")
    parser.add_argument("--no-images", action="store_true", help="measure a build without images, too")
    parser.add_argument("--limit", type=int, help="judge on so many of the other images")
    parser.add_argument("--renew", action="store_true", help=f"renew the rows in {' and '.join(PAGES)}")
    options = parser.parse_args()
    print(line(HEAD), line(["---"] * len(HEAD)), sep="\n", flush=True)
    for name in options.models or CASES:
        measured = []
        for row in rows(name, options.quantize, options.limit, options.int16, options.no_images):
            print(line(row), flush=True)
            measured.append(row)
        if options.renew:
            for page in PAGES:
                renew_rows(ROOT / page, measured)


if __name__ == "__main__":
    main()
