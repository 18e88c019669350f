"""Detectors without anchors: what makes their scores and boxes is found from their numbers, however it is spelt."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx_models import anchor_free
from onnx_models.anchor_free import ALL
from onnx_models.net import Net

from mbn2c.errors import ModelError
from mbn2c.frontend import import_model
from mbn2c.tasks.detection.decode import product
from mbn2c.tasks.detection.detector import Detector, DetectorLimits
from mbn2c.tasks.protocol import RAW

# (classes, coder, exponents)
FOUND = {
    "YuNet": (1, "centres", (0.5, 0.5)),
    "YOLOX": (3, "centres", (1.0, 1.0)),
    "FCOS": (3, "distances", (0.5, 0.5)),
}


def read(net: Net, folder: Path) -> Detector:
    onnx.save(net.model(), folder / "heads.onnx")
    graph = import_model(folder / "heads.onnx")
    assert graph.decoding is not None
    detector = Detector.from_decoding(graph.decoding)
    step = len(detector.facts.kinds)
    channels = [port.shape[1] for port in graph.outputs]
    assert channels == [detector.facts.classes, 1, detector.facts.values][-step:] * len(detector.facts.levels)
    return detector


@pytest.mark.parametrize("form", FOUND)
def test_forms(form: str, tmp_path: Path) -> None:
    made = ALL[form]()
    detector = read(made.net, tmp_path)
    facts = detector.facts
    assert (facts.classes, facts.coder, facts.exponents) == FOUND[form]
    assert (facts.score, facts.background, facts.order, facts.scales) == ("product", -1, (0, 1, 2, 3), (1, 1, 1, 1))
    assert facts.limits == DetectorLimits(20 * facts.classes, 64, 0.3, 0.45)
    wanted = []
    for extent in (8, 4):
        y, x = np.mgrid[:extent, :extent].reshape(2, -1) + made.middle
        wanted.append(np.stack([x - 0.5, y - 0.5, x + 0.5, y + 0.5], axis=1) / extent)
    assert np.abs(detector.anchors - np.concatenate(wanted)).max() < 1e-6


def test_yunet_without_decoding(tmp_path: Path) -> None:
    """It is the one that decodes, but for what nobody can know: that is said to be assumed."""
    decoded = read(anchor_free.yunet().net, tmp_path)
    found = read(anchor_free.yunet(stops_before=True).net, tmp_path)
    assert replace(found.facts, family="", cut=(), limits=DetectorLimits()) == replace(
        decoded.facts, family="", cut=(), limits=DetectorLimits()
    )
    assert np.abs(found.anchors - decoded.anchors).max() < 1e-6
    assert found.facts.limits == DetectorLimits(32, 64, 0.9, 0.3)
    [note] = [note for note in import_model(tmp_path / "heads.onnx").notes if note.kind == "decoding"]
    assert "as YuNet's" in note.text and "assumed" in note.text


def test_yunet_s_scores_of_another_function_are_refused(tmp_path: Path) -> None:
    net = anchor_free.yunet(stops_before=True).net
    net.outputs[0] = (net.node("Sigmoid", net.outputs[0][0]), net.outputs[0][1])
    with pytest.raises(ModelError, match=r"is something else: output .* is not made of its maps"):
        read(net, tmp_path)


def test_fastestdet(tmp_path: Path) -> None:
    """A share of a softmax, functions of offsets, and one box of a pixel."""
    detector = read(anchor_free.fastestdet().net, tmp_path)
    facts = detector.facts
    assert (facts.score, facts.exponents, facts.classes, facts.background) == (
        "product of a softmax",
        (0.4, 0.6),
        5,
        -1,
    )
    assert (facts.coder, facts.curves, facts.order, facts.per_class) == (
        "sizes",
        ("tanh", "sigmoid"),
        (0, 1, 2, 3),
        False,
    )
    assert facts.scales == (1, 1, 0.125, 0.125)
    y, x = np.mgrid[:8, :8].reshape(2, -1)
    wanted = np.stack([x - 0.5, y - 0.5, x + 0.5, y + 0.5], axis=1) / 8
    assert np.abs(detector.anchors - wanted).max() < 1e-6


def of_kind(net: Net, kind: str) -> list[onnx.NodeProto]:
    return [node for node in net.nodes if node.op_type == kind]


def another_function(net: Net) -> None:
    of_kind(net, "Sqrt")[0].op_type = "Tanh"


def less_of_one_factor(net: Net) -> None:
    """A constant is no power of a sigmoid."""
    [node] = of_kind(net, "Sqrt")
    node.op_type = "Mul"
    node.input.append(net.weight(0.5))


def boxes_of_objectness(net: Net) -> None:
    """Boxes that grow with a map of the scores."""
    [node] = of_kind(net, "Exp")
    extent = of_kind(net, "Sigmoid")[1].input[0]
    name = net.node("Mul", node.output[0], extent)
    for reader in net.nodes[:-1]:
        reader.input[:] = [name if one == node.output[0] else one for one in reader.input]
    net.nodes.insert(net.nodes.index(node) + 1, net.nodes.pop())


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (another_function, "no products of powers"),
        (less_of_one_factor, "no products of powers"),
        (boxes_of_objectness, "lie on no grid"),
    ],
)
def test_what_is_done_otherwise_is_refused(change: Callable[[Net], None], said: str, tmp_path: Path) -> None:
    net = anchor_free.yunet().net
    change(net)
    with pytest.raises(ModelError, match=f"is something else: .*{said}"):
        read(net, tmp_path)


@pytest.mark.parametrize("is_conv", [False, True], ids=["NanoDet", "YOLOv8"])
def test_means_of_distributions_are_refused_by_name(is_conv: bool, tmp_path: Path) -> None:
    """And `--task raw` returns the maps, in which nothing of the decoding is left."""
    net = anchor_free.distributed(is_conv=is_conv)
    [softmax] = of_kind(net, "Softmax")
    with pytest.raises(ModelError, match=f"means of distributions, by Softmax '{softmax.name}'") as refused:
        read(net, tmp_path)
    assert "--task raw" in refused.value.hint
    raw = import_model(tmp_path / "heads.onnx", task=RAW)
    assert sorted({port.shape[1] for port in raw.outputs}) == ([3, 32] if is_conv else [35])


def test_other_powers_are_found(tmp_path: Path) -> None:
    net = anchor_free.yunet().net
    [node] = of_kind(net, "Sqrt")
    node.op_type = "Pow"
    node.input.append(net.weight(1.5))
    assert read(net, tmp_path).facts.exponents == (1.5, 1.5)


def test_products() -> None:
    values, objectness = np.array([[0.0, 50.0]]), np.array([[0.0]])
    assert np.allclose(product("product", values, objectness, (1.0, 1.0)), [[0.25, 0.5]])
    assert np.allclose(product("product", values, objectness, (0.5, 2.0)), [[0.25 * 0.5**0.5, 0.25]])
    assert np.allclose(product("product of a softmax", values, objectness, (0.5, 2.0)), [[0, 0.25]])
