"""DeepLabv3, LR-ASPP and U-Nets as exporters write them: segmenters, exact in ONNX Runtime and in C (ASan, UBSan)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from host_c import SANITIZE, Net, first_difference, own_rows, run_program
from networks import as_image, compare_with_onnx_runtime, int8_inputs, int8_model, quantized
from onnx_models.segmentation import SEGMENTERS

from mbn2c.ir.graph import Graph
from mbn2c.network.lowered import import_lowered
from mbn2c.planner.choice import choose_plan
from mbn2c.reference.run_graph import run_graph
from mbn2c.targets import load_core
from mbn2c.tasks.registry import task_of_graph
from mbn2c.tasks.segmentation import Segmentation

WIDTH, SIZE = 0.25, 32
# At 32x32 some of these random networks say the same class of every pixel.
SIZE_IN_C = 64


def segmenter(name: str, folder: Path, size: int = SIZE) -> tuple[Graph, np.ndarray]:
    """The int8 network up to its map, and an input."""
    build, exporter = SEGMENTERS[name]
    onnx.save(build(WIDTH, size, exporter).model(), folder / "net.onnx")
    graph = quantized(import_lowered(folder / "net.onnx"), 1)
    return graph, list(int8_inputs(graph, 3))[2]


@pytest.mark.parametrize("name", SEGMENTERS)
def test_a_segmenter_is_exact(name: str, tmp_path: Path) -> None:
    graph, values = segmenter(name, tmp_path)
    found = int8_model(graph)(as_image(graph, values))
    assert compare_with_onnx_runtime(graph, run_graph(graph, {graph.inputs[0].tensor: values}), found) == ""


@pytest.mark.slow
@pytest.mark.parametrize("name", SEGMENTERS)
def test_its_classes_in_c_are_the_reference(name: str, tmp_path: Path, need_tool: Callable[[str], str]) -> None:
    need_tool("gcc")
    graph, values = segmenter(name, tmp_path, SIZE_IN_C)
    task = task_of_graph(graph, {})
    assert isinstance(task, Segmentation) and (task.facts.height, task.facts.width) == (SIZE_IN_C, SIZE_IN_C)
    whole = task.on_device(graph)
    reference = run_graph(whole, {whole.inputs[0].tensor: values})
    classes = reference[whole.outputs[0].tensor]
    assert classes.shape == (1, SIZE_IN_C, SIZE_IN_C, 1) and len(np.unique(classes)) > 1
    plan = choose_plan(whole, load_core("host"), "ram").plan
    nets = [Net("net", plan, isas=load_core("host").isas)]
    [[tensors]] = run_program(tmp_path, nets, [[values]], "gcc", SANITIZE)
    assert first_difference(own_rows(plan, reference), tensors) == ""
