"""The C of a detector's last steps, on this machine: each candidate and each box is the reference's."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from host_c import SANITIZE, STRICT, Net, compile_c, first_difference, own_rows, run_program, write_c
from networks import int8_inputs, kernels_of
from ssd import Level, detector, random_centroids, random_detector, random_level

from mbn2c.ir.graph import Graph
from mbn2c.ops.ssd_boxes import SsdBoxesAttributes
from mbn2c.ops.ssd_boxes.arithmetic import CODERS, CORNERS
from mbn2c.ops.ssd_candidates import SsdCandidatesAttributes
from mbn2c.planner.layerwise import plan_layerwise
from mbn2c.reference.run_graph import run_graph


def ten_thousand_candidates() -> Graph:
    """Every anchor is a candidate, each better than all before it in the image that rises."""
    places = random_level(np.random.default_rng(1), 50, 50, 4, CORNERS)
    level = Level(50, 50, SsdCandidatesAttributes(4, 1, -1, 4, -300, 64), places)
    return detector([level], SsdBoxesAttributes((), (0, 1, 2, 3), CORNERS, 320, 320, 32, 1 << 15, True))


@pytest.mark.parametrize("compiler", ["gcc", pytest.param("clang", marks=pytest.mark.slow)])
def test_c_is_the_reference(tmp_path: Path, need_tool: Callable[[str], str], compiler: str) -> None:
    need_tool(compiler)
    graphs = [ten_thousand_candidates(), *map(random_detector, range(9)), *map(random_centroids, range(6))]
    heads = [node.attributes for graph in graphs for node in graph.nodes]
    assert {one.coder for one in heads if isinstance(one, SsdBoxesAttributes)} == set(CODERS)
    assert {one.is_shared for one in heads if isinstance(one, SsdCandidatesAttributes)} == {False, True}
    levels = [level for one in heads if isinstance(one, SsdBoxesAttributes) for level in one.levels]
    assert {bool(level.curves) for level in levels} == {False, True}
    assert {one.connected for one in heads if isinstance(one, SsdBoxesAttributes)} == {False, True}
    assert {bool(one.exponents) for one in heads if isinstance(one, SsdCandidatesAttributes)} == {False, True}
    assert {len(node.inputs) for graph in graphs for node in graph.nodes if node.op == "ssd_candidates"} == {1, 2, 3}
    plans = [plan_layerwise(graph, kernels_of(graph, ("scalar",))) for graph in graphs]
    inputs = [list(int8_inputs(graph, 5, seed=number)) for number, graph in enumerate(graphs)]
    rising = np.linspace(-128, 127, 50 * 50 * 4).astype(np.int8).reshape(1, 50, 50, 4)
    inputs[0][4] = np.concatenate([rising, inputs[0][4][..., 4:]], axis=3)
    nets = [Net(f"n{number}", plan) for number, plan in enumerate(plans)]
    found = run_program(tmp_path, nets, inputs, compiler, SANITIZE)
    boxes = 0
    for graph, plan, images, results in zip(graphs, plans, inputs, found, strict=True):
        for values, tensors in zip(images, results, strict=True):
            reference = run_graph(graph, {"input": values})
            assert first_difference(own_rows(plan, reference), tensors) == ""
            boxes += int((reference["boxes"].view(np.int16).reshape(-1, 6)[:, 5] > 0).sum())
    assert boxes > 60, "nothing was found, so nothing was compared"


@pytest.mark.parametrize("compiler", ["gcc", "clang"])
def test_no_warnings(tmp_path: Path, need_tool: Callable[[str], str], compiler: str) -> None:
    need_tool(compiler)
    graph = random_detector(3)
    net = Net("net", plan_layerwise(graph, kernels_of(graph, ("scalar",))))
    compile_c(tmp_path, write_c(tmp_path, [net]), "-O2", *STRICT, "-c", compiler=compiler)
