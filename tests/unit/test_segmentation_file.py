"""A segmenter's file: its end is recognised, cut off and made again; anything else stays as it is."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from networks import kernels_of, quantized
from onnx_models.segmenters import CHOICES, ENDS, segmenter

from mbn2c.errors import ModelError, UsageError
from mbn2c.frontend import import_model, model_bytes
from mbn2c.frontend.runtime import Oracle
from mbn2c.ir.graph import Graph
from mbn2c.network.file import graph_to_bytes, read_graph
from mbn2c.network.lowered import import_lowered
from mbn2c.planner.layerwise import plan_layerwise
from mbn2c.tasks.protocol import RAW
from mbn2c.tasks.registry import task_of_graph
from mbn2c.tasks.segmentation import Segmentation
from mbn2c.tasks.segmentation.segmenter import NAME


def imported(folder: Path, model: onnx.ModelProto, task: str = "") -> tuple[Path, Graph]:
    onnx.save(model, folder / "net.onnx")
    return folder / "net.onnx", import_model(folder / "net.onnx", task=task)


@pytest.mark.parametrize("name", ENDS)
def test_the_classes_are_those_of_the_file(name: str, tmp_path: Path) -> None:
    classes, ends = ENDS[name]
    path, graph = imported(tmp_path, segmenter(ends, classes))
    task = task_of_graph(graph, {})
    assert isinstance(task, Segmentation) and graph.tensors[graph.outputs[0].tensor].shape == (1, 5, 5, classes)
    image = np.random.default_rng(2).normal(size=(1, 3, 17, 17)).astype(np.float32)
    [whole] = Oracle(path.read_bytes()).run({"image": image}).values()
    if whole.shape[-1] != classes:
        whole = whole.transpose(0, 2, 3, 1)
    [head] = Oracle(model_bytes(path, graph=graph)).run({"image": image}).values()
    wanted = whole[0].argmax(axis=2) if classes > 1 else whole[0, :, :, 0] >= 0.5
    assert np.array_equal(task.facts.classes(head.transpose(0, 2, 3, 1)), wanted)


@pytest.mark.parametrize("name", CHOICES)
def test_a_file_that_chooses_is_cut_before_the_choice(name: str, tmp_path: Path) -> None:
    classes, ends = CHOICES[name]
    path, graph = imported(tmp_path, segmenter(ends, classes))
    task = task_of_graph(graph, {})
    assert isinstance(task, Segmentation) and task.facts.ending.endswith(", the largest")
    image = np.random.default_rng(2).normal(size=(1, 3, 17, 17)).astype(np.float32)
    [wanted] = Oracle(path.read_bytes()).run({"image": image}).values()
    [head] = Oracle(model_bytes(path, graph=graph)).run({"image": image}).values()
    assert len(np.unique(wanted)) > 1
    assert np.array_equal(task.facts.classes(head.transpose(0, 2, 3, 1)), wanted.reshape(17, 17))


@pytest.mark.parametrize("axis", [2, 3])
def test_the_largest_along_a_row_is_no_class(axis: int, tmp_path: Path) -> None:
    """Of a map with as many channels as rows, so that the output has the size of one."""
    model = segmenter(("Resize", "ArgMax"), 17)
    model.graph.node[-1].attribute[0].i = axis
    with pytest.raises(ModelError, match="ArgMax"):
        imported(tmp_path, model)


def with_another(model: onnx.ModelProto, is_first: bool, *nodes: onnx.NodeProto) -> onnx.ModelProto:
    """The file with one more output, that of the last of `nodes`, which read its first layer's "map"."""
    model.graph.node.extend(nodes)
    rank = 2 if nodes[-1].op_type == "Flatten" else 4
    model.graph.output.add().CopyFrom(
        onnx.helper.make_tensor_value_info(nodes[-1].output[0], onnx.TensorProto.FLOAT, [None] * rank)
    )
    if is_first:
        model.graph.output.extend([model.graph.output.pop(0)])
    return model


OTHERS = {
    "an auxiliary map": [onnx.helper.make_node("Resize", ["map", "", "", "sizes"], ["other"], mode="linear")],
    "a vector of shares": [
        onnx.helper.make_node("GlobalAveragePool", ["map"], ["mean"]),
        onnx.helper.make_node("Sigmoid", ["mean"], ["gate"]),
        onnx.helper.make_node("Flatten", ["gate"], ["other"]),
    ],
    "what a layer makes": [onnx.helper.make_node("Relu", ["map"], ["other"])],
}


@pytest.mark.parametrize("is_first", [False, True])
@pytest.mark.parametrize("name", OTHERS)
def test_of_several_outputs_the_first_map_is_taken_where_it_is_said(name: str, is_first: bool, tmp_path: Path) -> None:
    model = with_another(segmenter(("Resize",), 4), is_first, *OTHERS[name])
    outputs = [port.name for port in model.graph.output]
    _, raw = imported(tmp_path, model)
    assert len(raw.outputs) == 2 and raw.decoding is None
    path, graph = imported(tmp_path, model, NAME)
    taken = outputs[0] if name == "an auxiliary map" else "made_0"
    [left_out] = [one for one in outputs if one != taken]
    assert [note.text.split("; ")[-1] for note in graph.notes] == [f"left out: {left_out}"]
    image = np.random.default_rng(2).normal(size=(1, 3, 17, 17)).astype(np.float32)
    wanted = Oracle(path.read_bytes()).run({"image": image})[taken]
    [head] = Oracle(model_bytes(path, graph=graph)).run({"image": image}).values()
    task = task_of_graph(graph, {})
    assert isinstance(task, Segmentation)
    assert np.array_equal(task.facts.classes(head.transpose(0, 2, 3, 1)), wanted[0].argmax(axis=0))


def test_of_several_outputs_none_is_a_map(tmp_path: Path) -> None:
    model = with_another(segmenter(("Sigmoid",), 4), False, *OTHERS["what a layer makes"])
    with pytest.raises(ModelError, match="no segmenter"):
        imported(tmp_path, model, NAME)


STAY = {
    "raw": (segmenter(("Resize",), 4), RAW),
    "another size": (segmenter(("Resize",), 4, out=(33, 33)), ""),
    "a number for each pixel": (segmenter(("Resize",), 1), ""),
    "no resize": (segmenter(("Sigmoid",), 1), ""),
    "several sigmoids": (segmenter(("Resize", "Sigmoid"), 3), ""),
}


@pytest.mark.parametrize("name", STAY)
def test_anything_else_stays(name: str, tmp_path: Path) -> None:
    _, graph = imported(tmp_path, *STAY[name])
    assert graph.decoding is None and task_of_graph(graph, {}).name == "classification"


def test_what_the_user_says_counts(tmp_path: Path) -> None:
    _, graph = imported(tmp_path, segmenter(("Resize",), 1), NAME)
    assert graph.decoding is not None and graph.decoding.task == NAME
    with pytest.raises(ModelError, match="no segmenter: an output of shape"):
        imported(tmp_path, segmenter(("Resize",), 4, out=(33, 33)), NAME)


@pytest.fixture(scope="module")
def on_device(tmp_path_factory: pytest.TempPathFactory) -> Graph:
    file = tmp_path_factory.mktemp("seg") / "net.onnx"
    onnx.save(segmenter(("Resize",), 4), file)
    found = quantized(import_lowered(file))
    return task_of_graph(found, {}).on_device(found)


def test_the_map_is_never_held(on_device: Graph, tmp_path: Path) -> None:
    plan = plan_layerwise(on_device, kernels_of(on_device))
    assert plan.buffers[on_device.outputs[0].tensor].slots == 1
    (tmp_path / "network.npz").write_bytes(graph_to_bytes(on_device))
    back = read_graph(tmp_path / "network.npz")
    assert back.outputs == on_device.outputs and back.nodes[-1].attributes == on_device.nodes[-1].attributes


@pytest.mark.parametrize("word, other", [("17", "18"), ("align_corners", "cubic"), ('"tail"', '"head"')])
def test_damaged_facts_are_refused(on_device: Graph, word: str, other: str, tmp_path: Path) -> None:
    assert on_device.decoding is not None and word in on_device.decoding.facts
    facts = replace(on_device.decoding, facts=on_device.decoding.facts.replace(word, other))
    (tmp_path / "network.npz").write_bytes(graph_to_bytes(replace(on_device, decoding=facts)))
    with pytest.raises(UsageError):
        read_graph(tmp_path / "network.npz")
