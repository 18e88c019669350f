"""Outputs that are not one class of an image: each is judged by what it is, by figures worked out here with numpy."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from devices import build_folder
from onnx_models import Net
from quantized_zoo import NETS as ZOO
from quantized_zoo import Dialect, quantize
from shared import shared

from mbn2c.cli import main
from mbn2c.commands.build import BuildOptions
from mbn2c.commands.output_folder import OutputFolder
from mbn2c.commands.verify.one_image import Bench, Outcome, Tally, VerifyOptions, open_models
from mbn2c.commands.verify.result import records_of
from mbn2c.commands.verify.second_look import Finding
from mbn2c.errors import GateError, UsageError
from mbn2c.frontend.runtime import Oracle
from mbn2c.network.outputs import device_answers
from mbn2c.ops.base.prequantized.values import Probe
from mbn2c.ops.base.quants import quant_of
from mbn2c.quantize.judge import judge
from mbn2c.targets import load_core
from mbn2c.tasks.classification.likeness import Likeness, compare, summary
from mbn2c.tasks.classification.outputs import KINDS, OutputSpec, main_output, read_outputs
from mbn2c.tasks.gates import fails_sqnr, noisiest
from mbn2c.tasks.images import open_samples
from mbn2c.tasks.outputs import Output
from mbn2c.tasks.protocol import Answers, HeldBack, Labels, Limits, Task
from mbn2c.tasks.registry import recognise
from mbn2c.tasks.statistics import Share, clustered_share, mean_interval

NCHW, NHWC = (0, 3, 1, 2), (0, 1, 2, 3)
MAP, LOGIT_MAP, CLASS, LOGIT = (1, 3, 5, 4), (1, 1, 5, 4), (1, 6), (1, 1)


def spec(shape: tuple[int, ...], permutation: tuple[int, ...], tail: str = "", **kinds: str) -> OutputSpec:
    """Of the only output, which is called y."""
    [found] = recognise([Output("y", shape, permutation, tail)], kinds).outputs
    assert isinstance(found, OutputSpec)
    return found


# --- what an output is ---------------------------------------------------------------------------

# (shape, permutation, tail, kind, reason, only the shape says so, decisions, labels)
DEDUCED = [
    (CLASS, (0, 3), "softmax", "classes", "softmax at the end", False, 1, 6),
    (CLASS, (0, 3), "log_softmax", "classes", "log_softmax at the end", False, 1, 6),
    (CLASS, (0, 3), "", "classes", "6 values", True, 1, 6),
    ((1, 6, 1, 1), NCHW, "", "classes", "6 values", True, 1, 6),
    ((6,), (3,), "", "classes", "6 values", True, 1, 6),
    (CLASS, (0, 3), "sigmoid", "logits", "sigmoid at the end", False, 6, 0),
    (LOGIT, (0, 3), "sigmoid", "logits", "sigmoid at the end", False, 1, 2),
    (LOGIT, (0, 3), "", "logits", "one value", True, 1, 2),
    (MAP, NCHW, "", "classes", "3 values at each position", True, 20, 0),
    ((1, 5, 4, 3), NHWC, "softmax", "classes", "softmax at the end", False, 20, 0),
    (LOGIT_MAP, NCHW, "", "logits", "one value at each position", True, 20, 0),
]


@pytest.mark.parametrize("case", DEDUCED, ids=str)
def test_kind_follows_from_shape_and_end(case: tuple[Any, ...]) -> None:
    shape, permutation, tail, *expected = case
    found = spec(shape, permutation, tail)
    assert [found.kind, found.reason, found.is_assumed, found.decisions, found.label_count] == expected


@pytest.mark.parametrize("kind", KINDS)
def test_the_user_has_the_last_word(kind: str) -> None:
    found = spec(CLASS, (0, 3), "softmax", y=kind)
    assert (found.kind, found.reason, found.is_assumed) == (kind, "--output-kind", False)


def test_class_names_say_that_it_is_a_class() -> None:
    ports = [Output("embedding", (1, 8), (0, 3), ""), Output("scores", CLASS, (0, 3), "")]
    found = read_outputs(ports, {"embedding": "vector"}, class_names=6)
    assert [one.is_assumed for one in found] == [False, False]
    assert main_output(found) == 1


@pytest.mark.parametrize(
    ("kinds", "message"), [({"z": "vector"}, "no output is called 'z'"), ({"y": "boxes"}, "no kind of output")]
)
def test_what_the_user_says_is_checked(kinds: dict[str, str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        spec(CLASS, (0, 3), "", **kinds)


# --- before softmax and sigmoid ------------------------------------------------------------------


def softmax(values: np.ndarray, axis: int) -> np.ndarray:
    powers = np.exp(values - values.max(axis=axis, keepdims=True))
    return np.asarray((powers / powers.sum(axis=axis, keepdims=True)).astype(np.float32))


def sigmoid(values: np.ndarray) -> np.ndarray:
    return np.asarray((1 / (1 + np.exp(-values))).astype(np.float32))


# (tail, what the file makes of NCHW logits)
TAILS: list[tuple[str, Callable[[np.ndarray], np.ndarray]]] = [
    ("", lambda logits: logits),
    ("softmax", lambda logits: softmax(logits, 1)),
    ("log_softmax", lambda logits: np.log(softmax(logits, 1))),
    ("sigmoid", sigmoid),
]


@pytest.mark.parametrize(("tail", "apply"), TAILS, ids=[name for name, _ in TAILS])
def test_logits_are_found_again_position_by_position(tail: str, apply: Callable[[np.ndarray], np.ndarray]) -> None:
    """A softmax forgets a constant of its own at every position: no noise is seen in what it forgot."""
    output = spec(MAP, NCHW, tail)
    logits = np.random.default_rng(1).normal(0, 3, MAP)
    device = logits.transpose(0, 2, 3, 1)
    found = compare(output, output.before_tail(apply(logits)), device)
    assert found.same == output.decisions == (60 if tail == "sigmoid" else 20)
    assert found.noise < 1e-6 * found.signal and found.largest_error < 1e-2
    moved = compare(output, output.before_tail(apply(logits)), device + np.arange(20).reshape(1, 5, 4, 1))
    assert (moved.noise < 1e-6 * moved.signal) is (tail in ("softmax", "log_softmax"))


def test_a_sigmoid_that_is_one_is_no_noise() -> None:
    output = spec(LOGIT, (0, 3), "sigmoid")
    for logit, certain in ((60.0, 1.0), (-800.0, 0.0)):
        found = compare(output, output.before_tail(np.float32([[certain]])), np.full((1, 1, 1, 1), logit))
        assert (found.same, found.noise) == (1, 0.0)


# --- over all images -----------------------------------------------------------------------------


def test_interval_of_a_map_is_between_images_and_positions() -> None:
    """12 x 12 answers of one image are not 144 independent ones, nor is each image one answer."""
    few, many = Share(8, 10).interval, Share(1152, 1440).interval
    alike = clustered_share([144] * 8 + [0] * 2, 144)  # all positions of an image agree or none does
    assert alike.value == pytest.approx(0.8) and alike.interval == pytest.approx(few)
    spread = clustered_share([115, 116, 104, 126, 115, 115, 110, 121, 115, 115], 144)
    assert spread.value == pytest.approx(1152 / 1440)
    assert few[0] < spread.interval[0] < many[0] + 1e-9 and many[1] - 1e-9 < spread.interval[1] < few[1]
    assert clustered_share([144] * 10, 144).interval == pytest.approx(Share(10, 10).interval)
    assert clustered_share([1, 0, 1], 1) == Share(2, 3)
    assert mean_interval([0.9], -1, 1) is None and mean_interval([0.9, 1.0], -1, 1) == pytest.approx(
        (0.852, 1.0), abs=1e-4
    )


def likeness(same: int = 0, cosine: float | None = None, signal: float = 1.0, noise: float = 0.1) -> Likeness:
    return Likeness(same, cosine, signal, noise, noise)


# (output, images, metric, value)
SUMMARIES = [
    (spec(CLASS, (0, 3)), [likeness(1), likeness(0)], "top1_agreement", 0.5),
    (spec(MAP, NCHW), [likeness(20), likeness(15)], "position_agreement", 0.875),
    (spec(LOGIT, (0, 3)), [likeness(1), likeness(1)], "sign_agreement", 1.0),
    (spec(CLASS, (0, 3), y="vector"), [likeness(0, 0.9), likeness(0, 1.0)], "cosine", 0.95),
    (spec(LOGIT, (0, 3), y="vector"), [likeness(0, 1.0), likeness(0, 1.0)], "sqnr_db", 10.0),
    (spec(CLASS, (0, 3)), [], "top1_agreement", None),
]


@pytest.mark.parametrize(("output", "images", "metric", "value"), SUMMARIES, ids=[one[2] for one in SUMMARIES])
def test_summary(output: OutputSpec, images: list[Likeness], metric: str, value: float | None) -> None:
    found = summary(output, images)
    assert found["metric"] == metric and found["value"] == (value if value is None else pytest.approx(value))
    assert found["sqnr_db"] == (10.0 if images else None)
    assert metric != "sqnr_db" or found["cosine"] is found["smallest_cosine"] is None


def test_the_noisiest_output_decides() -> None:
    quiet, loud = (summary(spec(CLASS, (0, 3)), [likeness(noise=noise)]) for noise in (0.001, 0.1))
    exact, lost = (summary(spec(CLASS, (0, 3)), [likeness(signal=s, noise=n)]) for s, n in ((1.0, 0.0), (0.0, 0.1)))
    assert noisiest([quiet, loud, exact]) is loud and noisiest([exact]) is None
    assert fails_sqnr([quiet, loud, exact], 10.1) is loud and fails_sqnr([quiet, loud, exact], 9.9) is None
    assert fails_sqnr([loud, lost], -100) is lost


def said_by_two_outputs(swapped: bool) -> tuple[Task, list[Any]]:
    """Records of 20 images with two outputs of 6 scores, labels of the first; swapped: by the device."""
    task, chance = (
        recognise([Output(name, CLASS, (0, 3), "") for name in ("one", "other")], {}),
        np.random.default_rng(5),
    )
    found = []
    for _ in range(20):
        scores = [chance.normal(0, 1, (1, 1, 1, 6)) for _ in range(2)]
        found.append(task.compare(Answers(scores[::-1] if swapped else scores, scores, scores)))
    return task, found


def test_agreement_is_the_main_outputs() -> None:
    """It stands behind a map here, whose positions all agree."""
    task = recognise([Output("map", MAP, NCHW, ""), Output("scores", CLASS, (0, 3), "")], {})
    map_, scores = np.zeros((1, 5, 4, 3)), np.eye(6).reshape(6, 1, 1, 1, 6)
    records = [task.compare(Answers([map_, scores[one]], [map_, scores[0]])) for one in (0, 0, 0, 5)]
    assert task.agreement(records) == 0.75
    assert HeldBack(records).to_json(task)["agreement"] == 0.75
    assert [(record.int8, record.float32, record.oracle) for record in records[2:]] == [(0, 0, None), (5, 0, None)]


def test_the_quantizers_judge_knows_which_is_which() -> None:
    task, scores = recognise([Output("scores", CLASS, (0, 3), "")], {}), np.eye(6).reshape(6, 1, 6, 1, 1)
    found = judge(7, task, ["t"], {"t": scores[2]}, {"t": 3 * scores[4]})
    assert (found.image, found.record.float32, found.record.int8) == (7, 2, 4)
    assert found.record.likeness[0].signal == 1.0


def verified_json(task: Task, records: list[Any], labels: Labels) -> dict[str, Any]:
    """The part of `verify --json` that gates ask."""
    return {"labels": labels.to_json(), **task.judge_verified(records, labels, has_float=True)}


def test_swapped_outputs_fail_every_gate() -> None:
    for swapped in (False, True):
        task, records = said_by_two_outputs(swapped)
        labels = Labels([record.float32 for record in records])
        judged = [verified_json(task, records, labels), HeldBack(records, labels).to_json(task)]
        for found, check in zip(judged, (task.check_verified, task.check_held_back), strict=True):
            assert (found["outputs"][0]["value"] < 0.5) is swapped and (found["drop"] > 0.5) is swapped
            for limits in (Limits(max_drop=20), Limits(min_sqnr=20)):
                with pytest.raises(GateError) if swapped else contextlib.nullcontext():
                    check(found, limits, {})


@pytest.mark.parametrize("limits", [Limits(max_drop=100), Limits(min_sqnr=0)])
def test_without_a_float_model_no_gate_passes(limits: Limits) -> None:
    task, _ = said_by_two_outputs(swapped=False)
    scores = [np.eye(6)[:1].reshape(CLASS[0], 1, 1, 6)] * 2
    records = [task.compare(Answers(scores, None, scores))] * 3
    judged = {"labels": {"note": ""}, **task.judge_verified(records, Labels([0, 0, 1]), has_float=False)}
    assert (judged["top1_device"], judged["top1_ort_int8"], judged["top1_ort_float32"]) == (2 / 3, 2 / 3, None)
    with pytest.raises(GateError, match="compares with the float model"):
        task.check_verified(judged, limits, {})


def test_labels_of_other_images_pass_no_gate() -> None:
    """The float model would be no better than chance, and nothing could be lost."""
    task, records = said_by_two_outputs(swapped=False)
    labels = Labels([(record.float32 + 1) % 6 for record in records], "csv", "from afar")
    with pytest.raises(GateError, match="no drop can be measured against these labels") as refused:
        task.check_verified(verified_json(task, records, labels), Limits(max_drop=20), {})
    assert refused.value.where == "from afar"
    with pytest.raises(GateError, match="no drop can be measured against these labels"):
        task.check_held_back(HeldBack(records, labels).to_json(task), Limits(max_drop=20), {})
    with pytest.raises(ValueError, match="zip"):  # one is missing: every label behind it would be another image's
        task.judge_verified(records[1:], labels, has_float=True)


# --- whole networks ------------------------------------------------------------------------------


def trunk(channels: int = 4) -> Net:
    return Net(shape=(1, 3, 12, 12)).conv(3, channels, strides=[2, 2]).then("Relu")


def centred(net: Net, values: int) -> Net:
    """A head of random weights and a bias that leaves the signs of its values to the image."""
    net.then("GlobalAveragePool").then("Flatten")
    weights = net.rng.normal(0, 2, (values, 4))
    return net.then(
        "Gemm", net.weight(weights - weights.mean(axis=1, keepdims=True)), net.weight(np.zeros(values)), transB=1
    )


def head_and_map() -> Net:
    """A map, an embedding and scores, in that order."""
    net = trunk()
    features = net.x
    net.conv(4, 3, k=1).output("t2")
    net.x = features
    centred(net, 8).output()
    net.x = features
    return centred(net, 5).output()


NETS: dict[str, Callable[[], Net]] = {
    "map": lambda: trunk().conv(4, 3, k=1),
    "map, channels last": lambda: trunk().conv(4, 3, k=1).then("Transpose", perm=[0, 2, 3, 1]),
    "map without a batch axis": lambda: trunk().conv(4, 3, k=1).then("Squeeze", axes=[0]),
    "logit map": lambda: trunk().conv(4, 1, k=1),
    "one logit": lambda: centred(trunk(), 1),
    "softmax": lambda: centred(trunk(), 5).then("Softmax", axis=-1),
    "several": head_and_map,
}
IMAGES = 12


def save_images(
    file: Path, shape: tuple[int, ...], spread: float = 1.0, middle: float = 0.0, count: int = IMAGES
) -> None:
    """Noise around a mean that rises from image to image, so that outputs differ in sign and class."""
    noise = np.random.default_rng(2).normal(0, 1, (count, *shape)) + np.linspace(-1, 1, count).reshape(-1, 1, 1, 1)
    np.savez(file, (middle + spread * noise).astype(np.float32))


def build_model(model: Path, folder: Path, **more: Any) -> OutputFolder:
    images = str(folder / "images.npz")
    options = BuildOptions(model=model, core=load_core("host"), calib=images, effort="fast", name="net", **more)
    return build_folder(folder / "out", options)


def built(folder: Path, net: Net, **more: Any) -> OutputFolder:
    if net.nodes[-1].op_type == "Squeeze":
        net.opset = 11
    onnx.save(net.model(), folder / "model.onnx")
    save_images(folder / "images.npz", (3, 12, 12))
    return build_model(folder / "model.onnx", folder, **more)


def judged(output: OutputFolder, labels: list[int] | None = None, **kinds: str) -> dict[str, Any]:
    """What the task finds of all images on a device that is the reference."""
    models = open_models(output, kinds)
    samples = open_samples(output.path.parent / "images.npz", models.spec)
    bench = Bench(output, models, samples, VerifyOptions(output.path.parent / "images.npz"))
    whole = Tally()
    for position in range(len(samples)):
        prepared = bench.prepare(position)
        whole.add(bench.judge(Outcome(prepared, Finding(prepared.expected))))
    return models.task.judge_verified(records_of(whole, models.task), Labels(labels), models.float32 is not None)


def summaries(output: OutputFolder, **kinds: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = judged(output, **kinds)["outputs"]
    return found


def in_onnx_runtime(output: OutputFolder) -> list[tuple[np.ndarray, np.ndarray]]:
    """(float, int8) values of each output, over all images, as the two files have them."""
    images = np.load(output.path.parent / "images.npz")["arr_0"]
    sides = []
    for file in ("model/model.float32.onnx", "model/model.int8.onnx"):
        oracle = Oracle(output.path / file)
        found = [oracle.run({oracle.input_names[0]: image[None]}) for image in images]
        sides.append([np.concatenate([one[name].reshape(1, *one[name].shape) for one in found]) for name in found[0]])
    return list(zip(*sides, strict=True))


@pytest.mark.parametrize(
    ("name", "metric", "axis"),
    [
        ("map", "position_agreement", 2),
        ("map, channels last", "position_agreement", 4),
        ("map without a batch axis", "position_agreement", 1),
        ("logit map", "sign_agreement", None),
        ("one logit", "sign_agreement", None),
        ("softmax", "top1_agreement", 2),
    ],
)
def test_agreement_is_onnx_runtimes(name: str, metric: str, axis: int | None, tmp_path: Path) -> None:
    """axis: of the classes, among the axes of image, then those of the file's output."""
    output = built(tmp_path, NETS[name]())
    [(floats, int8)] = in_onnx_runtime(output)
    same = (floats > 0) == (int8 > 0) if axis is None else floats.argmax(axis) == int8.argmax(axis)
    [found] = summaries(output)
    assert found["metric"] == metric and found["value"] == pytest.approx(same.mean())
    assert found["value"] > 0.6 and found["sqnr_db"] > 15
    if axis is None:
        assert 0.2 < (floats > 0).mean() < 0.8, "the signs must differ, or the test says nothing"
    else:
        assert len(np.unique(floats.argmax(axis))) > 1, "the classes must differ, or the test says nothing"
    if name != "softmax":
        assert found["sqnr_db"] == pytest.approx(
            10 * np.log10((floats.astype(float) ** 2).sum() / ((int8 - floats.astype(float)) ** 2).sum()), abs=0.02
        )
        assert found["largest_error"] == pytest.approx(np.abs(floats - int8).max(), rel=1e-3)
    held_back = output.report["quantization"]["held_back"]
    assert held_back["outputs"][0]["metric"] == metric and held_back["agreement"] > 0.6


def test_several_outputs_are_each_judged_and_named(tmp_path: Path) -> None:
    output = built(tmp_path, NETS["several"](), output_kinds={"t5": "vector"})
    (map_, int8_map), (vector, int8_vector), (scores, int8_scores) = in_onnx_runtime(output)
    found = summaries(output)
    assert [one["name"] for one in found] == ["t2", "t5", "t8"]
    assert [one["metric"] for one in found] == ["position_agreement", "cosine", "top1_agreement"]
    assert found[0]["value"] == pytest.approx((map_.argmax(2) == int8_map.argmax(2)).mean())
    norms = np.linalg.norm(vector, axis=2) * np.linalg.norm(int8_vector, axis=2)
    assert found[1]["value"] == pytest.approx(((vector * int8_vector).sum(2) / norms).mean(), abs=1e-5)
    assert found[2]["value"] == pytest.approx((scores.argmax(2) == int8_scores.argmax(2)).mean())
    # Labels are those of the one output that says a class of the image.
    whole = judged(output, labels=[int(row[0]) for row in scores.argmax(2)], t5="vector")
    assert (whole["top1_ort_float32"], whole["top1_device"]) == (1.0, pytest.approx(found[2]["value"]))
    assert whole["top1_ort_int8"] == whole["top1_device"] and whole["drop"] == pytest.approx(1 - whole["top1_device"])
    assert [one["kind"] for one in output.report["outputs"]] == ["classes", "vector", "classes"]


def test_labels_of_one_logit_are_0_and_1(tmp_path: Path) -> None:
    output = built(tmp_path, NETS["one logit"]())
    [(floats, int8)] = in_onnx_runtime(output)
    labels = [int(value > 0) for value in floats.reshape(-1)]
    labels[0] = 1 - labels[0]
    whole = judged(output, labels=labels)
    right = (int8.reshape(-1) > 0) == labels
    assert (whole["top1_ort_float32"], whole["top1_device"]) == ((IMAGES - 1) / IMAGES, right.mean())


# (logit of the device, of the float model, label, is right: of device and float model, drop)
ANSWERS = [
    (1.0, 1.0, 1, (1, 1, 0)),
    (-1.0, 1.0, 1, (0, 1, 1)),
    (-1.0, 1.0, 0, (1, 0, -1)),
    (1.0, 1.0, 0, (0, 0, 0)),
    (1.0, 1.0, None, (None, None, None)),
]


def test_losses_and_gains(tmp_path: Path) -> None:
    output = built(tmp_path, NETS["one logit"]())
    graph, task = output.graph, open_models(output, {}).task
    zero_point = quant_of(graph, graph.outputs[0].tensor).zero_point
    for device, wanted, label, expected in ANSWERS:
        code = np.full((1, 1, 1, 1), zero_point + device, np.int8)
        floats = {task.outputs[0].name: np.float32([[wanted]])}
        record = task.compare(device_answers(graph, task, code.tobytes(), code.tobytes(), [code], floats))
        found = task.judge_verified([record], Labels(None if label is None else [label]), has_float=True)
        assert tuple(found[name] for name in ("top1_device", "top1_ort_float32", "drop")) == expected
        assert found["top1_ort_int8"] == found["top1_device"]
        assert found["top1_agreement"] == record.likeness[0].same == (device == wanted)
        other = np.full((1, 1, 1, 1), zero_point - device, np.int8)
        differs = task.compare(device_answers(graph, task, code.tobytes(), code.tobytes(), [other], floats))
        assert (differs.int8, differs.oracle) == (record.int8, 1 - record.int8), "ONNX Runtime's is its own"


# (file, inputs' shape, spread around their middle, metric)
FAULTS = [
    ("fomo_heatmap", (3, 96, 96), 1.0, 0.0, "position_agreement"),
    ("single_logit_top1", (96, 96, 3), 1.0, 0.0, "sign_agreement"),
    ("keras_rescale_dense1", (96, 96, 3), 60.0, 128.0, "sign_agreement"),
    ("keras_rescale_sigmoid", (96, 96, 3), 60.0, 128.0, "sign_agreement"),
    ("large_output_map", (3, 128, 128), 1.0, 0.0, "position_agreement"),
]


@pytest.mark.parametrize(
    ("file", "shape", "spread", "middle", "metric"),
    [pytest.param(*one, marks=pytest.mark.slow if n > 1 else (), id=one[0]) for n, one in enumerate(FAULTS)],
)
def test_faults_of_top1(
    file: str, shape: tuple[int, ...], spread: float, middle: float, metric: str, tmp_path: Path
) -> None:
    """Where it was 0.0000 for maps, and 1.0000 for logits whatever their signs were."""
    save_images(tmp_path / "images.npz", shape, spread, middle, count=7)
    model = onnx.load(shared(f"faults/{file}.onnx"))
    if metric == "sign_agreement":
        centre_logit(model, tmp_path)
    onnx.save(model, tmp_path / "model.onnx")
    output = build_model(tmp_path / "model.onnx", tmp_path)
    [(floats, int8)] = in_onnx_runtime(output)
    threshold = 0.5 if file == "keras_rescale_sigmoid" else 0  # the int8 file has the sigmoid's logit
    same = floats.argmax(2) == int8.argmax(2) if metric == "position_agreement" else (floats > threshold) == (int8 > 0)
    [found] = summaries(output)
    assert found["metric"] == metric and found["value"] == pytest.approx(same.mean())
    assert found["value"] > 0.9 if metric == "position_agreement" else 0.2 < (floats > threshold).mean() < 0.8
    held_back = output.report["quantization"]["held_back"]
    assert held_back["folds"] == 0 and held_back["agreement"] == pytest.approx(found["value"])


def centre_logit(model: onnx.ModelProto, folder: Path) -> None:
    """Change the bias so that half of the images are above 0: as it comes all have one sign, and any answer agrees."""
    last = model.graph.node[-2 if model.graph.node[-1].op_type == "Sigmoid" else -1]
    oracle = Oracle(model.SerializeToString())
    images = np.load(folder / "images.npz")["arr_0"]
    [logits] = zip(*(oracle.run({oracle.input_names[0]: image[None]}).values() for image in images), strict=True)
    middle = np.median(logits)
    middle = middle if last is model.graph.node[-1] else np.log(middle) - np.log1p(-middle)
    [bias] = [one for one in model.graph.initializer if one.name == last.input[1]]
    values = onnx.numpy_helper.to_array(bias) - middle - np.float32(1e-4)
    bias.CopyFrom(onnx.numpy_helper.from_array(values.astype(np.float32), bias.name))


def test_a_model_that_came_quantized_has_labels_but_no_float_model(tmp_path: Path) -> None:
    """Of a yes or no behind a sigmoid, which ONNX Runtime has as uint8."""
    (tmp_path / "model.onnx").write_bytes(quantize(ZOO["sigmoid_ends"](), Dialect(activations="uint8")))
    save_images(tmp_path / "images.npz", (3, 19, 14), count=6)
    output = build_model(tmp_path / "model.onnx", tmp_path)
    oracle, images = Oracle(output.path / "model/model.int8.onnx"), np.load(tmp_path / "images.npz")["arr_0"]
    found = [oracle.run({oracle.input_names[0]: image[None]}) for image in images]
    first = output.graph.outputs[0].outside
    labels = [int(one[first].item() > 0.5) for one in found]
    labels[0] = 1 - labels[0]
    whole = judged(output, labels=labels)
    assert (whole["top1_ort_int8"], whole["top1_device"], whole["top1_ort_float32"]) == (5 / 6, 5 / 6, None)
    assert whole["drop"] is None
    assert [one["kind"] for one in output.report["outputs"]] == ["logits", "logits"]
    assert summaries(output)[0]["value"] is None


@pytest.mark.parametrize("unsigned", [False, True])
@pytest.mark.parametrize("order", [(0, 1, 2, 3), (0, 3, 1, 2), (1, 2, 0, 3)])
def test_outputs_of_quantized_files_are_turned_back(order: tuple[int, ...], unsigned: bool) -> None:
    values = np.random.default_rng(4).integers(-128, 128, (1, 3, 4, 5)).astype(np.int8)
    probe = Probe("y", tuple(values.shape[axis] for axis in order), order, unsigned)
    assert probe.outside(values).dtype == (np.uint8 if unsigned else np.int8)
    assert np.array_equal(probe.inside(probe.outside(values), values.shape), values)


# --- the command line ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def several(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built by the command line for this computer, and compiled."""
    folder = tmp_path_factory.mktemp("several")
    built(folder, NETS["several"]())
    words = ["--calib", str(folder / "images.npz"), "--output-kind", "t5=vector", "--quantize", "fast", "--name", "net"]
    assert main(["build", str(folder / "model.onnx"), "--board", "host", *words, "-o", str(folder / "cli")]) == 0
    (folder / "labels.csv").write_text("file,index\n" + "".join(f"{row},{row % 5}\n" for row in range(IMAGES)))
    return folder


def verified(several: Path, *words: str) -> int:
    return main(["verify", str(several / "cli"), "--host", "--images", str(several / "images.npz"), *words])


def test_verify_says_which_output_and_which_metric(several: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert verified(several, "--labels", str(several / "labels.csv"), "--json") == 0
    result = json.loads(capsys.readouterr().out)
    assert [one["value"] for one in result["outputs"]] == [
        one["value"] for one in summaries(OutputFolder(several / "cli"))
    ]
    assert result["main_output"] == "t8" and result["top1_agreement"] == result["outputs"][2]["value"]
    assert result["sqnr_db"] == min(one["sqnr_db"] for one in result["outputs"])
    assert result["device_vs_reference_mismatches"] == result["reference_vs_ort_int8_mismatches"] == 0
    assert verified(several) == 0
    lines = [line.split("  ")[0] for line in capsys.readouterr().out.splitlines()]
    names = [line for line in lines if line]  # others go on with the text of the line above
    assert names[names.index("output 't2'") :][:9] == [
        *("output 't2'", "same top-1 by position as the float model", "output SQNR"),
        *("output 't5'", "cosine with the float model", "output SQNR"),
        *("output 't8'", "same top-1 as the float model", "output SQNR"),
    ]


def test_what_verify_is_told_counts_beside_what_build_was(several: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert verified(several, "--output-kind", "t8=vector", "--output-kind", "t2=logits", "--json") == 0
    result = json.loads(capsys.readouterr().out)
    assert [one["kind"] for one in result["outputs"]] == ["logits", "vector", "vector"]
    assert result["top1_agreement"] is None and result["top1_device"] is None and result["drop"] is None


# (case, words, exit code, what the message says)
GATES = [
    ("every output passes", ["--min-sqnr", "5"], 0, ""),
    ("one does not", ["--min-sqnr", "90"], 1, "90 dB is asked for"),
    ("no number", ["--min-sqnr", "nan"], 2, "is not a decimal number"),
    ("no kind", ["--output-kind", "t2"], 2, "is no NAME=KIND"),
    ("two kinds", ["--output-kind", "t2=vector", "--output-kind", "t2=classes"], 2, "the second for that name"),
    ("no such output", ["--output-kind", "t3=vector"], 2, "one of t2, t5, t8"),
    ("labels of no class", ["--output-kind", "t8=vector", "--labels", "LABELS"], 2, "labels file speaks of one class"),
    ("a drop of no class", ["--output-kind", "t8=vector", "--max-drop", "5"], 2, "--min-sqnr DB is the gate for it"),
]


@pytest.mark.parametrize(("words", "code", "message"), [one[1:] for one in GATES], ids=[one[0] for one in GATES])
def test_gates(several: Path, words: list[str], code: int, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    words = [str(several / "labels.csv") if word == "LABELS" else word for word in words]
    try:
        found = verified(several, *words)
    except SystemExit as end:  # argparse refuses what is no number
        found = int(str(end.code))
    assert found == code and message in capsys.readouterr().err


# (network, what is said, class names, --max-drop, what is refused, the hint)
NO_CLASS = [
    ("one logit", "vector", 0, 5.0, "has one value and is judged as vector", "--output-kind t4=logits"),
    ("softmax", "vector", 0, 5.0, "has 5 values and is judged as vector", "--output-kind t5=classes"),
    ("map", "classes", 0, 5.0, "has 6x6 positions", "--min-sqnr DB is the gate for it"),
    ("softmax", "vector", 5, None, "class names for an output that is judged as vector", "leave them out"),
    ("one logit", "logits", 1, None, "1 class names for 2 classes", "a single logit has two"),
    ("map", "classes", 2, None, "2 class names for 3 classes", "one name per class"),
]


@pytest.mark.parametrize(("name", "kind", "names", "drop", "what", "hint"), NO_CLASS)
def test_refused_by_build(
    name: str, kind: str, names: int, drop: float | None, what: str, hint: str, tmp_path: Path
) -> None:
    net = NETS[name]()
    output = net.model().graph.output[0].name
    (tmp_path / "names.txt").write_text("".join(f"class {number}\n" for number in range(names)))
    labels = tmp_path / "names.txt" if names else None
    with pytest.raises(UsageError) as refused:
        built(tmp_path, net, output_kinds={output: kind}, labels=labels, max_drop=drop)
    assert what in refused.value.what and hint in str(refused.value.hint)


def test_gate_of_build_for_outputs_that_say_no_class(tmp_path: Path) -> None:
    with pytest.raises(GateError, match=r"output 't2' has \d+\.\d dB of signal to noise .* 90 dB is asked for"):
        built(tmp_path, NETS["map"](), min_sqnr=90.0)
    report = built(tmp_path, NETS["map"](), min_sqnr=10.0).report
    assert report["quantization"]["held_back"]["drop"] is None
