"""Random networks whose tensors have two or three readers, at one rate or at several, with one output or two."""

from __future__ import annotations

from hypothesis import reject
from hypothesis import strategies as st
from models import RELU6, Builder, same_window
from networks import quantized

from mbn2c.errors import QuantError
from mbn2c.ir.graph import Graph
from mbn2c.ir.plan import Plan
from mbn2c.ir.window import Window

# How a branch begins: what its first layer needs of the tensor that all branches read.
WINDOWS = (Window(), same_window(3, 1), same_window(5, 1), Window((3, 3), (1, 1), (2, 2, 2, 2), (2, 2)))


def fork(builder: Builder, x: str, draw: st.DrawFn) -> str:
    """Two or three branches from x, which meet again in sums or in a concatenation; the shortest may be x itself."""
    channels = builder.tensors[x].shape[3]
    ends = []
    for _ in range(draw(st.integers(2, 3))):
        y = x
        window = draw(st.sampled_from(WINDOWS))
        match draw(st.sampled_from(("conv2d", "depthwise", "both", "long", "pools", "there and back", "blocks"))):
            case "conv2d":
                y = builder.conv2d(y, channels, window)
            case "depthwise":
                y = builder.depthwise(y, window, RELU6)
            case "both":
                y = builder.conv2d(builder.depthwise(y, window), channels, activation=RELU6)
            case "pools":
                y = builder.average_pool(builder.max_pool(y, window), same_window(3, 1), uncounted=(1, 1, 1, 1))
            case "there and back":
                y = builder.resize(
                    builder.max_pool(y, same_window(3, 2)), y, draw(st.sampled_from(("nearest", "linear")))
                )
            case "blocks":
                y = builder.in_blocks(builder.conv2d(y, 4 * channels, Window((2, 2), (2, 2), (1, 1, 1, 1))), y)
            case _:
                y = builder.inverted_residual(y, channels, 2, window)
        ends.append(y)
    if draw(st.booleans()):
        # Two channels more or fewer in one of them, so that slices of several widths lie beside each other.
        ends[0] = builder.conv2d(ends[0], max(1, channels + draw(st.sampled_from((-2, 2)))))
        return builder.conv2d(builder.concat(*ends), channels, draw(st.sampled_from(WINDOWS)))
    y, *others = ends
    for other in others:
        y = builder.add(y, other)
    return y


def unit(builder: Builder, x: str, draw: st.DrawFn) -> str:
    """A part of the channels stays, a layer works on the others, and both are shuffled, as in ShuffleNetV2."""
    channels = builder.tensors[x].shape[3]
    cut = draw(st.integers(1, channels - 1))
    left, right = builder.select(x, *range(cut)), builder.select(x, *range(cut, channels))
    window = draw(st.sampled_from(WINDOWS))
    right = builder.depthwise(right, window) if draw(st.booleans()) else builder.conv2d(right, channels - cut, window)
    joined = builder.concat(*draw(st.permutations((left, right))))
    return builder.select(joined, *draw(st.permutations(range(channels)))) if draw(st.booleans()) else joined


@st.composite
def branchy_networks(draw: st.DrawFn, blocks: int = 2) -> Graph:
    """An int8 network of forks, with other layers between them; sometimes with heads of their own on one tensor."""
    height, width = draw(st.integers(3, 12)), draw(st.integers(3, 14))
    builder = Builder((height, width, draw(st.sampled_from((3, 1)))), draw(st.integers(0, 999)))
    x = builder.conv2d("input", draw(st.integers(1, 6)), same_window(3, draw(st.sampled_from((1, 2)))), RELU6)
    for _ in range(draw(st.integers(1, blocks))):
        grow = unit if builder.tensors[x].shape[3] > 1 and draw(st.booleans()) else fork
        x = grow(builder, x, draw)
        if draw(st.booleans()):
            x = builder.conv2d(x, draw(st.integers(1, 8)), activation=RELU6)
    match draw(st.sampled_from(("one", "two heads", "three heads", "map and vector"))):
        case "one":
            outputs = [builder.average_pool(x)]
        case "two heads":
            outputs = [builder.conv2d(x, 3, same_window(3, 1)), builder.conv2d(x, 2, Window(stride=(2, 2)))]
        case "three heads":
            outputs = [builder.conv2d(x, 2, window) for window in (Window(), same_window(3, 2), same_window(5, 2))]
        case _:
            outputs = [builder.conv2d(x, 2), builder.fully_connected(builder.average_pool(x), 3)]
    try:
        return quantized(builder.graph(*outputs), 1)
    except QuantError:  # of all sums of random scales a few have no exact integer form
        reject()


def strips_of_several(plan: Plan) -> int:
    """How many tensors with several readers stream in pieces."""
    return sum(
        buffer.strip_columns > 0 and sum(read.tensor == name for call in plan.calls for read in call.reads) > 1
        for name, buffer in plan.buffers.items()
    )
