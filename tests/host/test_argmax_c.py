"""The class of each pixel: the reference says what ONNX Runtime's ArgMax says of int8, and the C says it too."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from host_c import SANITIZE, Net, first_difference, own_rows, run_program
from networks import int8_inputs, kernels_of
from onnx import TensorProto, helper

from mbn2c.frontend.runtime import Oracle
from mbn2c.ir.check import check
from mbn2c.ir.graph import Graph, Node, Port, Quant, Tensor
from mbn2c.ops import OPERATORS
from mbn2c.ops.argmax import ArgmaxAttributes
from mbn2c.planner.layerwise import plan_layerwise
from mbn2c.reference.run_graph import run_graph

SHAPES = ((1, 3, 5, 21), (1, 1, 1, 2), (1, 2, 3, 1), (1, 2, 2, 256))


def network(shape: tuple[int, int, int, int]) -> Graph:
    shapes = {"input": shape, "class": (*shape[:3], 1)}
    quant = Quant(np.array([0.1], np.float32), 5)
    tensors = {name: Tensor(name, one, "int8", quant=quant) for name, one in shapes.items()}
    ports = [Port(name, f"{name}_outside", one, (0, 1, 2, 3)) for name, one in shapes.items()]
    node = Node("node", "argmax", ("input",), ("class",), ArgmaxAttributes())
    return check(Graph("net", tensors, (node,), (ports[0],), (ports[1],)), "quantized", OPERATORS)


def inputs_of(graph: Graph) -> list[np.ndarray]:
    """Noise over the whole range, and over three values, where several channels are the largest."""
    images = list(int8_inputs(graph, 6))
    return [*images, *(image // 86 for image in images[2:])]


def onnx_runtime(shape: tuple[int, int, int, int]) -> Oracle:
    node = helper.make_node("ArgMax", ["x"], ["y"], axis=3, keepdims=1)
    ports = [
        [helper.make_tensor_value_info("x", TensorProto.INT8, shape)],
        [helper.make_tensor_value_info("y", TensorProto.INT64, (*shape[:3], 1))],
    ]
    model = helper.make_model(
        helper.make_graph([node], "net", *ports), opset_imports=[helper.make_opsetid("", 13)], ir_version=8
    )
    return Oracle(model.SerializeToString(), threads=1)


def test_c_is_the_reference_and_onnx_runtime(tmp_path: Path, need_tool: Callable[[str], str]) -> None:
    need_tool("gcc")
    graphs = [network(shape) for shape in SHAPES]
    plans = [plan_layerwise(graph, kernels_of(graph)) for graph in graphs]
    inputs = [inputs_of(graph) for graph in graphs]
    nets = [Net(f"n{number}", plan) for number, plan in enumerate(plans)]
    found = run_program(tmp_path, nets, inputs, "gcc", SANITIZE)
    for graph, plan, images, results in zip(graphs, plans, inputs, found, strict=True):
        oracle = onnx_runtime(graph.tensors["input"].shape)
        for values, tensors in zip(images, results, strict=True):
            reference = run_graph(graph, {"input": values})
            assert np.array_equal(reference["class"].view(np.uint8), oracle.run({"x": values}, ["y"])["y"])
            assert first_difference(own_rows(plan, reference), tensors) == ""


def test_more_classes_than_a_byte_holds_are_refused() -> None:
    assert OPERATORS["argmax"].output_shape(Node("n", "argmax", ("x",), ("y",)), [(1, 2, 2, 257)]) is None


@pytest.mark.parametrize("shape", SHAPES)
def test_one_byte_for_a_pixel(shape: tuple[int, int, int, int]) -> None:
    assert network(shape).tensors["class"].size_bytes == shape[1] * shape[2]
