"""The tables of docs/detection.md: detectors of ../shared on emulated boards, and their boxes against COCO's.

    PYTHONPATH=tests/support .venv/bin/python benchmarks/detection.py [TABLE ...] [--models MODEL ...]

Calibrates on 32 images of imagenet_500 and judges on all 53 of coco_free. Where a byte of a device differs from the
reference it stops. Renews the tables that it makes, of all models; others are only printed.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import numpy as np
from instruction_counts import COUNTED
from kernels import TITLES
from pages import ROOT, markdown, renew
from ssd import Level, detector
from st_ssd import rebuilt

import mbn2c
from mbn2c.commands.bench.measure import CLASSES, Measured, measure_choice
from mbn2c.commands.output_folder import OutputFolder
from mbn2c.commands.verify.one_image import open_models
from mbn2c.ir.graph import Graph
from mbn2c.ops import OPERATORS
from mbn2c.ops.ssd_boxes.arithmetic import boxes_from_bytes
from mbn2c.planner.choice import choose_plan
from mbn2c.reference.run_graph import run_graph
from mbn2c.targets import load_board, load_core
from mbn2c.tasks.images import open_samples

PAGE = ROOT / "docs" / "detection.md"
SHARED = ROOT.parent / "shared"
DETECTION = SHARED / "models" / "detection"
DATA = SHARED / "data"
CORE, GOAL, CALIBRATION = "cortex-m7", "speed", 32
CORES = ("cortex-m4", "cortex-m7", "cortex-m55", "aarch64-neon", "aarch64-dotprod")
WORK = Path(tempfile.mkdtemp(prefix="mbn2c-detection-"))


@dataclass(frozen=True)
class Case:
    """A detector.

    file          makes it, given a folder
    must          KiB of RAM and of flash, million instructions on Cortex-M7, their limits
    """

    file: Callable[[Path], Path]
    options: Mapping[str, object] = field(default_factory=dict)
    must: tuple[float | None, float | None, float | None] = (None, None, None)


def _st_ssd(side: int) -> Callable[[Path], Path]:
    source = DETECTION / "st_ssd_mobilenet_v1_025_256_person_tf2onnx.onnx"
    return lambda folder: rebuilt(source, side, folder / f"st_ssd_{side}.onnx")


CASES = {
    "st_ssd_mobilenet_v1_025_256": Case(_st_ssd(256), must=(112, 680, 80)),
    "the same, rebuilt for 224x224": Case(_st_ssd(224), must=(92, None, None)),
    "the same, rebuilt for 192x192": Case(_st_ssd(192), must=(72, None, None)),
    "ssdlite_mobilenet_v2_person_300_raw": Case(
        lambda folder: DETECTION / "ssdlite_mobilenet_v2_person_300_raw_tf2onnx.onnx",
        {"anchors": DETECTION / "ssdlite_mobilenet_v2_person_300_anchors.npy", "box_coder": "tf"},
        (256, None, 1.1 * 616.3),
    ),
}
# What is looked for: the defaults, and what ../shared/models/README.md judges with.
LIMITS = {
    "default": {},
    "as COCO": {"score_threshold": 0.05, "iou_threshold": 0.6, "max_boxes": 100, "max_candidates": 200},
}


@cache
def built(name: str, limits: str = "default") -> OutputFolder:
    case = CASES[name]
    out = WORK / f"{list(CASES).index(name)}_{limits.replace(' ', '_')}"
    mbn2c.build(
        case.file(WORK),
        out,
        target=CORE,
        calib=DATA / "imagenet_500",
        calib_limit=CALIBRATION,
        preprocess="pm1",
        optimize=GOAL,
        resize="stretch",
        name="person",
        task_options=LIMITS[limits],
        **case.options,
    )
    return OutputFolder(out)


@cache
def measured(name: str, core: str, *, steps: bool = False) -> Measured:
    """One image of coco_free on the core's emulated board."""
    output = built(name)
    models = open_models(output, {})
    sample = open_samples(DATA / "coco_free" / "images", models.spec, resize="stretch", limit=1)[0]
    image = models.frame(sample, sample.model_input(models.spec, models.preprocess))[1]
    found = _measured(output.graph, core, image, steps=steps)
    print(f"{name} {core} {found}", file=sys.stderr, flush=True)
    return found


def _measured(graph: Graph, core: str, image: np.ndarray, *, steps: bool = False) -> Measured:
    with tempfile.TemporaryDirectory() as folder:
        choice = choose_plan(graph, load_core(core), GOAL)
        found = measure_choice(choice, load_core(core), load_board(COUNTED[core]), image, Path(folder), steps=steps)
    if found.mismatches:
        raise SystemExit(f"{graph.name}, {core}: {found.mismatches} bytes differ from the reference")
    return found


def postprocessing(graph: Graph, found: Measured) -> int:
    """Instructions of the steps behind the heads."""
    calls = choose_plan(graph, load_core(CORE), GOAL).plan.calls
    steps = [call.step for call in calls if call.node and OPERATORS[graph.producer[call.write].op].is_postprocessing]
    return sum(sum(found.by_step[str(step)][: len(CLASSES)]) for step in steps)


def of(value: float, most: float | None, digits: int) -> str:
    return f"{value:.{digits}f}" + (f" of {most:.{digits}f}" if most else "")


# --- the tables ----------------------------------------------------------------------------------


def sizes(names: Sequence[str]) -> str:
    """On Cortex-M7, beside what is asked for."""
    rows = []
    for name in names:
        output, found, ram, flash, millions = built(name), measured(name, CORE), *CASES[name].must
        macs = output.record.model.macs
        rows.append(
            (
                f"`{name}`" if "_" in name else name,
                f"{macs / 1e6:.1f} M",
                of(found.ram_bytes / 1024, ram, 1),
                of(found.flash_bytes / 1024, flash, 0),
                of(found.instructions / 1e6, millions, 1),
                f"{found.instructions / macs:.3f}",
                f"{postprocessing(output.graph, measured(name, CORE, steps=True)) / 1e6:.3f} M",
            )
        )
    head = ("", "MACs", "RAM, KiB", "flash, KiB", "million instructions", "per MAC", "of them behind the heads")
    return markdown(head, rows)


def cores(names: Sequence[str]) -> str:
    rows = []
    for name in names:
        for core in CORES:
            found, macs = measured(name, core), built(name).record.model.macs
            rows.append(
                (
                    f"`{name}`" if "_" in name else name,
                    TITLES.get(core, core),
                    f"{found.instructions / 1e6:.1f}",
                    f"{found.instructions / macs:.3f}",
                    f"{found.ram_bytes / 1024:.1f}",
                    f"{found.flash_bytes / 1024:.0f}",
                )
            )
    return markdown(("", "core", "million instructions", "per MAC", "RAM, KiB", "flash, KiB"), rows)


def accuracy(names: Sequence[str]) -> str:
    """Of the C on this computer: all images of coco_free, persons."""
    rows = []
    for name in names:
        for limits in LIMITS:
            images, boxes = DATA / "coco_free" / "images", DATA / "coco_free" / "boxes.csv"
            found = mbn2c.verify(built(name, limits).path, images, board="host", labels=boxes)
            print(f"{name}, {limits}: {found}", file=sys.stderr, flush=True)
            if not found.is_exact:
                raise SystemExit(f"{name}: {found.first_mismatch}")
            result = found.result
            rows.append(
                (
                    f"`{name}`" if "_" in name else name,
                    limits,
                    *(_interval(result, f"{metric}_{side}") for metric in ("ap50", "ap") for side in _SIDES),
                    f"{100 * result['drop']:.1f}, at most {100 * result['drop_upper_95']:.1f}",
                    f"{100 * result['box_agreement']:.1f} % of {result['detections_compared']}",
                )
            )
    head = ("", "limits", "AP50 device", "AP50 float", "AP device", "AP float", "drop of AP50", "same boxes")
    return markdown(head, rows)


_SIDES = ("device", "ort_float32")


def _interval(result: Mapping[str, object], metric: str) -> str:
    low, high = result[f"{metric}_interval_95"]  # type: ignore[misc]
    return f"{100 * result[metric]:.1f} ({100 * low:.1f} to {100 * high:.1f})"  # type: ignore[operator]


def decoding(names: Sequence[str]) -> str:
    """The heads of ST's SSD as an image of codes, on Cortex-M7: what is behind them is the same, whoever made them."""
    rows = []
    graph, images = _heads(built(next(iter(CASES))).graph)
    for words, image in images.items():
        found = _measured(graph, CORE, image, steps=True)
        boxes = boxes_from_bytes(run_graph(graph, {"input": image})["boxes"])
        rows.append((words, str(len(boxes)), f"{postprocessing(graph, found) / 1e6:.3f} M"))
    bytes_of = [int(np.prod(graph.tensors[node.outputs[0]].shape)) for node in graph.nodes if "ssd_" in node.op]
    rows.append(("RAM of lists and boxes", "", f"{sum(bytes_of) / 1024:.2f} KiB"))
    return markdown(("6,825 anchors", "boxes", "instructions"), rows)


# A level's number and its places -> their ranks; its number and a shape -> codes of offsets.
Ranks = Callable[[int, int], np.ndarray]
Offsets = Callable[[int, tuple[int, ...]], np.ndarray]


def _heads(whole: Graph) -> tuple[Graph, dict[str, np.ndarray]]:
    """What stands behind the heads, and images of codes."""
    lists = [node for node in whole.nodes if node.op == "ssd_candidates"]
    boxes = next(node for node in whole.nodes if node.op == "ssd_boxes").attributes
    levels = [Level(one.height, one.width, node.attributes, one) for node, one in zip(lists, boxes.levels, strict=True)]
    graph = detector(levels, boxes)
    random = np.random.default_rng(0)
    _, height, width, channels = graph.tensors["input"].shape

    def image(ranks: Ranks, offsets: Offsets) -> np.ndarray:
        codes, first = np.zeros((1, height, width, channels), np.int8), 0
        for number, level in enumerate(levels):
            a, view = level.candidates, (slice(0, level.height), slice(0, level.width))
            wanted = np.clip(ranks(number, level.height * level.width * a.anchors), -255, 255)
            background = -(wanted // 2)
            scores = np.empty((len(wanted), 2), np.int64)
            scores[:, a.background], scores[:, 1 - a.background] = background, wanted + background
            shape = (level.height, level.width, a.anchors * a.values)
            for part in (scores.reshape(level.height, level.width, -1), offsets(number, shape)):
                codes[0][(*view, slice(first, first + part.shape[2]))] = np.clip(part, -128, 127)
                first += part.shape[2]
        return codes

    def apart(number: int, places: int) -> np.ndarray:
        """Twenty small anchors that do not meet, of the largest level."""
        least = levels[number].candidates.threshold
        found = np.full(places, least - 1)
        if number == 0:
            grid = found.reshape(levels[0].height, levels[0].width, -1)
            grid[3::7, 3::8, 0] = least + 10
        return found

    def rest(number: int, shape: tuple[int, ...]) -> np.ndarray:
        return np.full(shape, levels[number].boxes.zero_point)

    most = lists[0].attributes.most
    return (
        graph,
        {
            "nothing found": image(
                lambda number, places: np.full(places, levels[number].candidates.threshold - 1), rest
            ),
            "20 boxes found": image(apart, rest),
            "each anchor a candidate, better than those that are kept": image(
                lambda number, places: levels[number].candidates.threshold + np.arange(places) // most,
                lambda number, shape: random.integers(-128, 128, shape),
            ),
        },
    )


TABLES = {f"detection {make.__name__}": make for make in (sizes, cores, accuracy, decoding)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    short = [name.split()[1] for name in TABLES]
    parser.add_argument("tables", nargs="*", metavar="TABLE", help=f"of {', '.join(short)} (default all)")
    parser.add_argument("--models", nargs="+", choices=tuple(CASES), default=list(CASES))
    options = parser.parse_args()
    for name, make in TABLES.items():
        if name.split()[1] in (options.tables or short):
            table = make(options.models)
            print(f"{table}\n", flush=True)
            if options.models == list(CASES):
                renew(PAGE, name, table)


if __name__ == "__main__":
    main()
