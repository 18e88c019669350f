"""The classifiers of the papers with random weights, for plans: any width, any resolution."""

from __future__ import annotations

from models import RELU6, Builder, same_window

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


def _tf_window(stride: int) -> Window:
    return Window((3, 3), (stride, stride), (0, 0, 1, 1) if stride == 2 else (1, 1, 1, 1))


def _channels(wanted: float) -> int:
    """The nearest multiple of 8, not more than a tenth below."""
    channels = max(8, int(wanted + 4) // 8 * 8)
    return channels + 8 if channels < 0.9 * wanted else channels
