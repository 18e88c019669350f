"""A family's layers -> a float Graph with random weights, after all passes."""

from __future__ import annotations

from typing import Any

import numpy as np

from mbn2c.commands.explore.families import FAMILIES, RELU
from mbn2c.ir.graph import Graph, Node, Port, Tensor
from mbn2c.ir.window import Activation, Window
from mbn2c.ops import OPERATORS
from mbn2c.ops.add import AddAttributes
from mbn2c.ops.average_pool2d.attributes import AveragePool2dAttributes
from mbn2c.ops.base.weighted import ConvAttributes
from mbn2c.ops.fully_connected import FullyConnectedAttributes
from mbn2c.ops.hard_sigmoid import HardSigmoidAttributes
from mbn2c.ops.hard_swish import HardSwishAttributes
from mbn2c.ops.mul.arithmetic import MulAttributes
from mbn2c.passes import run_passes

_ONE_TO_ONE = Window()
_BIAS = np.float32(0.5)


def untrained(family: str, width: float, size: int, classes: int = 1000) -> Graph:
    """A network of `FAMILIES` for square RGB images; equal arguments give equal weights.

    raises  ModelError if it is too narrow, or does not exist at this size
    """
    layers = _RandomLayers(f"mobilenet_{family.replace('-', '_')}_{width:g}_{size}", size)
    return run_passes(FAMILIES[family](layers, width, classes))


class _RandomLayers:
    """See `families.Layers`. Weights as He et al. (2015) draw them; biases so large that no channel is always 0."""

    def __init__(self, name: str, size: int) -> None:
        self.name = name
        self.tensors = {"input": Tensor("input", (1, size, size, 3))}
        self._nodes: list[Node] = []
        self._rng = np.random.default_rng(0)

    def conv2d(self, x: str, outputs: int, window: Window = _ONE_TO_ONE, activation: Activation | None = None) -> str:
        shape = (outputs, *window.kernel, self.tensors[x].shape[3])
        return self._weighted("conv2d", x, shape, outputs, ConvAttributes(window, 1, activation))

    def depthwise(self, x: str, window: Window, activation: Activation | None = None) -> str:
        channels = self.tensors[x].shape[3]
        return self._weighted(
            "depthwise_conv2d", x, (*window.kernel, channels), channels, ConvAttributes(window, 1, activation)
        )

    def hard_swish(self, x: str) -> str:
        return self._append("hard_swish", (x,), HardSwishAttributes())

    def squeeze_excite(self, x: str, squeezed: int) -> str:
        y = self.conv2d(self.average_pool(x), squeezed, activation=RELU)
        y = self.conv2d(y, self.tensors[x].shape[3])
        gate = self._append("hard_sigmoid", (y,), HardSigmoidAttributes(1 / 6, 0.5))
        return self._append("mul", (x, gate), MulAttributes())

    def add(self, a: str, b: str) -> str:
        return self._append("add", (a, b), AddAttributes())

    def average_pool(self, x: str) -> str:
        _, height, width, _ = self.tensors[x].shape
        return self._append("average_pool2d", (x,), AveragePool2dAttributes(Window((height, width))))

    def fully_connected(self, x: str, outputs: int) -> str:
        shape = (outputs, self.tensors[x].shape[3])
        return self._weighted("fully_connected", x, shape, outputs, FullyConnectedAttributes())

    def graph(self, *outputs: str) -> Graph:
        _, height, width, channels = self.tensors["input"].shape
        return Graph(
            self.name,
            dict(self.tensors),
            tuple(self._nodes),
            (Port("input", "image", (1, channels, height, width), (0, 3, 1, 2)),),
            tuple(Port(name, f"{name}_out", (1, self.tensors[name].shape[3]), (0, 3)) for name in outputs),
        )

    def _weighted(self, op: str, x: str, shape: tuple[int, ...], outputs: int, attributes: Any) -> str:
        label = f"{op}_{len(self._nodes)}"
        weights = self._rng.standard_normal(shape, np.float32)
        weights *= np.float32(np.sqrt(2 * outputs / weights.size))
        constants = {f"{label}.weight": weights, f"{label}.bias": np.full(outputs, _BIAS)}
        self.tensors |= {name: Tensor(name, data.shape, data=data) for name, data in constants.items()}
        return self._append(op, (x, *constants), attributes)

    def _append(self, op: str, inputs: tuple[str, ...], attributes: Any) -> str:
        name = f"{op}_{len(self._nodes)}"
        node = Node(name, op, inputs, (name,), attributes)
        shape = OPERATORS[op].output_shape(node, [self.tensors[one].shape for one in inputs])
        assert shape is not None, f"the inputs do not suit {op}"
        self.tensors[name] = Tensor(name, shape)
        self._nodes.append(node)
        return name
