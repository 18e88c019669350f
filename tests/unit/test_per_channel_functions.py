"""Functions with numbers per channel: the same in float32, exact in int8, less noise; what matters of ranges."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from models import Builder, same_window
from networks import OnnxModel, as_image, compare_with_onnx_runtime, int8_inputs, int8_model
from operator_cases import counterparts

from mbn2c.frontend.export import to_onnx_float, to_onnx_int8
from mbn2c.ir.check import check
from mbn2c.ir.graph import Graph, Tensor
from mbn2c.network.lowered import import_prequantized_lowered
from mbn2c.numerics import quantize_linear
from mbn2c.ops import OPERATORS, operator_of, weighted_of
from mbn2c.ops.base.quants import quant_of, scale_of
from mbn2c.quantize.calibrate import Observed, observe, random_images, what_matters
from mbn2c.quantize.centre import centre
from mbn2c.quantize.equalize import equalize
from mbn2c.quantize.per_channel_functions import per_channel_functions
from mbn2c.quantize.quantize import quantize
from mbn2c.quantize.ranges import by_minmax, find_ranges
from mbn2c.quantize.sensitivity import noise_gains
from mbn2c.reference.run_graph import run_graph

# The first layer's channels, as those of real MobileNetV3: some far from 0, some small.
SIZES, OFFSETS = np.array([30, 8, 1, 0.3, 0.1]), np.array([0, 12, 0, 0.5, 0])


def unlike_channels() -> Graph:
    builder = Builder((8, 8, 3), 4)
    x = builder.conv2d("input", 5, same_window(3, 2))
    x = builder.hard_swish(x)
    x = builder.conv2d(builder.depthwise(x, same_window(3, 1)), 6)
    graph = builder.graph(builder.fully_connected(builder.average_pool(x), 3))
    changed = []
    # The layer behind wants every channel alike.
    for node, scale, offset in ((graph.nodes[0], SIZES, OFFSETS), (graph.nodes[2], 1 / SIZES, 0 * SIZES)):
        for name, shift in ((node.inputs[1], 0 * offset), (node.inputs[2], offset)):
            data = graph.constant(name)
            axis = weighted_of(node).channel_axis if data.ndim > 1 else 0  # type: ignore[union-attr]
            spread = np.ones(data.ndim, int)
            spread[axis] = -1
            data = (data * scale.reshape(spread) + shift.reshape(spread)).astype(np.float32)
            changed.append(Tensor(name, data.shape, "float32", data))
    return graph.rebuild(tensors=changed)


def observed_of(graph: Graph) -> dict[str, Observed]:
    seen = observe(graph, OnnxModel(graph, to_onnx_float(graph)), random_images(graph.inputs[0].shape, 6))
    return what_matters(graph, seen)


@pytest.fixture(scope="module")
def networks() -> tuple[Graph, Graph]:
    """A float network, and the same with scaled and moved channels in its function."""
    graph = unlike_channels()
    images = np.concatenate(list(random_images(graph.inputs[0].shape, 6))).transpose(0, 2, 3, 1)
    observed = observed_of(graph)
    changed = per_channel_functions(graph, observed, noise_gains(graph, images))
    changed, moved = centre(changed, observed)
    return graph, check(equalize(changed, moved, noise_gains(changed, images), 1.0), "lowered", OPERATORS)


def int8_of(graph: Graph) -> Graph:
    return check(quantize(graph, find_ranges(observed_of(graph), by_minmax)), "quantized", OPERATORS)


def test_it_computes_the_same(networks: tuple[Graph, Graph]) -> None:
    before, after = networks
    function = next(node for node in after.nodes if node.op == "hard_swish")
    inner, shift, outer = (after.constant(name) for name in function.inputs[1:])
    assert inner.max() > 4 * inner.min() and outer.max() > 4 * outer.min() and np.abs(shift).max() > 1
    expected, found = (OnnxModel(graph, to_onnx_float(graph)) for graph in networks)
    for image in random_images(before.inputs[0].shape, 6):
        for port in before.outputs:
            wanted = expected(image)[port.tensor]
            np.testing.assert_allclose(found(image)[port.tensor], wanted, atol=2e-5 * np.abs(wanted).max())


def test_int8_is_what_onnx_runtime_computes_and_comes_back(networks: tuple[Graph, Graph], tmp_path: Path) -> None:
    graph = int8_of(networks[1])
    lookup = next(node for node in graph.nodes if node.op == "lookup")
    tables = graph.constant(lookup.inputs[1]).reshape(-1, 256)
    assert len(tables) == 5 and len(np.unique(tables, axis=0)) == 5
    model = int8_model(graph)
    for values in int8_inputs(graph, 10):
        reference = run_graph(graph, {"input": values})
        assert compare_with_onnx_runtime(graph, reference, model(as_image(graph, values))) == ""
    path = tmp_path / "model.onnx"
    path.write_bytes(to_onnx_int8(graph))
    counterparts(graph, import_prequantized_lowered(path).graph)


def test_noise_is_less(networks: tuple[Graph, Graph]) -> None:
    def noise(graph: Graph) -> float:
        model, int8_graph, port = OnnxModel(graph, to_onnx_float(graph)), int8_of(graph), graph.outputs[0].tensor
        first, last = quant_of(int8_graph, "input"), quant_of(int8_graph, port)
        total = 0.0
        for image in random_images(graph.inputs[0].shape, 6):
            values = quantize_linear(image.transpose(0, 2, 3, 1), scale_of(first), first.zero_point)
            found = run_graph(int8_graph, {"input": values})[port].astype(np.float64) - last.zero_point
            total += float(((found * scale_of(last) - model(image)[port].transpose(0, 2, 3, 1)) ** 2).sum())
        return total

    before, after = (noise(graph) for graph in networks)
    assert after < before / 10


def test_ranges_end_where_a_hard_swish_is_flat() -> None:
    graph = unlike_channels()
    name = graph.nodes[1].inputs[0]
    seen = observe(graph, OnnxModel(graph, to_onnx_float(graph)), random_images(graph.inputs[0].shape, 6))
    before, after = seen[name], what_matters(graph, seen)[name]
    assert before.low < -3
    assert after.low == -3 and after.high == before.high
    np.testing.assert_array_equal(after.channel_low, np.maximum(before.channel_low, -3))
    centres, counts = after.histogram()
    assert counts.sum() == before.counts.sum() and abs(centres.min() + 3) <= 2 * before.limit / 4096
    assert all(what_matters(graph, seen)[other] is seen[other] for other in seen if other != name)


@pytest.mark.parametrize("readers", [1, 2])
def test_every_reader_counts(readers: int) -> None:
    """A second reader that tells all values apart keeps the whole range."""
    builder = Builder((4, 4, 3), 1)
    x = builder.conv2d("input", 4)
    y = builder.hard_swish(x)
    z = builder.conv2d(x, 4) if readers == 2 else builder.conv2d(y, 4)
    graph = builder.graph(builder.conv2d(builder.add(y, z), 3))
    wide = {name: replaced(tensor) for name, tensor in graph.tensors.items() if tensor.data is None}
    assert what_matters(graph, wide)[x].low == (-9 if readers == 2 else -3)


def replaced(tensor: Tensor) -> Observed:
    seen = Observed(tensor.shape[3])
    seen.see(np.linspace(-9, 9, 4 * tensor.shape[3], dtype=np.float32).reshape(1, tensor.shape[3], 2, 2))
    seen.channel_low = np.full(tensor.shape[3], -9.0)
    return seen


@pytest.mark.parametrize("op", [name for name, one in OPERATORS.items() if one.is_function])
def test_a_function_is_flat_outside_its_interval(op: str) -> None:
    operator = OPERATORS[op]
    for words, case in operator.cases().items():
        builder = Builder((2, 2, 4), 1)
        graph = builder.graph(builder.conv2d(builder.function(op, "input", case.attributes), 2))
        node = graph.nodes[0]
        low, high = operator_of(node).useful_inputs(node, graph)
        assert (low < high).all(), words
        for end, beyond in ((low, low - np.arange(4)), (high, high + np.arange(4))):
            if np.isfinite(end).all():
                at, past = (operator.run_float(node, graph, [x.astype(np.float32)]) for x in (end, beyond))
                np.testing.assert_allclose(past, at, atol=1e-6, err_msg=words)
