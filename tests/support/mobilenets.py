"""The classifiers of the papers with random weights, for plans: any width, any resolution."""

from __future__ import annotations

from dataclasses import dataclass

from models import RELU, RELU6, Builder, same_window

from mbn2c.ir.graph import Graph
from mbn2c.ir.window import Window


def mobilenet_v2(width: float, size: int, classes: int = 1000) -> Graph:
    """MobileNetV2 (Sandler et al., 2018), table 2; channels are multiples of 8, the last conv is never thinner."""
    builder = Builder((size, size, 3), name=f"mobilenet_v2_{width}_{size}")
    x = builder.conv2d("input", _channels(32 * width), same_window(3, 2), RELU6)
    for expand, channels, count, stride in (
        (1, 16, 1, 1),
        (6, 24, 2, 2),
        (6, 32, 3, 2),
        (6, 64, 4, 2),
        (6, 96, 3, 1),
        (6, 160, 3, 2),
        (6, 320, 1, 1),
    ):
        for index in range(count):
            window = same_window(3, stride if index == 0 else 1)
            x = builder.inverted_residual(x, _channels(channels * width), expand, window)
    x = builder.conv2d(x, _channels(1280 * max(width, 1.0)), activation=RELU6)
    return builder.graph(builder.fully_connected(builder.average_pool(x), classes))


def mobilenet_v1(width: float, size: int, classes: int = 1000) -> Graph:
    """MobileNetV1 (Howard et al., 2017), table 1, with TensorFlow's padding: none above and left at stride 2."""
    builder = Builder((size, size, 3), name=f"mobilenet_v1_{width}_{size}")
    x = builder.conv2d("input", int(32 * width), _tf_window(2), RELU6)
    for channels, stride in zip(
        (64, 128, 128, 256, 256, 512, 512, 512, 512, 512, 512, 1024, 1024),
        (1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1),
        strict=True,
    ):
        x = builder.depthwise(x, _tf_window(stride), RELU6)
        x = builder.conv2d(x, int(channels * width), activation=RELU6)
    return builder.graph(builder.fully_connected(builder.average_pool(x), classes))


@dataclass(frozen=True)
class Block:
    """An inverted residual of MobileNetV3: table 1 or 2 of the paper, a row."""

    kernel: int
    expanded: int
    channels: int
    squeezes: bool
    is_hard_swish: bool
    stride: int


V3_SMALL = (
    Block(3, 16, 16, True, False, 2),
    Block(3, 72, 24, False, False, 2),
    Block(3, 88, 24, False, False, 1),
    Block(5, 96, 40, True, True, 2),
    Block(5, 240, 40, True, True, 1),
    Block(5, 240, 40, True, True, 1),
    Block(5, 120, 48, True, True, 1),
    Block(5, 144, 48, True, True, 1),
    Block(5, 288, 96, True, True, 2),
    Block(5, 576, 96, True, True, 1),
    Block(5, 576, 96, True, True, 1),
)
V3_LARGE = (
    Block(3, 16, 16, False, False, 1),
    Block(3, 64, 24, False, False, 2),
    Block(3, 72, 24, False, False, 1),
    Block(5, 72, 40, True, False, 2),
    Block(5, 120, 40, True, False, 1),
    Block(5, 120, 40, True, False, 1),
    Block(3, 240, 80, False, True, 2),
    Block(3, 200, 80, False, True, 1),
    Block(3, 184, 80, False, True, 1),
    Block(3, 184, 80, False, True, 1),
    Block(3, 480, 112, True, True, 1),
    Block(3, 672, 112, True, True, 1),
    Block(5, 672, 160, True, True, 2),
    Block(5, 960, 160, True, True, 1),
    Block(5, 960, 160, True, True, 1),
)


def mobilenet_v3_small(width: float, size: int, classes: int = 1000, blocks: tuple[Block, ...] = V3_SMALL) -> Graph:
    """MobileNetV3-small (Howard et al., 2019) as torchvision has it: a gate of a quarter of the expanded channels."""
    return _mobilenet_v3(f"mobilenet_v3_small_{width}_{size}", width, size, classes, 1024, blocks)


def mobilenet_v3_large(width: float, size: int, classes: int = 1000, blocks: tuple[Block, ...] = V3_LARGE) -> Graph:
    """MobileNetV3-large, likewise."""
    return _mobilenet_v3(f"mobilenet_v3_large_{width}_{size}", width, size, classes, 1280, blocks)


def _mobilenet_v3(name: str, width: float, size: int, classes: int, last: int, blocks: tuple[Block, ...]) -> Graph:
    builder = Builder((size, size, 3), name=name)
    x = builder.hard_swish(builder.conv2d("input", _channels(16 * width), same_window(3, 2)))
    for block in blocks:
        entry, before = x, builder.tensors[x].shape[3]
        expanded = _channels(block.expanded * width)
        activation = None if block.is_hard_swish else RELU
        if expanded != before:
            x = builder.conv2d(x, expanded, activation=activation)
            x = builder.hard_swish(x) if block.is_hard_swish else x
        x = builder.depthwise(x, same_window(block.kernel, block.stride), activation)
        x = builder.hard_swish(x) if block.is_hard_swish else x
        if block.squeezes:
            x = builder.squeeze_excite(x, _channels(expanded // 4))
        x = builder.conv2d(x, _channels(block.channels * width))
        if builder.tensors[x].shape == builder.tensors[entry].shape:
            x = builder.add(entry, x)
    x = builder.hard_swish(builder.conv2d(x, 6 * builder.tensors[x].shape[3]))
    x = builder.hard_swish(builder.fully_connected(builder.average_pool(x), _channels(last * width)))
    return builder.graph(builder.fully_connected(x, classes))


def _tf_window(stride: int) -> Window:
    return Window((3, 3), (stride, stride), (0, 0, 1, 1) if stride == 2 else (1, 1, 1, 1))


def _channels(wanted: float) -> int:
    """The nearest multiple of 8, not more than a tenth below."""
    channels = max(8, int(wanted + 4) // 8 * 8)
    return channels + 8 if channels < 0.9 * wanted else channels
