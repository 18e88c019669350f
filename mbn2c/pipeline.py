"""Model, samples and target -> output folder: the stages, one after the other.

Nothing is written before everything that can be refused has been checked.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mbn2c.emit.bundle import Bundle
from mbn2c.emit.c_names import check_prefix, prefix_of
from mbn2c.emit.model import Names
from mbn2c.ir.graph import Graph
from mbn2c.layout import c_files, lay_out
from mbn2c.network import MODEL_FLOAT32, RANDOM, Network, NetworkOptions, read_network
from mbn2c.network_file import graph_to_bytes
from mbn2c.network_inputs import RANDOM_IMAGES, pixel_tables, preprocess_of
from mbn2c.progress import Progress, no_progress
from mbn2c.report import build_report, to_json
from mbn2c.report_html import report_page
from mbn2c.target import Board, Core
from mbn2c.tasks.classification import read_class_names
from mbn2c.tasks.task import Preprocess

_GIVEN = "given"
_WORST_LAYERS = 5

NETWORK, REPORT, REPORT_PAGE = "network.npz", "report.json", "report.html"


@dataclass(frozen=True)
class BuildOptions:
    """What the command line says.

    calib       images folder, .npz, or "random"
    preprocess  None where the calibration needs none
    percentile  100 lets the range method be searched
    effort      how long to look for a better quantization, one of `quantize.search.EFFORTS`
    input_kind  "int8" or "uint8": what the device's input rows hold
    ram_limit   bytes the network may take in all: arena, context and stack
    """

    model: Path
    core: Core
    board: Board | None = None
    calib: str | None = None
    calib_limit: int | None = None
    preprocess: Preprocess | None = None
    resize: str = "crop"
    percentile: float = 100.0
    effort: str = "default"
    input_kind: str = "int8"
    name: str | None = None
    labels: Path | None = None
    optimize: str = "balanced"
    ram_limit: int | None = None


def build(options: BuildOptions, progress: Progress = no_progress) -> Bundle:
    """Everything a build writes, path -> bytes.

    raises  Mbn2cError subclasses; see the exit codes in `errors`
    """
    prefix = check_prefix(options.name) if options.name else prefix_of(options.model.stem)
    labels = read_class_names(options.labels) if options.labels else ()
    network = read_network(
        NetworkOptions(
            options.model,
            options.calib,
            options.calib_limit,
            options.preprocess,
            options.resize,
            options.percentile,
            options.effort,
            options.input_kind,
            labels,
        ),
        progress,
    )
    quantized, samples = network.graph, network.samples
    layout = lay_out(quantized, options.core, options.optimize, options.ram_limit)
    tables = None
    if options.input_kind == "uint8":
        tables = pixel_tables(quantized, options.preprocess or Preprocess())
    names = Names(prefix, options.model.name, hashlib.sha256(network.int8_model).digest(), labels, tables)
    facts = {
        "calibration": {
            "source": RANDOM if samples is None else "images" if samples.are_pixels else "npz",
            "images": RANDOM_IMAGES if samples is None else len(samples),
            "percentile": options.percentile,
            "effort": options.effort,
        }
        if network.given is None
        else {"source": _GIVEN, "images": 0, "percentile": None},
        "given": network.given,
        "preprocess": None
        if options.preprocess is None
        else {"mean": list(options.preprocess.mean), "std": list(options.preprocess.std)},
        "resize": options.resize,
        "input": options.input_kind,
        "optimize": options.optimize,
        "ram_limit": options.ram_limit,
        "labels": list(labels),
    }
    source = network.models.get(MODEL_FLOAT32, network.int8_model)
    report = build_report(
        layout.plan, layout.kernels, names, source, options.core, options.board, facts, network.sqnr, layout.curve
    )
    _add_quality(report, network)
    bundle = c_files(layout, names, options.core, options.board)
    return {**bundle, **network.models, NETWORK: graph_to_bytes(quantized), **report_files(report)}


def _add_quality(report: dict[str, Any], network: Network) -> None:
    """What was tried, how well each layer's weights are held, and the layers whose outputs suffer most."""
    for layer in report["layers"]:
        layer["weights_sqnr_db"] = network.weights_sqnr.get(layer["name"])
    known = [layer for layer in report["layers"] if layer["sqnr_db"] is not None]
    worst = sorted(known, key=lambda layer: layer["sqnr_db"])[:_WORST_LAYERS]
    report["quantization"]["tried"] = list(network.tried)
    report["quantization"]["worst_layers"] = [{"name": one["name"], "sqnr_db": one["sqnr_db"]} for one in worst]


def report_files(report: Mapping[str, Any]) -> Bundle:
    """report.json, and the same as a page to look at."""
    return {REPORT: to_json(report).encode(), REPORT_PAGE: report_page(report).encode()}


def names_for(graph: Graph, prefix: str, title: str, digest: bytes, facts: Mapping[str, object]) -> Names:
    """The Names of an output folder that was built before; `facts` is its report's "build" part."""
    names = Names(prefix, title, digest, tuple(facts["labels"]))  # type: ignore[arg-type]
    if facts["input"] == "uint8":
        return replace(names, tables=pixel_tables(graph, preprocess_of(facts)))
    return names
