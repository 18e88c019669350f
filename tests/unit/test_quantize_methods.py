"""The methods that make int8 stay near float: each does what it says, and none breaks equality with ONNX Runtime."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from models import RELU6, Builder, same_window, tiny_mobilenet_v1, tiny_mobilenet_v2, tiny_two_outputs
from networks import OnnxModel, as_image, compare_with_onnx_runtime, int8_inputs, int8_model, quantized

from mbn2c.errors import UsageError
from mbn2c.frontend.export import to_onnx_float, to_onnx_int8
from mbn2c.frontend.runtime import Oracle
from mbn2c.ir.check import check
from mbn2c.ir.graph import Graph
from mbn2c.ir.text import print_graph
from mbn2c.numerics import weight_range
from mbn2c.ops import OPERATORS
from mbn2c.planner.choice import choose_plan
from mbn2c.planner.cost import node_instructions
from mbn2c.quantize.calibrate import Observed, Range, observe, random_images
from mbn2c.quantize.correct_bias import correct_bias
from mbn2c.quantize.equalize import equalize, groups_of, scale_channels
from mbn2c.quantize.images import Images
from mbn2c.quantize.int16 import ChooseInt16, Planned, int16_layers, may_be_int16, named, within_ram
from mbn2c.quantize.judge import Judged
from mbn2c.quantize.layers import run_float, run_int8
from mbn2c.quantize.quantize import quantize
from mbn2c.quantize.ranges import by_entropy, by_minmax, by_mse, by_percentile, find_ranges
from mbn2c.quantize.reconstruct import Fit, descend, reconstruct, round_with_feedback
from mbn2c.quantize.search import EFFORTS, Found, search
from mbn2c.quantize.sensitivity import noise_gains
from mbn2c.reference.run_graph import run_graph
from mbn2c.targets import load_core
from mbn2c.tasks.classification import Classification
from mbn2c.tasks.outputs import outputs_of
from mbn2c.tasks.protocol import Task
from mbn2c.tasks.registry import recognise

TINY = {"v2": tiny_mobilenet_v2, "v1": tiny_mobilenet_v1, "two outputs": tiny_two_outputs}
METHODS = {"min-max": by_minmax, "percentile": by_percentile(99.9), "mse": by_mse, "entropy": by_entropy}


def images_of(graph: Graph, count: int) -> list[np.ndarray]:
    return list(random_images(graph.inputs[0].shape, count))


def batch_of(images: list[np.ndarray]) -> np.ndarray:
    return np.concatenate(images).transpose(0, 2, 3, 1)


def observed_of(graph: Graph, images: list[np.ndarray]) -> dict[str, Observed]:
    return observe(graph, OnnxModel(graph, to_onnx_float(graph)), images)


def check_against_onnx_runtime(graph: Graph) -> None:
    model = int8_model(graph)
    for values in int8_inputs(graph, 5):
        reference = run_graph(graph, {graph.inputs[0].tensor: values})
        difference = compare_with_onnx_runtime(graph, reference, model(as_image(graph, values)))
        assert difference == "", f"{difference}\n{print_graph(graph)}"


def unbalanced(name: str) -> Graph:
    """A tiny network whose channels differ in size by up to 2^6; what it computes is the same but for the clamps."""
    graph = TINY[name]()
    generator = np.random.default_rng(3)
    constants = {name: tensor.data for name, tensor in graph.tensors.items() if tensor.data is not None}
    for group in groups_of(graph):
        channels = graph.tensors[group.tensors[0]].shape[3]
        scale_channels(group, constants, 2.0 ** -generator.integers(0, 7, channels))
    return graph.rebuild(
        tensors=[replace(graph.tensors[name], data=data.astype(np.float32)) for name, data in constants.items()]
    )


# --- layers --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", TINY)
def test_batches_give_what_onnx_runtime_and_the_reference_give(name: str) -> None:
    graph = TINY[name]()
    int8_graph = quantized(graph)
    images = images_of(graph, 3)
    expected = [OnnxModel(graph, to_onnx_float(graph))(image) for image in images]
    values = next(iter(int8_inputs(int8_graph, 3)))
    reference = run_graph(int8_graph, {"input": values})
    floats, ints = {"input": batch_of(images)}, {"input": np.repeat(values, 3, axis=0)}
    for node, int8_node in zip(graph.nodes, int8_graph.nodes, strict=True):
        activations = [tensor for tensor in node.inputs if tensor in floats]
        output = node.outputs[0]
        floats[output] = run_float(node, graph, [floats[tensor] for tensor in activations])
        ints[output] = run_int8(int8_node, int8_graph, [ints[tensor] for tensor in activations])
        for number in range(3):
            found = floats[output][number].transpose(2, 0, 1)
            np.testing.assert_allclose(found, expected[number][output][0], rtol=1e-4, atol=1e-4)
            np.testing.assert_array_equal(ints[output][number], reference[output][0])


# --- equalized channels --------------------------------------------------------------------------


def equalized_of(graph: Graph, images: list[np.ndarray]) -> Graph:
    return equalize(graph, observed_of(graph, images), noise_gains(graph, batch_of(images)), 1.0)


@pytest.mark.parametrize("name", TINY)
def test_equalized_network_computes_the_same(name: str) -> None:
    graph = unbalanced(name)
    images = images_of(graph, 6)
    equalized = check(equalized_of(graph, images), "lowered", OPERATORS)
    before, after = OnnxModel(graph, to_onnx_float(graph)), OnnxModel(equalized, to_onnx_float(equalized))
    for image in images:
        expected, found = before(image), after(image)
        for port in graph.outputs:
            scale = np.abs(expected[port.tensor]).max()
            np.testing.assert_allclose(found[port.tensor], expected[port.tensor], atol=1e-5 * scale)


def test_equalized_channels_use_the_range_alike() -> None:
    graph = unbalanced("v1")
    images = images_of(graph, 6)
    observed = observed_of(graph, images)
    again = observed_of(equalized_of(graph, images), images)

    def spread(seen: Mapping[str, Observed]) -> float:
        """Mean share of the tensor's range that a channel uses, over tensors with a clamp."""
        clamped = [node.outputs[0] for node in graph.nodes if getattr(node.attributes, "activation", None)]
        return float(np.mean([np.mean(seen[name].channel_high / seen[name].high) for name in clamped]))

    assert spread(again) > spread(observed) + 0.1


def test_a_channel_that_reaches_its_clamp_is_not_scaled() -> None:
    builder = Builder((4, 4, 3), seed=5)
    x = builder.conv2d("input", 6, same_window(3, 1))
    x = builder.conv2d(x, 4)
    graph = builder.graph(x)
    first = replace(graph.nodes[0], attributes=replace(graph.nodes[0].attributes, activation=RELU6))
    bias = graph.tensors[first.inputs[2]]
    data = np.array([9, 9, 0.1, 0.1, 0.1, 0.1], np.float32)
    graph = graph.rebuild(tensors=[replace(bias, data=data)], nodes=[first, *graph.nodes[1:]])
    images = images_of(graph, 8)
    observed = observed_of(graph, images)
    changed = equalized_of(graph, images).constant(first.inputs[2]) / data
    reached = observed[first.outputs[0]].channel_high >= 6
    assert reached[:2].all() and not reached.all()
    np.testing.assert_allclose(changed[reached], 1)
    highest = observed[first.outputs[0]].channel_high[~reached] * changed[~reached]
    assert (highest <= 6 * (1 + 1e-5)).all()


# --- ranges --------------------------------------------------------------------------------------


def seen(values: np.ndarray) -> Observed:
    observed = Observed(1)
    observed.see(values.astype(np.float32).reshape(1, 1, -1, 1))
    return observed


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("sign", [(-1, 1), (0, 1), (-1, 0)])
def test_ranges_stay_inside_what_was_seen(method: str, sign: tuple[int, int]) -> None:
    values = np.clip(np.random.default_rng(1).standard_t(3, 20_000), *(20 * s for s in sign))
    found = METHODS[method](seen(values))
    assert values.min() - 1e-6 <= found.low <= found.high <= values.max() + 1e-6


def test_shares_are_thousandths_of_equal_parts() -> None:
    counts = [500, 0, 299, 200, 0, 0, 1, 1000]
    values = np.repeat(np.arange(8) + 0.5, counts)
    values[0], values[-1] = 0, 8
    found = seen(values)
    assert found.shares(8).tolist() == [250, 0, 150, 100, 0, 0, 1, 500]
    assert found.beyond(0, 8) == 0
    assert found.beyond(1, 8) == pytest.approx(0.25) and found.beyond(0, 6) == pytest.approx(1001 / 2000)
    assert seen(np.full(10, 3.0)).shares(4).sum() == 1000


@pytest.mark.parametrize("method", [by_mse, by_entropy])
def test_one_far_value_does_not_set_the_range(method: Callable[[Observed], Range]) -> None:
    values = np.random.default_rng(2).normal(size=1_000_000)
    values[7] = 40.0
    found = method(seen(values))
    assert found.high < 30


def test_mse_keeps_a_uniform_distribution() -> None:
    found = by_mse(seen(np.random.default_rng(2).uniform(0, 1, 100_000)))
    assert found.high > 0.97


def test_a_tensor_that_is_always_zero() -> None:
    for method in METHODS.values():
        assert method(seen(np.zeros(10))) == Range(0.0, 0.0)


# --- rounding ------------------------------------------------------------------------------------


@given(st.integers(0, 1000), st.integers(1, 150), st.booleans(), st.sampled_from((8, 4)))
@settings(max_examples=30, deadline=None)
def test_rounding_beats_nearest(seed: int, width: int, shared: bool, bits: int) -> None:
    limits = weight_range(bits)
    generator = np.random.default_rng(seed)
    rows = 5
    mixing = generator.normal(size=(1 if shared else rows, width, width))
    hessian = mixing @ mixing.transpose(0, 2, 1) / width + 0.05 * np.eye(width)
    target = generator.uniform(1.02 * limits[0], 1.02 * limits[1], (rows, width))

    def cost(rounded: np.ndarray) -> np.ndarray:
        error = rounded - target
        return np.einsum("ck,ckl,cl->c", error, np.broadcast_to(hessian, (rows, width, width)), error)

    nearest = np.clip(np.rint(target), *limits)
    rounded = round_with_feedback(target, hessian, limits)
    stepped = descend(target, rounded, hessian, limits)
    for result in (rounded, stepped):
        assert (result == np.rint(result)).all()
        assert limits[0] <= result.min() and result.max() <= limits[1]
    assert (cost(stepped) <= cost(rounded) + 1e-9).all()
    assert cost(descend(target, nearest, hessian, limits)).sum() <= cost(nearest).sum() + 1e-9
    if width > 20:
        assert cost(stepped).sum() < cost(nearest).sum()


@pytest.mark.parametrize("fit", [Fit(), Fit(ridge=1.0), Fit(ridge=None), Fit(clip=False, round=False)])
@pytest.mark.parametrize("name", TINY)
def test_fitted_networks_equal_onnx_runtime(name: str, fit: Fit) -> None:
    graph = TINY[name]()
    images = images_of(graph, 6)
    int8_graph = quantize(graph, find_ranges(observed_of(graph, images), by_minmax))
    fitted = reconstruct(graph, int8_graph, batch_of(images), fit, lambda items, title, total: items)
    check_against_onnx_runtime(check(fitted, "quantized", OPERATORS))


def error_db(graph: Graph, int8_graph: Graph, images: list[np.ndarray]) -> float:
    """SQNR of the first output."""
    floats, ints = Oracle(to_onnx_float(graph)), Oracle(to_onnx_int8(int8_graph))
    name, outside = graph.inputs[0].outside, graph.outputs[0].outside
    expected = np.stack([floats.run({name: image})[outside] for image in images])
    found = np.stack([ints.run({name: image})[outside] for image in images])
    return float(10 * np.log10((expected**2).sum() / ((found - expected) ** 2).sum()))


def test_fitted_weights_and_corrected_biases_are_nearer_to_float() -> None:
    graph = tiny_mobilenet_v1()
    images = images_of(graph, 16)
    observed = observed_of(graph, images)
    nearest = quantize(graph, find_ranges(observed, by_minmax))
    fitted = reconstruct(graph, nearest, batch_of(images), Fit(), lambda items, title, total: items)
    corrected = check(correct_bias(graph, nearest, observed), "quantized", OPERATORS)
    check_against_onnx_runtime(corrected)
    before = error_db(graph, nearest, images)
    assert error_db(graph, fitted, images) > before + 0.5
    assert error_db(graph, corrected, images) > before - 0.5


# --- search --------------------------------------------------------------------------------------


def searched(
    graph: Graph, effort: str, percentile: float = 100.0, count: int = 12, int16: ChooseInt16 | None = None
) -> Found:
    def run(made: Graph, tensors: Sequence[str]) -> Callable[[np.ndarray], Mapping[str, np.ndarray]]:
        is_int8 = made.tensors[made.inputs[0].tensor].quant is not None
        model = OnnxModel(made, to_onnx_int8(made) if is_int8 else to_onnx_float(made))

        def real(name: str, values: np.ndarray) -> np.ndarray:
            quant = made.tensors[name].quant
            return values if quant is None else (values.astype(np.float32) - quant.zero_point) * quant.scale[0]

        return lambda image: {name: real(name, values) for name, values in model(image).items() if name in tensors}

    images = Images(images_of(graph, count), lambda values: values.transpose(0, 2, 3, 1))
    task = recognise(outputs_of(graph), {})
    return search(graph, images, task, effort, percentile, run, lambda items, title, total: items, int16)


@pytest.mark.parametrize("effort", EFFORTS)
@pytest.mark.parametrize("name", TINY)
def test_search_keeps_only_what_helps(name: str, effort: str) -> None:
    found = searched(unbalanced(name), effort)
    check_against_onnx_runtime(check(found.graph, "quantized", OPERATORS))
    kept = [one.sqnr_db for one in found.tried if one.kept]
    assert all(later > earlier - 0.21 for earlier, later in pairwise(kept))
    if name != "two outputs":
        assert kept[-1] > kept[0] + 1


def test_search_is_deterministic() -> None:
    once, twice = (searched(tiny_mobilenet_v2(), "default") for _ in range(2))
    assert to_onnx_int8(once.graph) == to_onnx_int8(twice.graph)
    assert [one.as_json() for one in once.tried] == [one.as_json() for one in twice.tried]


@pytest.mark.parametrize(("largest", "held"), [(10**9, set(range(12))), (0, {3, 7, 11})])
def test_large_networks_hold_back_one_quarter(largest: int, held: set[int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mbn2c.quantize.search._FOLD_VALUES", largest)
    found = searched(tiny_mobilenet_v1(), "fast")
    assert {one.image for one in found.judged} == held
    assert len(found.judged) == len(held)


def test_images_held_back_are_judged_by_the_user_s_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not by the one with equalized channels, whose clamps cut what goes far beyond the images that calibrated."""
    graph, seen = unbalanced("v1"), {}

    def spy(image: int, task: Task, ports: Sequence[str], users: Mapping[str, np.ndarray], found: object) -> Judged:
        seen[image] = users[ports[0]]
        return Judged(image, None)

    monkeypatch.setattr("mbn2c.quantize.search.judge", spy)
    monkeypatch.setattr(Classification, "agreement", lambda task, records: None)
    assert searched(graph, "fast").recipe.margin is not None
    users = Oracle(to_onnx_float(graph))
    for number, image in enumerate(images_of(graph, 12)):
        assert np.array_equal(
            seen[number].ravel(), users.run({graph.inputs[0].outside: image})[graph.outputs[0].outside].ravel()
        )


def test_what_was_observed_is_what_the_network_holds() -> None:
    """With its channels equalized, not as the user's network holds it."""
    graph = unbalanced("v1")
    found = searched(graph, "fast")
    assert found.recipe.margin is not None
    run = OnnxModel(found.float_graph, to_onnx_float(found.float_graph))
    images = [run(image) for image in images_of(graph, 12)]
    held = {name: np.concatenate([image[name] for image in images]) for name in images[0]}
    assert held.keys() == found.observed.keys()
    for name, seen in found.observed.items():
        assert (seen.low, seen.high) == pytest.approx((held[name].min(), held[name].max()), abs=1e-4), name


def test_a_given_percentile_is_kept() -> None:
    found = searched(tiny_mobilenet_v1(), "best", percentile=99.5)
    assert found.recipe.ranges == "percentile 99.5"


def test_search_with_one_image() -> None:
    check_against_onnx_runtime(searched(tiny_mobilenet_v2(), "default", count=1).graph)


# --- int16 ---------------------------------------------------------------------------------------


def planned(graph: Graph) -> Planned:
    choice = choose_plan(graph, load_core("cortex-m7"), "balanced")
    return Planned(choice.plan, node_instructions(choice.plan, choice.kernels))


def without_costs(graph: Graph) -> Planned:
    """Its RAM, and instructions that do not grow."""
    return replace(planned(graph), instructions={node.name: 1.0 for node in graph.nodes})


def test_named_layers_are_int16_and_help() -> None:
    graph = tiny_mobilenet_v2()
    layers = [node.name for node in graph.nodes if may_be_int16(graph, node.outputs[0])]
    assert len(layers) == len(graph.nodes) - 1
    found = searched(graph, "default", int16=named(layers))
    assert int16_layers(check(found.graph, "quantized", OPERATORS)) == tuple(layers)
    check_against_onnx_runtime(found.graph)
    best = max(one.sqnr_db for one in found.tried[:-1])
    assert found.tried[-1].method == f"{len(layers)} activations in int16" and found.tried[-1].sqnr_db > best + 3
    assert found.int8_only is not None and int16_layers(found.int8_only) == ()


@pytest.mark.parametrize(
    ("layer", "complaint"),
    [
        ("nobody", "no layer 'nobody'"),
        ("fully_connected_3", "makes an output of the network"),
        ("conv2d_0", "select_channels \\('select_channels_1'\\) takes int8 only"),
    ],
)
def test_layers_that_stay_int8_are_named(layer: str, complaint: str) -> None:
    builder = Builder((8, 7, 2))
    x = builder.select(builder.conv2d("input", 5), 3, 1)
    graph = builder.graph(builder.fully_connected(builder.average_pool(x), 3))
    with pytest.raises(UsageError, match=complaint):
        named([layer])(graph, graph, {}, lambda names: graph)


@pytest.mark.parametrize("growth", [0.0, 0.5])
def test_int16_stays_within_the_ram(growth: float) -> None:
    """And the noisiest activation of those that cost nothing is always taken."""
    graph = tiny_mobilenet_v2(24, 24)
    shares = {name: 0.01 for name, tensor in graph.tensors.items() if tensor.data is None}
    last = graph.nodes[-2].outputs[0]
    int8_graph = quantized(graph)
    names = within_ram(without_costs, growth)(
        graph, int8_graph, {**shares, last: 0.5}, lambda names: quantized(graph, int16=names)
    )
    assert last in names
    limit = planned(int8_graph).plan.arena_bytes * (1 + growth)
    assert planned(quantized(graph, int16=names)).plan.arena_bytes <= limit
    if growth == 0.5:
        assert len(names) > len(
            within_ram(without_costs, 0.0)(graph, int8_graph, shares, lambda names: quantized(graph, int16=names))
        )


def test_int16_gives_up_what_the_plan_has_no_room_for() -> None:
    """Live bytes promise more than this planner keeps: one activation after the other goes, the least useful first."""
    graph = tiny_mobilenet_v2()
    int8_graph = quantized(graph)
    shares = {name: 0.1 + 0.01 * index for index, name in enumerate(node.outputs[0] for node in graph.nodes)}

    def plan(made: Graph) -> Planned:
        count, found = len(int16_layers(made)), planned(int8_graph)
        return replace(found, plan=replace(found.plan, arena_bytes=100_000 * (1 + (count > 2))))

    names = within_ram(plan)(graph, int8_graph, shares, lambda names: quantized(graph, int16=names))
    assert len(names) == 2


def test_int16_is_not_taken_where_it_costs_more_than_it_gains() -> None:
    """Each node takes 100 instructions, 10 more with int16, but for two of them: 50 more. What is between these is
    not worth it for a tenth of the noise; for most of it, it is."""
    graph = tiny_mobilenet_v2()
    int8_graph = quantized(graph)
    expensive = {graph.nodes[2].name, graph.nodes[3].name}

    def plan(made: Graph) -> Planned:
        wide = set(int16_layers(made))
        wide |= {node.name for node in made.nodes if any(made.tensors[x].dtype == "int16" for x in node.inputs)}
        more = {name: 50.0 if name in expensive else 10.0 for name in wide}
        found = replace(planned(int8_graph).plan, arena_bytes=100_000)
        return Planned(found, {node.name: 100.0 + more.get(node.name, 0.0) for node in made.nodes})

    def chosen(share: float) -> frozenset[str]:
        shares = {node.outputs[0]: 0.02 for node in graph.nodes}
        shares[graph.nodes[2].outputs[0]] = share
        return within_ram(plan, 9.0)(graph, int8_graph, shares, lambda names: quantized(graph, int16=names))

    assert graph.nodes[2].outputs[0] not in chosen(0.1)
    assert graph.nodes[2].outputs[0] in chosen(0.8)
