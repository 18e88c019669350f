"""Small networks built in code: float32 Graphs as the passes leave them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from operator_cases import graph_of

from mbn2c.ir.graph import Graph, Node, Port, Tensor
from mbn2c.ir.window import Activation, Window
from mbn2c.ops import OPERATORS
from mbn2c.ops.add import AddAttributes
from mbn2c.ops.average_pool2d import AveragePool2dAttributes
from mbn2c.ops.base.case import RELU, RELU6, Case, same_window
from mbn2c.ops.base.operator import LOWERED, Operator
from mbn2c.ops.base.weighted import ConvAttributes
from mbn2c.ops.clamp import ClampAttributes
from mbn2c.ops.concat import ConcatAttributes
from mbn2c.ops.depth_to_space.attributes import DepthToSpaceAttributes
from mbn2c.ops.fully_connected import FullyConnectedAttributes
from mbn2c.ops.hard_sigmoid import HardSigmoidAttributes
from mbn2c.ops.hard_swish import HardSwishAttributes
from mbn2c.ops.max_pool2d import MaxPool2dAttributes
from mbn2c.ops.mul import MulAttributes
from mbn2c.ops.resize2d.attributes import Resize2dAttributes
from mbn2c.ops.select_channels.reading import SelectAttributes

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

    def concat(self, *inputs: str) -> str:
        return self._append("concat", inputs, ConcatAttributes())

    def select(self, x: str, *channels: int) -> str:
        return self._append("select_channels", (x,), SelectAttributes(channels))

    def average_pool(
        self, x: str, window: Window | None = None, uncounted: tuple[int, int, int, int] = (0, 0, 0, 0)
    ) -> str:
        _, height, width, _ = self.tensors[x].shape
        attributes = AveragePool2dAttributes(window or Window((height, width)), uncounted=uncounted)
        return self._append("average_pool2d", (x,), attributes)

    def max_pool(self, x: str, window: Window) -> str:
        return self._append("max_pool2d", (x,), MaxPool2dAttributes(window))

    def resize(
        self, x: str, like: str, mode: str, transform: str = "half_pixel", rounding: str = "round_prefer_floor"
    ) -> str:
        """x as high and wide as another tensor."""
        _, height, width, _ = self.tensors[like].shape
        return self._append("resize2d", (x,), Resize2dAttributes((height, width), mode, transform, rounding))

    def in_blocks(self, x: str, like: str) -> str:
        """Four channels of x as 2 x 2 pixels, cropped to the height and width of another tensor."""
        _, height, width, _ = self.tensors[x].shape
        _, wanted_height, wanted_width, _ = self.tensors[like].shape
        crop = (1, 1, 2 * height - wanted_height - 1, 2 * width - wanted_width - 1)
        return self._append("depth_to_space", (x,), DepthToSpaceAttributes((2, 2), crop))

    def clamp(self, x: str, activation: Activation) -> str:
        return self._append("clamp", (x,), ClampAttributes(activation))

    def mul(self, a: str, b: str) -> str:
        return self._append("mul", (a, b), MulAttributes())

    def function(self, op: str, x: str, attributes: object) -> str:
        return self._append(op, (x,), attributes)

    def hard_swish(self, x: str) -> str:
        return self._append("hard_swish", (x,), HardSwishAttributes())

    def squeeze_excite(self, x: str, squeezed: int) -> str:
        """x times a number per channel: a hard-sigmoid of two 1x1 convolutions of its mean."""
        y = self.conv2d(self.average_pool(x), squeezed, activation=RELU)
        y = self.conv2d(y, self.tensors[x].shape[3])
        return self.mul(x, self._append("hard_sigmoid", (y,), HardSigmoidAttributes(1 / 6, 0.5)))

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


def _network_of(operator: Operator, case: Case, name: str) -> Callable[[], Graph]:
    return lambda: graph_of(operator, case, name)


OPERATOR_CASES: dict[str, Callable[[], Graph]] = {
    f"{operator.name} {words}": _network_of(operator, case, f"{operator.name} {words}")
    for operator in OPERATORS.values()
    for words, case in operator.cases().items()
    if LOWERED in operator.stages and not case.quants
}
