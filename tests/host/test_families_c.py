"""The families of the papers in C on this computer, as a build plans them: each byte is the reference's."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import onnx
import pytest
from host_c import SANITIZE, Net, first_difference, own_rows, run_program
from networks import int8_inputs, quantized
from onnx_models.families import EXPORTERS, FAMILIES, NARROW

from mbn2c.network.lowered import import_lowered
from mbn2c.planner.choice import choose_plan
from mbn2c.reference.run_graph import run_graph
from mbn2c.targets import load_core


@pytest.mark.slow
@pytest.mark.parametrize("name", FAMILIES)
def test_a_family_in_c_is_the_reference(name: str, tmp_path: Path, need_tool: Callable[[str], str]) -> None:
    need_tool("gcc")
    onnx.save(FAMILIES[name](NARROW[name], 64, EXPORTERS["TorchScript"]).model(), tmp_path / "net.onnx")
    graph = quantized(import_lowered(tmp_path / "net.onnx"))
    choice = choose_plan(graph, load_core("host"), "ram")
    inputs = list(int8_inputs(graph, 3))
    found = run_program(tmp_path, [Net("family", choice.plan, isas=load_core("host").isas)], [inputs], "gcc", SANITIZE)
    for values, tensors in zip(inputs, found[0], strict=True):
        reference = run_graph(graph, {graph.inputs[0].tensor: values})
        assert first_difference(own_rows(choice.plan, reference), tensors) == ""
