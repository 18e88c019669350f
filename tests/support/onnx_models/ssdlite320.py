"""torchvision's ssdlite320_mobilenet_v3_large with random weights, as TorchScript exports it.

source  torchvision/models/detection/ssdlite.py; the backbone has the reduced tail, as that of the published weights
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from onnx import ModelProto

from mbn2c.commands.explore.families import V3_LARGE, rounded
from onnx_models.detectors import torchvision_chosen, torchvision_image
from onnx_models.net import Net

SIDE, CLASSES, ANCHORS = 320, 91, 6
# The last three rows have half their channels, and so has the layer behind them.
_ROWS = (
    *V3_LARGE[:-3],
    replace(V3_LARGE[-3], channels=80),
    *(replace(row, expanded=480, channels=80) for row in V3_LARGE[-2:]),
)
_LAST = 480
# Channels of the further levels: projected to, and out.
_EXTRA = ((256, 512), (128, 256), (128, 256), (64, 128))
_LOWEST, _HIGHEST = 0.2, 0.95
Features = tuple[str, int]


def ssdlite320() -> ModelProto:
    """Weights keep the variance of what they read, so that boxes are found."""
    net = torchvision_image(SIDE, is_dynamo=False)
    levels = _levels(net)
    joined = []
    for values in (CLASSES, 4):
        rows = []
        for features, channels in levels:
            net.x = features
            _conv(net, channels, channels, 3, group=channels).relu6()
            _conv(net, channels, ANCHORS * values, 1).then("Transpose", perm=[0, 2, 3, 1])
            rows.append(net.node("Reshape", net.x, net.ints(1, -1, values)))
        joined.append(net.node("Concat", *rows, axis=1))
    return torchvision_chosen(net, joined[0], joined[1], anchors(), CLASSES, SIDE, is_dynamo=False)


def anchors() -> np.ndarray:
    """x0, y0, x1, y1 of each, in parts of the image: [3234, 4]."""
    extents = (20, 10, 5, 3, 2, 1)
    step = (_HIGHEST - _LOWEST) / (len(extents) - 1)
    scales = [*(_LOWEST + step * number for number in range(len(extents))), 1.0]
    found = []
    for extent, scale, following in zip(extents, scales, scales[1:], strict=False):
        between = math.sqrt(scale * following)
        sizes = [(scale, scale), (between, between)]
        for ratio in (math.sqrt(2), math.sqrt(3)):
            sizes += [(scale * ratio, scale / ratio), (scale / ratio, scale * ratio)]
        half = np.clip(np.array(sizes), 0, 1) / 2
        y, x = (np.mgrid[:extent, :extent] + 0.5) / extent
        middles = np.stack([x, y, x, y], axis=-1)[:, :, None]
        found.append((middles + np.concatenate([-half, half], axis=1)).reshape(-1, 4))
    return np.concatenate(found).astype(np.float32)


def _levels(net: Net) -> list[Features]:
    """The expansion of the third last row, the backbone's end, and four levels more."""
    _conv(net, 3, 16, 3, stride=2).then("HardSwish")
    levels, channels = [], 16
    for number, row in enumerate(_ROWS):
        entry, activation = net.x, "HardSwish" if row.is_hard_swish else "Relu"
        if row.expanded != channels:
            _conv(net, channels, row.expanded, 1).then(activation)
        if number == len(_ROWS) - 3:
            levels.append((net.x, row.expanded))
        _conv(net, row.expanded, row.expanded, row.kernel, row.stride, row.expanded).then(activation)
        if row.squeezes:
            _squeeze_excite(net, row.expanded)
        _conv(net, row.expanded, row.channels, 1)
        if row.stride == 1 and row.channels == channels:
            net.then("Add", entry)
        channels = row.channels
    _conv(net, channels, _LAST, 1).then("HardSwish")
    levels.append((net.x, _LAST))
    for inner, outer in _EXTRA:
        _conv(net, levels[-1][1], inner, 1).relu6()
        _conv(net, inner, inner, 3, 2, inner).relu6()
        _conv(net, inner, outer, 1).relu6()
        levels.append((net.x, outer))
    return levels


def _squeeze_excite(net: Net, channels: int) -> None:
    entry, squeezed = net.x, rounded(channels // 4)
    _conv(net.then("GlobalAveragePool"), channels, squeezed, 1).then("Relu")
    _conv(net, squeezed, channels, 1).then("HardSigmoid", alpha=1 / 6, beta=0.5).then("Mul", entry)


def _conv(net: Net, cin: int, cout: int, k: int, stride: int = 1, group: int = 1) -> Net:
    spread = math.sqrt(2 / (cin // group * k * k))
    weights, bias = net.random(cout, cin // group, k, k, spread=spread), net.random(cout, spread=0.1)
    return net.then("Conv", weights, bias, group=group, strides=[stride, stride], pads=[k // 2] * 4)
