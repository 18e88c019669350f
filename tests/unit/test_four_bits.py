"""Which layers get weights of four bits, and what that does to the network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from models import tiny_mobilenet_v2
from networks import kernels_of, quantized

import mbn2c.quantize.reconstruct
from mbn2c.errors import FitError, UsageError
from mbn2c.ir.graph import Graph, Node
from mbn2c.network.bits import bits_of
from mbn2c.network.options import NetworkOptions
from mbn2c.network.real_values import runner
from mbn2c.ops import OPERATORS
from mbn2c.planner.layerwise import plan_layerwise
from mbn2c.progress import no_progress
from mbn2c.quantize.calibrate import Observed, observe
from mbn2c.quantize.equalize import equalize, groups_of, scale_channels
from mbn2c.quantize.four_bits import (
    MOST_NOISE,
    candidates,
    four_bit_layers,
    four_bit_noise,
    where_they_cost_little,
    wherever_they_may,
    within_flash,
)
from mbn2c.quantize.images import Images
from mbn2c.quantize.int16 import Planned
from mbn2c.quantize.layers import run_float
from mbn2c.quantize.moments import Moments
from mbn2c.quantize.reconstruct import Fit, fitted_rows, reconstruct
from mbn2c.quantize.search import WeightsCurve, search
from mbn2c.quantize.sensitivity import noise_gains
from mbn2c.quantize.share_multipliers import sharing_within_flash
from mbn2c.tasks.registry import task_of_graph

FLOAT = tiny_mobilenet_v2()
INT8 = quantized(FLOAT)
SIZES = candidates(INT8)
NAMES = sorted(SIZES)


def with_four_bits(names: frozenset[str]) -> Graph:
    return quantized(FLOAT, four_bits=names)


def planned(graph: Graph) -> Planned:
    """A Plan that takes 100,000 bytes, its weights, and 8 bytes more for each layer with weights of four bits."""
    saved = sum(SIZES[name] // 2 - 8 for name in four_bit_layers(graph))
    return Planned(plan_layerwise(INT8, kernels_of(INT8, ("scalar",))), {}, 100_000 + sum(SIZES.values()) - saved)


def noise_of() -> Mapping[str, float]:
    """The more, the later the layer's name."""
    return {name: 0.01 * (1 + index) * SIZES[name] / 100 for index, name in enumerate(NAMES)}


def test_candidates_see_a_pixel_and_not_the_input() -> None:
    operators = {OPERATORS[node.op].name for node in FLOAT.nodes if node.name in SIZES}
    assert operators == {"conv2d", "fully_connected"}
    first = FLOAT.nodes[0].name
    assert first not in SIZES and candidates(FLOAT) == SIZES
    assert wherever_they_may(INT8, noise_of, with_four_bits) == frozenset(SIZES)


@pytest.mark.parametrize("saved", [1, 100, 900, 1300])
def test_a_limit_is_kept_with_no_layer_more_than_it_needs(saved: int) -> None:
    limit = planned(INT8).flash_bytes - saved
    chosen = within_flash(planned, limit)(INT8, noise_of, with_four_bits)
    taken = planned(with_four_bits(chosen)).flash_bytes
    assert limit - max(SIZES[name] // 2 for name in chosen) < taken <= limit
    assert all(taken + SIZES[name] // 2 - 8 > limit for name in chosen)


def test_the_layers_of_least_noise_per_byte_go_first() -> None:
    limit = planned(INT8).flash_bytes - SIZES[NAMES[0]] // 2 + 8
    assert within_flash(planned, limit)(INT8, noise_of, with_four_bits) == {NAMES[0]}


def test_nothing_is_chosen_where_all_fits() -> None:
    def never(graph: Graph) -> Planned:
        raise AssertionError("a Plan was made")

    assert within_flash(planned, planned(INT8).flash_bytes)(INT8, noise_of, with_four_bits) == frozenset()
    assert within_flash(never, 2**21)(INT8, noise_of, with_four_bits) == frozenset()
    assert not sharing_within_flash(never, 2**21)(INT8, lambda: INT8)


def test_multipliers_are_shared_where_that_saves_what_is_lacking() -> None:
    sizes = {id(INT8): 1000, id(FLOAT): 900}

    def shares(limit: int, before: Graph, after: Graph) -> bool:
        def sized(graph: Graph) -> Planned:
            return replace(planned(INT8), flash_bytes=sizes[id(graph)])

        return sharing_within_flash(sized, limit)(before, lambda: after)

    assert shares(999, INT8, FLOAT) and shares(800, INT8, FLOAT)
    assert not shares(1000, INT8, FLOAT) and not shares(800, FLOAT, INT8) and not shares(800, INT8, INT8)


def test_the_smallest_size_is_named_where_nothing_fits() -> None:
    smallest = planned(with_four_bits(frozenset(SIZES))).flash_bytes
    with pytest.raises(FitError, match=f"takes about {smallest:,} B of flash, {90_000:,} B are there"):
        within_flash(planned, 90_000)(INT8, noise_of, with_four_bits)


def test_without_a_limit_as_many_as_cost_little() -> None:
    noise = noise_of()
    chosen = where_they_cost_little(INT8, noise_of, with_four_bits)
    total = sum(noise[name] for name in chosen)
    assert chosen and total <= MOST_NOISE
    assert all(total + noise[name] > MOST_NOISE for name in set(SIZES) - chosen)


def test_noise_is_what_the_outputs_show() -> None:
    images, fit = noise_images(40), Fit(ridge=None)
    noise = four_bit_noise(FLOAT, as_files(images), 40, fit, 2.0, runner, no_progress)
    assert noise.keys() == SIZES.keys() and min(noise.values()) > 0
    # One half of the images is for fitting, eight of the others judge.
    last = FLOAT.nodes[-1]
    features = run_to(last, images)[1::2][[number * 20 // 8 for number in range(8)]]
    features -= run_to(last, images)[::2].mean(axis=0)
    error = features @ (FLOAT.constant(last.inputs[1]) - rounded_weights(last, fit, images[::2])).T
    assert noise[last.name] == pytest.approx((error**2).mean(axis=0).sum() / 2.0, rel=0.3)


def test_views_are_the_images_then_mirrored_ones_then_parts() -> None:
    given = np.random.default_rng(3).normal(size=(3, 8, 12, 2)).astype(np.float32)
    images = Images([image[None] for image in given], lambda values: values)
    np.testing.assert_array_equal(images.views(2), images.batch(2))
    views = images.views(12)
    assert views.shape == (12, 8, 12, 2) and views.dtype == np.float32
    np.testing.assert_array_equal(views[:6], np.concatenate([given, given[:, :, ::-1]]))
    ramp = np.broadcast_to(np.arange(12, dtype=np.float32)[:, None], (1, 8, 12, 1))
    parts = Images([ramp, ramp], lambda values: values).views(8)[4:]
    # From 0 at the left edge on, from a quarter of the way on, and the same of what is mirrored.
    assert [part[0, 0, 0] for part in parts] == pytest.approx([0, 3, 8, 11], abs=0.2)
    assert [float(np.ptp(part)) for part in parts] == pytest.approx([8.1] * 4, abs=0.3)


def test_one_image_is_enough() -> None:
    image = np.random.default_rng(1).normal(size=(1, *FLOAT.tensors["input"].shape[1:])).astype(np.float32)
    noise = four_bit_noise(FLOAT, as_files(image), 1, Fit(), 1.0, runner, no_progress)
    assert all(np.isfinite(value) and value >= 0 for value in noise.values())


def test_channels_are_scaled_for_columns_of_weights_that_are_coarse() -> None:
    graph, images = unbalanced(), noise_images(16)
    names, observed, gains = frozenset(candidates(graph)), seen(graph, images), noise_gains(graph, images)
    for_eight, for_four = equalize(graph, observed, gains, 1.0), equalize(graph, observed, gains, 1.0, names)
    noise = [
        sum(four_bit_noise(one, as_files(images), 16, Fit(), 1.0, runner, no_progress).values())
        for one in (for_eight, for_four)
    ]
    assert noise[1] < 0.8 * noise[0]
    # And nothing else is.
    np.testing.assert_array_equal(
        for_eight.constant(graph.nodes[0].inputs[1]),
        equalize(graph, observed, gains, 1.0, frozenset({"no layer"})).constant(graph.nodes[0].inputs[1]),
    )


def test_of_scales_that_lie_near_the_one_that_fits_best_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = np.random.default_rng(4)
    weights = generator.laplace(size=(32, 24))
    inputs = generator.normal(size=(500, 6)) @ generator.normal(size=(6, 24)) + generator.normal(size=(500, 24))
    moments = Moments((inputs.T @ inputs)[None] / len(inputs), None, (np.zeros((1, 24)), np.zeros((1, 24))))

    def errors() -> np.ndarray:
        off = weights - fitted_rows(weights, moments, Fit(damp=0.001), 4)
        return np.einsum("ck,kl,cl->c", off, moments.own[0], off)

    of_three = errors()
    monkeypatch.setattr(mbn2c.quantize.reconstruct, "_NEAR_CLIPS", (1.0,))
    of_one = errors()
    assert (of_three <= 1.001 * of_one).all() and of_three.sum() < 0.97 * of_one.sum()


def rounded_weights(node: Node, fit: Fit, images: np.ndarray) -> np.ndarray:
    """The weights of a fully connected layer in four bits, fitted, as real numbers."""
    fitted = reconstruct(FLOAT, quantized(FLOAT, four_bits=frozenset({node.name})), images, fit, no_progress)
    quant = fitted.tensors[node.inputs[1]].quant
    assert quant is not None and quant.bits == 4
    return fitted.constant(node.inputs[1]) * quant.scale[:, None].astype(np.float64)


def test_a_curve_has_as_many_networks_as_asked_for_from_eight_bits_to_four() -> None:
    images = as_files(noise_images(8))
    task = task_of_graph(FLOAT, {}, 0)
    chosen = frozenset(NAMES[:2])
    found = search(
        FLOAT,
        images,
        task,
        "fast",
        100.0,
        runner,
        no_progress,
        four_bits=lambda graph, noise_of, graph_with: chosen,
        curve=WeightsCurve(4, planned),
    )
    points = found.weights_curve
    assert [point.flash_bytes for point in points] == sorted((one.flash_bytes for one in points), reverse=True)
    assert points[0].layers == 0 and points[-1].layers == len(NAMES) and len(points) == 5
    assert [point.layers for point in points if point.chosen] == [2]
    assert planned(found.graph).flash_bytes == next(point.flash_bytes for point in points if point.chosen)
    assert points[0].sqnr_db > points[-1].sqnr_db + 3


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"weights_curve": 1, "weights": "auto", "calib": "images"}, "--weights-curve 1 is no curve"),
        ({"weights_curve": -3, "weights": "auto", "calib": "images"}, "--weights-curve -3 is no curve"),
        ({"weights_curve": 3, "calib": "images"}, "needs weights that may have four bits"),
        ({"weights_curve": 3, "weights": "8", "flash_limit": 9, "calib": "images"}, "needs weights that may"),
        ({"weights_curve": 3, "weights": "4"}, "needs images"),
        ({"weights_curve": 3, "weights": "4", "calib": "random"}, "needs images"),
    ],
)
def test_a_curve_that_cannot_be_is_refused(said: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        bits_of(NetworkOptions(model=Path("model.onnx"), **said), planned)


def unbalanced() -> Graph:
    """FLOAT with columns of weights of many sizes, and inputs of the sizes that make up for it."""
    constants = {
        name: tensor.data.astype(np.float64) for name, tensor in FLOAT.tensors.items() if tensor.data is not None
    }
    generator = np.random.default_rng(2)
    for group in groups_of(FLOAT):
        channels = FLOAT.tensors[group.tensors[0]].shape[3]
        scale_channels(group, constants, np.exp(generator.normal(size=channels)))
    tensors = [replace(FLOAT.tensors[name], data=value.astype(np.float32)) for name, value in constants.items()]
    return FLOAT.rebuild(tensors=tensors)


def noise_images(count: int) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(count, *FLOAT.tensors["input"].shape[1:])).astype(np.float32)


def run_to(last: Node, images: np.ndarray) -> np.ndarray:
    """What a layer of FLOAT reads, float64 [N, C]."""
    values = {"input": images}
    for node in FLOAT.nodes:
        values[node.outputs[0]] = run_float(node, FLOAT, [values[name] for name in node.inputs if name in values])
    return values[last.inputs[0]].reshape(len(images), -1).astype(np.float64)


def seen(graph: Graph, images: np.ndarray) -> dict[str, Observed]:
    names = [name for name, tensor in graph.tensors.items() if tensor.data is None]
    return observe(graph, runner(graph, names), as_files(images).values)


def as_files(images: np.ndarray) -> Images:
    """As FLOAT's file has its input."""
    return Images([image[None].transpose(0, 3, 1, 2) for image in images], lambda values: values.transpose(0, 2, 3, 1))
