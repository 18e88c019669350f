"""What a model's input is, and how pixels become its values."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper
from pictures import GRAY, RGB

from mbn2c.errors import UsageError
from mbn2c.frontend.runtime import Oracle
from mbn2c.numerics import quantize_linear
from mbn2c.tasks.inputs import InputSpec, Preprocess


@pytest.mark.parametrize(
    ("spec", "size", "sample_shape"),
    [
        (RGB, (8, 12, 3), (3, 8, 12)),
        (GRAY, (8, 12, 1), (8, 12, 1)),
        (InputSpec((3, 8, 12), (3, 1, 2)), (8, 12, 3), (3, 8, 12)),
        (InputSpec((1, 7), (0, 3)), (1, 1, 7), (7,)),
    ],
)
def test_input_spec(spec: InputSpec, size: tuple[int, ...], sample_shape: tuple[int, ...]) -> None:
    assert (spec.height, spec.width, spec.channels) == size
    assert spec.sample_shape == sample_shape
    values = np.arange(np.prod(size), dtype=np.float32).reshape(spec.shape)
    assert spec.to_nhwc(values).shape == (1, *size)
    assert np.array_equal(spec.from_nhwc(spec.to_nhwc(values)), values)


PREPROCESSES = {
    "unit": Preprocess.named("unit"),
    "pm1": Preprocess.named("pm1"),
    "imagenet": Preprocess.named("imagenet"),
    "own numbers": Preprocess((0.1,), (0.3, 0.5, 0.7)),
}


@pytest.mark.parametrize("name", PREPROCESSES)
@pytest.mark.parametrize(("scale", "zero_point"), [(1 / 255, -128), (0.0186584, -14), (0.5, 3), (1e-4, 0)])
def test_device_table_is_what_onnx_runtime_makes_of_the_pixels(name: str, scale: float, zero_point: int) -> None:
    preprocess = PREPROCESSES[name]
    pixels = np.repeat(np.arange(256, dtype=np.uint8)[:, None], 3, axis=1)
    nodes = [helper.make_node("QuantizeLinear", ["x", "scale", "zero_point"], ["y"])]
    constants = [
        numpy_helper.from_array(np.float32(scale), "scale"),
        numpy_helper.from_array(np.int8(zero_point), "zero_point"),
    ]
    values = [
        helper.make_tensor_value_info("x", TensorProto.FLOAT, [256, 3]),
        helper.make_tensor_value_info("y", TensorProto.INT8, [256, 3]),
    ]
    graph = helper.make_graph(nodes, "quantize", values[:1], values[1:], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    expected = Oracle(model.SerializeToString()).run({"x": preprocess.apply(pixels)})["y"]
    table = quantize_linear(preprocess.pixel_values(3), np.float32(scale), zero_point)
    assert table.shape == (3, 256)
    assert np.array_equal(table.T, expected)


@pytest.mark.parametrize(
    ("name", "pixel", "value"),
    [("unit", 255, 1.0), ("pm1", 0, -1.0), ("pm1", 255, 1.0), ("imagenet", 0, -0.485 / 0.229)],
)
def test_preprocess(name: str, pixel: int, value: float) -> None:
    assert np.isclose(Preprocess.named(name).apply(np.full((1, 3), pixel, np.uint8))[0, 0], value)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Preprocess.named("caffe"), "no preprocessing is called 'caffe'"),
        (lambda: Preprocess((0.5,), (0.0,)), "must be positive"),
        (lambda: Preprocess((float("nan"),), (1.0,)), "not a list of numbers"),
        (lambda: Preprocess((), (1.0,)), "not a list of numbers"),
        (lambda: Preprocess.named("imagenet").check_channels(1), "3 numbers for mean, the model has 1 channel"),
    ],
)
def test_preprocess_refused(make: object, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        make()  # type: ignore[operator]
