"""Model file -> Graph after all passes, float or prequantized."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from mbn2c.frontend import import_model
from mbn2c.frontend.prequantized.model import PrequantizedModel, import_prequantized
from mbn2c.ir.check import check
from mbn2c.ir.graph import Graph
from mbn2c.ir.limits import refuse_long_plans
from mbn2c.ops import OPERATORS
from mbn2c.passes import run_passes
from mbn2c.passes.fold_pad import fold_pad
from mbn2c.passes.recognise_operators import recognise_operators
from mbn2c.tasks.detection.anchors import GivenAnchors


def import_lowered(model: Path, anchors: GivenAnchors | None = None, task: str = "") -> Graph:
    """The float Graph of an ONNX file after all passes; arguments and errors as of `import_model`."""
    return run_passes(import_model(model, anchors, task))


def import_prequantized_lowered(model: Path) -> PrequantizedModel:
    """A prequantized model; its Graph after all passes, with every scale as it was."""
    found = import_prequantized(model)
    graph = recognise_operators(fold_pad(found.graph))
    return replace(found, graph=refuse_long_plans(check(graph, "quantized", OPERATORS)))
