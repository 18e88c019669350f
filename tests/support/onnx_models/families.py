"""The families of MobileNet-like classifiers as ONNX files: any width and size, in three exporters' dialects.

A table of rows a family; what differs between exporters (activation, squeeze-and-excitation, padding, head) is a
`Exporter`. Weights are random, batch norms folded unless the dialect keeps them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from onnx_models.net import Net

_SIXTH = 0.1666666716337204  # float32


@dataclass(frozen=True)
class Exporter:
    """How an exporter writes what there are several ways for.

    keeps_batch_norms  no bias, a BatchNormalization behind each convolution
    hard_swish         "operator" (opset 14), "gate" (times HardSigmoid) or "clip" (Add, Clip, Mul, Div)
    head               "gemm" (GlobalAveragePool, Flatten, Gemm) or "matmul" (ReduceMean, MatMul, Add)
    """

    opset: int = 13
    keeps_batch_norms: bool = False
    hard_swish: str = "gate"
    head: str = "gemm"


EXPORTERS = {
    "TorchScript": Exporter(opset=14, hard_swish="operator"),
    "tf2onnx": Exporter(hard_swish="clip", head="matmul"),
    "Paddle": Exporter(opset=11, keeps_batch_norms=True, hard_swish="clip", head="matmul"),
}


def channels_of(wanted: float) -> int:
    """The nearest multiple of 8, not more than a tenth below."""
    found = max(8, int(wanted + 4) // 8 * 8)
    return found + 8 if found < 0.9 * wanted else found


@dataclass
class Family:
    """A network growing layer by layer; `channels` are those of what stands."""

    exporter: Exporter
    size: int

    def __post_init__(self) -> None:
        self.net = Net(self.exporter.opset, (1, 3, self.size, self.size))
        self.channels = 3

    def conv(
        self,
        cout: int,
        k: int = 1,
        stride: int = 1,
        act: str = "",
        depthwise: bool = False,
        pad: int | None = None,
        dilation: int = 1,
    ) -> Family:
        """A convolution with its batch norm and activation."""
        group, keeps, net = (self.channels if depthwise else 1), self.exporter.keeps_batch_norms, self.net
        pads, fan_in = [k // 2 * dilation if pad is None else pad] * 4, k * k * self.channels // group
        weights = net.random(cout, self.channels // group, k, k, spread=float((2 / fan_in) ** 0.5))
        bias = [] if keeps else [net.random(cout, spread=0.1)]
        wide = {} if dilation == 1 else {"dilations": [dilation] * 2}
        net.then("Conv", weights, *bias, group=group, strides=[stride] * 2, pads=pads, **wide)
        if keeps:
            net.batch_norm(cout, net.rng.uniform(0.5, 1.5, cout), net.rng.normal(0, 0.1, cout))
        self.channels = cout
        return self.activation(act)

    def depthwise(self, k: int, stride: int = 1, act: str = "", pad: int | None = None, dilation: int = 1) -> Family:
        return self.conv(self.channels, k, stride, act, depthwise=True, pad=pad, dilation=dilation)

    def activation(self, act: str) -> Family:
        net, x = self.net, self.net.x
        if act == "relu":
            net.then("Relu")
        elif act == "relu6":
            net.relu6()
        elif act == "prelu":
            net.then("PRelu", net.random(self.channels, 1, 1, spread=0.2))
        elif act == "hswish" and self.exporter.hard_swish == "operator":
            net.then("HardSwish")
        elif act == "hswish":
            if self.exporter.hard_swish == "gate":
                net.node("Mul", x, net.then("HardSigmoid", alpha=_SIXTH, beta=0.5).x)
            else:
                net.then("Add", net.weight(3.0)).relu6().node("Mul", x, net.x)
                net.then("Div", net.weight(6.0))
        return self

    def squeeze(self, inner: int, gate: str = "hard") -> Family:
        """Squeeze-and-excitation."""
        net, x, channels = self.net, self.net.x, self.channels
        net.then("GlobalAveragePool").conv(channels, inner, k=1).then("Relu").conv(inner, channels, k=1)
        if gate == "hard":
            net.then("HardSigmoid", alpha=0.2 if self.exporter.keeps_batch_norms else _SIXTH, beta=0.5)
        else:
            net.then("Sigmoid")
        net.node("Mul", x, net.x)
        return self

    def inverted(
        self, expanded: int, cout: int, k: int, stride: int, act: str, squeezes: bool = False, dilation: int = 1
    ) -> Family:
        """An inverted residual."""
        entry, before = self.net.x, self.channels
        if expanded != before:
            self.conv(expanded, act=act)
        self.depthwise(k, stride, act, dilation=dilation)
        if squeezes:
            self.squeeze(channels_of(expanded / 4))
        self.conv(cout)
        if stride == 1 and cout == before:
            self.net.then("Add", entry)
        return self

    def head(self, classes: int = 10) -> Net:
        net = self.net
        if self.exporter.head == "gemm":
            return net.head(self.channels, classes)
        net.then("ReduceMean", axes=[2, 3], keepdims=0).then("MatMul", net.random(self.channels, classes))
        return net.then("Add", net.random(classes))


# kernel, expanded, channels, squeezes, activation, stride
_V3_SMALL = [
    (3, 16, 16, True, "relu", 2), (3, 72, 24, False, "relu", 2), (3, 88, 24, False, "relu", 1),
    (5, 96, 40, True, "hswish", 2), (5, 240, 40, True, "hswish", 1), (5, 240, 40, True, "hswish", 1),
    (5, 120, 48, True, "hswish", 1), (5, 144, 48, True, "hswish", 1), (5, 288, 96, True, "hswish", 2),
    (5, 576, 96, True, "hswish", 1), (5, 576, 96, True, "hswish", 1),
]  # fmt: skip
V3_LARGE = [
    (3, 16, 16, False, "relu", 1), (3, 64, 24, False, "relu", 2), (3, 72, 24, False, "relu", 1),
    (5, 72, 40, True, "relu", 2), (5, 120, 40, True, "relu", 1), (5, 120, 40, True, "relu", 1),
    (3, 240, 80, False, "hswish", 2), (3, 200, 80, False, "hswish", 1), (3, 184, 80, False, "hswish", 1),
    (3, 184, 80, False, "hswish", 1), (3, 480, 112, True, "hswish", 1), (3, 672, 112, True, "hswish", 1),
    (5, 672, 160, True, "hswish", 2), (5, 960, 160, True, "hswish", 1), (5, 960, 160, True, "hswish", 1),
]  # fmt: skip


def _v3(rows: list[tuple[int, int, int, bool, str, int]], minimal: bool) -> Callable[[float, int, Exporter], Net]:
    def build(width: float, size: int, exporter: Exporter) -> Net:
        """source  Howard et al., Searching for MobileNetV3 (2019); minimalistic: no squeezing, ReLU and 3x3 only"""
        last = "relu" if minimal else "hswish"
        one = Family(exporter, size).conv(channels_of(16 * width), 3, 2, last)
        for k, expanded, cout, squeezes, act, stride in rows:
            kept = (3, "relu", False) if minimal else (k, act, squeezes)
            one.inverted(channels_of(expanded * width), channels_of(cout * width), kept[0], stride, *kept[1:])
        return one.conv(6 * one.channels, act=last).head()

    return build


# expansion, channels, count, stride, kernel
def _rows(
    first: int, rows: list[tuple[int, int, int, int, int]], act: str, last: int, squeezes: bool = False
) -> Callable[[float, int, Exporter], Net]:
    def build(width: float, size: int, exporter: Exporter) -> Net:
        one = Family(exporter, size).conv(channels_of(first * width), 3, 2, act)
        for expansion, cout, count, stride, k in rows:
            for index in range(count):
                expanded = one.channels * expansion
                one.inverted(expanded, channels_of(cout * width), k, stride if index == 0 else 1, act, squeezes)
        return one.conv(channels_of(last * width), act=act).head()

    return build


# Sandler et al., MobileNetV2 (2018), table 2; Tan et al., MnasNet (2019), figure 7 (B1); Tan and Le, EfficientNet
# (2019), table 1, without squeezing; Cai et al., ProxylessNAS (2019), figure 4 (mobile), and Lin et al., MCUNet (2020).
V2 = [(1, 16, 1, 1, 3), (6, 24, 2, 2, 3), (6, 32, 3, 2, 3), (6, 64, 4, 2, 3), (6, 96, 3, 1, 3), (6, 160, 3, 2, 3),
       (6, 320, 1, 1, 3)]  # fmt: skip
_MNASNET = [(1, 16, 1, 1, 3), (3, 24, 3, 2, 3), (3, 40, 3, 2, 5), (6, 80, 3, 2, 5), (6, 96, 2, 1, 3), (6, 192, 4, 2, 5),
            (6, 320, 1, 1, 3)]  # fmt: skip
_LITE0 = [(1, 16, 1, 1, 3), (6, 24, 2, 2, 3), (6, 40, 2, 2, 5), (6, 80, 3, 2, 3), (6, 112, 3, 1, 5), (6, 192, 4, 2, 5),
          (6, 320, 1, 1, 3)]  # fmt: skip
_PROXYLESS = [(1, 16, 1, 1, 3), (3, 32, 1, 2, 5), (3, 32, 1, 1, 3), (3, 40, 1, 2, 7), (3, 40, 1, 1, 3),
              (3, 40, 2, 1, 5), (6, 80, 1, 2, 7), (3, 80, 3, 1, 5), (6, 96, 1, 1, 5), (3, 96, 3, 1, 5),
              (6, 192, 2, 2, 7), (3, 192, 2, 1, 7), (6, 320, 1, 1, 7)]  # fmt: skip


def mobilenet_v1(width: float, size: int, exporter: Exporter) -> Net:
    """source  Howard et al., MobileNets (2017), table 1"""
    one = Family(exporter, size).conv(channels_of(32 * width), 3, 2, "relu6")
    strides = (1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1)
    for cout, stride in zip((64, 128, 128, 256, 256, 512, 512, 512, 512, 512, 512, 1024, 1024), strides, strict=True):
        one.depthwise(3, stride, "relu6").conv(channels_of(cout * width), act="relu6")
    return one.head()


def pp_lcnet(width: float, size: int, exporter: Exporter) -> Net:
    """source  Cui et al., PP-LCNet (2021), table 1"""
    one = Family(exporter, size).conv(channels_of(16 * width), 3, 2, "hswish")
    rows = [(3, 32, 1), (3, 64, 2), (3, 64, 1), (3, 128, 2), (3, 128, 1), (3, 256, 2), *[(5, 256, 1)] * 5, (5, 512, 2),
            (5, 512, 1)]  # fmt: skip
    for number, (k, cout, stride) in enumerate(rows):
        one.depthwise(k, stride, "hswish")
        if number > 10:
            one.squeeze(channels_of(one.channels / 4))
        one.conv(channels_of(cout * width), act="hswish")
    return one.head()


def mobile_face_net(width: float, size: int, exporter: Exporter) -> Net:
    """An embedding of length 1; source  Chen et al., MobileFaceNets (2018), table 1"""
    one = Family(exporter, size).conv(channels_of(64 * width), 3, 2, "prelu").depthwise(3, 1, "prelu")
    for expansion, cout, count, stride in (
        (2, 64, 5, 2),
        (4, 128, 1, 2),
        (2, 128, 6, 1),
        (4, 128, 1, 2),
        (2, 128, 2, 1),
    ):
        for index in range(count):
            cin = one.channels
            one.inverted(cin * expansion, channels_of(cout * width), 3, stride if index == 0 else 1, "prelu")
    one.conv(channels_of(512 * width), act="prelu").depthwise(size // 16, pad=0).conv(channels_of(128 * width))
    net = one.net.then("Flatten")
    vector = net.x
    net.node("Div", vector, net.then("ReduceL2", axes=[1]).x)
    return net


# Qin et al., MobileNetV4 (2024), table 11: kernel before the expansion (0: none), kernel behind it, expanded, channels.
_V4_SMALL = [
    (5, 5, 192, 96, 2), *[(0, 3, 192, 96, 1)] * 4, (3, 0, 384, 96, 1), (3, 3, 576, 128, 2), (5, 5, 512, 128, 1),
    (0, 5, 512, 128, 1), (0, 5, 384, 128, 1), (0, 3, 512, 128, 1), (0, 3, 512, 128, 1),
]  # fmt: skip


def mobilenet_v4_conv_small(width: float, size: int, exporter: Exporter) -> Net:
    one = Family(exporter, size).conv(channels_of(32 * width), 3, 2, "relu")
    one.conv(channels_of(32 * width), 3, 2, "relu").conv(channels_of(32 * width), act="relu")
    one.conv(channels_of(96 * width), 3, 2, "relu").conv(channels_of(64 * width), act="relu")
    for first, second, expanded, cout, stride in _V4_SMALL:
        entry, before = one.net.x, one.channels
        if first:
            one.depthwise(first, 1 if second else stride)
        one.conv(channels_of(expanded * width), act="relu")
        if second:
            one.depthwise(second, stride, "relu")
        one.conv(channels_of(cout * width))
        if stride == 1 and one.channels == before:
            one.net.then("Add", entry)
    return one.conv(channels_of(960 * width), act="relu").head()


def _squeezenet(version: str) -> Callable[[float, int, Exporter], Net]:
    def build(width: float, size: int, exporter: Exporter) -> Net:
        """source  Iandola et al., SqueezeNet (2016); 1.1: pools earlier, a smaller first layer"""
        kernel, first, pools = (7, 96, (3, 7)) if version == "1.0" else (3, 64, (2, 4))
        one = Family(exporter, size).conv(channels_of(first * width), kernel, 2, "relu")
        one.net.then("MaxPool", kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
        for number, squeezed in enumerate((16, 16, 32, 32, 48, 48, 64, 64)):
            one.conv(channels_of(squeezed * width), act="relu")
            narrow, x = one.channels, one.net.x
            left = one.conv(channels_of(4 * squeezed * width), act="relu").net.x
            one.net.x, one.channels = x, narrow
            right = one.conv(channels_of(4 * squeezed * width), 3, act="relu").net.x
            one.net.node("Concat", left, right, axis=1)
            one.channels *= 2
            if number + 1 in pools:
                one.net.then("MaxPool", kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
        return one.conv(10, act="relu").net.then("GlobalAveragePool").then("Flatten")

    return build


# Channels after each stage and the last convolution; the first has 24.
_SHUFFLE = {0.5: (48, 96, 192, 1024), 1.0: (116, 232, 464, 1024)}


def shufflenet_v2(width: float, size: int, exporter: Exporter, units: tuple[int, ...] = (4, 8, 4)) -> Net:
    """The channel shuffles as Reshape, Transpose, Reshape; source  Ma et al., ShuffleNetV2 (2018), table 5

    units  of each stage; fewer for a small network
    """
    *stages, last = _SHUFFLE[width]
    one = Family(exporter, size).conv(24, 3, 2, "relu")
    one.net.then("MaxPool", kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
    side = size // 4

    def right(half: int, stride: int) -> str:
        return one.conv(half, act="relu").depthwise(3, stride).conv(half, act="relu").net.x

    for cout, count in zip(stages, units, strict=False):
        half, entry, before = cout // 2, one.net.x, one.channels
        side //= 2
        for index in range(count):
            if index == 0:
                left = one.depthwise(3, 2).conv(half, act="relu").net.x
                one.net.x, one.channels = entry, before
            else:
                left = one.net.split(half, half)
                one.net.x, one.channels = f"{left}_1", half
            one.net.node("Concat", left, right(half, 1 if index else 2), axis=1)
            one.net.then("Reshape", one.net.ints(1, 2, half, side, side)).then("Transpose", perm=[0, 2, 1, 3, 4])
            one.net.then("Reshape", one.net.ints(1, cout, side, side))
            one.channels = cout
    return one.conv(last, act="relu").head()


FAMILIES: dict[str, Callable[[float, int, Exporter], Net]] = {
    "MobileNetV1": mobilenet_v1,
    "MobileNetV2": _rows(32, V2, "relu6", 1280),
    "MobileNetV3-small": _v3(_V3_SMALL, minimal=False),
    "MobileNetV3-large": _v3(V3_LARGE, minimal=False),
    "MobileNetV3-small minimalistic": _v3(_V3_SMALL, minimal=True),
    "MobileNetV3-large minimalistic": _v3(V3_LARGE, minimal=True),
    "MobileNetV4-conv-small": mobilenet_v4_conv_small,
    "MnasNet": _rows(32, _MNASNET, "relu", 1280),
    "EfficientNet-Lite0": _rows(32, _LITE0, "relu6", 1280),
    "ProxylessNAS": _rows(32, _PROXYLESS, "relu6", 1280),
    "PP-LCNet": pp_lcnet,
    "MobileFaceNet": mobile_face_net,
    "ShuffleNetV2": shufflenet_v2,
    "SqueezeNet 1.0": _squeezenet("1.0"),
    "SqueezeNet 1.1": _squeezenet("1.1"),
}

# A narrow width of each; the stages of ShuffleNetV2 are a table that begins at 0.5.
NARROW = dict.fromkeys(FAMILIES, 0.25) | {"ShuffleNetV2": min(_SHUFFLE)}
