"""The class of each pixel: the reference says what ONNX Runtime's Resize and ArgMax say, and the C says it too, row by
row."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from class_maps import SCALE, ZERO_POINT, class_map_network
from host_c import SANITIZE, Net, first_difference, own_rows, run_program
from networks import int8_inputs, kernels_of
from onnx import TensorProto, helper, numpy_helper

from mbn2c.errors import InternalError
from mbn2c.frontend.runtime import Oracle
from mbn2c.ir.graph import Graph, Node
from mbn2c.ops import OPERATORS
from mbn2c.ops.class_map import ClassMapAttributes
from mbn2c.planner.layerwise import plan_layerwise
from mbn2c.planner.overlap import check_overlaps
from mbn2c.reference.run_graph import run_graph
from mbn2c.reference.run_plan import run_plan

# Shape of the input, and what is made of it. Of the first ones float32 is exact, for weights are powers of two.
EXACT = {
    "largest of 21": ((1, 3, 5, 21), ClassMapAttributes((3, 5))),
    "of two": ((1, 2, 1, 2), ClassMapAttributes((2, 1))),
    "of 256": ((1, 2, 2, 256), ClassMapAttributes((2, 2))),
    "yes and no": ((1, 4, 3, 1), ClassMapAttributes((4, 3), threshold=20.3)),
    "eight times, corners": ((1, 4, 5, 21), ClassMapAttributes((25, 33), "align_corners")),
    "four times, half pixels": ((1, 3, 4, 5), ClassMapAttributes((12, 16))),
    "twice, yes and no": ((1, 4, 3, 1), ClassMapAttributes((8, 6), threshold=20.3)),
    "asymmetric": ((1, 3, 3, 3), ClassMapAttributes((12, 6), "asymmetric")),
    "of a pixel": ((1, 1, 1, 6), ClassMapAttributes((4, 8))),
    "of 256, twice": ((1, 2, 2, 256), ClassMapAttributes((4, 4))),
}
ROUNDED = {
    "odd factors": ((1, 5, 7, 4), ClassMapAttributes((13, 24))),
    "13 to 97": ((1, 13, 13, 5), ClassMapAttributes((97, 97))),
    "smaller": ((1, 9, 8, 7), ClassMapAttributes((4, 3))),
}


def inputs_of(graph: Graph) -> list[np.ndarray]:
    """Noise over the whole range, and over three values, where several channels are the largest."""
    images = list(int8_inputs(graph, 6))
    return [*images, *(image // 86 for image in images[2:])]


def onnx_runtime(shape: tuple[int, ...], attributes: ClassMapAttributes) -> Oracle:
    """Real values, Resize, ArgMax; float32 NCHW."""
    sizes = np.array([1, shape[3], *attributes.size], np.int64)
    resize = helper.make_node(
        "Resize", ["x", "", "", "sizes"], ["large"], mode="linear", coordinate_transformation_mode=attributes.transform
    )
    argmax = helper.make_node("ArgMax", ["large"], ["y"], axis=1, keepdims=1)
    ports = [
        helper.make_tensor_value_info("x", TensorProto.FLOAT, (1, shape[3], *shape[1:3])),
        helper.make_tensor_value_info("large", TensorProto.FLOAT, sizes.tolist()),
        helper.make_tensor_value_info("y", TensorProto.INT64, None),
    ]
    graph = helper.make_graph([resize, argmax], "net", ports[:1], ports[1:], [numpy_helper.from_array(sizes, "sizes")])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    return Oracle(model.SerializeToString(), threads=1)


def chosen(found: dict[str, np.ndarray], attributes: ClassMapAttributes) -> np.ndarray:
    if found["large"].shape[1] == 1:
        return found["large"][:, 0] >= np.float32(SCALE * (attributes.threshold - ZERO_POINT))
    return found["y"][:, 0]


@pytest.mark.parametrize("name", EXACT)
def test_is_what_onnx_runtime_says(name: str) -> None:
    shape, attributes = EXACT[name]
    graph, oracle = class_map_network(shape, attributes), onnx_runtime(shape, attributes)
    for values in inputs_of(graph):
        real = (SCALE * (values.astype(np.float32) - ZERO_POINT)).transpose(0, 3, 1, 2)
        found = oracle.run({"x": np.ascontiguousarray(real)}, ["large", "y"])
        reference = run_graph(graph, {"input": values})["class"].view(np.uint8)
        assert np.array_equal(reference[..., 0], chosen(found, attributes))


def test_c_and_plan_are_the_reference(tmp_path: Path, need_tool: Callable[[str], str]) -> None:
    need_tool("gcc")
    graphs = [class_map_network(*case) for case in (EXACT | ROUNDED).values()]
    graphs.append(class_map_network(*EXACT["asymmetric"], by_rows=False))
    plans = [plan_layerwise(graph, kernels_of(graph)) for graph in graphs]
    inputs = [inputs_of(graph) for graph in graphs]
    nets = [Net(f"n{number}", plan) for number, plan in enumerate(plans)]
    found = run_program(tmp_path, nets, inputs, "gcc", SANITIZE)
    for graph, plan, images, results in zip(graphs, plans, inputs, found, strict=True):
        check_overlaps(plan)
        assert plan.buffers["class"].slots == (1 if graph.outputs[0].by_rows else graph.outputs[0].shape[1])
        for values, tensors in zip(images, results, strict=True):
            reference = run_graph(graph, {"input": values})
            assert np.array_equal(run_plan(plan, {"input": values})["class"], reference["class"])
            assert first_difference(own_rows(plan, reference), tensors) == ""


def test_more_classes_than_a_byte_holds_are_refused() -> None:
    node = Node("n", "class_map", ("x",), ("y",), ClassMapAttributes((2, 2)))
    assert OPERATORS["class_map"].output_shape(node, [(1, 2, 2, 257)]) is None


@pytest.mark.parametrize("transform", ["cubic", ""])
def test_unknown_transforms_are_refused(transform: str) -> None:
    node = Node("n", "class_map", ("x",), ("y",), ClassMapAttributes((2, 2), transform))
    assert "transform" in OPERATORS["class_map"].check_attributes(node, class_map_network(*EXACT["of two"]))


def test_only_what_nobody_reads_leaves_by_rows() -> None:
    with pytest.raises(InternalError, match="leaves row by row"):
        class_map_network((1, 1, 4, 3), ClassMapAttributes((1, 4)))
