"""A small SSD with random weights, in the form of the ST SSD: scores, corner offsets and anchors of all levels."""

from __future__ import annotations

import numpy as np

from onnx_models.net import Net


def anchors_of(side: int, sizes: tuple[float, ...]) -> np.ndarray:
    """x0, y0, x1, y1 of each, in parts of the image: [side * side * len(sizes), 4]."""
    y, x = np.mgrid[:side, :side]
    centres = (np.stack([x, y, x, y], axis=-1) + 0.5) / side
    halves = np.array([[-size / 2, -size / 2, size / 2, size / 2] for size in sizes])
    return (centres[:, :, None] + halves).reshape(-1, 4).astype(np.float32)


def ssd(side: int = 32, sizes: tuple[float, ...] = (0.3, 0.6), has_anchors: bool = True) -> Net:
    """Levels of side / 4 and side / 8, and of one pixel without a Transpose; two classes, background first.

    has_anchors  the file ends in Softmax and anchors; else in logits and offsets, as TensorFlow's raw heads
    """
    net = Net(shape=(1, 3, side, side)).conv(3, 8, strides=[2, 2]).relu6()
    net.conv(8, 8, strides=[2, 2]).relu6()
    levels = [(net.x, side // 4)]
    net.conv(8, 8, strides=[2, 2]).relu6()
    levels.append((net.x, side // 8))
    net.conv(8, 8, k=side // 8, pads=[0, 0, 0, 0]).relu6()
    levels.append((net.x, 1))
    joined = []
    for values in (2, 4):
        parts = []
        for features, extent in levels:
            net.x = features
            net.conv(8, len(sizes) * values, k=1 if extent == 1 else 3)
            if extent > 1:
                net.then("Transpose", perm=[0, 2, 3, 1])
            parts.append(net.then("Reshape", net.ints(1, extent * extent * len(sizes), values)).x)
        joined.append(net.node("Concat", *parts, axis=1))
    if not has_anchors:
        net.outputs += [(joined[0], (1, None, 2)), (joined[1], (1, None, 4))]
        return net
    anchors = np.concatenate([anchors_of(extent, sizes) for _, extent in levels])[None]
    net.node("Softmax", joined[0], axis=2)
    net.output()
    net.outputs.append((joined[1], None))
    net.node("Identity", net.weight(anchors))
    return net.output()
