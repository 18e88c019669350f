"""MobileNetV3: its published multiplications, and a small one as it is planned for a core, in C on this machine."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from host_c import SANITIZE, Net, first_difference, run_program
from mobilenets import V3_SMALL, mobilenet_v3_large, mobilenet_v3_small
from networks import int8_inputs, quantized

from mbn2c.ir.graph import Graph
from mbn2c.ir.text import print_plan
from mbn2c.ops import OPERATORS
from mbn2c.planner.choice import choose_plan
from mbn2c.reference.run_graph import run_graph
from mbn2c.reference.run_plan import run_plan
from mbn2c.targets import load_core


@pytest.mark.parametrize(("make", "macs"), [(mobilenet_v3_small, 56.5), (mobilenet_v3_large, 216.6)])
def test_multiplications_are_those_of_torchvision(make: Callable[[float, int], Graph], macs: float) -> None:
    graph = make(1.0, 224)
    total = sum(OPERATORS[node.op].macs(node, graph) for node in graph.nodes)
    assert round(total / 1e6, 1) == macs


@pytest.mark.parametrize("core", ["cortex-m7", "cortex-m55", "cortex-m0plus"])
def test_a_small_one_is_the_reference(tmp_path: Path, core: str) -> None:
    """A gate with a ReLU and 3x3, gates with hard-swish and 5x5, of both strides, and the head."""
    blocks = tuple(V3_SMALL[index] for index in (0, 3, 4))
    graph = quantized(mobilenet_v3_small(0.3, 40, 4, blocks))
    choice = choose_plan(graph, load_core(core), "balanced")
    images = list(int8_inputs(graph, 3, seed=4))
    found = run_program(tmp_path, [Net("net", choice.plan, isas=choice.isas)], [images], "gcc", SANITIZE)[0]
    for values, tensors in zip(images, found, strict=True):
        expected = run_graph(graph, {"input": values})
        assert first_difference(expected, tensors) == "", print_plan(choice.plan)
    assert first_difference(expected, run_plan(choice.plan, {"input": images[-1]})) == ""
