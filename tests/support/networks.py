"""Random networks, and the short way from a float Graph to an int8 one with its kernels and plans."""

from __future__ import annotations

from collections.abc import Iterator, Sequence, Set
from dataclasses import replace
from typing import Any

import numpy as np
from hypothesis import strategies as st
from models import RELU, RELU6, Builder

from mbn2c.frontend.export import onnx_names, to_onnx_float, to_onnx_int8, with_outputs
from mbn2c.frontend.runtime import Oracle
from mbn2c.ir.graph import Graph
from mbn2c.ir.plan import Plan
from mbn2c.ir.window import Activation, Window
from mbn2c.kernels import select
from mbn2c.ops.base.quants import quant_of, scale_of
from mbn2c.planner.columns import Pieces
from mbn2c.planner.memory import allocate
from mbn2c.planner.schedule import make_schedule
from mbn2c.quantize.calibrate import calibrate, random_images
from mbn2c.quantize.quantize import quantize

NHWC = (0, 2, 3, 1)
ACTIVATIONS = (None, RELU6, RELU, Activation(-1.0, 1.0))
KINDS = ("residual", "residual", "v1", "conv2d", "clamp", "average_pool", "branch", "side")


# --- int8, by the shortest way -------------------------------------------------------------------


class OnnxModel:
    """An exported model of a Graph in ONNX Runtime; called with an image it gives every activation as NCHW."""

    def __init__(self, graph: Graph, model: bytes) -> None:
        self.names = onnx_names(graph)
        self.oracle = Oracle(with_outputs(model, self.names.values()), threads=1)
        self.input = graph.inputs[0].outside

    def __call__(self, image: np.ndarray) -> dict[str, np.ndarray]:
        found = self.oracle.run({self.input: image}, list(self.names.values()))
        return {name: found[outside] for name, outside in self.names.items()}


def as_int8(graph: Graph) -> Graph:
    """A float Graph with activations of one byte and no scales: enough for planning what takes long to quantize."""
    activations = [tensor for tensor in graph.tensors.values() if tensor.data is None]
    return graph.rebuild(tensors=[replace(tensor, dtype="int8") for tensor in activations])


def quantized(
    graph: Graph,
    images: int = 3,
    int16: Set[str] = frozenset(),
    four_bits: Set[str] = frozenset(),
    shares_multipliers: bool = False,
) -> Graph:
    """The int8 Graph, calibrated on noise.

    int16      names of the activations that are int16
    four_bits  names of the layers with weights of four bits
    shares_multipliers  whether all layers share few multipliers
    """
    run_float = OnnxModel(graph, to_onnx_float(graph))
    ranges = calibrate(graph, run_float, random_images(graph.inputs[0].shape, images), 100)
    return quantize(graph, ranges, int16, four_bits, shares_multipliers)


def int8_inputs(graph: Graph, count: int, seed: int = 0) -> Iterator[np.ndarray]:
    """int8 NHWC inputs: all -128, all 127, then noise over the whole range."""
    shape = graph.tensors[graph.inputs[0].tensor].shape
    generator = np.random.default_rng(seed)
    for index in range(count):
        if index < 2:
            yield np.full(shape, (-128, 127)[index], np.int8)
        else:
            yield generator.integers(-128, 128, shape).astype(np.int8)


def as_image(graph: Graph, values: np.ndarray) -> np.ndarray:
    """The float image that quantizes to these int8 values, in the model's own axis order."""
    port = graph.inputs[0]
    quant = quant_of(graph, port.tensor)
    real = (values.astype(np.float32) - np.float32(quant.zero_point)) * scale_of(quant)
    return np.ascontiguousarray(real.transpose(port.permutation))


def kernels_of(graph: Graph, isas: Sequence[str] = ("scalar",)) -> dict[str, Any]:
    return {node.name: select(node, graph, isas) for node in graph.nodes}


def plan_with_cuts(
    graph: Graph, cuts: Sequence[bool], pieces: Sequence[int] = (), isas: Sequence[str] = ("scalar",)
) -> Plan:
    """A Plan that starts a new loop after node i wherever cuts[i] holds.

    pieces  columns of the first pieces of a row, for each loop in turn; 0 or nothing for whole rows
    """
    segments: list[list[str]] = [[]]
    for index, node in enumerate(graph.nodes):
        segments[-1].append(node.name)
        if index < len(cuts) and cuts[index]:
            segments.append([])
    segments = [segment for segment in segments if segment]
    # Where pieces begin changes from loop to loop, so that all ways are tried.
    wanted = [Pieces(pieces[index % len(pieces)], index % 3) for index in range(len(segments))] if pieces else []
    return allocate(make_schedule(graph, kernels_of(graph, isas), segments, wanted), "cuts")


def compare_with_onnx_runtime(graph: Graph, reference: dict[str, np.ndarray], found: dict[str, np.ndarray]) -> str:
    """ "" if both agree in every tensor, else what differs first."""
    for name, tensor in graph.tensors.items():
        if tensor.data is None and not np.array_equal(reference[name], found[name].transpose(NHWC)):
            wrong = int((reference[name] != found[name].transpose(NHWC)).sum())
            return f"{name}: {wrong} of {reference[name].size} bytes differ from ONNX Runtime"
    return ""


def int8_model(graph: Graph) -> OnnxModel:
    return OnnxModel(graph, to_onnx_int8(graph))


# --- random networks -----------------------------------------------------------------------------


@st.composite
def windows(draw: st.DrawFn, height: int, width: int, kernels: Sequence[int] = (1, 3, 5)) -> Window:
    """Any window that fits: kernel, stride and dilation per axis, four pads of their own."""
    kernel, stride, dilation, pads = [], [], [], []
    for size in (height, width):
        taps = draw(st.sampled_from(kernels))
        step = draw(st.sampled_from((1, 1, 2)))
        gap = draw(st.sampled_from((1, 1, 1, 2)))
        extent = (taps - 1) * gap + 1
        # "Same" more often than anything else, as in real networks.
        before = draw(st.one_of(st.just(extent // 2), st.integers(0, extent - 1)))
        after = draw(st.one_of(st.just(extent // 2), st.integers(0, extent - 1)))
        if size + before + after < extent:
            taps, gap, before, after = 1, 1, 0, 0
        kernel.append(taps)
        stride.append(step)
        dilation.append(gap)
        pads.append((before, after))
    (top, bottom), (left, right) = pads
    sizes = [(pair[0], pair[1]) for pair in (kernel, stride, dilation)]
    return Window(sizes[0], sizes[1], (top, left, bottom, right), sizes[2])


@st.composite
def networks(draw: st.DrawFn, blocks: int = 4) -> Graph:
    """An int8 network of the MobileNet kind: odd sizes, any window, shortcuts, V1 chains, one or two outputs."""
    height, width = draw(st.integers(1, 13)), draw(st.integers(1, 13))
    builder = Builder((height, width, draw(st.sampled_from((3, 1, 2, 5)))), draw(st.integers(0, 999)))

    def size(x: str) -> tuple[int, int]:
        return builder.tensors[x].shape[1], builder.tensors[x].shape[2]

    channels = st.integers(1, 9)
    activation = st.sampled_from(ACTIVATIONS)
    x = "input"
    outputs: list[str] = []
    for _ in range(draw(st.integers(1, blocks))):
        kind = draw(st.sampled_from(KINDS))
        if kind == "residual":
            same = draw(st.booleans())
            window = Window((3, 3), pad=(1, 1, 1, 1)) if same else draw(windows(*size(x)))
            width_out = builder.tensors[x].shape[3] if same else draw(channels)
            x = builder.inverted_residual(x, width_out, draw(st.sampled_from((1, 2, 3))), window)
        elif kind == "v1":
            x = builder.depthwise(x, draw(windows(*size(x))), draw(activation), draw(st.sampled_from((1, 1, 2))))
            x = builder.conv2d(x, draw(channels), activation=draw(activation))
        elif kind == "conv2d":
            x = builder.conv2d(x, draw(channels), draw(windows(*size(x))), draw(activation))
        elif kind == "clamp":
            x = builder.clamp(x, draw(st.sampled_from((RELU6, RELU, Activation(-0.5, 1.5)))))
        elif kind == "average_pool":
            window = draw(windows(*size(x), kernels=(1, 2, 3)))
            x = builder.average_pool(x, Window(window.kernel, window.stride, _pool_pad(window, size(x))))
        elif kind == "branch":
            x = builder.add(x, builder.conv2d(x, builder.tensors[x].shape[3], activation=draw(activation)))
        elif not outputs and x != "input":
            # A second output, which is read on; or a second head, so that two calls read x each in its own way.
            outputs.append(x if draw(st.booleans()) else builder.average_pool(x))
    head = draw(st.sampled_from(("classifier", "pointwise", "flat", "none")))
    if head == "classifier":
        x = builder.fully_connected(builder.average_pool(x), draw(channels))
    elif head == "pointwise":
        x = builder.conv2d(builder.average_pool(builder.conv2d(x, 8, activation=RELU6)), draw(channels))
    elif head == "flat" or x == "input":
        x = builder.average_pool(x)
    return quantized(builder.graph(*dict.fromkeys([*outputs, x])))


def _pool_pad(window: Window, size: tuple[int, int]) -> tuple[int, int, int, int]:
    """Pads ONNX Runtime's AveragePool takes: smaller than the kernel, and with them the kernel must fit."""
    wanted = [min(pad, kernel - 1) for pad, kernel in zip(window.pad, window.kernel * 2, strict=True)]
    for axis in (0, 1):
        if size[axis] + wanted[axis] + wanted[axis + 2] < window.kernel[axis]:
            wanted[axis] = window.kernel[axis] - 1
    top, left, bottom, right = wanted
    return top, left, bottom, right


# How often a new loop starts, and the pieces of rows in each loop.
cut_lists = st.one_of(st.just([False] * 24), st.lists(st.booleans(), min_size=24, max_size=24))
piece_lists = st.lists(st.sampled_from((0, 1, 2, 3, 4, 8)), min_size=1, max_size=4)
