"""Moving and weighing channels: centred networks compute the same, and the noise model says what noise does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest
from models import RELU6, Builder, same_window, tiny_mobilenet_v1, tiny_mobilenet_v2
from networks import OnnxModel

from mbn2c.frontend.export import to_onnx_float
from mbn2c.ir.check import check
from mbn2c.ir.graph import Graph
from mbn2c.ir.window import Window
from mbn2c.ops import OPERATORS
from mbn2c.quantize.calibrate import Observed, observe, random_images
from mbn2c.quantize.centre import centre
from mbn2c.quantize.equalize import equalize
from mbn2c.quantize.sensitivity import noise_gains


def residuals() -> Graph:
    """A chain of two adds and a pool whose linear channels lie far from 0."""
    builder = Builder((9, 7, 3), 4)
    x = builder.conv2d("input", 6, same_window(3, 2), RELU6)
    x = builder.conv2d(x, 5)
    for _ in range(2):
        x = builder.inverted_residual(x, 5, 3, same_window(3, 1))
    x = builder.conv2d(builder.average_pool(x), 4, activation=RELU6)
    graph = builder.graph(builder.fully_connected(x, 3))
    offsets = np.random.default_rng(5)
    changed = []
    for node in graph.nodes:
        if node.op == "conv2d" and node.attributes.activation is None:
            bias = graph.tensors[node.inputs[2]]
            assert bias.data is not None
            data = bias.data + offsets.uniform(-9, 9, bias.shape).astype(np.float32)
            changed.append(type(bias)(bias.name, bias.shape, bias.dtype, data))
    return graph.rebuild(tensors=changed)


def gated() -> Graph:
    """An encoder's map that a gate multiplies, a skip adds to and a max pool reads, of channels of many sizes."""
    builder = Builder((10, 8, 3), 6)
    skip = builder.conv2d("input", 6, same_window(3, 1))
    data = builder.tensors[f"{skip}.weight"].data
    assert data is not None
    sizes = 4.0 ** np.arange(-3, 3).reshape(-1, 1, 1, 1)
    builder.tensors[f"{skip}.weight"] = replace(
        builder.tensors[f"{skip}.weight"], data=(data * sizes).astype(np.float32)
    )
    x = builder.add(builder.squeeze_excite(skip, 3), skip)
    x = builder.max_pool(x, Window((2, 2), (2, 2)))
    return builder.graph(builder.conv2d(builder.conv2d(x, 4, activation=RELU6), 2))


NETS = {"residuals": residuals, "gated": gated, "v2": tiny_mobilenet_v2, "v1": tiny_mobilenet_v1}


def observed_of(graph: Graph) -> dict[str, Observed]:
    return observe(graph, OnnxModel(graph, to_onnx_float(graph)), random_images(graph.inputs[0].shape, 5))


@pytest.mark.parametrize("name", NETS)
def test_centred_network_computes_the_same(name: str) -> None:
    graph = NETS[name]()
    centred, moved = centre(graph, observed_of(graph))
    images = np.concatenate(list(random_images(graph.inputs[0].shape, 5))).transpose(0, 2, 3, 1)
    both = check(equalize(centred, moved, noise_gains(centred, images), 1.0), "lowered", OPERATORS)
    for changed in (centred, both):
        before, after = OnnxModel(graph, to_onnx_float(graph)), OnnxModel(changed, to_onnx_float(changed))
        for image in random_images(graph.inputs[0].shape, 5):
            expected, found = before(image), after(image)
            for port in graph.outputs:
                scale = np.abs(expected[port.tensor]).max()
                np.testing.assert_allclose(found[port.tensor], expected[port.tensor], atol=2e-5 * scale)


@pytest.mark.parametrize("name", NETS)
def test_moved_is_what_the_centred_network_holds(name: str) -> None:
    graph = NETS[name]()
    centred, moved = centre(graph, observed_of(graph))
    for tensor, seen in observed_of(centred).items():
        for field in ("channel_low", "channel_high", "channel_mean", "channel_power"):
            expected, found = getattr(seen, field), getattr(moved[tensor], field)
            np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-3, err_msg=f"{tensor} {field}")


def test_linear_channels_come_nearer_to_zero() -> None:
    graph = residuals()
    seen = observed_of(graph)
    _, moved = centre(graph, seen)
    linear = [node.outputs[0] for node in graph.nodes if node.op == "add"]
    linear += [node.outputs[0] for node in graph.nodes if node.op == "average_pool2d"]

    def range_of(observed: Mapping[str, Observed]) -> float:
        return sum(observed[name].high - observed[name].low for name in linear)

    assert range_of(moved) < 0.8 * range_of(seen)


def test_channels_before_and_behind_a_gate_are_scaled_alike() -> None:
    graph = gated()
    images = np.concatenate(list(random_images(graph.inputs[0].shape, 5))).transpose(0, 2, 3, 1)
    seen = observed_of(graph)
    again = observed_of(equalize(graph, seen, noise_gains(graph, images), 1.0))

    def spread(observed: Mapping[str, Observed], op: str) -> float:
        """The widest channel of what `op` makes, in units of the narrowest."""
        made = observed[next(node.outputs[0] for node in graph.nodes if node.op == op)]
        spans = made.channel_high - made.channel_low
        return float(spans.max() / spans.min())

    for op in ("conv2d", "mul", "add", "max_pool2d"):
        assert spread(again, op) < 0.1 * spread(seen, op), op
    gate = next(node.inputs[1] for node in graph.nodes if node.op == "mul")
    np.testing.assert_allclose(again[gate].channel_high, seen[gate].channel_high, rtol=1e-5)


def test_what_a_clamp_or_a_pad_holds_is_not_moved() -> None:
    builder = Builder((6, 6, 3), 1)
    x = builder.conv2d("input", 4, activation=RELU6)
    padded = builder.conv2d(x, 4)
    x = builder.conv2d(padded, 4, same_window(3, 1), RELU6)
    graph = builder.graph(builder.conv2d(x, 3, Window((6, 6))))
    centred, _ = centre(graph, observed_of(graph))
    for name, tensor in graph.tensors.items():
        if tensor.data is not None:
            np.testing.assert_array_equal(centred.constant(name), tensor.data)


def one_output() -> Graph:
    """Every operator between a small input and one number, whose derivative is then exact."""
    builder = Builder((5, 4, 2), 3)
    x = builder.conv2d("input", 4, same_window(3, 1), RELU6)
    x = builder.inverted_residual(x, 4, 2, same_window(3, 1))
    x = builder.depthwise(x, Window((3, 3), (2, 2), (1, 1, 0, 0)), depth_multiplier=2)
    x = builder.average_pool(x, Window((2, 1)))
    return builder.graph(builder.conv2d(x, 1, Window((1, 2))))


def test_noise_gain_is_the_squared_derivative() -> None:
    graph = one_output()
    assert graph.tensors[graph.outputs[0].tensor].shape == (1, 1, 1, 1)
    image = next(iter(random_images(graph.inputs[0].shape, 1)))
    gains = noise_gains(graph, image.transpose(0, 2, 3, 1))
    model, output, step = OnnxModel(graph, to_onnx_float(graph)), graph.outputs[0].tensor, 1e-2
    squares = np.zeros(image.shape)
    for place in np.ndindex(image.shape):
        ends = []
        for sign in (1, -1):
            moved = image.copy()
            moved[place] += np.float32(sign * step)
            ends.append(float(model(moved)[output].reshape(-1)[0]))
        squares[place] = ((ends[0] - ends[1]) / (2 * step)) ** 2
    np.testing.assert_allclose(gains["input"], squares.sum(axis=(0, 2, 3)), rtol=0.02)


def test_channels_that_are_0_on_every_image_keep_their_scale() -> None:
    """As a gate's that no calibration image opens."""
    builder = Builder((8, 8, 3), 2)
    dead = builder.conv2d(builder.conv2d("input", 4, activation=RELU6), 5, activation=RELU6)
    builder.tensors[f"{dead}.bias"] = replace(builder.tensors[f"{dead}.bias"], data=np.full(5, -1e4, np.float32))
    graph = builder.graph(builder.conv2d(dead, 3))
    images = np.concatenate(list(random_images(graph.inputs[0].shape, 2))).transpose(0, 2, 3, 1)
    observed = observed_of(graph)
    assert not observed[dead].channel_high.any()
    found = equalize(graph, observed, noise_gains(graph, images), 1.0)
    assert np.array_equal(found.constant(f"{dead}.bias"), graph.constant(f"{dead}.bias"))
    assert all(np.isfinite(found.constant(name)).all() for node in found.nodes for name in node.inputs[1:])
