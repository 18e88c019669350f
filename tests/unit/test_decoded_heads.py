"""Heads that the file decodes itself: every coder is found by what it does, and what is done otherwise is refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx_models import ssdlite320
from onnx_models.detectors import (
    Decoding,
    anchors_of,
    before_postprocess,
    centroids,
    decoded,
    heat_maps,
    raw_heads,
    torchvision_ssd,
)
from onnx_models.net import Net
from shared import shared

from mbn2c.commands.inspect import inspect_model
from mbn2c.commands.sized_graph import sized_model
from mbn2c.errors import ModelError
from mbn2c.frontend import import_model
from mbn2c.ir.graph import Graph
from mbn2c.ops import OPERATORS
from mbn2c.tasks.detection.detector import Detector, DetectorLimits
from mbn2c.tasks.protocol import RAW

# How the file decodes, and (coder, order, scales, score, background) that are found
FORMS = {
    "TensorFlow": (Decoding(), ("centres", (1, 0, 3, 2), (10, 10, 5, 5), "sigmoid", 0)),
    "torchvision": (
        Decoding(form="xy", unit=32, score="Softmax", classes=4),
        ("centres", (0, 1, 2, 3), (10, 10, 5, 5), "softmax", 0),
    ),
    "one class": (Decoding(classes=1, first=0), ("centres", (1, 0, 3, 2), (10, 10, 5, 5), "sigmoid", -1)),
    "centre and size": (
        Decoding(form="centred", classes=3, first=0),
        ("centres", (0, 1, 2, 3), (10, 10, 5, 5), "sigmoid", -1),
    ),
    "corners": (Decoding(coder="corners", scales=(1, 1)), ("corners", (1, 0, 3, 2), (1, 1, 1, 1), "sigmoid", 0)),
    "BlazeFace": (
        Decoding("sizes", (8, 8), "xy", classes=1, first=0, values=16),
        ("sizes", (0, 1, 2, 3), (1, 1, 1, 1), "sigmoid", -1),
    ),
    "distances": (
        Decoding("distances", (4, 4), "xy", 32, "", 2, 0),
        ("distances", (0, 1, 2, 3), (1, 1, 1, 1), "plain", -1),
    ),
}


def imported(net: Net, folder: Path) -> Graph:
    onnx.save(net.model(), folder / "heads.onnx")
    return import_model(folder / "heads.onnx")


@pytest.mark.parametrize("form", FORMS)
def test_forms(form: str, tmp_path: Path) -> None:
    how, wanted = FORMS[form]
    graph = imported(decoded(how), tmp_path)
    assert graph.decoding is not None and len(graph.outputs) == 4
    detector = Detector.from_decoding(graph.decoding)
    facts = detector.facts
    assert (facts.coder, facts.order, facts.scales, facts.score, facts.background) == wanted
    assert [(one.height, one.width, one.anchors) for one in facts.levels] == [(8, 8, 2), (4, 4, 2)]
    assert facts.limits == DetectorLimits(20 * facts.labels, 64, 0.05, 0.6) and facts.values == how.values
    anchors = np.concatenate([anchors_of(side, (0.2, 0.35)) for side in (8, 4)])
    if how.coder in ("sizes", "distances"):  # what an offset of 1 moves by, around the same centres
        middle, half = (anchors[:, :2] + anchors[:, 2:]) / 2, (anchors[:, 2:] - anchors[:, :2]) / 2 / how.scales[0]
        anchors = np.concatenate([middle - half, middle + half], axis=1)
    assert np.abs(detector.anchors - anchors).max() < 1e-6


def nodes_of(net: Net, kind: str) -> list[onnx.NodeProto]:
    return [node for node in net.nodes if node.op_type == kind]


def squared(net: Net) -> None:
    [node] = nodes_of(net, "Exp")
    node.op_type, node.input[:] = "Mul", [node.input[0]] * 2


def turned_levels(net: Net) -> None:
    node = nodes_of(net, "Concat")[1]
    node.input[:] = list(node.input)[::-1]


def of_all_classes(net: Net) -> None:
    """The best class of each anchor only: its boxes drop those of other classes."""
    [node] = nodes_of(net, "NonMaxSuppression")
    name = net.node("ReduceMax", node.input[1], axes=[1], keepdims=1)
    node.input[1] = name
    net.nodes.insert(net.nodes.index(node), net.nodes.pop())
    net.nodes = [one for one in net.nodes if one.op_type != "GatherND"]
    del net.outputs[1:]
    net.outputs.append((name, None))


def halved(net: Net) -> None:
    """Boxes that are smaller when they are returned than when they are compared."""
    gather = next(node for node in net.nodes if node.output[0] == net.outputs[0][0])
    net.node("Mul", gather.output[0], net.weight(0.9))
    net.outputs[0] = (net.x, None)


def no_function(net: Net) -> None:
    [node] = nodes_of(net, "Sigmoid")
    node.op_type = "Tanh"


# What is done to a file, and what is said of it.
OTHERWISE: dict[str, tuple[Decoding, Callable[[Net], None], str]] = {
    "sizes are squares": (Decoding(), squared, "boxes of random offsets, read as sizes"),
    "levels of one side are turned round": (Decoding(), turned_levels, "boxes|level"),
    "classes drop each other's boxes": (Decoding(classes=3), of_all_classes, "scores|outputs"),
    "returned boxes are others": (Decoding(), halved, "boxes that the file keeps are others"),
    "scores of another function": (Decoding(), no_function, "no softmax, no sigmoid"),
}


@pytest.mark.parametrize("words", OTHERWISE)
def test_what_is_done_otherwise_is_refused(words: str, tmp_path: Path) -> None:
    how, change, said = OTHERWISE[words]
    net = decoded(how)
    change(net)
    with pytest.raises(ModelError, match=f"is something else: .*({said})") as refused:
        imported(net, tmp_path)
    assert "--task raw" in refused.value.hint
    raw = import_model(tmp_path / "heads.onnx", task=RAW)
    assert len(raw.outputs) == 4 and raw.decoding is None


@pytest.mark.parametrize("is_dynamo", [False, True])
def test_torchvision(is_dynamo: bool, tmp_path: Path) -> None:
    """Classes that are chosen one by one, and dropped together."""
    onnx.save(torchvision_ssd(is_dynamo=is_dynamo), tmp_path / "heads.onnx")
    graph = import_model(tmp_path / "heads.onnx")
    assert graph.decoding is not None
    detector = Detector.from_decoding(graph.decoding)
    facts = detector.facts
    assert (facts.coder, facts.order, facts.scales) == ("centres", (0, 1, 2, 3), (10, 10, 5, 5))
    assert (facts.score, facts.classes, facts.background, facts.per_class) == ("softmax", 4, 0, True)
    assert facts.limits == DetectorLimits(20, 64, 0.05, 0.55)
    anchors = np.concatenate([anchors_of(side, (0.2, 0.35)) for side in (8, 4)])
    assert np.abs(detector.anchors - anchors).max() < 1e-6


def test_ssdlite320(tmp_path: Path) -> None:
    """All of torchvision's: six levels, of which the last are smaller than what one anchor covers."""
    onnx.save(ssdlite320.ssdlite320(), tmp_path / "ssdlite320.onnx")
    graph = import_model(tmp_path / "ssdlite320.onnx")
    assert graph.decoding is not None
    detector = Detector.from_decoding(graph.decoding)
    assert [one.height for one in detector.facts.levels] == [20, 10, 5, 3, 2, 1] and len(detector.anchors) == 3234
    assert (detector.facts.score, detector.facts.classes, detector.facts.background) == ("softmax", 91, 0)
    assert np.abs(detector.anchors - ssdlite320.anchors()).max() < 1e-6
    # As torchvision's own file has, exported by TorchScript: 3,234 anchors, the same places.
    assert sum(OPERATORS[node.op].macs(node, graph) for node in graph.nodes) == 583_171_904


def test_a_choice_that_is_not_of_nothing_is_left_alone(tmp_path: Path) -> None:
    """A branch that keeps the first box where there is none."""
    model = torchvision_ssd()
    [condition] = [node for node in model.graph.node if node.op_type == "If"]
    [constant] = condition.attribute[1 - (condition.attribute[0].name == "then_branch")].g.node
    constant.attribute[0].t.CopyFrom(onnx.numpy_helper.from_array(np.zeros(1, np.int64)))
    onnx.save(model, tmp_path / "heads.onnx")
    with pytest.raises(ModelError, match="is not supported there"):
        import_model(tmp_path / "heads.onnx")


def test_labels_in_another_order_are_refused(tmp_path: Path) -> None:
    model = torchvision_ssd(is_dynamo=True)
    [cast] = [node for node in model.graph.node if node.op_type == "Cast"]
    joined = next(node for node in model.graph.node if node.output[0] == cast.input[0])
    model.graph.node.remove(joined)
    turned = [joined.input[i] for i in (1, 0, 2)]
    place = list(model.graph.node).index(cast)
    model.graph.node.insert(place, onnx.helper.make_node("Concat", turned, joined.output, axis=0))
    onnx.save(model, tmp_path / "heads.onnx")
    with pytest.raises(ModelError, match="is something else"):
        import_model(tmp_path / "heads.onnx")


def test_classes_that_drop_each_other_s_boxes(tmp_path: Path) -> None:
    net = decoded(Decoding(classes=3))
    [node] = nodes_of(net, "NonMaxSuppression")
    best = net.node("ReduceMax", node.input[1], axes=[1], keepdims=1)
    net.nodes.insert(net.nodes.index(node), net.nodes.pop())
    squeezed = next(one for one in net.nodes if one.op_type == "Squeeze" and one.input[0] == node.input[1])
    node.input[1] = squeezed.input[0] = best
    graph = imported(net, tmp_path)
    assert graph.decoding is not None
    assert Detector.from_decoding(graph.decoding).facts.per_class is False


@pytest.mark.parametrize("values", [16, 18])
def test_blazeface(values: int, tmp_path: Path) -> None:
    """The file has no anchors: the middles of pixels, and offsets in pixels of the image, are said to be assumed."""
    graph = imported(raw_heads(values), tmp_path)
    assert graph.decoding is not None
    detector = Detector.from_decoding(graph.decoding)
    facts = detector.facts
    assert (facts.coder, facts.scales, facts.classes, facts.background) == ("sizes", (1, 1, 1, 1), 1, -1)
    assert facts.values == values and facts.limits == DetectorLimits(32, 64, 0.5, 0.3)
    places = np.concatenate([anchors_of(side, (1 / 32, 1 / 32)) for side in (8, 4)])
    assert np.abs(detector.anchors - places).max() < 1e-6
    [note] = [note for note in graph.notes if note.kind == "decoding"]
    assert f"{values // 2 - 2} keypoints" in note.text and "assumed" in note.text


@pytest.mark.parametrize(("classes", "domain", "background"), [(3, "tflite", 0), (2, "", -1)])
def test_tflite_postprocess(classes: int, domain: str, background: int, tmp_path: Path) -> None:
    limits = {"nms_score_threshold": 0.2, "nms_iou_threshold": 0.6, "max_detections": 10, "num_classes": 2}
    scales = {"x_scale": 10.0, "y_scale": 10.0, "w_scale": 5.0, "h_scale": 4.0}
    graph = imported(before_postprocess(classes, domain, **limits, **scales), tmp_path)
    assert graph.decoding is not None and len(graph.outputs) == 4
    detector = Detector.from_decoding(graph.decoding)
    facts = detector.facts
    assert (facts.coder, facts.order, facts.scales) == ("centres", (1, 0, 3, 2), (10, 10, 5, 4))
    assert (facts.score, facts.background, facts.labels, facts.per_class) == ("sigmoid", background, 2, False)
    assert facts.limits == DetectorLimits(10, 64, 0.2, 0.6)
    anchors = np.concatenate([anchors_of(side, (0.2, 0.35)) for side in (8, 4)])
    assert np.abs(detector.anchors - anchors).max() < 1e-6


@pytest.mark.parametrize("is_centred", [False, True])
def test_heat_maps(is_centred: bool, tmp_path: Path) -> None:
    graph = imported(heat_maps(is_centred=is_centred), tmp_path)
    assert graph.decoding is not None and len(graph.outputs) == 2
    detector = Detector.from_decoding(graph.decoding)
    facts = detector.facts
    assert (facts.coder, facts.order) == ("sizes" if is_centred else "distances", (0, 1, 2, 3))
    assert facts.scales == (0.25,) * 4 and (facts.peaks, facts.labels, facts.background) == (True, 3, -1)
    assert facts.limits == DetectorLimits(20, 64, 0.1, 1.0)
    y, x = np.mgrid[:16, :16].reshape(2, -1) / 16
    wanted = np.stack([x - 1 / 128, y - 1 / 128, x + 1 / 128, y + 1 / 128], axis=1)
    assert np.abs(detector.anchors - wanted).max() < 1e-6


@pytest.mark.parametrize("is_nhwc", [False, True])
@pytest.mark.parametrize("score", ["Softmax", "Sigmoid"])
def test_centroids(score: str, is_nhwc: bool, tmp_path: Path) -> None:
    """A map of classes is a detector's only if the user says so."""
    onnx.save(centroids(score=score, is_nhwc=is_nhwc).model(), tmp_path / "heads.onnx")
    if score == "Softmax":
        with pytest.raises(ModelError) as refused:
            import_model(tmp_path / "heads.onnx")
        assert "--task detection" in refused.value.hint
    else:
        assert import_model(tmp_path / "heads.onnx").decoding is None
    graph = import_model(tmp_path / "heads.onnx", task="detection")
    assert graph.decoding is not None and [port.shape for port in graph.outputs] == [(1, 3, 4, 4)]
    detector = Detector.from_decoding(graph.decoding)
    facts = detector.facts
    background = 0 if score == "Softmax" else -1
    assert (facts.score, facts.background, facts.values, facts.connected) == (score.lower(), background, 0, True)
    assert facts.kinds == ("scores",) and facts.limits == DetectorLimits(32, 16, 0.5, 0.5)
    y, x = np.mgrid[:4, :4].reshape(2, -1) / 4
    assert np.abs(detector.anchors - np.stack([x, y, x + 0.25, y + 0.25], axis=1)).max() < 1e-6


@pytest.mark.parametrize(
    ("axis", "said"), [(2, "is no softmax of the classes"), (None, "no detector's head is recognised")]
)
def test_what_is_no_map_of_centroids_is_refused(axis: int | None, said: str, tmp_path: Path) -> None:
    net = centroids()
    if axis is None:
        net.outputs = [(net.nodes.pop().input[0], net.outputs[0][1])]
    else:
        net.nodes[-1].attribute[0].i = axis
    onnx.save(net.model(), tmp_path / "map.onnx")
    with pytest.raises(ModelError, match=said):
        import_model(tmp_path / "map.onnx", task="detection")


def wider_peaks(net: Net) -> None:
    [node] = nodes_of(net, "MaxPool")
    net.nodes[net.nodes.index(node)] = onnx.helper.make_node(
        "MaxPool", node.input, node.output, kernel_shape=[5, 5], pads=[2] * 4
    )


def rooted_sizes(net: Net) -> None:
    gather = next(node for node in net.nodes if node.op_type == "Gather")
    name = net.node("Exp", gather.input[0])
    gather.input[0] = name
    net.nodes.insert(net.nodes.index(gather), net.nodes.pop())


@pytest.mark.parametrize(("change", "said"), [(wider_peaks, "keeps|not linear"), (rooted_sizes, "not linear")])
def test_heat_maps_that_mean_something_else_are_refused(
    change: Callable[[Net], None], said: str, tmp_path: Path
) -> None:
    net = heat_maps()
    change(net)
    with pytest.raises(ModelError, match=f"is something else: .*({said})"):
        imported(net, tmp_path)


def test_maps_that_are_returned_as_they_are_are_no_heads(tmp_path: Path) -> None:
    net = Net(shape=(1, 3, 16, 16)).conv(3, 8)
    features = net.x
    for channels in (1, 16):
        net.x = features
        net.conv(8, channels, k=1).then("Transpose", perm=[0, 2, 3, 1])
        net.outputs.append((net.x, (1, 16, 16, channels)))
    assert imported(net, tmp_path).decoding is None


# (file, anchors, coder, limits)
SHARED = [
    ("ssdlite_mobilenet_v2_person_300_nms_tf2onnx", 1917, "centres", DetectorLimits(100, 100, 1e-8, 0.6)),
    ("blazeface_short_range_128_nms", 896, "sizes", DetectorLimits(20, 64, 0.5, 0.3)),
    ("blazeface_full_range_192", 2304, "sizes", DetectorLimits(32, 64, 0.5, 0.3)),
]


@pytest.mark.parametrize(("name", "anchors", "coder", "limits"), SHARED, ids=[one[0] for one in SHARED])
def test_shared_files(name: str, anchors: int, coder: str, limits: DetectorLimits) -> None:
    graph = import_model(shared(f"models/detection/{name}.onnx"))
    assert graph.decoding is not None
    detector = Detector.from_decoding(graph.decoding)
    assert (len(detector.anchors), detector.facts.coder, detector.facts.limits) == (anchors, coder, limits)


def of_one_map(net: Net) -> None:
    """Scores from the maps of the offsets."""
    joined = nodes_of(net, "Concat")
    nodes_of(net, "Sigmoid")[0].input[0] = joined[1].output[0]


def product(net: Net) -> None:
    """Scores times how sure the box is, of each class by itself."""
    [node] = nodes_of(net, "Sigmoid")
    parts = []
    for features, extent in zip(nodes_of(net, "Conv")[1:3], (8, 4), strict=True):
        net.x = features.output[0]
        net.conv(8, 4, k=1).then("Transpose", perm=[0, 2, 3, 1])
        parts.append(net.then("Reshape", net.ints(1, extent * extent * 2, 2)).x)
    more = net.node("Sigmoid", net.node("Concat", *parts, axis=1))
    reader = next(one for one in net.nodes if node.output[0] in one.input)
    reader.input[0] = net.node("Mul", node.output[0], more)


@pytest.mark.parametrize(
    ("change", "said"),
    [(of_one_map, "2 maps of scores, 0 of"), (product, "2 numbers of an anchor beside its 2 scores")],
)
def test_maps_that_cannot_be_paired(change: Callable[[Net], None], said: str, tmp_path: Path) -> None:
    """They are no boxes to us, but the file is said to be a detector's, and its maps can be outputs."""
    net = decoded(Decoding(classes=2, first=0))
    change(net)
    with pytest.raises(ModelError, match=f"a detector's head, .* is something else: {said}") as refused:
        imported(net, tmp_path)
    assert "--task raw" in refused.value.hint
    assert len(import_model(tmp_path / "heads.onnx", task=RAW).outputs) == (2 if change is of_one_map else 6)


@pytest.mark.parametrize(
    ("limits", "said"),
    [
        ((20, float("nan"), 0.05), "an IoU of nan"),
        ((20, -0.5, 0.05), "an IoU of -0.5"),
        ((20, 0.5, 3.0), "a score of 3"),
        ((20, 0.5, float("nan")), "a score of nan"),
        ((0, 0.5, 0.05), "returns 0 boxes"),
        ((-3, 0.5, 0.05), "returns -6 boxes|returns -3 boxes"),
    ],
)
def test_limits_that_cannot_be_are_refused(limits: tuple[int, float, float], said: str, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=f"is something else: .*({said})"):
        imported(decoded(replace(Decoding(), limits=limits)), tmp_path)


def test_inspect_says_and_plans_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "mbn2c.commands.inspect._all_targets", lambda graph, progress: ()
    )  # plans for all cores take seconds
    onnx.save(decoded(Decoding(classes=1, first=0)).model(), tmp_path / "heads.onnx")
    assert [node.op for node in sized_model(tmp_path / "heads.onnx").nodes][-1] == "ssd_boxes"
    assert inspect_model(tmp_path / "heads.onnx").model.architecture.startswith("detection with ")


def test_limits_that_differ_are_read(tmp_path: Path) -> None:
    how = replace(Decoding(), limits=(1000, 0.45, 0.3))
    graph = imported(decoded(how), tmp_path)
    assert graph.decoding is not None
    assert Detector.from_decoding(graph.decoding).facts.limits == DetectorLimits(100, 100, 0.3, 0.45)
