"""Random encoders and decoders: maps of several rates, enlarged in any mode of Resize and met again by finer ones."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from models import RELU6, Builder, same_window
from networks import quantized

from mbn2c.errors import QuantError
from mbn2c.ir.graph import Graph
from mbn2c.ir.window import Window
from mbn2c.ops.resize2d.attributes import LINEAR, NEAREST, ROUNDINGS, TRANSFORMS
from mbn2c.tasks.segmentation.device import with_classes
from mbn2c.tasks.segmentation.segmenter import SegmenterFacts

Resize = tuple[str, str, str]
# Of each mode: transform, and of the nearest one how halves are rounded.
RESIZES: dict[str, Resize] = {
    f"{mode} {transform} {rounding}".strip(): (mode, transform, rounding or "round_prefer_floor")
    for mode, roundings in ((NEAREST, ROUNDINGS), (LINEAR, ("",)))
    for transform in TRANSFORMS
    for rounding in roundings
}


def decoder(seed: int, resize: Resize) -> Graph:
    """An int8 network, whose output is a map of values or, of every other seed, the classes chosen from one.

    resize  how all maps are enlarged; to sizes that are seldom a multiple
    """
    for attempt in range(20):
        try:
            graph = quantized(_decoder(np.random.default_rng((seed, attempt)), resize), 1)
        except QuantError:  # of all sums of random scales a few have no exact integer form
            continue
        if seed % 2:
            return graph
        height, width = graph.inputs[0].shape[2:]
        return with_classes(graph, SegmenterFacts("a test", height, width, resize[1], "", ()))
    raise AssertionError("no network of these has an exact integer form")


def _decoder(random: np.random.Generator, resize: Resize) -> Graph:
    height, width = (int(size) for size in random.integers(7, 20, 2))
    builder = Builder((height, width, 3), int(random.integers(1000)))
    x = builder.conv2d("input", 4, same_window(3, 2), RELU6)
    finer = []
    for _ in range(int(random.integers(1, 3))):
        finer.append(x)
        x = builder.inverted_residual(x, int(random.integers(3, 7)), 2, same_window(3, 2))
    if random.random() < 0.5:
        x = builder.depthwise(x, Window((3, 3), (1, 1), (2, 2, 2, 2), (2, 2)), RELU6)
    if random.random() < 0.3:
        x = builder.concat(x, builder.resize(builder.conv2d(builder.average_pool(x), 3), x, *resize))
    for skip in reversed(finer):
        channels = builder.tensors[skip].shape[3]
        large = builder.resize(builder.conv2d(x, channels), skip, *resize)
        meet = _MEETINGS[int(random.integers(len(_MEETINGS)))]
        x = builder.conv2d(meet(builder, large, skip), channels, same_window(3, 1), RELU6)
    return builder.graph(builder.conv2d(x, int(random.integers(1, 5))))


def _gated(builder: Builder, large: str, skip: str) -> str:
    return builder.add(builder.squeeze_excite(builder.add(large, skip), 2), large)


_MEETINGS: tuple[Callable[[Builder, str, str], str], ...] = (
    lambda builder, large, skip: builder.add(large, skip),
    lambda builder, large, skip: builder.concat(skip, large),
    _gated,
)
