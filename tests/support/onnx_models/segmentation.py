"""Networks of segmentation papers as ONNX files: any width and size, random weights, exporters' spellings.

Each ends in a map of classes as large as the image.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from onnx_models.families import EXPORTERS, V2, V3_LARGE, Exporter, Family, channels_of
from onnx_models.net import Net

CLASSES = 21


def resize(net: Net, channels: int, side: int, mode: str = "linear", transform: str = "half_pixel") -> Net:
    return net.then(
        "Resize", "", "", net.ints(1, channels, side, side), mode=mode, coordinate_transformation_mode=transform
    )


class _Dilated:
    """Strides until the output stride is reached; from there on dilations in their place."""

    def __init__(self, output_stride: int) -> None:
        self.left, self.dilation = output_stride, 1

    def step(self, stride: int) -> tuple[int, int]:
        """The stride and the dilation of a layer that would have this stride."""
        now = self.dilation
        if stride <= self.left:
            self.left //= stride
            return stride, now
        self.dilation *= stride
        return 1, now


def deeplab_v3(width: float, size: int, exporter: Exporter, output_stride: int = 16) -> Net:
    """MobileNetV2 and an image pooling branch; source  Sandler et al., MobileNetV2 (2018), section 6.3"""
    strides, one = _Dilated(output_stride), Family(exporter, size)
    one.conv(channels_of(32 * width), 3, strides.step(2)[0], "relu6")
    for expansion, cout, count, stride, k in V2:
        for index in range(count):
            step, dilation = strides.step(stride if index == 0 else 1)
            one.inverted(one.channels * expansion, channels_of(cout * width), k, step, "relu6", dilation=dilation)
    features, channels, side = one.net.x, one.channels, size // output_stride
    left = one.conv(256, act="relu").net.x
    one.net.x, one.channels = features, channels
    one.net.then("GlobalAveragePool")
    right = resize(one.conv(256, act="relu").net, 256, side).x
    one.net.node("Concat", left, right, axis=1)
    one.channels = 512
    return resize(one.conv(256, act="relu").conv(CLASSES).net, CLASSES, size)


def lr_aspp(width: float, size: int, exporter: Exporter) -> Net:
    """As torchvision has it, of 4 classes; source  Howard et al., Searching for MobileNetV3 (2019), section 6.4"""
    classes, strides, one = 4, _Dilated(16), Family(exporter, size)
    one.conv(channels_of(16 * width), 3, strides.step(2)[0], "hswish")
    low, low_channels = "", 0
    for k, expanded, cout, squeezes, act, stride in V3_LARGE:
        if stride == 2 and strides.left == 2:
            low, low_channels = one.net.x, one.channels
        step, dilation = strides.step(stride)
        one.inverted(channels_of(expanded * width), channels_of(cout * width), k, step, act, squeezes, dilation)
    one.conv(6 * one.channels, act="hswish")
    features, channels = one.net.x, one.channels
    kept = one.conv(128, act="relu").net.x
    one.net.x, one.channels = features, channels
    one.net.then("GlobalAveragePool").conv(channels, 128, k=1, bias=False).then("Sigmoid")
    one.net.node("Mul", kept, one.net.x)
    one.channels = 128
    deep = resize(one.net, 128, size // 8).conv(128, classes, k=1).x
    one.net.x = low
    one.net.conv(low_channels, classes, k=1).then("Add", deep)
    return resize(one.net, classes, size)


def u_net(enlarged: str) -> Callable[[float, int, Exporter], Net]:
    """enlarged: "ConvTranspose", or "Resize" of the nearest pixel"""

    def build(width: float, size: int, exporter: Exporter) -> Net:
        """source  Ronneberger et al., U-Net (2015), with pads and of depth 3"""
        one = Family(exporter, size)
        skips: list[tuple[str, int]] = []
        for depth in range(4):
            cout = channels_of(64 * 2**depth * width)
            one.conv(cout, 3, act="relu").conv(cout, 3, act="relu")
            if depth < 3:
                skips.append((one.net.x, cout))
                one.net.then("MaxPool", kernel_shape=[2, 2], strides=[2, 2])
        for level, (skip, cout) in reversed(list(enumerate(skips))):
            _enlarge(one, cout, size >> level, enlarged)
            one.net.node("Concat", *_ordered(skip, one.net.x, enlarged), axis=1)
            one.channels = 2 * cout
            one.conv(cout, 3, act="relu").conv(cout, 3, act="relu")
        one.conv(1)
        return one.net.then("Sigmoid")

    return build


def _enlarge(one: Family, cout: int, side: int, enlarged: str) -> None:
    if enlarged == "ConvTranspose":
        weights = one.net.random(one.channels, cout, 2, 2, spread=float((2 / one.channels) ** 0.5))
        one.net.then("ConvTranspose", weights, one.net.random(cout, spread=0.1), strides=[2, 2], kernel_shape=[2, 2])
        one.channels = cout
    else:
        resize(one.net, one.channels, side, "nearest", "asymmetric")
        one.conv(cout, 3, act="relu")


def _ordered(skip: str, x: str, enlarged: str) -> Sequence[str]:
    """PyTorch's tutorials concatenate the skip first, Keras' the enlarged map."""
    return (skip, x) if enlarged == "ConvTranspose" else (x, skip)


SEGMENTERS: dict[str, tuple[Callable[[float, int, Exporter], Net], Exporter]] = {
    "DeepLabv3, output stride 16": (deeplab_v3, EXPORTERS["TorchScript"]),
    "LR-ASPP": (lr_aspp, EXPORTERS["TorchScript"]),
    "U-Net, transposed convolutions": (u_net("ConvTranspose"), EXPORTERS["TorchScript"]),
    "U-Net, enlarged": (u_net("Resize"), EXPORTERS["tf2onnx"]),
}
