"""The tables of docs/segmentation.md: segmenters of ../shared on emulated boards, and their classes against float's.

    PYTHONPATH=tests/support .venv/bin/python benchmarks/segmentation.py [TABLE ...] [--missing]
                                                                         [--models MODEL ...] [--cores CORE ...]

What a board takes is a cell of tests/vectors/segmenters.csv, written as soon as it is measured, so that a run that was
cut off goes on with `--missing`; it is written only if each row of each step, and the map, are the reference's over the
serial line, and the reference's are ONNX Runtime's. These networks are quantized quickly, on a few images, which moves
neither RAM nor kernels. Accuracy is of the defaults: of one build for each half of the images, judged on the half that
it has not seen, in the reference's bytes. Rows of the page that are not measured stay as they are.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import onnx
from cells import ModelTables, measure_all_rows, read_cells, write_cells
from instruction_counts import COUNTED, compiler_version
from kernels import TITLES
from onnx_models.families import EXPORTERS
from onnx_models.segmentation import deeplab_v3
from pages import ROOT, markdown, table_rows

import mbn2c
from mbn2c.commands.output_folder import OutputFolder
from mbn2c.commands.verify.one_image import open_models
from mbn2c.network.inputs import input_spec, quantize_input
from mbn2c.network.network import Network
from mbn2c.network.options import NetworkOptions
from mbn2c.network.outputs import device_answers
from mbn2c.network.read import read_network
from mbn2c.network.recompute import copies
from mbn2c.ops import OPERATORS
from mbn2c.planner.choice import choose_plan
from mbn2c.progress import no_progress
from mbn2c.targets import load_board, load_core
from mbn2c.tasks.images import open_samples
from mbn2c.tasks.inputs import Preprocess
from mbn2c.tasks.segmentation import Segmentation
from mbn2c.tasks.segmentation.maps import from_text

PAGE = ROOT / "docs" / "segmentation.md"
FIGURES = ROOT / "tests" / "vectors" / "segmenters.csv"
SHARED = ROOT.parent / "shared"
PHOTOGRAPHS = SHARED / "data" / "coco_free"
CORE, GOAL = "cortex-m7", "ram"
CORES = (CORE, "cortex-m55", "aarch64-neon")
# Images that quantize what is measured on boards.
FEW = 4
# A person counts on images of which it fills so much, as in ../shared/models/README.md.
LEAST_SHARE = 0.05


@dataclass(frozen=True)
class Case:
    """A segmenter.

    file       makes it, given a folder
    must, aim  KiB of RAM on Cortex-M7
    recompute  percent of the multiply-accumulates that may be executed twice
    calib_limit  so many images of a half quantize what is judged; None: all of them
    images     that calibrate and judge it
    person     the number of that class; None: it has none, and no masks
    """

    file: Callable[[Path], Path]
    preprocess: str
    must: float | None = None
    aim: float | None = None
    recompute: float = 0.0
    calib_limit: int | None = None
    images: Path = PHOTOGRAPHS / "images"
    person: int | None = None


def _shared(*path: str) -> Callable[[Path], Path]:
    return lambda folder: (SHARED / "models").joinpath(*path)


def _deeplab_16(folder: Path) -> Path:
    onnx.save(deeplab_v3(0.5, 256, EXPORTERS["TorchScript"]).model(), folder / "deeplab_16.onnx")
    return folder / "deeplab_16.onnx"


def _selfie(name: str, must: int, aim: int) -> Case:
    """That fits only with layers computed twice."""
    return Case(_shared("segmentation", f"{name}.onnx"), "unit", must, aim, recompute=8, person=1)


CASES = {
    "deeplabv3_mobilenet_v2_1.0_257": Case(
        _shared("segmentation", "deeplabv3_mobilenet_v2_1.0_257.onnx"), "pm1", 448, 340, calib_limit=16, person=15
    ),
    "DeepLabv3 with MobileNetV2 0.5, output stride 16, 256x256, random weights": Case(_deeplab_16, "pm1", 144, 104),
    "selfie_segmentation_256": _selfie("selfie_segmentation_256", 420, 340),
    "selfie_segmentation_256_tf2onnx": _selfie("selfie_segmentation_256_tf2onnx", 420, 340),
    "selfie_segmentation_landscape_144x256": _selfie("selfie_segmentation_landscape_144x256", 240, 190),
    "ppocrv2_text_det_mobilenet_v3_320": Case(
        _shared("detection", "ppocrv2_text_det_mobilenet_v3_320_paddle2onnx.onnx"),
        "imagenet",
        640,
        420,
        images=SHARED / "data" / "text_det",
    ),
    "pt_legacy_op13_deeplabv3_97": Case(_shared("exporters", "pt_legacy_op13_deeplabv3_97.onnx"), "pm1"),
}
# Trained, with images of what they were trained for.
JUDGED = ("deeplabv3_mobilenet_v2_1.0_257", "selfie_segmentation_256", "ppocrv2_text_det_mobilenet_v3_320")
HALVES = (0, 1)
Cell = tuple[str, str]


@dataclass(frozen=True)
class Figures:
    """A cell, of one photograph.

    gcc         its version
    recomputed  multiply-accumulates that are executed beyond the network's own
    ram_bytes   arena, context and stack
    """

    gcc: str
    macs: int
    recomputed: int
    instructions: int
    arena_bytes: int
    ram_bytes: int
    flash_bytes: int


KEY = ("model", "core")


def cells() -> Iterator[Cell]:
    """(model, core), in the order of the table."""
    yield from ((name, core) for name in CASES for core in CORES)


def read_figures() -> dict[Cell, Figures]:
    return read_cells(FIGURES, KEY, Figures)  # type: ignore[return-value]


def write_figures(found: Mapping[Cell, Figures]) -> None:
    write_cells(FIGURES, KEY, Figures, found, cells())


# --- builds --------------------------------------------------------------------------------------


@cache
def work() -> Path:
    """A folder for images and outputs."""
    return Path(tempfile.mkdtemp(prefix="mbn2c-segmentation-"))


@cache
def images_of(folder: Path, half: int) -> Path:
    """Every other image."""
    made = work() / f"{folder.parent.name}_{folder.name}_{half}"
    made.mkdir()
    for file in sorted(one for one in folder.iterdir() if one.suffix in (".jpg", ".png"))[half::2]:
        shutil.copy(file, made)
    return made


@cache
def network(name: str) -> Network:
    """Quantized quickly."""
    case = CASES[name]
    options = NetworkOptions(
        model=case.file(work()),
        calib=str(case.images),
        calib_limit=FEW,
        preprocess=Preprocess.named(case.preprocess),
        resize="stretch",
        effort="fast",
        recompute=case.recompute,
    )
    return read_network(options, (), no_progress)


def measure_cell(name: str, core: str, folder: Path) -> tuple[Figures, str]:
    """The figures, and what differs first from the reference: "" for nothing; folder: where firmware is built."""
    graph = network(name).graph
    spec = input_spec(graph)
    sample = open_samples(CASES[name].images, spec, resize="stretch", limit=1)[0]
    image = quantize_input(graph, spec, sample.model_input(spec, Preprocess.named(CASES[name].preprocess)))
    choice = choose_plan(graph, load_core(core), GOAL)
    found, wrong = measure_all_rows(choice, load_core(core), load_board(COUNTED[core]), image, folder)
    macs = {node.name: OPERATORS[node.op].macs(node, graph) for node in graph.nodes}
    again = sum(macs[node.name] for node in copies(graph))
    figures = Figures(
        compiler_version(core),
        sum(macs.values()) - again,
        again,
        found.instructions,
        found.arena_bytes,
        found.ram_bytes,
        found.flash_bytes,
    )
    return figures, wrong


# --- what the classes are worth ------------------------------------------------------------------


@cache
def built(name: str, half: int) -> OutputFolder:
    """As a user builds it, of half the images."""
    case, out = CASES[name], work() / f"{name}_{half}"
    calib = images_of(case.images, half)
    options = {"calib": calib, "calib_limit": case.calib_limit, "preprocess": case.preprocess, "resize": "stretch"}
    mbn2c.build(case.file(work()), out, board="host", **options)  # type: ignore[arg-type]
    return OutputFolder(out)


@dataclass(frozen=True)
class Judged:
    """An image that a build has not seen.

    codes    int8 NHWC, what the network starts from
    same     the share of its pixels that are as the float model has them
    ious     of a person, by int8 and by float; nan where none is large enough
    """

    codes: np.ndarray
    same: float
    ious: tuple[float, float]


def judged(name: str, half: int) -> Iterator[Judged]:
    """The images that a build of one half has not seen, in the reference's bytes, which must be ONNX Runtime's."""
    case, models = CASES[name], open_models(built(name, half), {})
    task, graph = models.task, models.graph
    assert isinstance(task, Segmentation)
    samples = task.open_samples(images_of(case.images, 1 - half), models.spec, resize="stretch")
    truths: Sequence[str] | None = None
    if case.person:
        names = ["person" if number == case.person else str(number) for number in range(task.classes)]
        truths = task.find_labels(samples.names, samples.folders, PHOTOGRAPHS / "masks", names).truths
    for position, image in enumerate(samples.names):
        values, _, reference, comparison = models.compared(samples[position], samples.are_codes)
        device = reference[graph.outputs[0].tensor].tobytes()
        floats = models.floats(values, image)
        record = task.compare(device_answers(graph, task, device, device, comparison.outputs, floats))
        wrong = sum(comparison.differing.values()) + record.mismatches
        if wrong or record.float32 is None:
            raise SystemExit(f"{name}, {image}: {wrong} bytes or pixels are not ONNX Runtime's")
        size = task.facts.height, task.facts.width
        int8, float32 = from_text(record.int8, *size), from_text(record.float32, *size)
        ious = (np.nan, np.nan)
        if truths is not None:
            true = from_text(truths[position], *size) == case.person
            if true.mean() > LEAST_SHARE:
                ious = (_iou(int8 == case.person, true), _iou(float32 == case.person, true))
        yield Judged(reference[graph.inputs[0].tensor], float((int8 == float32).mean()), ious)


def _iou(found: np.ndarray, true: np.ndarray) -> float:
    return float((found & true).sum() / (found | true).sum())


# --- the tables ----------------------------------------------------------------------------------


def renewed(table: str, made: Mapping[tuple[str, ...], Sequence[str]], key_cells: int = 1) -> list[tuple[str, ...]]:
    """Rows of the page's table, those of `made` in their places; in the order of the models and cores."""
    rows = {**table_rows(PAGE, table, key_cells), **made}
    order = [(name, *rest) for name in CASES for rest in ((), *((TITLES.get(core, core),) for core in CORES))]
    return [(*key, *rows[key]) for key in order if key in rows]


def memory(names: Sequence[str]) -> str:
    """On Cortex-M7, beside what is asked for."""
    made = {}
    for (name, core), found in read_figures().items():
        case = CASES[name]
        if core == CORE:
            made[(name,)] = (
                f"{found.ram_bytes / 1024:.1f}",
                *(f"{limit}" if limit else "" for limit in (case.must, case.aim)),
                f"{found.arena_bytes:,}",
                f"{found.flash_bytes / 1024:.0f}",
                f"{100 * found.recomputed / found.macs:.1f} %",
            )
    head = ("Cortex-M7", "RAM, KiB", "at most", "aim", "of it arena, bytes", "flash, KiB", "MACs computed twice")
    return markdown(head, renewed("segmentation memory", made))


def cores(names: Sequence[str]) -> str:
    made = {
        (name, TITLES.get(core, core)): (
            f"{found.macs / 1e6:.1f} M",
            f"{found.instructions / 1e6:.1f}",
            f"{found.instructions / found.macs:.3f}",
            f"{found.ram_bytes / 1024:.1f}",
        )
        for (name, core), found in read_figures().items()
    }
    head = ("", "core", "MACs", "million instructions", "per MAC", "RAM, KiB")
    return markdown(head, renewed("segmentation cores", made, 2))


def accuracy(names: Sequence[str]) -> str:
    made = {}
    for name in (one for one in JUDGED if one in names):
        found = [one for half in HALVES for one in judged(name, half)]
        int8, floats = np.array([one.ious for one in found if not np.isnan(one.ious[0])]).reshape(-1, 2).T * 100
        judgement = (f"{floats.mean():.1f}", f"{int8.mean():.1f}", f"{(floats - int8).mean():+.2f}")
        same = np.mean([one.same for one in found])
        made[(name,)] = (f"{len(found)}", f"{100 * same:.2f} %", *(judgement if len(int8) else ("", "", "")))
    head = ("", "images", "pixels as float", "person IoU, float", "int8", "loss")
    return markdown(head, renewed("segmentation accuracy", made))


TABLES = ModelTables(
    about=__doc__,
    page=PAGE,
    topic="segmentation",
    of_cells={"memory": memory, "cores": cores},
    others={"accuracy": accuracy},
    models=tuple(CASES),
    cores=CORES,
    cells=tuple(cells()),
    measure=measure_cell,
    read=read_figures,
    write=write_figures,
)

if __name__ == "__main__":
    TABLES.main()
