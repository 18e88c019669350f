"""Tiny networks quantized by ONNX Runtime's own quantizer, in the dialects that people bring: `quantize`, `NETS`."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from onnx_models import Net
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

_TYPES = {"int8": QuantType.QInt8, "uint8": QuantType.QUInt8}
_CALIBRATION_IMAGES = 3


@dataclass(frozen=True)
class Dialect:
    """How a model is quantized, in the words of `quantize_static`."""

    form: str = "QDQ"
    activations: str = "int8"
    weights: str = "int8"
    per_channel: bool = True
    symmetric: bool = False

    def __str__(self) -> str:
        per = "per channel" if self.per_channel else "per tensor"
        return f"{self.form} {self.activations}, {self.weights} weights {per}{', symmetric' * self.symmetric}"


# ONNX Runtime quantizes no weights to uint8 beside int8 activations.
DIALECTS = [
    Dialect(form, activations, weights, per_channel, symmetric)
    for form in ("QDQ", "QOperator")
    for activations, weights in (("int8", "int8"), ("uint8", "int8"), ("uint8", "uint8"))
    for per_channel in (True, False)
    for symmetric in (False, True)
]
# One of each kind, for networks that differ in a layer only.
FEW_DIALECTS = [
    Dialect(),
    Dialect(activations="uint8"),
    Dialect(activations="uint8", weights="uint8", per_channel=False),
    Dialect("QOperator"),
    Dialect("QOperator", activations="uint8", weights="uint8", per_channel=False),
]


def _residuals(channels: int) -> Net:
    """MobileNetV2: a first convolution and three blocks, the second with a shortcut."""
    net = Net(shape=(1, 3, 19, 14)).conv(3, channels, strides=[2, 2]).relu6()
    for stride, cin, cout in ((2, channels, 12), (1, 12, 12), (1, 12, channels)):
        start = net.x
        net.conv(cin, 3 * cin, k=1).relu6()
        net.conv(3 * cin, 3 * cin, group=3 * cin, strides=[stride, stride]).relu6()
        net.conv(3 * cin, cout, k=1)
        if (stride, cin) == (1, cout):
            net.then("Add", start)
    return net


def v2() -> Net:
    return _residuals(16).head(16)


def v2_softmax() -> Net:
    return _residuals(8).head(8).then("Softmax", axis=1)


def sigmoid_ends() -> Net:
    """Two outputs: a yes or no, and attributes looked at anew behind their sigmoid."""
    net = _residuals(8)
    features = net.x
    net.head(8, classes=1).then("Sigmoid").output()
    net.x = features
    return net.head(8, classes=6).then("Sigmoid").then("Reshape", net.ints(1, 6, 1)).output()


def v1() -> Net:
    """MobileNetV1 as Keras writes it: uneven pads, relu, average pool, dense layer over a reshape."""
    net = Net(shape=(1, 3, 16, 16)).conv(3, 8, strides=[2, 2], pads=[0, 0, 1, 1]).then("Relu")
    for cin, cout, stride in ((8, 16, 1), (16, 16, 2), (16, 24, 1)):
        net.conv(cin, cin, group=cin, strides=[stride, stride]).then("Relu").conv(cin, cout, k=1).then("Relu")
    net.then("AveragePool", kernel_shape=[4, 4]).then("Reshape", net.ints(1, 24))
    return net.then("Gemm", net.random(5, 24), net.random(5), transB=1)


def conv_head() -> Net:
    """A 1x1 convolution classifies, then a reshape."""
    net = _residuals(8).then("GlobalAveragePool").conv(8, 6, k=1)
    return net.then("Flatten")


def matmul_head() -> Net:
    """Mean over height and width, a matrix product and an added bias."""
    net = _residuals(8).then("ReduceMean", axes=[2, 3], keepdims=0)
    return net.then("MatMul", net.random(8, 6)).then("Add", net.random(6))


def channels_last() -> Net:
    """As tf2onnx writes Keras: channels last outside, transposed for each layer."""
    net = Net(shape=(1, 12, 12, 3)).then("Transpose", perm=[0, 3, 1, 2])
    net.conv(3, 8, strides=[2, 2]).relu6().conv(8, 8, group=8).relu6().conv(8, 16, k=1)
    return net.then("GlobalAveragePool").then("Transpose", perm=[0, 2, 3, 1]).then("Reshape", net.ints(1, 16))


def gray() -> Net:
    """One input channel, a wide kernel, a window pool, no classifier bias."""
    net = Net(shape=(1, 1, 20, 12)).conv(1, 6, k=5, strides=[2, 1]).then("Relu")
    net.then("AveragePool", kernel_shape=[2, 2], strides=[2, 2]).conv(6, 12, group=6).then("Relu").conv(12, 4, k=1)
    return net.then("GlobalAveragePool").then("Flatten").then("Gemm", net.random(3, 4), transB=1)


def add_chain() -> Net:
    """Four residual blocks in a row, as MobileNetV2's stages: with Add left in float32, one sum goes on in the next."""
    net = Net(shape=(1, 3, 12, 12)).conv(3, 8, strides=[2, 2]).relu6().conv(8, 8, k=1)
    for _ in range(3):
        start = net.x
        net.conv(8, 24, k=1).relu6().conv(24, 24, group=24).relu6().conv(24, 8, k=1).then("Add", start)
    return net.conv(8, 16, k=1).relu6().head(16)


def add_chain_at_the_end() -> Net:
    net = Net(shape=(1, 3, 12, 12)).conv(3, 8, strides=[2, 2]).relu6().conv(8, 8, k=1)
    for _ in range(2):
        start = net.x
        net.conv(8, 24, k=1).relu6().conv(24, 8, k=1).then("Add", start)
    return net


def matmul_softmax() -> Net:
    return matmul_head().then("Softmax", axis=1)


def functions() -> Net:
    """Activations other than ReLU, which become tables."""
    net = Net(shape=(1, 3, 12, 12)).conv(3, 8, strides=[2, 2]).then("LeakyRelu", alpha=0.1)
    return net.conv(8, 8, k=1).then("Sigmoid").conv(8, 4, k=1).then("GlobalAveragePool")


def hard_swish() -> Net:
    return Net(opset=14).conv(3, 8).then("HardSwish").conv(8, 4, k=1)


def smooth() -> Net:
    """Tables of the functions that PyTorch calls SiLU, Tanh and ELU, and a PReLU of one slope; two differences."""
    net = Net().conv(3, 8)
    features = net.x
    net.node("Mul", net.x, net.node("Sigmoid", net.x))
    net.node("Sub", net.conv(8, 8, k=1).x, features)
    net.conv(8, 8, k=1).then("Tanh").conv(8, 8, k=1).then("Sub", net.weight(0.5)).conv(8, 8, k=1).then("Elu", alpha=0.5)
    return net.conv(8, 8, k=1).then("PRelu", net.weight([0.2])).conv(8, 4, k=1)


def prelu_face() -> Net:
    """MobileFaceNet: a slope for each channel, and a depthwise layer over all that is left."""
    net = Net(shape=(1, 3, 12, 12)).conv(3, 8, strides=[2, 2])
    net.then("PRelu", net.random(8, 1, 1)).conv(8, 8, group=8).then("PRelu", net.random(8, 1, 1))
    return net.conv(8, 8, k=6, group=8, pads=[0] * 4).conv(8, 4, k=1)


def gated() -> Net:
    """Squeeze-and-excitation: a product by a number per channel."""
    net = Net(shape=(1, 3, 12, 12)).conv(3, 8).then("Relu")
    features = net.x
    net.then("GlobalAveragePool").conv(8, 4, k=1).then("Relu").conv(4, 8, k=1).then("Sigmoid")
    net.node("Mul", features, net.x)
    return net.conv(8, 4, k=1)


def joined() -> Net:
    """A tensor and what a layer makes of it."""
    net = Net(shape=(1, 3, 12, 12)).conv(3, 8).then("Relu")
    features = net.x
    net.node("Concat", net.conv(8, 4, k=1).x, features, axis=1)
    return net.conv(12, 4, k=1)


def grouped() -> Net:
    """Convolutions whose channels mix within groups."""
    return Net(shape=(1, 3, 10, 10)).conv(3, 8).then("Relu").conv(8, 12, group=2).then("Relu").conv(12, 6, k=1, group=3)


def pools() -> Net:
    """Max pools whose pads could be the largest, and a global one; a map is enlarged in between."""
    net = Net(shape=(1, 3, 13, 12)).conv(3, 8).then("MaxPool", kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
    net.conv(8, 8).then("Relu").then("MaxPool", kernel_shape=[2, 2], strides=[2, 2], ceil_mode=1)
    net.then("Resize", "", net.weight([1.0, 1, 2, 3]), mode="nearest").conv(8, 8)
    return net.then("GlobalMaxPool").conv(8, 4, k=1)


def shuffled() -> Net:
    """A unit of ShuffleNetV2, and the split that follows."""
    net = Net(shape=(1, 3, 12, 12)).conv(3, 8).then("Relu")
    left = net.node("Split", net.x, net.ints(4, 4), outputs=2, axis=1)
    net.x = f"{left}_1"
    net.node("Concat", left, net.conv(4, 4, k=1).then("Relu").x, axis=1)
    net.then("Reshape", net.ints(1, 2, 4, 12, 12)).then("Transpose", perm=[0, 2, 1, 3, 4])
    net.then("Reshape", net.ints(1, 8, 12, 12))
    net.then("Slice", net.ints(2), net.ints(7), net.ints(1))
    return net.conv(5, 4, k=1)


def in_blocks() -> Net:
    """Channels that become blocks of pixels, as torch writes it in pieces."""
    net = Net(shape=(1, 3, 12, 12)).conv(3, 8).then("Relu")
    net.then("Reshape", net.ints(1, 2, 2, 2, 12, 12)).then("Transpose", perm=[0, 1, 4, 2, 5, 3])
    return net.then("Reshape", net.ints(1, 2, 24, 24)).conv(2, 4, k=1)


def split_batch_norm() -> Net:
    """A batch norm that nobody folded before quantizing."""
    return Net().conv(3, 8).batch_norm(8).conv(8, 4, k=1)


def split_pad() -> Net:
    """Pads in a node of their own, as tf2onnx writes a strided convolution."""
    net = Net(shape=(1, 3, 12, 12)).conv(3, 8).relu6()
    net.then("Pad", net.ints(0, 0, 0, 0, 0, 0, 1, 1))
    return net.conv(8, 8, group=8, strides=[2, 2], pads=[0, 0, 0, 0]).relu6().conv(8, 4, k=1)


NETS: dict[str, Callable[[], Net]] = {
    make.__name__: make
    for make in (
        v2,
        v2_softmax,
        sigmoid_ends,
        v1,
        conv_head,
        matmul_head,
        channels_last,
        gray,
        functions,
        hard_swish,
        smooth,
        prelu_face,
        gated,
        joined,
        grouped,
        pools,
        shuffled,
        in_blocks,
        split_batch_norm,
        split_pad,
    )
}


class _Noise(CalibrationDataReader):  # type: ignore[misc]
    """A few inputs in [-1, 1], the same on every run."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        generator = np.random.default_rng(1)
        self._inputs = [generator.uniform(-1, 1, shape).astype(np.float32) for _ in range(_CALIBRATION_IMAGES)]

    def get_next(self) -> dict[str, np.ndarray] | None:
        return {"x": self._inputs.pop()} if self._inputs else None


def quantize(net: Net, dialect: Dialect, excluded: Sequence[str] = ()) -> bytes:
    """The network as `quantize_static` writes it, the nodes `excluded` left in float32."""
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "float.onnx", Path(folder) / "quantized.onnx"
        onnx.save(net.model(), source)
        quantize_static(
            source,
            target,
            _Noise(tuple(int(extent or 1) for extent in net.shape)),
            quant_format=QuantFormat[dialect.form],
            activation_type=_TYPES[dialect.activations],
            weight_type=_TYPES[dialect.weights],
            per_channel=dialect.per_channel,
            nodes_to_exclude=list(excluded),
            extra_options={"ActivationSymmetric": dialect.symmetric, "WeightSymmetric": dialect.symmetric},
        )
        return target.read_bytes()
