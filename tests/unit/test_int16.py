"""int16 activations: every operator that takes them, in every mixture with int8, against ONNX Runtime."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from int16_cases import int16_networks, touched
from models import tiny_mobilenet_v2
from networks import as_image, compare_with_onnx_runtime, int8_inputs, int8_model, quantized
from operator_cases import network_around

from mbn2c.errors import InternalError
from mbn2c.ir.check import check
from mbn2c.ir.graph import Graph, Quant
from mbn2c.ir.window import Activation
from mbn2c.ops import OPERATORS
from mbn2c.ops.base.case import Case
from mbn2c.ops.base.weighted import ConvAttributes
from mbn2c.reference.run_graph import run_graph

ONE = np.ones(1, np.float32)


@pytest.fixture(scope="module")
def networks() -> dict[str, Graph]:
    return int16_networks()


def test_every_mixture_keeps_the_laws(networks: dict[str, Graph]) -> None:
    assert len(networks) > 100
    for graph in networks.values():
        check(graph, "quantized", OPERATORS)


def test_the_result_is_onnx_runtime_s(networks: dict[str, Graph]) -> None:
    for name, graph in networks.items():
        model = int8_model(graph)
        for values in int8_inputs(graph, 4):
            reference = run_graph(graph, {"input": values})
            assert compare_with_onnx_runtime(graph, reference, model(as_image(graph, values))) == "", name


def test_sums_beyond_float32_are_onnx_runtime_s() -> None:
    """512 products of 22 bits each, which cancel in part, and fine steps: a float32 sum would end on another one."""
    signs = np.random.default_rng(6).choice([-1.0, 1.0], (8, 1, 1, 512))
    case = Case(
        ((1, 6, 6, 512),), ConvAttributes(activation=Activation(-20.0, 20.0)), lambda generator: (signs, np.zeros(8))
    )
    graph = network_around(OPERATORS["conv2d"], case, "sums")
    graph = quantized(graph, int16=set(touched(graph)))
    model = int8_model(graph)
    for values in int8_inputs(graph, 6):
        reference = run_graph(graph, {"input": values})
        assert compare_with_onnx_runtime(graph, reference, model(as_image(graph, values))) == ""


def _with(graph: Graph, name: str, dtype: str, quant: Quant) -> Graph:
    return graph.rebuild(tensors=[replace(graph.tensors[name], dtype=dtype, quant=quant)])


@pytest.mark.parametrize(
    ("dtype", "quant", "complaint"),
    [
        ("int16", Quant(ONE, 3, 16), "zero point 3 of int16"),
        ("int8", Quant(ONE, 0, 16), "activation of int8 in 16 bits"),
        ("int16", Quant(ONE, 0), "activation of int16 in 8 bits"),
        ("int12", Quant(ONE, 0, 12), "activation of int12 in 12 bits"),
    ],
)
def test_laws_of_a_tensor(dtype: str, quant: Quant, complaint: str) -> None:
    graph = quantized(tiny_mobilenet_v2())
    name = graph.nodes[0].outputs[0]
    with pytest.raises(InternalError, match=complaint):
        check(_with(graph, name, dtype, quant), "quantized", OPERATORS)


def test_laws_of_places() -> None:
    wide = Quant(ONE, 0, 16)
    graph = quantized(tiny_mobilenet_v2())
    for port in (*graph.inputs, *graph.outputs):
        with pytest.raises(InternalError, match="int16 at the border of the network"):
            check(_with(graph, port.tensor, "int16", wide), "quantized", OPERATORS)
    graph = quantized(network_around(OPERATORS["sigmoid"], OPERATORS["sigmoid"].cases()["of 5 channels"], "sigmoid"))
    reader = next(node for node in graph.nodes if node.op == "lookup")
    for name in (*reader.inputs, *reader.outputs):
        with pytest.raises(InternalError, match="int16 at a lookup"):
            check(_with(graph, name, "int16", wide), "quantized", OPERATORS)
