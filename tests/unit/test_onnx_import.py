"""What the importer refuses: each case ends in one ModelError or UsageError that says what is wrong."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from onnx import ModelProto, TensorProto, helper
from onnx_models import Net
from refusals import assert_refused
from shared import SHARED

EXPORTERS = SHARED / "models" / "exporters"


def _net(build: Callable[[Net], object], **options: object) -> Callable[[], ModelProto]:
    def make() -> ModelProto:
        net = Net(**options)  # type: ignore[arg-type]
        build(net)
        return net.model()

    return make


def _weight(net: Net, value: float, *shape: int) -> str:
    array = np.ones(shape, np.float32)
    array.flat[0] = value
    return net.weight(array)


def _two_inputs() -> ModelProto:
    model = Net().conv(3, 4).model()
    model.graph.input.append(helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 3]))
    return model


def _divide(net: Net) -> None:
    features = net.conv(3, 4).x
    net.node("Div", features, net.then("GlobalAveragePool").x)


def _training_dropout(net: Net) -> None:
    net.then("Dropout", net.weight(0.5), net.weight(True, np.bool_)).conv(3, 4)


def _weights_from_the_image(net: Net) -> None:
    net.node("Reshape", "x", net.ints(4, 3, 6, 6))
    net.node("Conv", "x", net.x)


def _residual_in_another_order(net: Net) -> None:
    first = net.conv(3, 12).x
    net.then("Transpose", perm=[0, 2, 1, 3])
    net.node("Add", first, net.x)


REFUSED: dict[str, tuple[Callable[[], ModelProto], str]] = {
    "unknown operator": (_net(lambda n: n.conv(3, 4).then("FancyActivation")), "operator FancyActivation"),
    "several unknown operators": (
        _net(lambda n: n.conv(3, 4).then("Sin").then("Erf"), opset=14),
        "operator Sin is not supported (nor Erf)",
    ),
    "foreign domain": (
        _net(lambda n: n.conv(3, 4).then("Gelu", domain="com.microsoft"), domains={"com.microsoft": 1}),
        "operator com.microsoft.Gelu",
    ),
    "fused activation": (
        _net(
            lambda n: n.then("FusedConv", n.random(4, 3, 1, 1), domain="com.microsoft", activation="Sigmoid"),
            domains={"com.microsoft": 1},
        ),
        "activation Sigmoid",
    ),
    "random weights": (
        _net(lambda n: n.node("Conv", "x", n.node("RandomNormal", shape=[4, 3, 1, 1]))),
        "operator RandomNormal",
    ),
    "quantized": (
        _net(lambda n: n.then("QuantizeLinear", n.weight(0.1), n.weight(0, np.uint8))),
        "already quantized",
    ),
    "3-D convolution": (
        _net(lambda n: n.then("Conv", n.random(4, 3, 3, 3, 3)), shape=(1, 3, 8, 8, 8)),
        "input of rank 5",
    ),
    "3-D weights": (_net(lambda n: n.then("Conv", n.random(4, 3, 1, 1, 1))), "3-D convolution"),
    "1-D convolution": (_net(lambda n: n.then("Conv", n.random(4, 3, 3)), shape=(1, 3, 8)), "1-D convolution"),
    "group 0": (_net(lambda n: n.then("Conv", n.random(4, 3, 1, 1), group=0)), "do not suit 3 channels"),
    "wrong channels": (_net(lambda n: n.conv(5, 4)), "do not suit 3 channels"),
    "wrong bias": (_net(lambda n: n.then("Conv", n.random(4, 3, 1, 1), n.random(5))), "bias of shape [5]"),
    "wrong kernel_shape": (
        _net(lambda n: n.then("Conv", n.random(4, 3, 3, 3), kernel_shape=[5, 5])),
        "kernel_shape [5, 5]",
    ),
    "negative pads": (_net(lambda n: n.conv(3, 4, pads=[0, 0, -1, 0])), "pads [0, 0, -1, 0]"),
    "pads as wide as the window": (_net(lambda n: n.conv(3, 4, k=1, pads=[1, 1, 1, 1])), "reach as far as"),
    "three pads": (_net(lambda n: n.conv(3, 4, pads=[1, 1, 1])), "pads [1, 1, 1]"),
    "stride 0": (_net(lambda n: n.conv(3, 4, strides=[0, 1])), "strides [0, 1]"),
    "unknown auto_pad": (_net(lambda n: n.conv(3, 4, auto_pad="SAME")), "auto_pad 'SAME'"),
    "window larger than the input": (_net(lambda n: n.conv(3, 4, k=13, pads=[0] * 4)), "does not fit its 12x12"),
    "empty weights": (_net(lambda n: n.then("Conv", n.weight(np.zeros((0, 3, 1, 1))))), "do not suit 3 channels"),
    "NaN weights": (_net(lambda n: n.then("Conv", _weight(n, np.nan, 4, 3, 1, 1))), "NaN or infinite"),
    "Inf weights": (_net(lambda n: n.then("Conv", _weight(n, np.inf, 4, 3, 1, 1))), "NaN or infinite"),
    "Inf bias": (
        _net(lambda n: n.then("Conv", n.random(4, 3, 1, 1), _weight(n, -np.inf, 4))),
        "NaN or infinite",
    ),
    "NaN in a batch norm": (_net(lambda n: n.batch_norm(3, [np.nan, 1, 1])), "NaN or infinite"),
    "integer weights": (
        _net(lambda n: n.node("Conv", "x", n.node("Cast", n.random(4, 3, 1, 1), to=TensorProto.INT32))),
        "not floating point",
    ),
    "weights from the image": (_net(_weights_from_the_image, shape=(1, 3, 12, 12)), "axis order cannot be resolved"),
    "training batch norm": (
        _net(lambda n: n.batch_norm(3, training_mode=1, outputs=3), opset=15),
        "training mode",
    ),
    "old training batch norm": (_net(lambda n: n.batch_norm(3, outputs=5), opset=9), "training mode"),
    "training dropout": (_net(_training_dropout), "Dropout in training mode"),
    "negative variance": (
        _net(lambda n: n.then("BatchNormalization", *[n.weight([1.0, 1, 1])] * 3, n.weight([-1.0, 1, 1]))),
        "negative variance",
    ),
    "batch norm of other channels": (_net(lambda n: n.batch_norm(4)), "its parameters do not have 3 channels"),
    "division of activations": (_net(_divide), "Div by an activation"),
    "add that broadcasts": (
        _net(lambda n: n.node("Add", n.conv(3, 4).x, n.then("GlobalAveragePool").x)),
        "Add of tensors of shapes",
    ),
    "add of two orders": (_net(_residual_in_another_order), "same axis order"),
    "constant per pixel": (_net(lambda n: n.then("Add", n.random(12, 12))), "differs from pixel to pixel"),
    "constant that enlarges": (_net(lambda n: n.then("Mul", n.random(4, 3, 12, 12))), "does not fit"),
    "division by zero": (_net(lambda n: n.then("Div", n.weight(0.0))), "Div by zero"),
    "reciprocal": (_net(lambda n: n.node("Div", n.weight(1.0), "x")), "Div by an activation"),
    "difference": (_net(lambda n: n.node("Sub", "x", n.conv(3, 4).x)), "Sub of tensors of shapes"),
    "clip per channel": (_net(lambda n: n.then("Min", n.random(1, 3, 1, 1))), "is not one number"),
    "NaN bound": (_net(lambda n: n.then("Clip", n.weight(np.nan))), "a bound is NaN"),
    "max of two": (_net(lambda n: n.node("Max", "x", n.conv(3, 3).x)), "Max of two activations"),
    "pad of channels and rows": (_net(lambda n: n.then("Pad", n.ints(0, 0, 1, 0, 0, 1, 0, 0)).conv(4, 4)), "Pad by"),
    "pad that crops": (_net(lambda n: n.then("Pad", n.ints(0, 0, -1, 0, 0, 0, 0, 0)).conv(3, 4)), "Pad by"),
    "pad that reflects": (
        _net(lambda n: n.then("Pad", n.ints(0, 0, 1, 0, 0, 0, 0, 0), mode="reflect").conv(3, 4)),
        "mode 'reflect'",
    ),
    "zeros before a max pool": (
        _net(lambda n: n.conv(3, 4).then("Pad", n.ints(0, 0, 1, 1, 0, 0, 1, 1)).then("MaxPool", kernel_shape=[3, 3])),
        "padding before max_pool2d",
    ),
    "max pool that sees padding only": (
        _net(lambda n: n.then("MaxPool", kernel_shape=[2, 2], dilations=[40, 40], pads=[20, 20, 20, 20])),
        "would see padding only",
    ),
    "mean over channels": (_net(lambda n: n.conv(3, 4).then("ReduceMean", axes=[1])), "ReduceMean over axes [1]"),
    "softmax in the middle": (
        _net(lambda n: n.head(3).then("Softmax").then("Relu")),
        "Softmax is not supported there",
    ),
    "softmax over rows": (_net(lambda n: n.conv(3, 4).then("Softmax", axis=2)), "does not run over the classes"),
    "softmax over nothing": (_net(lambda n: n.head(3).then("Softmax", axis=0)), "does not run over the classes"),
    "reshape that cuts axes": (
        _net(lambda n: n.conv(3, 4).then("Reshape", n.ints(1, 4, 24, 6)).then("Relu")),
        "cuts or mixes axes",
    ),
    "blocks of pixels whose columns come first": (
        _net(
            lambda n: (
                n.conv(3, 8)
                .then("Reshape", n.ints(1, 2, 2, 2, 12, 12))
                .then("Transpose", perm=[0, 1, 4, 3, 5, 2])
                .then("Reshape", n.ints(1, 2, 24, 24))
            )
        ),
        "cuts or mixes axes",
    ),
    "reshape that does not divide": (_net(lambda n: n.then("Reshape", n.ints(-1, 7))), "is not possible"),
    "channels cut, at the end": (
        _net(lambda n: n.conv(3, 4).then("Reshape", n.ints(1, 2, 2, 12, 12))),
        "in which channels are cut into (2, 2)",
    ),
    "layer on channels that are cut": (
        _net(lambda n: n.conv(3, 4).then("Reshape", n.ints(1, 2, 2, 144)).then("Relu")),
        "channels that a Reshape cut into 2 x 2",
    ),
    "split of rows": (
        _net(lambda n: n.conv(3, 4).node("Split", n.x, n.ints(6, 6), outputs=2, axis=2)),
        "over axis 2 is not supported",
    ),
    "split that does not fit": (
        _net(lambda n: n.conv(3, 4).node("Split", n.x, n.ints(2, 3), outputs=2, axis=1)),
        "is not possible",
    ),
    "slice of nothing": (
        _net(lambda n: n.conv(3, 4).then("Slice", n.ints(2), n.ints(2), n.ints(1))),
        "over axis 1 is not supported",
    ),
    "gather beyond the channels": (_net(lambda n: n.then("Gather", n.ints(0, 3), axis=1)), "indices beyond"),
    "wrong perm": (_net(lambda n: n.then("Transpose", perm=[0, 1, 2]).conv(3, 4)), "perm [0, 1, 2]"),
    "squeeze of a real axis": (_net(lambda n: n.then("Squeeze", n.ints(1))), "not all of extent 1"),
    "flattened map as output": (_net(lambda n: n.conv(3, 4).then("Flatten")), "flattened feature map"),
    "matrix of another size": (
        _net(lambda n: n.then("Flatten").then("Gemm", n.random(431, 5))),
        "weights for 431 inputs",
    ),
    "transA": (_net(lambda n: n.then("Flatten").then("Gemm", n.random(1, 5), transA=1)), "transA"),
    "argmax": (_net(lambda n: n.head(3).then("ArgMax")), "operator ArgMax"),
    "gather of some rows": (_net(lambda n: n.then("Gather", n.ints(0, 2), axis=2)), "over axis 2 is not supported"),
    "huge constant": (
        _net(lambda n: n.node("Conv", "x", n.node("ConstantOfShape", n.ints(2**40, 3, 1, 1)))),
        "too large",
    ),
    "huge constant of a computed shape": (
        _net(lambda n: n.node("Conv", "x", n.node("ConstantOfShape", n.node("Mul", n.ints(2**20), n.ints(2**20))))),
        "would make a constant of",
    ),
    "mask of a dropout": (
        _net(lambda n: (n.then("Dropout", outputs=2), n.node("Relu", "t0_1"))),
        "an output mbn2c does not compute",
    ),
    # --- inputs and outputs
    "dynamic height and width": (_net(lambda n: n.conv(3, 4), shape=(1, 3, "H", "W")), "[1, 3, H, W] is not fixed"),
    "batch 8, made one vector": (
        _net(lambda n: n.then("GlobalAveragePool").then("Reshape", n.ints(1, -1)), shape=(8, 3, 12, 12)),
        "the batch size is 8, and not every operator treats its images separately",
    ),
    "huge input": (_net(lambda n: n.conv(3, 4), shape=(1, 3, 2**31, 2**31)), "too large"),
    "negative extent": (_net(lambda n: n.conv(3, 4), shape=(1, 3, -5, 12)), "is not fixed"),
    "uint8 input": (_net(lambda n: n.then("Relu"), dtype=TensorProto.UINT8), "input of type uint8"),
    "half input": (_net(lambda n: n.then("Relu"), dtype=TensorProto.FLOAT16), "input of type float16"),
    "two inputs": (_two_inputs, "the model has 2 inputs: x, y"),
    "output is the input": (_net(lambda n: n.then("Identity")), "the input itself"),
    "output is a constant": (_net(lambda n: n.node("Relu", n.random(1, 3))), "does not depend on the image"),
    "declared output shape": (_net(lambda n: n.conv(3, 4).output(shape=[1, 4, 12, 13])), "its layers make"),
    "opset 0": (_net(lambda n: n.then("Relu"), opset=0), "opset 0 is not supported"),
    "opset 900": (_net(lambda n: n.then("Relu"), opset=900), "opset 900 is not supported"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    build, message = REFUSED[name]
    (tmp_path / "net.onnx").write_bytes(build().SerializeToString())
    assert_refused(tmp_path / "net.onnx", message, capfd)


@pytest.mark.skipif(not EXPORTERS.is_dir(), reason="../shared/models is not there")
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("ort_qdq_int8_perchannel_v2", "already quantized"),
        ("ort_qoperator_int8_perchannel_v2", "already quantized"),
        ("tflite_tf2onnx_op13_vww_int8_qdq", "already quantized"),
    ],
)
def test_not_supported_yet(name: str, message: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert_refused(EXPORTERS / f"{name}.onnx", message, capfd)
