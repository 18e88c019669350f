"""Small detectors without anchors, random weights: each pixel of a level has classes, an objectness and four numbers.

source  how YuNet (libfacedetection), YOLOX, FCOS and FastestDet spell their decoding in PyTorch
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from onnx import TensorProto

from onnx_models.net import Net

# Name and stride of a level's features.
Level = tuple[str, int]


@dataclass(frozen=True)
class AnchorFree:
    """net      it ends with boxes and scores that NonMaxSuppression has chosen
    middle  where the centre of a pixel's box is, in pixels of the level, if its numbers are 0
    """

    net: Net
    middle: float


def yunet(side: int = 32, stops_before: bool = False) -> AnchorFree:
    """Levels are joined as [1, N, values]; centres and logarithms of sizes in strides, from a pixel's corner; the
    score is the root of class times objectness. stops_before: as OpenCV's file, not decoded: outputs of each level."""
    net, levels = _backbone(side)
    parts: dict[str, list[str]] = {}
    for kind, values in (("cls", 1), ("obj", 1), ("bbox", 4), ("kps", 10)):
        for features, stride in levels:
            rows = _rows(net, features, values, side // stride)
            if stops_before:
                name = rows if values > 1 else net.node("Sigmoid", rows)
                net.output(name, (1, (side // stride) ** 2, values))
            parts.setdefault(kind, []).append(rows)
    if stops_before:
        return AnchorFree(net, 0)
    joined = {kind: net.node("Concat", *rows, axis=1) for kind, rows in parts.items()}
    grid, strides = _priors(levels, side, 0)
    centre = net.node("Add", net.node("Mul", _part(net, joined["bbox"], 0, 2), net.weight(strides)), net.weight(grid))
    size = net.node("Mul", net.node("Exp", _part(net, joined["bbox"], 2, 4)), net.weight(strides))
    half = net.node("Div", size, net.weight(2.0))
    boxes = net.node("Concat", net.node("Sub", centre, half), net.node("Add", centre, half), axis=2)
    product = net.node("Mul", net.node("Sigmoid", joined["cls"]), net.node("Sigmoid", joined["obj"]))
    return AnchorFree(_chosen(net, boxes, net.node("Sqrt", product)), 0)


def yolox(side: int = 32, classes: int = 3) -> AnchorFree:
    """Channels of a level are joined first, [1, 5 + classes, H, W], objectness and classes as sigmoids."""
    net, levels = _backbone(side)
    parts = []
    for features, stride in levels:
        maps = [_map(net, features, values) for values in (4, 1, classes)]
        one = net.node("Concat", maps[0], *(net.node("Sigmoid", each) for each in maps[1:]), axis=1)
        parts.append(net.node("Reshape", one, net.ints(1, 5 + classes, (side // stride) ** 2)))
    joined = net.node("Transpose", net.node("Concat", *parts, axis=2), perm=[0, 2, 1])
    grid, strides = _priors(levels, side, 0)
    moved = net.node("Add", _part(net, joined, 0, 2), net.weight(grid / strides))
    boxes = net.node(
        "Concat",
        net.node("Mul", moved, net.weight(strides)),
        net.node("Mul", net.node("Exp", _part(net, joined, 2, 4)), net.weight(strides)),
        axis=2,
    )
    scores = net.node("Mul", _part(net, joined, 4, 5), _part(net, joined, 5, 5 + classes))
    return AnchorFree(_chosen(net, boxes, scores, is_centred=True), 0)


def fcos(side: int = 32, classes: int = 3) -> AnchorFree:
    """Distances of the sides in strides, which a Relu keeps from being negative, from the middle of a pixel; the score
    is the root of class times centerness."""
    net, levels = _backbone(side)
    parts: dict[str, list[str]] = {}
    for kind, values in (("cls", classes), ("reg", 4), ("ctr", 1)):
        for features, stride in levels:
            function = "Relu" if kind == "reg" else ""
            parts.setdefault(kind, []).append(_rows(net, features, values, side // stride, function))
    joined = {kind: net.node("Concat", *rows, axis=1) for kind, rows in parts.items()}
    middle, strides = _priors(levels, side, 0.5)
    numbers = net.node("Mul", joined["reg"], net.weight(strides))
    starts = net.node("Sub", net.weight(middle), _part(net, numbers, 0, 2))
    boxes = net.node("Concat", starts, net.node("Add", net.weight(middle), _part(net, numbers, 2, 4)), axis=2)
    product = net.node("Mul", net.node("Sigmoid", joined["cls"]), net.node("Sigmoid", joined["ctr"]))
    return AnchorFree(_chosen(net, boxes, net.node("Sqrt", product)), 0.5)


def fastestdet(side: int = 32, classes: int = 5) -> AnchorFree:
    """One level, of which an objectness, four numbers and a softmax are joined as channels; tanh moves the centre, a
    sigmoid is the size in parts of the image; the best class of a pixel counts, its share and the objectness raised to
    powers."""
    net, levels = _backbone(side)
    [(features, stride)] = levels[:1]
    extent = side // stride
    parts = [_map(net, features, 1, "Sigmoid"), _map(net, features, 4)]
    parts.append(net.node("Softmax", _map(net, features, classes), axis=1))
    joined = net.node("Transpose", net.node("Concat", *parts, axis=1), perm=[0, 2, 3, 1])
    joined = net.node("Reshape", joined, net.ints(1, extent * extent, 5 + classes))
    grid, _ = _priors(levels[:1], side, 0)
    moved = net.node("Add", net.node("Tanh", _part(net, joined, 1, 3)), net.weight(grid / stride))
    centre = net.node("Div", moved, net.weight(float(extent)))
    half = net.node("Mul", net.node("Sigmoid", _part(net, joined, 3, 5)), net.weight(0.5))
    boxes = net.node("Concat", net.node("Sub", centre, half), net.node("Add", centre, half), axis=2)
    shares = _part(net, joined, 5, 5 + classes)
    best = net.node("ReduceMax", shares, axes=[2], keepdims=1)
    factors = net.node("Pow", _part(net, joined, 0, 1), net.weight(0.6)), net.node("Pow", best, net.weight(0.4))
    _chosen(net, boxes, net.node("Mul", *factors))
    place = next(node for node in net.nodes if node.op_type == "Gather").output[0]
    labels = net.node("ArgMax", net.node("Squeeze", shares, net.ints(0)), axis=1, keepdims=0)
    net.node("Cast", net.node("Gather", labels, place, axis=0), to=TensorProto.FLOAT)
    return AnchorFree(net.output(), 0)


def distributed(side: int = 32, classes: int = 3, bins: int = 8, is_conv: bool = False) -> Net:
    """Distances of the sides in strides, each the mean of a distribution over 0, 1, ... bins - 1. As NanoDet's, classes
    and distributions of a level are one map; is_conv: as YOLOv8's, two, and a convolution makes the means."""
    net, levels = _backbone(side)
    places = sum((side // stride) ** 2 for _, stride in levels)
    if is_conv:
        scores, sides = (
            net.node("Concat", *(_rows(net, name, values, side // stride) for name, stride in levels), axis=1)
            for values in (classes, 4 * bins)
        )
    else:
        rows = [_rows(net, name, classes + 4 * bins, side // stride) for name, stride in levels]
        joined = net.node("Concat", *rows, axis=1)
        scores, sides = _part(net, joined, 0, classes), _part(net, joined, classes, classes + 4 * bins)
    sides = net.node("Reshape", sides, net.ints(1, places, 4, bins))
    if is_conv:
        shares = net.node("Softmax", net.node("Transpose", sides, perm=[0, 3, 2, 1]), axis=1)
        means = net.node("Conv", shares, net.weight(np.arange(bins).reshape(1, bins, 1, 1)))
        means = net.node("Transpose", net.node("Squeeze", means, net.ints(1)), perm=[0, 2, 1])
    else:
        shares = net.node("Softmax", sides, axis=3)
        means = net.node("Squeeze", net.node("MatMul", shares, net.weight(np.arange(bins)[:, None])), net.ints(3))
    middle, strides = _priors(levels, side, 0.5)
    numbers = net.node("Mul", means, net.weight(strides))
    starts = net.node("Sub", net.weight(middle), _part(net, numbers, 0, 2))
    boxes = net.node("Concat", starts, net.node("Add", net.weight(middle), _part(net, numbers, 2, 4)), axis=2)
    return _chosen(net, boxes, net.node("Sigmoid", scores))


ALL: dict[str, Callable[[], AnchorFree]] = {"YuNet": yunet, "YOLOX": yolox, "FCOS": fcos, "FastestDet": fastestdet}


def _backbone(side: int) -> tuple[Net, list[Level]]:
    net = Net(shape=(1, 3, side, side)).conv(3, 8, strides=[2, 2]).relu6()
    net.conv(8, 8, strides=[2, 2]).relu6()
    fine = net.x
    net.conv(8, 8, strides=[2, 2]).relu6()
    return net, [(fine, 4), (net.x, 8)]


def _map(net: Net, features: str, values: int, function: str = "") -> str:
    net.x = features
    net.conv(8, values, k=1)
    return net.then(function).x if function else net.x


def _rows(net: Net, features: str, values: int, extent: int, function: str = "") -> str:
    turned = net.node("Transpose", _map(net, features, values, function), perm=[0, 2, 3, 1])
    return net.node("Reshape", turned, net.ints(1, extent * extent, values))


def _part(net: Net, name: str, first: int, end: int) -> str:
    """Some of the last axis."""
    return net.node("Slice", name, net.ints(first), net.ints(end), net.ints(2))


def _priors(levels: Sequence[Level], side: int, middle: float) -> tuple[np.ndarray, np.ndarray]:
    """Places in pixels of the image, [1, N, 2], and strides, [1, N, 1]."""
    grids = [np.mgrid[: side // s, : side // s][::-1].reshape(2, -1).T * s + middle * s for _, s in levels]
    strides = [np.full((len(grid), 1), s) for grid, (_, s) in zip(grids, levels, strict=True)]
    return np.concatenate(grids)[None].astype(np.float32), np.concatenate(strides)[None].astype(np.float32)


def _chosen(net: Net, boxes: str, scores: str, is_centred: bool = False) -> Net:
    turned = net.node("Transpose", scores, perm=[0, 2, 1])
    limits = (net.ints(20), net.weight([0.45]), net.weight([0.3]))
    chosen = net.node("NonMaxSuppression", boxes, turned, *limits, center_point_box=int(is_centred))
    place = net.node("Gather", chosen, net.weight(2, np.int64), axis=1)
    pair = net.node("Slice", chosen, net.ints(1), net.ints(3), net.ints(1))
    net.node("Gather", net.node("Squeeze", boxes, net.ints(0)), place, axis=0)
    net.output()
    net.node("GatherND", net.node("Squeeze", turned, net.ints(0)), pair)
    return net.output()
