"""Model, samples and target -> output folder: the stages, one after the other.

Nothing is written before everything that can be refused has been checked.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mbn2c.commands.build_report import build_report, to_json
from mbn2c.emit.c_files import c_files
from mbn2c.emit.network.c_names import check_prefix, prefix_of
from mbn2c.emit.network.model import Names, PlannedNetwork
from mbn2c.emit.packages.packagings import DEFAULT_EMITS, PACKAGINGS, check_emits, package_folder
from mbn2c.files.bundle import Bundle
from mbn2c.files.user_files import text_of
from mbn2c.ir.graph import Graph
from mbn2c.network.file import graph_to_bytes
from mbn2c.network.inputs import RANDOM_IMAGES, pixel_tables, preprocess_of
from mbn2c.network.network import MODEL_FLOAT32, RANDOM, Network, NetworkOptions, read_network
from mbn2c.network.stress_inputs import choose_stress
from mbn2c.planner.choice import choose_plan
from mbn2c.planner.plan_file import PLAN, PlanSubject, plan_to_bytes
from mbn2c.progress import Progress, no_progress
from mbn2c.report.html import report_page
from mbn2c.targets import Board, Core
from mbn2c.tasks.class_names import read_class_names
from mbn2c.tasks.inputs import Preprocess
from mbn2c.tasks.outputs import outputs_of
from mbn2c.tasks.protocol import Task
from mbn2c.tasks.registry import recognise

_GIVEN = "given"
_WORST_LAYERS = 5

NETWORK, REPORT, REPORT_PAGE = "network.npz", "report.json", "report.html"


@dataclass(frozen=True, kw_only=True)
class BuildOptions(NetworkOptions):
    """What the command line says: the network, and what it shall run on.

    ram_limit   bytes the network may take in all: arena, context and stack
    beside      networks built before whose C comes into the same folder, with shared kernels
    emit        packagings, of `emit.packages.EMITS`
    """

    core: Core
    board: Board | None = None
    name: str | None = None
    labels: Path | None = None
    optimize: str = "balanced"
    ram_limit: int | None = None
    beside: tuple[PlannedNetwork, ...] = ()
    emit: tuple[str, ...] = DEFAULT_EMITS


def build(options: BuildOptions, progress: Progress = no_progress) -> Bundle:
    """Everything a build writes, path -> bytes.

    raises  Mbn2cError subclasses; see the exit codes in `errors`
    """
    check_emits(options.emit, options.core)
    prefix = check_prefix(options.name) if options.name else prefix_of(options.model.stem)
    labels = read_class_names(options.labels) if options.labels else ()
    network = read_network(options, labels, progress)
    quantized, samples = network.graph, network.samples
    choice = choose_plan(quantized, options.core, options.optimize, options.ram_limit, options.board)
    tables = None
    if options.input_kind == "uint8":
        tables = pixel_tables(quantized, options.preprocess or Preprocess())
    title = text_of(options.model.name)
    names = Names(prefix, title, hashlib.sha256(network.int8_model).digest(), labels, tables, network.task)
    facts = {
        "calibration": {
            "source": RANDOM if samples is None else "images" if samples.are_pixels else "npz",
            "images": RANDOM_IMAGES if samples is None else len(samples),
            "folders": [] if samples is None else list(samples.folders),
            "exif_rotated_images": 0 if samples is None else len(samples.rotated),
            "percentile": options.percentile,
            "effort": options.effort,
        }
        if network.prequantized is None
        else {"source": _GIVEN, "images": 0, "percentile": None},
        "given": network.prequantized,
        "preprocess": None
        if options.preprocess is None
        else {"mean": list(options.preprocess.mean), "std": list(options.preprocess.std)},
        "resize": options.resize,
        "input": options.input_kind,
        "optimize": options.optimize,
        "ram_limit": options.ram_limit,
        "labels": list(labels),
        "output_kinds": dict(options.output_kinds),
        "task": network.task.name,
        "task_because": network.task.because,
    }
    source = network.models.get(MODEL_FLOAT32, network.int8_model)
    report = build_report(
        choice.plan,
        choice.kernels,
        names,
        source,
        options.core,
        options.board,
        facts,
        network.sqnr.total,
        choice.curve,
        choice.fit,
    )
    for facts_of_output, output in zip(report["outputs"], network.task.described(), strict=True):
        facts_of_output.update(output)
    _add_quality(report, network)
    report["stress"] = choose_stress(quantized, tables, progress)
    bundle = c_files(choice.plan, choice.kernels, names, options.core, options.board, beside=options.beside)
    alone = c_files(choice.plan, choice.kernels, names, options.core, None) if options.beside else bundle
    report["sources"] = sorted(path for path in alone if "/" not in path and path.endswith(".c"))
    code = {path: content for path, content in bundle.items() if "/" not in path and path.endswith((".c", ".h"))}
    for emit in sorted(set(options.emit) & set(PACKAGINGS)):
        bundle |= package_folder(emit, name=prefix, title=title, core=options.core, code=code)
    if "cmake" not in options.emit:
        del bundle["CMakeLists.txt"]
    graph = graph_to_bytes(quantized)
    subject = PlanSubject.of(hashlib.sha256(graph).hexdigest(), options.core, options.board)
    plan = plan_to_bytes(choice, subject)
    return {**bundle, **network.models, NETWORK: graph, PLAN: plan, **report_files(report)}


def _add_quality(report: dict[str, Any], network: Network) -> None:
    """What was tried, what it gave on images held back, and what rounding costs layer by layer."""
    outputs = {node.name: node.outputs[0] for node in network.graph.nodes}
    for layer in report["layers"]:
        layer["activation_sqnr_db"] = network.sqnr.rounding.get(outputs[layer["name"]])
        layer["weights_sqnr_db"] = network.weights_sqnr.get(layer["name"])
        layer["noise_share"] = network.costs.get(layer["name"])
    known = [layer for layer in report["layers"] if layer["noise_share"] is not None]
    worst = sorted(known, key=lambda layer: -layer["noise_share"])[:_WORST_LAYERS]
    report["quantization"]["tried"] = list(network.tried)
    report["quantization"]["held_back"] = network.held_back
    report["quantization"]["worst_layers"] = [
        {name: one[name] for name in ("name", "noise_share", "sqnr_db", "activation_sqnr_db", "weights_sqnr_db")}
        for one in worst
    ]


def report_files(report: Mapping[str, Any]) -> Bundle:
    """report.json, and the same as a page to look at."""
    return {REPORT: to_json(report).encode(), REPORT_PAGE: report_page(report).encode()}


def task_of(graph: Graph, facts: Mapping[str, Any], kinds: Mapping[str, str]) -> Task:
    """What the outputs of a network that was built before mean.

    facts  its report's "build" part
    kinds  what the user says of an output by name, beside what the build was told
    raises UsageError if the build's task does not know a kind, or does not take the outputs any more
    """
    return recognise(outputs_of(graph), {**facts["output_kinds"], **kinds}, len(facts["labels"]), facts["task"])


def names_for(graph: Graph, prefix: str, title: str, digest: bytes, facts: Mapping[str, Any]) -> Names:
    """The Names of an output folder that was built before; `facts` is its report's "build" part."""
    names = Names(prefix, title, digest, tuple(facts["labels"]), task=task_of(graph, facts, {}))
    if facts["input"] == "uint8":
        return replace(names, tables=pixel_tables(graph, preprocess_of(facts)))
    return names
