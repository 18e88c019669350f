"""The classifiers of the papers, layer by layer, of any width and input size.

Layers are grown by whoever has the methods of `Layers`, so that a network can be made with any weights.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from mbn2c.commands.explore.scaled import rounded
from mbn2c.ir.graph import Graph, Tensor
from mbn2c.ir.window import Activation, Window

RELU, RELU6 = Activation(0.0, float("inf")), Activation(0.0, 6.0)


class Layers(Protocol):
    """Grows a float32 Graph with one input, called "input"; every method returns the new tensor's name."""

    tensors: dict[str, Tensor]

    def conv2d(self, x: str, outputs: int, window: Window = ..., activation: Activation | None = ...) -> str:
        """A convolution with bias."""

    def depthwise(self, x: str, window: Window, activation: Activation | None = ...) -> str:
        """One with a filter for each channel."""

    def hard_swish(self, x: str) -> str:
        """A hard-swish."""

    def squeeze_excite(self, x: str, squeezed: int) -> str:
        """x times a hard-sigmoid of two 1x1 convolutions of its mean."""

    def add(self, a: str, b: str) -> str:
        """A sum."""

    def average_pool(self, x: str) -> str:
        """The mean of all pixels."""

    def fully_connected(self, x: str, outputs: int) -> str:
        """A classifier."""

    def graph(self, *outputs: str) -> Graph:
        """What has grown."""


def _same(kernel: int, stride: int) -> Window:
    return Window((kernel, kernel), (stride, stride), (kernel // 2,) * 4)


def _as_tensorflow(stride: int) -> Window:
    """3x3, as TensorFlow pads it: none above and left at stride 2."""
    return Window((3, 3), (stride, stride), (0, 0, 1, 1) if stride == 2 else (1, 1, 1, 1))


# --- MobileNetV1: Howard et al. (2017), table 1 ----------------------------------------------------

# channels, stride
_V1 = (
    *((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2)),
    *((512, 1), (512, 1), (512, 1), (512, 1), (512, 1), (1024, 2), (1024, 1)),
)


def mobilenet_v1(layers: Layers, width: float, classes: int) -> Graph:
    """With TensorFlow's padding."""
    x = layers.conv2d("input", int(32 * width), _as_tensorflow(2), RELU6)
    for channels, stride in _V1:
        x = layers.depthwise(x, _as_tensorflow(stride), RELU6)
        x = layers.conv2d(x, int(channels * width), activation=RELU6)
    return layers.graph(layers.fully_connected(layers.average_pool(x), classes))


# --- MobileNetV2: Sandler et al. (2018), table 2 ---------------------------------------------------

# expansion, channels, count, stride of the first
_V2 = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)


def mobilenet_v2(layers: Layers, width: float, classes: int) -> Graph:
    """Channels are multiples of 8, the last convolution is never thinner."""
    x = layers.conv2d("input", rounded(32 * width), _same(3, 2), RELU6)
    for expand, channels, count, first_stride in _V2:
        for stride in (first_stride, *[1] * (count - 1)):
            entry = x
            if expand > 1:
                x = layers.conv2d(x, layers.tensors[x].shape[3] * expand, activation=RELU6)
            x = layers.depthwise(x, _same(3, stride), RELU6)
            x = layers.conv2d(x, rounded(channels * width))
            if layers.tensors[x].shape == layers.tensors[entry].shape:
                x = layers.add(entry, x)
    x = layers.conv2d(x, rounded(1280 * max(width, 1.0)), activation=RELU6)
    return layers.graph(layers.fully_connected(layers.average_pool(x), classes))


# --- MobileNetV3: Howard et al. (2019), tables 1 and 2, as torchvision has them ----------------------


@dataclass(frozen=True)
class BottleneckRow:
    """A row of the tables, an inverted residual; its gate, if it has one, has a quarter of the expanded channels."""

    kernel: int
    expanded: int
    channels: int
    squeezes: bool
    is_hard_swish: bool
    stride: int


V3_SMALL = (
    BottleneckRow(3, 16, 16, True, False, 2),
    BottleneckRow(3, 72, 24, False, False, 2),
    BottleneckRow(3, 88, 24, False, False, 1),
    BottleneckRow(5, 96, 40, True, True, 2),
    BottleneckRow(5, 240, 40, True, True, 1),
    BottleneckRow(5, 240, 40, True, True, 1),
    BottleneckRow(5, 120, 48, True, True, 1),
    BottleneckRow(5, 144, 48, True, True, 1),
    BottleneckRow(5, 288, 96, True, True, 2),
    BottleneckRow(5, 576, 96, True, True, 1),
    BottleneckRow(5, 576, 96, True, True, 1),
)
V3_LARGE = (
    BottleneckRow(3, 16, 16, False, False, 1),
    BottleneckRow(3, 64, 24, False, False, 2),
    BottleneckRow(3, 72, 24, False, False, 1),
    BottleneckRow(5, 72, 40, True, False, 2),
    BottleneckRow(5, 120, 40, True, False, 1),
    BottleneckRow(5, 120, 40, True, False, 1),
    BottleneckRow(3, 240, 80, False, True, 2),
    BottleneckRow(3, 200, 80, False, True, 1),
    BottleneckRow(3, 184, 80, False, True, 1),
    BottleneckRow(3, 184, 80, False, True, 1),
    BottleneckRow(3, 480, 112, True, True, 1),
    BottleneckRow(3, 672, 112, True, True, 1),
    BottleneckRow(5, 672, 160, True, True, 2),
    BottleneckRow(5, 960, 160, True, True, 1),
    BottleneckRow(5, 960, 160, True, True, 1),
)
# Channels of the layer before the classifier.
_LAST_SMALL, _LAST_LARGE = 1024, 1280


def mobilenet_v3_small(
    layers: Layers, width: float, classes: int, blocks: tuple[BottleneckRow, ...] = V3_SMALL
) -> Graph:
    """Of those blocks."""
    return _mobilenet_v3(layers, width, classes, _LAST_SMALL, blocks)


def mobilenet_v3_large(
    layers: Layers, width: float, classes: int, blocks: tuple[BottleneckRow, ...] = V3_LARGE
) -> Graph:
    """Of those blocks."""
    return _mobilenet_v3(layers, width, classes, _LAST_LARGE, blocks)


def _mobilenet_v3(layers: Layers, width: float, classes: int, last: int, blocks: tuple[BottleneckRow, ...]) -> Graph:
    x = layers.hard_swish(layers.conv2d("input", rounded(16 * width), _same(3, 2)))
    for block in blocks:
        entry, before = x, layers.tensors[x].shape[3]
        expanded = rounded(block.expanded * width)
        activation = None if block.is_hard_swish else RELU
        if expanded != before:
            x = layers.conv2d(x, expanded, activation=activation)
            x = layers.hard_swish(x) if block.is_hard_swish else x
        x = layers.depthwise(x, _same(block.kernel, block.stride), activation)
        x = layers.hard_swish(x) if block.is_hard_swish else x
        if block.squeezes:
            x = layers.squeeze_excite(x, rounded(expanded // 4))
        x = layers.conv2d(x, rounded(block.channels * width))
        if layers.tensors[x].shape == layers.tensors[entry].shape:
            x = layers.add(entry, x)
    x = layers.hard_swish(layers.conv2d(x, 6 * layers.tensors[x].shape[3]))
    x = layers.hard_swish(layers.fully_connected(layers.average_pool(x), rounded(last * width)))
    return layers.graph(layers.fully_connected(x, classes))


FAMILIES: Mapping[str, Callable[[Layers, float, int], Graph]] = {
    "v1": mobilenet_v1,
    "v2": mobilenet_v2,
    "v3-small": mobilenet_v3_small,
    "v3-large": mobilenet_v3_large,
}
