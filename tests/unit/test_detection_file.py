"""A network.npz whose decoding or heads were changed is refused as damaged, not as a bug."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from networks import quantized
from onnx_models.detectors import ssd

from mbn2c.errors import UsageError
from mbn2c.ir.graph import Decoding, Graph
from mbn2c.network.file import graph_to_bytes, read_graph
from mbn2c.network.lowered import import_lowered
from mbn2c.tasks.registry import task_of_graph


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> Graph:
    file = tmp_path_factory.mktemp("ssd") / "ssd.onnx"
    onnx.save(ssd().model(), file)
    found = quantized(import_lowered(file))
    return task_of_graph(found, {}).on_device(found)


def test_it_comes_back(graph: Graph, tmp_path: Path) -> None:
    (tmp_path / "network.npz").write_bytes(graph_to_bytes(graph))
    back = read_graph(tmp_path / "network.npz")
    assert [port.tensor for port in back.network.outputs] == [port.tensor for port in graph.heads]
    assert [node.attributes for node in back.nodes[-4:]] == [node.attributes for node in graph.nodes[-4:]]


def damaged(graph: Graph) -> dict[str, Graph]:
    decoding = graph.decoding
    assert decoding is not None
    return {
        "another task": replace(graph, decoding=Decoding("weather", decoding.facts, decoding.arrays)),
        "facts that are no JSON": replace(graph, decoding=replace(decoding, facts="{")),
        "facts without a field": replace(graph, decoding=replace(decoding, facts='{"family": "x"}')),
        "no anchors": replace(graph, decoding=replace(decoding, arrays={})),
        "anchors of no number": replace(
            graph, decoding=replace(decoding, arrays={"anchors": np.full((162, 4), np.nan)})
        ),
        "a head that is not there": replace(graph, heads=(replace(graph.heads[0], tensor="gone"), *graph.heads[1:])),
        "a head of another shape": replace(
            graph, heads=(replace(graph.heads[0], shape=(1, 1, 1, 1)), *graph.heads[1:])
        ),
    }


@pytest.mark.parametrize(
    "words",
    [
        "another task",
        "facts that are no JSON",
        "facts without a field",
        "no anchors",
        "anchors of no number",
        "a head that is not there",
        "a head of another shape",
    ],
)
def test_damage_is_refused(graph: Graph, words: str, tmp_path: Path) -> None:
    (tmp_path / "network.npz").write_bytes(graph_to_bytes(damaged(graph)[words]))
    with pytest.raises(UsageError):
        read_graph(tmp_path / "network.npz")
