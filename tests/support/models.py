"""Small networks built in code: float32 Graphs as the passes leave them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np

from mbn2c.ir.graph import Graph, Node, Port, Tensor
from mbn2c.ir.window import Activation, Window
from mbn2c.ops import OPERATORS
from mbn2c.ops.add import AddAttributes
from mbn2c.ops.average_pool2d import AveragePool2dAttributes
from mbn2c.ops.base.weighted import ConvAttributes
from mbn2c.ops.clamp import ClampAttributes
from mbn2c.ops.fully_connected import FullyConnectedAttributes

RELU6 = Activation(0.0, 6.0)
RELU = Activation(0.0, float("inf"))
NCHW = (0, 3, 1, 2)


@dataclass
class Builder:
    """Grows a Graph node by node with random weights; every method returns the new tensor's name."""

    input_shape: tuple[int, int, int]
    seed: int = 0
    name: str = "tiny"
    tensors: dict[str, Tensor] = field(default_factory=dict)
    nodes: list[Node] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.rng = np.random.default_rng(self.seed)
        self.tensors["input"] = Tensor("input", (1, *self.input_shape))

    def _constant(self, name: str, data: np.ndarray) -> str:
        self.tensors[name] = Tensor(name, data.shape, "float32", data.astype(np.float32))
        return name

    def _append(self, op: str, inputs: tuple[str, ...], attributes: object) -> str:
        output = f"{op}_{len(self.nodes)}"
        node = Node(output, op, inputs, (output,), attributes)
        shape = OPERATORS[op].output_shape(node, [self.tensors[name].shape for name in inputs])
        assert shape is not None, f"the inputs do not suit {op}"
        self.tensors[output] = Tensor(output, shape)
        self.nodes.append(node)
        return output

    def _weighted(self, op: str, x: str, shape: tuple[int, ...], fan_in: int, outputs: int, attributes: object) -> str:
        label = f"{op}_{len(self.nodes)}"
        # Channels of very different size exercise per-channel scales.
        size = self.rng.uniform(0.2, 1.5, outputs) / np.sqrt(fan_in)
        weights = self.rng.normal(size=shape)
        weights *= size if op == "depthwise_conv2d" else size.reshape(-1, *[1] * (len(shape) - 1))
        names = (
            x,
            self._constant(f"{label}.weight", weights),
            self._constant(f"{label}.bias", self.rng.normal(scale=0.3, size=outputs)),
        )
        return self._append(op, names, attributes)

    def conv2d(self, x: str, outputs: int, window: Window = Window(), activation: Activation | None = None) -> str:
        channels = self.tensors[x].shape[3]
        shape = (outputs, *window.kernel, channels)
        return self._weighted(
            "conv2d", x, shape, int(np.prod(shape[1:])), outputs, ConvAttributes(window, 1, activation)
        )

    def depthwise(self, x: str, window: Window, activation: Activation | None = None, depth_multiplier: int = 1) -> str:
        channels = self.tensors[x].shape[3] * depth_multiplier
        shape = (*window.kernel, channels)
        fan_in = int(np.prod(window.kernel))
        attributes = ConvAttributes(window, depth_multiplier, activation)
        return self._weighted("depthwise_conv2d", x, shape, fan_in, channels, attributes)

    def fully_connected(self, x: str, outputs: int) -> str:
        channels = self.tensors[x].shape[3]
        return self._weighted("fully_connected", x, (outputs, channels), channels, outputs, FullyConnectedAttributes())

    def add(self, a: str, b: str) -> str:
        return self._append("add", (a, b), AddAttributes())

    def average_pool(self, x: str, window: Window | None = None) -> str:
        _, height, width, _ = self.tensors[x].shape
        return self._append("average_pool2d", (x,), AveragePool2dAttributes(window or Window((height, width))))

    def clamp(self, x: str, activation: Activation) -> str:
        return self._append("clamp", (x,), ClampAttributes(activation))

    def inverted_residual(self, x: str, outputs: int, expand: int, window: Window) -> str:
        channels = self.tensors[x].shape[3]
        y = self.conv2d(x, channels * expand, activation=RELU6) if expand > 1 else x
        y = self.depthwise(y, window, RELU6)
        y = self.conv2d(y, outputs)
        if self.tensors[y].shape == self.tensors[x].shape:
            y = self.add(x, y)
        return y

    def graph(self, *outputs: str) -> Graph:
        height, width, channels = self.input_shape
        ports = []
        for name in outputs:
            _, out_height, out_width, out_channels = self.tensors[name].shape
            shape, permutation = (1, out_channels, out_height, out_width), NCHW
            if out_height == out_width == 1:
                shape, permutation = (1, out_channels), (0, 3)
            ports.append(Port(name, f"{name}_out", shape, permutation))
        return Graph(
            self.name,
            dict(self.tensors),
            tuple(self.nodes),
            (Port("input", "image", (1, channels, height, width), NCHW),),
            tuple(ports),
        )


def same_window(kernel: int, stride: int) -> Window:
    half = kernel // 2
    return Window((kernel, kernel), (stride, stride), (half, half, half, half))


def tiny_mobilenet_v2(height: int = 15, width: int = 12, channels: int = 3, seed: int = 0) -> Graph:
    """First convolution, three inverted residuals (stride, shortcut, no expansion), head."""
    builder = Builder((height, width, channels), seed)
    x = builder.conv2d("input", 8, same_window(3, 2), RELU6)
    x = builder.inverted_residual(x, 8, 1, same_window(3, 1))
    x = builder.inverted_residual(x, 12, 4, same_window(3, 2))
    x = builder.inverted_residual(x, 12, 6, same_window(5, 1))
    x = builder.conv2d(x, 32, activation=RELU6)
    x = builder.average_pool(x)
    return builder.graph(builder.fully_connected(x, 5))


def tiny_mobilenet_v1(height: int = 9, width: int = 13, channels: int = 1, seed: int = 1) -> Graph:
    """A gray image, depthwise and pointwise in turn, a 1x1 convolution as the head."""
    builder = Builder((height, width, channels), seed, "tiny_v1")
    x = builder.conv2d("input", 6, same_window(3, 2), RELU)
    for outputs, stride in ((10, 1), (7, 2)):
        x = builder.depthwise(x, same_window(3, stride), RELU)
        x = builder.conv2d(x, outputs, activation=RELU)
    return builder.graph(builder.conv2d(builder.average_pool(x), 4))


def tiny_two_outputs(seed: int = 2) -> Graph:
    """A feature map that is an output and is read on, a lookup, a pool with pads, logits."""
    builder = Builder((8, 7, 2), seed, "tiny_two_outputs")
    features = builder.conv2d("input", 5, Window((3, 3), (1, 2), (0, 1, 2, 0)))
    x = builder.clamp(features, RELU6)
    x = builder.average_pool(x, Window((3, 3), (2, 2), (1, 1, 1, 1)))
    return builder.graph(features, builder.fully_connected(builder.average_pool(x), 3))


# --- one operator each ---------------------------------------------------------------------------

Size = tuple[int, int, int]


def _one(size: Size, grow: Callable[[Builder], str]) -> Graph:
    builder = Builder(size, seed=sum(size))
    return builder.graph(grow(builder))


def _conv(size: Size, outputs: int, window: Window = Window(), activation: Activation | None = None) -> Graph:
    return _one(size, lambda builder: builder.conv2d("input", outputs, window, activation))


def _depthwise(size: Size, window: Window, activation: Activation | None = None, multiplier: int = 1) -> Graph:
    return _one(size, lambda builder: builder.depthwise("input", window, activation, multiplier))


def _pool(size: Size, window: Window | None = None) -> Graph:
    return _one(size, lambda builder: builder.average_pool("input", window))


def _edited(graph: Graph, suffix: str, edit: Callable[[np.ndarray], np.ndarray]) -> Graph:
    """The Graph with the constants whose name ends so replaced."""
    changed = [
        replace(tensor, data=edit(tensor.data).astype(np.float32))
        for tensor in graph.tensors.values()
        if tensor.data is not None and tensor.name.endswith(suffix)
    ]
    return graph.rebuild(tensors=changed)


OPERATOR_CASES: dict[str, Callable[[], Graph]] = {
    "conv2d 1x1": lambda: _conv((5, 4, 7), 9),
    "conv2d 1x1, 1 channel to 1": lambda: _conv((3, 3, 1), 1),
    "conv2d 1x1, many channels": lambda: _conv((3, 5, 129), 67, activation=RELU6),
    "conv2d 1x1 stride 2": lambda: _conv((7, 6, 5), 4, Window(stride=(2, 2))),
    "conv2d 3x3 stride 2, RGB": lambda: _conv((11, 10, 3), 8, same_window(3, 2), RELU6),
    "conv2d 3x3 of TensorFlow's SAME": lambda: _conv((8, 8, 3), 8, Window((3, 3), (2, 2), (0, 0, 1, 1)), RELU6),
    "conv2d 5x5, four pads": lambda: _conv((9, 7, 2), 3, Window((5, 5), (1, 2), (0, 4, 1, 3)), RELU),
    "conv2d 3x3 dilation 2": lambda: _conv((9, 8, 4), 5, Window((3, 3), (1, 1), (2, 2, 2, 2), (2, 2))),
    "conv2d 1x3 stride 2x1": lambda: _conv((6, 6, 3), 4, Window((1, 3), (2, 1), (0, 1, 0, 1))),
    "conv2d wider than its input": lambda: _conv((2, 1, 3), 4, Window((5, 5), (1, 1), (2, 2, 2, 2))),
    "conv2d no padding": lambda: _conv((5, 6, 3), 4, Window((3, 3))),
    "conv2d clamp -1..1": lambda: _conv((4, 4, 3), 4, same_window(3, 1), Activation(-1.0, 1.0)),
    "conv2d weights 0": lambda: _edited(_conv((4, 4, 3), 3), "weight", lambda w: w * [[[[0]]], [[[1]]], [[[0]]]]),
    "conv2d bias far larger than weights": lambda: _edited(_conv((4, 4, 3), 4), "weight", lambda w: w * 1e-6),
    "conv2d always 0": lambda: _edited(_conv((4, 4, 3), 4, activation=RELU), "bias", lambda b: b * 0 - 99),
    "depthwise_conv2d 3x3": lambda: _depthwise((6, 7, 17), same_window(3, 1), RELU6),
    "depthwise_conv2d 3x3, 32 channels": lambda: _depthwise((5, 5, 32), same_window(3, 1), RELU6),
    "depthwise_conv2d 3x3 stride 2": lambda: _depthwise((7, 8, 8), same_window(3, 2), RELU6),
    "depthwise_conv2d 5x5 stride 2": lambda: _depthwise((9, 9, 6), same_window(5, 2)),
    "depthwise_conv2d of TensorFlow's SAME": lambda: _depthwise((8, 6, 5), Window((3, 3), (2, 2), (0, 0, 1, 1)), RELU6),
    "depthwise_conv2d dilation 2": lambda: _depthwise((9, 9, 3), Window((3, 3), (1, 1), (4, 0, 1, 3), (2, 2))),
    "depthwise_conv2d multiplier 3": lambda: _depthwise((5, 4, 3), same_window(3, 1), RELU, 3),
    "depthwise_conv2d 1 channel": lambda: _depthwise((5, 4, 1), same_window(3, 1)),
    "depthwise_conv2d 1x1": lambda: _depthwise((3, 4, 5), Window()),
    "fully_connected": lambda: _one((1, 1, 70), lambda builder: builder.fully_connected("input", 11)),
    "fully_connected 1 to 1": lambda: _one((1, 1, 1), lambda builder: builder.fully_connected("input", 1)),
    "add": lambda: _one((3, 4, 5), lambda builder: builder.add("input", builder.conv2d("input", 5))),
    "add to itself": lambda: _one((3, 4, 5), lambda builder: builder.add("input", "input")),
    "average_pool2d global": lambda: _pool((7, 5, 9)),
    "average_pool2d global, 1 pixel": lambda: _pool((1, 1, 9)),
    "average_pool2d global, 40x40": lambda: _pool((40, 40, 2)),
    "average_pool2d 2x2 stride 2": lambda: _pool((6, 7, 3), Window((2, 2), (2, 2))),
    "average_pool2d 3x3, pads are zeros": lambda: _pool((6, 7, 3), Window((3, 3), (2, 2), (1, 1, 1, 1))),
    "average_pool2d global with pads": lambda: _pool((3, 3, 4), Window((3, 3), (1, 1), (1, 1, 1, 1))),
    "lookup relu6": lambda: _one((3, 4, 5), lambda builder: builder.clamp("input", RELU6)),
    "lookup clamp": lambda: _one((3, 4, 5), lambda builder: builder.clamp("input", Activation(-0.5, 0.25))),
    "lookup clamp without 0": lambda: _one((3, 4, 5), lambda builder: builder.clamp("input", Activation(0.25, 0.5))),
}
