"""Every dialect: the Graph as imported and as lowered computes what ONNX Runtime computes on the file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from float_graph import run_float
from onnx_models import DIALECTS, Net
from shared import SHARED

from mbn2c.commands.build_record import folded_facts
from mbn2c.errors import ModelError
from mbn2c.frontend import import_model
from mbn2c.ir.graph import Graph
from mbn2c.ir.text import print_graph
from mbn2c.ops import operator_of
from mbn2c.passes import run_passes
from mbn2c.tasks.tails import apply_tail

MODELS = SHARED / "models"


def onnx_runtime(path: Path, graph: Graph, values: np.ndarray) -> dict[str, np.ndarray]:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    names = [port.outside for port in graph.outputs]
    return dict(zip(names, session.run(names, {graph.inputs[0].outside: values}), strict=True))


def with_tails(graph: Graph, outputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """What was split off applied again, so that outputs compare with the file's."""
    return {port.outside: apply_tail(port.tail, outputs[port.outside]) for port in graph.outputs}


def assert_computes_what_the_file_does(path: Path, graph: Graph) -> None:
    values = np.random.default_rng(1).normal(size=graph.inputs[0].shape).astype(np.float32)
    expected = onnx_runtime(path, graph, values)
    found = with_tails(graph, run_float(graph, {graph.inputs[0].outside: values}))
    for name, array in expected.items():
        assert found[name].shape == array.shape
        assert np.abs(found[name] - array).max() <= 1e-4 * np.abs(array).max(), name


@pytest.mark.parametrize("name", DIALECTS)
def test_dialect(name: str, tmp_path: Path) -> None:
    build, operators = DIALECTS[name]
    path = tmp_path / f"{name}.onnx"
    onnx.save(build().model(), path)
    imported = import_model(path)
    lowered = run_passes(imported)
    assert imported.name == name
    assert operators is None or " ".join(node.op for node in lowered.nodes) == operators
    assert_computes_what_the_file_does(path, imported)
    assert_computes_what_the_file_does(path, lowered)


COMPILES = sorted(
    path
    for path in MODELS.rglob("*.onnx")
    if path.parent.name in ("models", "exporters")
    and not any(word in path.name for word in ("v3s", "deeplab", "ssdlite", "int8"))
)


@pytest.mark.skipif(not COMPILES, reason="../shared/models is not there")
@pytest.mark.parametrize("path", COMPILES, ids=lambda path: path.stem)
def test_shared_model(path: Path) -> None:
    lowered = run_passes(import_model(path))
    assert all("lowered" in operator_of(node).stages for node in lowered.nodes)
    assert_computes_what_the_file_does(path, lowered)


@pytest.mark.parametrize(
    ("name", "removed"),
    [
        ("constant_depthwise_channels", "2 of 4"),
        ("constant_channels_through_a_pool", "2 of 4"),
        ("saturated_channels", "2 of 4"),
        ("constant_channels_before_padding_stay", None),
        ("zero_channels_before_padding_go", "2 of 4"),
        ("all_channels_constant", "3 of 4"),
    ],
)
def test_constant_channels(name: str, removed: str | None, tmp_path: Path) -> None:
    onnx.save(DIALECTS[name][0]().model(), tmp_path / "net.onnx")
    notes = [note.text for note in run_passes(import_model(tmp_path / "net.onnx")).notes if note.kind == "channel"]
    assert [note.split(" channels")[0] for note in notes] == ([removed] if removed else [])


def test_notes_tell_what_was_folded(tmp_path: Path) -> None:
    onnx.save(DIALECTS["batch_norm_after_conv"][0]().model(), tmp_path / "net.onnx")
    notes = run_passes(import_model(tmp_path / "net.onnx")).notes
    assert [(note.kind, note.text) for note in notes] == [
        ("batch_norm", "BatchNormalization folded into n0"),
        ("batch_norm", "BatchNormalization folded into n3"),
        ("batch_norm", "BatchNormalization folded into n6"),
        ("activation", "relu fused into n0"),
        ("activation", "relu6 fused into n3"),
    ]


@pytest.mark.parametrize(
    ("name", "counted"),
    [("pad_attributes", (0, 0, 1, 0)), ("batch_norm_after_conv", (3, 2, 0, 0))],
)
def test_what_was_folded_is_counted(name: str, counted: tuple[int, ...], tmp_path: Path) -> None:
    """Batch norms, activations, pads and layers that lost channels."""
    onnx.save(DIALECTS[name][0]().model(), tmp_path / "net.onnx")
    facts = folded_facts(run_passes(import_model(tmp_path / "net.onnx")))
    assert (facts.batch_norms, facts.activations, facts.pads, facts.removed_channels) == counted


def test_printed_graph(tmp_path: Path) -> None:
    onnx.save(DIALECTS["head_softmax"][0]().model(), tmp_path / "net.onnx")
    assert print_graph(run_passes(import_model(tmp_path / "net.onnx"))) == PRINTED


PRINTED = """\
graph net
  input   x [1, 3, 12, 12] is x: float32 [1, 12, 12, 3], axes [0, 3, 1, 2]
  t1: float32 [1, 6, 6, 4] = conv2d 3x3 stride 2 pad 1,1,1,1 relu (x, n0.weights, n0.bias)
  t2: float32 [1, 1, 1, 4] = average_pool2d 6x6 (t1)
  t4: float32 [1, 1, 1, 5] = fully_connected (t2, n4.weights, n4.bias)
  output  t5 [1, 5] is t4: float32 [1, 1, 1, 5], axes [0, 3]
  tail    softmax of t5
  note    activation: n1: relu fused into n0
"""


@pytest.mark.parametrize(
    ("pads", "value", "reader", "message"),
    [
        ((0, 0, 1, 1, 0, 0, 1, 1), 1.0, "conv", "padding with 1"),
        ((0, 0, 1, 1, 0, 0, 1, 1), 0.0, "Relu", "padding before clamp"),
        ((0, 0, 1, 1, 0, 0, 1, 1), 0.0, None, "ends in padding"),
        ((0, 0, 3, 3, 0, 0, 3, 3), 0.0, "conv", "wider than the window"),
    ],
)
def test_pad_that_cannot_fold(
    pads: tuple[int, ...], value: float, reader: str | None, message: str, tmp_path: Path
) -> None:
    net = Net()
    net.then("Pad", net.ints(*pads), net.weight(value))
    if reader == "conv":
        net.conv(3, 4, pads=[0, 0, 0, 0])
    elif reader is not None:
        net.then(reader)
    onnx.save(net.model(), tmp_path / "net.onnx")
    with pytest.raises(ModelError, match=message):
        run_passes(import_model(tmp_path / "net.onnx"))


def test_fold_out_of_range_is_refused(tmp_path: Path) -> None:
    net = Net()
    net.then("Conv", net.weight(np.full((4, 3, 1, 1), 1e10))).batch_norm(4, [1e11] * 4)
    onnx.save(net.model(), tmp_path / "net.onnx")
    with pytest.raises(ModelError, match="folding a batch norm"):
        run_passes(import_model(tmp_path / "net.onnx"))
