"""A Loop that ends after one turn is its body; any other stays, and is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper

from mbn2c.errors import ModelError
from mbn2c.frontend import import_model, model_bytes
from mbn2c.frontend.runtime import Oracle


def looped(images: int, through_shape: bool) -> ModelProto:
    """Each image of a batch, as TensorFlow's map_fn: gathered, doubled and stacked, while the next number is less than
    `images`, or than the input's batch, which only the shape says."""
    body = helper.make_graph(
        [
            helper.make_node("Unsqueeze", ["count", "zero"], ["index"]),
            helper.make_node("Gather", ["x", "index"], ["image"]),
            helper.make_node("Mul", ["image", "two"], ["doubled"]),
            helper.make_node("Squeeze", ["doubled", "zero"], ["one"]),
            helper.make_node("Add", ["count", "step"], ["next"]),
            helper.make_node("Less", ["next", "images"], ["again"]),
        ],
        "body",
        [
            helper.make_tensor_value_info("turn", TensorProto.INT64, []),
            helper.make_tensor_value_info("going", TensorProto.BOOL, []),
            helper.make_tensor_value_info("count", TensorProto.INT64, []),
        ],
        [
            helper.make_tensor_value_info("again", TensorProto.BOOL, []),
            helper.make_tensor_value_info("next", TensorProto.INT64, []),
            helper.make_tensor_value_info("one", TensorProto.FLOAT, [3, 6, 6]),
        ],
        [numpy_helper.from_array(np.array([0], np.int64), "zero"), numpy_helper.from_array(np.float32([2]), "two")],
    )
    nodes = [
        helper.make_node("Loop", ["trips", "yes", "start"], ["unused", "all"], body=body),
        helper.make_node("Conv", ["all", "weights"], ["y"], pads=[1, 1, 1, 1]),
    ]
    weights = {
        "trips": np.array(2**62, np.int64),
        "yes": np.array(True),
        "start": np.array(0, np.int64),
        "step": np.array(1, np.int64),
        "weights": np.random.default_rng(1).normal(size=(4, 3, 3, 3)).astype(np.float32),
    }
    if through_shape:
        nodes.insert(0, helper.make_node("Shape", ["x"], ["shape"]))
        nodes.insert(1, helper.make_node("Gather", ["shape", "start"], ["images"]))
    else:
        weights["images"] = np.array(images, np.int64)
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 6, 6])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)


@pytest.mark.parametrize("through_shape", [False, True])
def test_one_turn_is_the_body(tmp_path: Path, through_shape: bool) -> None:
    model = looped(1, through_shape)
    onnx.save(model, tmp_path / "net.onnx")
    graph = import_model(tmp_path / "net.onnx")
    assert [node.op for node in graph.nodes][-1] == "conv2d"
    image = {"x": np.random.default_rng(2).normal(size=(1, 3, 6, 6)).astype(np.float32)}
    opened, whole = Oracle(model_bytes(tmp_path / "net.onnx")), Oracle(model.SerializeToString())
    assert np.array_equal(opened.run(image)["y"], whole.run(image)["y"])


def test_more_turns_are_refused(tmp_path: Path) -> None:
    onnx.save(looped(2, False), tmp_path / "net.onnx")
    with pytest.raises(ModelError, match="operator Loop"):
        import_model(tmp_path / "net.onnx")
