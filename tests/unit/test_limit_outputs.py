"""Outputs are clamped to what tells anything, in the layer that makes them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from models import Builder, same_window
from networks import OnnxModel

from mbn2c.frontend.export import to_onnx_float
from mbn2c.ir.check import check
from mbn2c.ir.graph import Graph
from mbn2c.ir.window import Activation
from mbn2c.ops import OPERATORS
from mbn2c.passes.limit_outputs import limit_outputs
from mbn2c.quantize.calibrate import observe, random_images
from mbn2c.quantize.equalize import equalize
from mbn2c.quantize.sensitivity import noise_gains

ALL = (-np.inf, np.inf)
BEYOND = 1e4


def decoder(offset: float = 0.0) -> Graph:
    """A map whose last operator only moves values, and an offset of the layer before that."""
    builder = Builder((5, 7, 3), seed=2)
    made = builder.conv2d(builder.conv2d(builder.conv2d("input", 6, same_window(3, 2)), 5), 8)
    bias = builder.tensors[f"{made}.bias"]
    assert bias.data is not None
    builder.tensors[bias.name] = replace(bias, data=bias.data + np.float32(offset))
    return builder.graph(builder.in_blocks(made, "input"))


def test_the_clamp_goes_into_the_layer_that_makes_the_output() -> None:
    graph = decoder()
    limited = check(limit_outputs(graph, [(-0.25, 0.5)]), "lowered", OPERATORS)
    assert [node.op for node in limited.nodes] == [node.op for node in graph.nodes]
    assert limited.nodes[-2].attributes.activation == Activation(-0.25, 0.5)
    before, after = OnnxModel(graph, to_onnx_float(graph)), OnnxModel(limited, to_onnx_float(limited))
    for image in random_images(graph.inputs[0].shape, 2):
        expected = before(image)[graph.outputs[0].tensor]
        found = after(image)[limited.outputs[0].tensor]
        assert expected.min() < -0.25 and expected.max() > 0.5
        np.testing.assert_array_equal(found, expected.clip(-0.25, 0.5))


def test_what_all_values_of_tell_stays() -> None:
    graph = decoder()
    assert limit_outputs(graph, [ALL]) is graph


def test_a_map_that_tells_nothing_on_any_image_is_equalized_all_the_same() -> None:
    """As a mask that is empty on all calibration images: no noise reaches the output."""
    limited = limit_outputs(decoder(BEYOND), [(-1.0, 1.0)])
    images = list(random_images(limited.inputs[0].shape, 2))
    gains = noise_gains(limited, np.concatenate(images).transpose(0, 2, 3, 1))
    assert not gains["input"].any() and not gains["conv2d_1"].any()
    observed = observe(limited, OnnxModel(limited, to_onnx_float(limited)), images)
    with np.errstate(invalid="raise", divide="raise"):
        found = equalize(limited, observed, gains, 1.0)
    assert all(np.isfinite(tensor.data).all() for tensor in found.tensors.values() if tensor.data is not None)
