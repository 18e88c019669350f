"""Calibration, scales, and whole random networks: the int8 Graph equals ONNX Runtime in every byte of every tensor."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from models import RELU6, Builder, same_window, tiny_mobilenet_v1, tiny_mobilenet_v2, tiny_two_outputs
from networks import OnnxModel, as_image, compare_with_onnx_runtime, int8_inputs, int8_model, networks, quantized
from threadpoolctl import threadpool_info

from mbn2c.commands import demo
from mbn2c.errors import ModelError, QuantError, UsageError
from mbn2c.frontend.export import to_onnx_float, to_onnx_int8
from mbn2c.ir.check import check
from mbn2c.ir.graph import Graph
from mbn2c.ir.text import print_graph
from mbn2c.ir.window import Activation
from mbn2c.network.options import NetworkOptions
from mbn2c.network.read import read_network
from mbn2c.numerics import quantize_linear
from mbn2c.ops import OPERATORS
from mbn2c.ops.base.quants import quant_of, scale_of
from mbn2c.passes import run_passes
from mbn2c.progress import no_progress
from mbn2c.quantize.calibrate import Range, calibrate, random_images
from mbn2c.quantize.quantize import quantize
from mbn2c.quantize.scheme import activation_quant
from mbn2c.reference.run_graph import run_graph

TINY = {"v2": tiny_mobilenet_v2, "v1": tiny_mobilenet_v1, "two outputs": tiny_two_outputs}


# --- ONNX Runtime --------------------------------------------------------------------------------


def check_against_onnx_runtime(graph: Graph, count: int) -> None:
    model = int8_model(graph)
    for values in int8_inputs(graph, count):
        reference = run_graph(graph, {graph.inputs[0].tensor: values})
        difference = compare_with_onnx_runtime(graph, reference, model(as_image(graph, values)))
        assert difference == "", f"{difference}\n{print_graph(graph)}"


@given(networks())
def test_random_networks_equal_onnx_runtime(graph: Graph) -> None:
    check_against_onnx_runtime(check(graph, "quantized", OPERATORS), 5)


@pytest.mark.slow
@settings(max_examples=1000)
@given(networks(blocks=7))
def test_many_random_networks_equal_onnx_runtime(graph: Graph) -> None:
    check_against_onnx_runtime(check(graph, "quantized", OPERATORS), 6)


@pytest.mark.parametrize("name", TINY)
def test_tiny_networks_equal_onnx_runtime(name: str) -> None:
    check_against_onnx_runtime(quantized(TINY[name]()), 50)


@pytest.mark.parametrize("name", TINY)
def test_int8_is_near_float(name: str) -> None:
    """Noise in, 20 dB or better out: a wrong scale or zero point anywhere gives 0 dB or less."""
    graph = TINY[name]()
    int8_graph = quantized(graph, images=8)
    run_float = OnnxModel(graph, to_onnx_float(graph))
    for port in graph.outputs:
        signal, noise = 0.0, 0.0
        for image in random_images(graph.inputs[0].shape, 8):
            quant = quant_of(int8_graph, "input")
            values = quantize_linear(image.transpose(0, 2, 3, 1), scale_of(quant), quant.zero_point)
            output = quant_of(int8_graph, port.tensor)
            found = run_graph(int8_graph, {"input": values})[port.tensor].astype(np.float64) - output.zero_point
            expected = run_float(image)[port.tensor].transpose(0, 2, 3, 1)
            signal += float((expected**2).sum())
            noise += float(((found * scale_of(output) - expected) ** 2).sum())
        assert 10 * np.log10(signal / noise) > 20, port.tensor


def test_same_graph_gives_same_model() -> None:
    assert to_onnx_int8(quantized(tiny_mobilenet_v2())) == to_onnx_int8(quantized(tiny_mobilenet_v2()))


# --- ranges and scales ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("low", "high", "scale", "zero_point"),
    [
        (0.0, 6.0, 6 / 255, -128),  # ReLU6: saturation is the clamp
        (-1.0, 1.0, 2 / 255, -1),
        (-6.0, 0.0, 6 / 255, 127),
        (2.0, 5.1, 0.02, -128),  # 0 is always inside
        (-5.1, -2.0, 0.02, 127),
        (0.0, 0.0, 1 / 255, -128),  # a tensor that is always 0
    ],
)
def test_scheme(low: float, high: float, scale: float, zero_point: int) -> None:
    quant = activation_quant(low, high)
    assert quant.zero_point == zero_point
    assert float(quant.scale[0]) == pytest.approx(scale, rel=1e-6)


def observe(values: np.ndarray, percentile: float) -> Range:
    """The range of the input of a network that sees these values."""
    builder = Builder((1, 1, values.shape[-1]))
    graph = builder.graph(builder.clamp("input", RELU6))
    images = [value.reshape(1, -1, 1, 1).astype(np.float32) for value in values]
    return calibrate(graph, OnnxModel(graph, to_onnx_float(graph)), images, percentile)["input"]


def test_calibration_keeps_minimum_and_maximum() -> None:
    found = observe(np.array([[0.5, -3.0], [7.25, 0.0]]), 100)
    assert (found.low, found.high) == (-3.0, 7.25)


def test_calibration_percentile_cuts_outliers() -> None:
    values = np.random.default_rng(0).normal(size=(200, 500))
    values[3, 7], values[50, 1] = 1e4, -1e4
    found = observe(values, 99.9)
    assert -3.1 - 10 < found.low < -3.0 and 3.0 < found.high < 3.1 + 10


@pytest.mark.parametrize("grow", [1, 1e6, 1e-6])
def test_quantization_follows_the_scale_of_the_data(grow: float) -> None:
    """The same network with weights, biases and input in other units gives the same int8 values."""
    graph = tiny_mobilenet_v1()
    constants = [
        replace(tensor, data=(tensor.data * np.float32(grow)).astype(np.float32))
        for tensor in graph.tensors.values()
        if tensor.data is not None and tensor.name.startswith("conv2d_0")
    ]
    check_against_onnx_runtime(quantized(graph.rebuild(tensors=constants)), 4)


def test_a_clamp_that_leaves_out_zero_still_clamps() -> None:
    """No quantization range leaves out 0, so saturation cannot do it."""
    builder = Builder((4, 4, 2))
    x = builder.conv2d("input", 3, same_window(3, 1))
    int8_graph = quantized(run_passes(builder.graph(builder.clamp(x, Activation(0.5, 1.0)))))
    output = quant_of(int8_graph, int8_graph.outputs[0].tensor)
    for values in int8_inputs(int8_graph, 4):
        found = run_graph(int8_graph, {"input": values})[int8_graph.outputs[0].tensor].astype(np.float64)
        real = (found - output.zero_point) * scale_of(output)
        assert real.min() >= 0.5 - 0.51 * scale_of(output) and real.max() <= 1.0 + 0.51 * scale_of(output)


# --- errors --------------------------------------------------------------------------------------


def test_products_run_on_one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sums are then rounded alike on machines with any number of processors."""
    seen: list[set[int]] = []

    def look(*_: object) -> None:
        seen.append({pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"})

    monkeypatch.setattr("mbn2c.network.read.float_network", look)
    read_network(NetworkOptions(model=demo.MODEL_FILE), (), no_progress)
    assert seen == [{1}]


def test_no_images() -> None:
    with pytest.raises(UsageError, match="no calibration images"):
        calibrate(tiny_mobilenet_v1(), lambda image: {}, [], 100)


def test_not_finite() -> None:
    graph = tiny_mobilenet_v1()
    images: Iterator[np.ndarray] = iter([np.full(graph.inputs[0].shape, np.nan, np.float32)])
    with pytest.raises(ModelError, match="not finite on calibration image 1"):
        calibrate(graph, OnnxModel(graph, to_onnx_float(graph)), images, 100)


def ranges_of(graph: Graph) -> dict[str, Range]:
    return {name: Range(-1.0, 1.0) for name, tensor in graph.tensors.items() if tensor.data is None}


def test_shared_weights() -> None:
    builder = Builder((3, 3, 4))
    x = builder.conv2d(builder.conv2d("input", 4), 4)
    graph = builder.graph(x)
    first, second = graph.nodes
    shared = replace(second, inputs=(second.inputs[0], *first.inputs[1:]))
    graph = graph.rebuild(nodes=[first, shared])
    with pytest.raises(QuantError, match="shared by two layers"):
        quantize(graph, ranges_of(graph))


def test_accumulator_overflow() -> None:
    builder = Builder((1, 1, 200_000))
    x = builder.fully_connected("input", 1)
    builder.tensors["fully_connected_0.weight"] = replace(
        builder.tensors["fully_connected_0.weight"], data=np.ones((1, 200_000), np.float32)
    )
    with pytest.raises(QuantError, match="overflow 32 bits") as error:
        quantize(builder.graph(x), ranges_of(builder.graph(x)))
    assert "layer fully_connected_0" in error.value.where


@pytest.mark.parametrize("seed", [7, 24])
def test_a_tensor_may_feed_two_sums(seed: int) -> None:
    """As the skip of a decoder does, before and behind a gate: the first sum's own scale moves."""
    builder = Builder((3, 4, 5), seed)
    shared = builder.conv2d("input", 5)
    first = builder.conv2d(builder.add(builder.conv2d("input", 5), shared), 5)
    check_against_onnx_runtime(quantized(builder.graph(builder.add(first, shared))), 2)


def test_a_tensor_that_feeds_two_adds_is_refused() -> None:
    """Each add wants a scale of its own for what it adds."""
    builder = Builder((3, 4, 5), seed=12)
    once = builder.add("input", builder.conv2d("input", 5))
    with pytest.raises(QuantError, match="no exact integer form for an add") as error:
        quantized(builder.graph(builder.add(once, "input")))
    assert "layer add_" in error.value.where
