"""What a model ends with is split off, and offered to host and C: sigmoid, softmax, tanh, L2 normalization."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from devices import assert_exact, build_with_inputs, verify_on
from onnx_models import Net

from mbn2c.commands.host_network import HostNetwork
from mbn2c.commands.verify import VerifyOptions
from mbn2c.frontend.runtime import Oracle
from mbn2c.ops.base.quants import quant_of, scale_of
from mbn2c.tasks.classification.likeness import compare
from mbn2c.tasks.classification.outputs import read_outputs
from mbn2c.tasks.outputs import Output


def _keras(classes: int) -> Net:
    """Rescaling, a convolution, Dense with a sigmoid: channels last outside, as tf2onnx writes it."""
    net = Net(shape=(None, 12, 12, 3), opset=15)
    net.then("Mul", net.weight(1 / 127.5)).then("Add", net.weight(-1.0)).then("Transpose", perm=[0, 3, 1, 2])
    net.conv(3, 8, strides=[2, 2]).relu6().then("ReduceMean", axes=[2, 3], keepdims=0)
    return net.then("MatMul", net.random(8, classes)).then("Add", net.random(classes)).then("Sigmoid")


def _multi_task() -> Net:
    """A yes or no, attributes, and a map of scores: a sigmoid on each."""
    net = Net(shape=(1, 3, 12, 12)).conv(3, 8, strides=[2, 2]).relu6()
    features = net.x
    net.head(8, classes=1).then("Sigmoid").output()
    net.x = features
    net.head(8, classes=4).then("Sigmoid").output()
    net.x = features
    return net.conv(8, 2, k=1).then("Sigmoid").then("Transpose", perm=[0, 2, 3, 1]).output()


def _class_and_embedding() -> Net:
    """A face recognizer in training clothes: the class, its embedding as torch's F.normalize makes it, and a pose."""
    net = Net(shape=(1, 3, 12, 12)).conv(3, 8, strides=[2, 2]).relu6()
    features = net.x
    embedding = net.head(8, classes=6).x
    net.then("Gemm", net.random(5, 6), transB=1).then("Softmax", axis=1).output()
    net.node("Clip", net.node("ReduceL2", embedding, axes=[1]), net.weight(1e-12))
    net.node("Div", embedding, net.x)
    net.output().x = features
    return net.head(8, classes=2).then("Tanh").output()


TAILED: dict[str, tuple[Callable[[], Net], list[str]]] = {
    "Keras, one class": (lambda: _keras(1), ["sigmoid"]),
    "Keras, several labels": (lambda: _keras(5), ["sigmoid"]),
    "several outputs": (_multi_task, ["sigmoid"] * 3),
    "class, embedding, pose": (_class_and_embedding, ["softmax", "l2_normalize", "tanh"]),
}


@pytest.mark.parametrize("name", TAILED)
def test_what_ends_a_model_is_left_to_the_host(name: str, tmp_path: Path) -> None:
    """The device returns logits, exactly; their sigmoid is what the file says, within int8."""
    build, tails = TAILED[name]
    model = tmp_path / "model.onnx"
    onnx.save(build().model(), model)
    shape = (12, 12, 3) if "Keras" in name else (3, 12, 12)
    output, images = build_with_inputs(tmp_path, model, shape, "host")
    graph = output.graph
    assert [port.tail for port in graph.outputs] == tails == [one["tail"] for one in output.report["outputs"]]
    assert_exact(verify_on(output, "host", tmp_path / "firmware", VerifyOptions(images)), 4)
    original, steps = (
        Oracle(model),
        {port.outside: float(scale_of(quant_of(graph, port.tensor))) for port in graph.outputs},
    )
    ready = np.load(images)["arr_0"]
    answers = HostNetwork(output).run(ready).answers
    for number, values in enumerate(ready):
        wanted = original.run({original.input_names[0]: values[None]})
        for port in graph.outputs:
            said = answers[port.outside][number]
            assert said.shape == wanted[port.outside].shape[1:]
            # int8 leaves an error of some steps on what stands before; a sigmoid is at most a quarter as steep as that.
            allowed = 4 * steps[port.outside] * (0.25 if port.tail == "sigmoid" else 1)
            assert np.abs(said - wanted[port.outside][0]).mean() < allowed
    header = (output.path / "net.h").read_text()
    functions = [f"net_{tails[0]}"] if len(tails) == 1 else [f"net_{tail}{n}" for n, tail in enumerate(tails)]
    assert re.findall(r"void (\w+)\(const int8_t \*output, float \*\w+\);", header) == functions
    metrics = {"sigmoid": ("sign_agreement",), "softmax": ("top1_agreement",)}
    for one in output.report["outputs"]:
        assert one["metric"] in metrics.get(one["tail"], ("cosine",)), one


@pytest.mark.parametrize(
    ("tail", "device", "file", "noise"),
    [
        ("l2_normalize", [3.0, 0.0, 4.0], [0.6, 0.0, 0.8], 0.0),  # a length that the file does not tell
        ("l2_normalize", [3.0, 4.0, 0.0], [0.6, 0.0, 0.8], 1.28),
        ("tanh", [9.0, 0.0, -20.0], [1.0, 0.0, -1.0], 0.0),  # where a tanh tells nothing any more
        ("tanh", [0.0, 0.0, -20.0], [1.0, 0.0, -1.0], 1.0),
    ],
)
def test_vectors_are_compared_as_the_file_ends(tail: str, device: list[float], file: list[float], noise: float) -> None:
    (output,) = read_outputs([Output("y", (1, 3), (0, 3), tail)], {})
    assert (output.kind, output.is_assumed) == ("vector", False)
    found = compare(output, output.before_tail(np.array([file])), np.array(device).reshape(1, 1, 1, 3))
    assert found.noise == pytest.approx(noise, abs=1e-4)
    assert found.signal == pytest.approx((np.array(file) ** 2).sum(), rel=1e-3)
