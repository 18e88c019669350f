"""The tables of docs/detection.md: detectors of ../shared on emulated boards, and their boxes against COCO's.

    PYTHONPATH=tests/support .venv/bin/python benchmarks/detection.py [TABLE ...] [--missing]
                                                                      [--models MODEL ...] [--cores CORE ...]

What a board takes is a cell of tests/vectors/detectors.csv, written as soon as it is measured, so that a run that was
cut off goes on with `--missing`; it is written only if each row of each step, and the boxes, are the reference's. These
networks are quantized quickly, on a few images or on noise, which moves neither RAM nor kernels. Average precision is
of the defaults: calibrated on 32 images of imagenet_500, judged on all 53 of coco_free with the C on this computer.
Rows of the page that are not measured stay as they are.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import numpy as np
import onnx
from cells import ModelTables, measure_all_rows, read_cells, write_cells
from instruction_counts import COUNTED, compiler_version
from kernels import TITLES
from onnx_models.ssdlite320 import ssdlite320
from pages import ROOT, markdown, table_rows
from ssd import Level, detector
from st_ssd import rebuilt

import mbn2c
from mbn2c.commands.bench.measure import CLASSES, Measured, measure_choice
from mbn2c.commands.output_folder import OutputFolder
from mbn2c.ir.graph import Graph
from mbn2c.network.inputs import input_spec, quantize_input
from mbn2c.network.network import Network
from mbn2c.network.options import RANDOM, NetworkOptions
from mbn2c.network.read import read_network
from mbn2c.ops import OPERATORS
from mbn2c.ops.ssd_boxes.arithmetic import boxes_from_bytes
from mbn2c.planner.choice import Choice, choose_plan
from mbn2c.progress import no_progress
from mbn2c.reference.run_graph import run_graph
from mbn2c.targets import load_board, load_core
from mbn2c.tasks.images import open_samples
from mbn2c.tasks.inputs import Preprocess

PAGE = ROOT / "docs" / "detection.md"
FIGURES = ROOT / "tests" / "vectors" / "detectors.csv"
SHARED = ROOT.parent / "shared"
DETECTION = SHARED / "models" / "detection"
DATA = SHARED / "data"
CORE, GOAL = "cortex-m7", "speed"
CORES = ("cortex-m4", "cortex-m7", "cortex-m55", "aarch64-neon", "aarch64-dotprod")
# Images that calibrate what is measured on boards, and what average precision is of.
FEW, CALIBRATION = 4, 32
PLUS_MINUS_1, UNIT, PIXELS = Preprocess((0.5,), (0.5,)), Preprocess(), Preprocess((0.0,), (1 / 255,))
STREET, FACE = DATA / "coco_free" / "images" / "000000000785.jpg", DATA / "scenes" / "grace_hopper.jpg"


@dataclass(frozen=True)
class Case:
    """A detector.

    file        makes it, given a folder
    cores       that it is measured on
    must        KiB of RAM and of flash, million instructions on Cortex-M7, their limits
    image       what the boards are shown
    calib       FEW images of this folder quantize the network, or noise a large one
    """

    file: Callable[[Path], Path]
    options: Mapping[str, object] = field(default_factory=dict)
    cores: Sequence[str] = CORES
    must: tuple[float | None, float | None, float | None] = (None, None, None)
    preprocess: Preprocess = PLUS_MINUS_1
    image: Path = STREET
    calib: str = str(DATA / "coco_free" / "images")


def _st_ssd(side: int) -> Callable[[Path], Path]:
    source = DETECTION / "st_ssd_mobilenet_v1_025_256_person_tf2onnx.onnx"
    return lambda folder: rebuilt(source, side, folder / f"st_ssd_{side}.onnx")


def _shared(name: str) -> Callable[[Path], Path]:
    return lambda folder: DETECTION / name


def _ssdlite320(folder: Path) -> Path:
    """torchvision's, with random weights."""
    file = folder / "ssdlite320.onnx"
    onnx.save(ssdlite320(), file)
    return file


ST_SSD, SSDLITE = "st_ssd_mobilenet_v1_025_256", "ssdlite_mobilenet_v2_person_300"
SSDLITE320, CENTERNET = "ssdlite320_mobilenet_v3_large", "centernet_mobilenet_v3_large_0.75_coco_512"
_SSDLITE_MUST = (256, None, 1.1 * 616.3)
CASES = {
    ST_SSD: Case(_st_ssd(256), must=(112, 680, 80)),
    "the same, rebuilt for 224x224": Case(_st_ssd(224), {}, (CORE,), (92, None, None)),
    "the same, rebuilt for 192x192": Case(_st_ssd(192), {}, (CORE,), (72, None, None)),
    f"{SSDLITE}_raw": Case(
        _shared(f"{SSDLITE}_raw_tf2onnx.onnx"),
        {"anchors": DETECTION / f"{SSDLITE}_anchors.npy", "box_coder": "tf"},
        must=_SSDLITE_MUST,
        calib=RANDOM,
    ),
    f"{SSDLITE}_decode_nms": Case(_shared(f"{SSDLITE}_decode_nms.onnx"), must=_SSDLITE_MUST, calib=RANDOM),
    f"{SSDLITE}_nms": Case(_shared(f"{SSDLITE}_nms_tf2onnx.onnx"), must=_SSDLITE_MUST, preprocess=PIXELS, calib=RANDOM),
    "blazeface_short_range_128": Case(_shared("blazeface_short_range_128.onnx"), must=(56, None, None), image=FACE),
    "blazeface_short_range_128_nms": Case(
        _shared("blazeface_short_range_128_nms.onnx"), must=(56, None, None), image=FACE
    ),
    "blazeface_full_range_192": Case(_shared("blazeface_full_range_192.onnx"), image=FACE),
    SSDLITE320: Case(_ssdlite320, {}, (CORE,), preprocess=UNIT),
    CENTERNET: Case(_shared(f"../mobilenet_v3/{CENTERNET}_tf2onnx.onnx"), {}, (CORE,), preprocess=PIXELS),
}
# Average precision is of these.
JUDGED = (ST_SSD, f"{SSDLITE}_raw")
# What is looked for: the defaults, and what ../shared/models/README.md judges with.
LIMITS: Mapping[str, Mapping[str, float]] = {
    "default": {},
    "as COCO": {"score_threshold": 0.05, "iou_threshold": 0.6, "max_boxes": 100, "max_candidates": 200},
}
Cell = tuple[str, str]


@dataclass(frozen=True)
class Figures:
    """A cell, of one image.

    gcc           its version
    ram_bytes     arena, context and stack
    boxes         that were found
    behind_heads  instructions behind the heads; 0 where they are not counted by themselves
    """

    gcc: str
    macs: int
    instructions: int
    arena_bytes: int
    ram_bytes: int
    flash_bytes: int
    boxes: int
    behind_heads: int


KEY = ("model", "core")


def cells() -> Iterator[Cell]:
    """(model, core), in the order of the table."""
    yield from ((name, core) for name, case in CASES.items() for core in case.cores)


def read_figures() -> dict[Cell, Figures]:
    return read_cells(FIGURES, KEY, Figures)  # type: ignore[return-value]


def write_figures(found: Mapping[Cell, Figures]) -> None:
    write_cells(FIGURES, KEY, Figures, found, cells())


@cache
def work() -> Path:
    """A folder for models that are made, and outputs."""
    return Path(tempfile.mkdtemp(prefix="mbn2c-detection-"))


@cache
def network(name: str) -> Network:
    """Quantized quickly."""
    case = CASES[name]
    options = NetworkOptions(
        model=case.file(work()),
        calib=case.calib,
        calib_limit=None if case.calib == RANDOM else FEW,
        preprocess=case.preprocess,
        resize="stretch",
        effort="fast",
        **case.options,  # type: ignore[arg-type]
    )
    return read_network(options, (), no_progress)


def photograph(name: str) -> np.ndarray:
    """The case's image, as the int8 network sees it."""
    case, graph = CASES[name], network(name).graph
    spec = input_spec(graph)
    samples = open_samples(case.image.parent, spec, resize="stretch")
    return quantize_input(graph, spec, samples[samples.names.index(case.image.name)].model_input(spec, case.preprocess))


def measure_cell(name: str, core: str, folder: Path) -> tuple[Figures, str]:
    """The figures, and what differs first from the reference: "" for nothing; folder: where firmware is built."""
    graph, image, board = network(name).graph, photograph(name), load_board(COUNTED[core])
    choice = choose_plan(graph, load_core(core), GOAL)
    found, wrong = measure_all_rows(choice, load_core(core), board, image, folder)
    figures = Figures(
        compiler_version(core),
        sum(OPERATORS[node.op].macs(node, graph) for node in graph.nodes),
        found.instructions,
        found.arena_bytes,
        found.ram_bytes,
        found.flash_bytes,
        len(boxes_from_bytes(run_graph(graph, {graph.inputs[0].tensor: image})[graph.outputs[0].tensor])),
        postprocessing(choice, _measured(choice, image)) if core == CORE else 0,
    )
    return figures, wrong


def _measured(choice: Choice, image: np.ndarray) -> Measured:
    """On Cortex-M7, step by step."""
    with tempfile.TemporaryDirectory() as folder:
        found = measure_choice(choice, load_core(CORE), load_board(COUNTED[CORE]), image, Path(folder), steps=True)
    if found.mismatches:
        raise SystemExit(f"{choice.plan.graph.name}: {found.mismatches} bytes differ from the reference")
    return found


def postprocessing(choice: Choice, found: Measured) -> int:
    """Instructions of the steps behind the heads."""
    graph, calls = choice.plan.graph, choice.plan.calls
    steps = [call.step for call in calls if call.node and OPERATORS[graph.producer[call.write].op].is_postprocessing]
    return sum(sum(found.by_step[str(step)][: len(CLASSES)]) for step in steps)


@cache
def built(name: str, limits: str = "default") -> OutputFolder:
    """As a user builds it."""
    case = CASES[name]
    out = work() / f"{list(CASES).index(name)}_{limits.replace(' ', '_')}"
    mbn2c.build(
        case.file(work()),
        out,
        target=CORE,
        calib=DATA / "imagenet_500",
        calib_limit=CALIBRATION,
        preprocess=(case.preprocess.mean, case.preprocess.std),
        optimize=GOAL,
        resize="stretch",
        name="person",
        task_options=LIMITS[limits],
        **case.options,
    )
    return OutputFolder(out)


# --- the tables ----------------------------------------------------------------------------------


def of(value: float, most: float | None, digits: int) -> str:
    return f"{value:.{digits}f}" + (f" of {most:.{digits}f}" if most else "")


def title(name: str) -> str:
    return f"`{name}`" if "_" in name else name


def renewed(table: str, key_cells: int, made: Mapping[tuple[str, ...], Sequence[str]]) -> list[tuple[str, ...]]:
    """Rows of the page's table, those of `made` in their places; in the order of the models and cores."""
    rows = {**table_rows(PAGE, table, key_cells), **made}
    order = [(title(name), *rest) for name in CASES for rest in (*((TITLES.get(one, one),) for one in CORES), ())]
    order += [(title(name), limits) for name in CASES for limits in LIMITS]
    return [(*key, *rows[key]) for key in order if key in rows]


def sizes(names: Sequence[str]) -> str:
    """On Cortex-M7, beside what is asked for."""
    made = {}
    for (name, core), found in read_figures().items():
        if core == CORE:
            ram, flash, millions = CASES[name].must
            made[(title(name),)] = (
                f"{found.macs / 1e6:.1f} M",
                of(found.ram_bytes / 1024, ram, 1),
                of(found.flash_bytes / 1024, flash, 0),
                of(found.instructions / 1e6, millions, 1),
                f"{found.instructions / found.macs:.3f}",
                f"{found.behind_heads / 1e6:.3f} M",
            )
    head = ("", "MACs", "RAM, KiB", "flash, KiB", "million instructions", "per MAC", "of them behind the heads")
    return markdown(head, renewed("detection sizes", 1, made))


def cores(names: Sequence[str]) -> str:
    made = {
        (title(name), TITLES.get(core, core)): (
            f"{found.instructions / 1e6:.1f}",
            f"{found.instructions / found.macs:.3f}",
            f"{found.ram_bytes / 1024:.1f}",
            f"{found.flash_bytes / 1024:.0f}",
        )
        for (name, core), found in read_figures().items()
        if len(CASES[name].cores) > 1
    }
    head = ("", "core", "million instructions", "per MAC", "RAM, KiB", "flash, KiB")
    return markdown(head, renewed("detection cores", 2, made))


def accuracy(names: Sequence[str]) -> str:
    """Of the C on this computer: all images of coco_free, persons."""
    made = {(title(name), limits): _judged(name, limits) for name in JUDGED if name in names for limits in LIMITS}
    head = ("", "limits", "AP50 device", "AP50 float", "AP device", "AP float", "drop of AP50", "same boxes")
    return markdown(head, renewed("detection accuracy", 2, made))


def _judged(name: str, limits: str) -> list[str]:
    images, boxes = DATA / "coco_free" / "images", DATA / "coco_free" / "boxes.csv"
    found = mbn2c.verify(built(name, limits).path, images, board="host", labels=boxes)
    print(f"{name}, {limits}: {found}", file=sys.stderr, flush=True)
    if not found.is_exact:
        raise SystemExit(f"{name}: {found.first_mismatch}")
    result = found.result
    return [
        *(_interval(result, f"{metric}_{side}") for metric in ("ap50", "ap") for side in _SIDES),
        f"{100 * result['drop']:.1f}, at most {100 * result['drop_upper_95']:.1f}",
        f"{100 * result['box_agreement']:.1f} % of {result['detections_compared']}",
    ]


_SIDES = ("device", "ort_float32")


def _interval(result: Mapping[str, object], metric: str) -> str:
    low, high = result[f"{metric}_interval_95"]  # type: ignore[misc]
    return f"{100 * result[metric]:.1f} ({100 * low:.1f} to {100 * high:.1f})"  # type: ignore[operator]


def decoding(names: Sequence[str]) -> str:
    """The heads of ST's SSD as an image of codes, on Cortex-M7: what is behind them is the same, whoever made them."""
    rows = []
    graph, images = _heads(network(ST_SSD).graph)
    for words, image in images.items():
        choice = choose_plan(graph, load_core(CORE), GOAL)
        found = _measured(choice, image)
        boxes = boxes_from_bytes(run_graph(graph, {"input": image})["boxes"])
        rows.append((words, str(len(boxes)), f"{postprocessing(choice, found) / 1e6:.3f} M"))
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


TABLES = ModelTables(
    about=__doc__,
    page=PAGE,
    topic="detection",
    of_cells={"sizes": sizes, "cores": cores},
    others={"accuracy": accuracy, "decoding": decoding},
    models=tuple(CASES),
    cores=CORES,
    cells=tuple(cells()),
    measure=measure_cell,
    read=read_figures,
    write=write_figures,
)

if __name__ == "__main__":
    TABLES.main()
