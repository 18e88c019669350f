"""ShuffleNetV2 with random weights as an ONNX file, its channel shuffles spelled as torch does."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

# Channels after the first layer, each stage and the last convolution.
CHANNELS = {0.5: (24, 48, 96, 192, 1024), 1.0: (24, 116, 232, 464, 1024)}


class _Net:
    """Nodes and weights so far; every method returns the new value's name."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []

    def add(self, op_type: str, *inputs: str, count: int = 1, **attributes: object) -> list[str]:
        outputs = [f"{op_type}_{len(self.nodes)}_{number}" for number in range(count)]
        self.nodes.append(helper.make_node(op_type, inputs, outputs, **attributes))
        return outputs

    def constant(self, data: np.ndarray) -> str:
        name = f"constant_{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(data, name))
        return name

    def conv(
        self, x: str, inputs: int, outputs: int, size: int = 1, stride: int = 1, group: int = 1, relu: bool = True
    ) -> str:
        weights = self.rng.normal(size=(outputs, inputs // group, size, size)) / np.sqrt(inputs // group * size**2 / 2)
        names = [self.constant(data.astype(np.float32)) for data in (weights, self.rng.normal(size=outputs) / 10)]
        half = size // 2
        y = self.add("Conv", x, *names, strides=[stride] * 2, pads=[half] * 4, kernel_shape=[size] * 2, group=group)
        return self.add("Relu", *y)[0] if relu else y[0]

    def shuffled(self, *parts: str, channels: int, size: int) -> str:
        (y,) = self.add("Concat", *parts, axis=1)
        cut = self.constant(np.array([1, 2, channels // 2, size, size], np.int64))
        (y,) = self.add("Transpose", *self.add("Reshape", y, cut), perm=[0, 2, 1, 3, 4])
        return self.add("Reshape", y, self.constant(np.array([1, channels, size, size], np.int64)))[0]


def shufflenet_v2(
    width: float = 0.5, size: int = 64, repeats: tuple[int, ...] = (4, 8, 4), classes: int = 1000
) -> onnx.ModelProto:
    """Ma et al. (2018), as torchvision has it, batch norms folded.

    repeats  units of each stage; fewer of them for a small one
    """
    first, *stages, last = CHANNELS[width]
    net = _Net(int(10 * width) + size)
    x = net.conv("image", 3, first, 3, 2)
    (x,) = net.add("MaxPool", x, kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
    size //= 4
    inputs = first
    for outputs, count in zip(stages, repeats, strict=False):
        half = outputs // 2
        size //= 2
        left = net.conv(net.conv(x, inputs, inputs, 3, 2, inputs, relu=False), inputs, half)
        right = net.conv(net.conv(net.conv(x, inputs, half), half, half, 3, 2, half, relu=False), half, half)
        x = net.shuffled(left, right, channels=outputs, size=size)
        for _ in range(count - 1):
            left, right = net.add("Split", x, net.constant(np.array([half, half], np.int64)), count=2, axis=1)
            right = net.conv(net.conv(net.conv(right, half, half), half, half, 3, 1, half, relu=False), half, half)
            x = net.shuffled(left, right, channels=outputs, size=size)
        inputs = outputs
    last = min(last, 4 * inputs)
    x = net.conv(x, inputs, last)
    (x,) = net.add("ReduceMean", x, axes=[2, 3], keepdims=0)
    weights = net.rng.normal(size=(classes, last)) / np.sqrt(last)
    (x,) = net.add("Gemm", x, net.constant(weights.astype(np.float32)), transB=1)
    side = size * 4 * 2 ** len(repeats)
    graph = helper.make_graph(
        net.nodes,
        f"shufflenet_v2_{width}_{side}",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, side, side])],
        [helper.make_tensor_value_info(x, TensorProto.FLOAT, [1, classes])],
        net.weights,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
