"""int16 activations: every operator that takes them, in every mixture with int8, against ONNX Runtime."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from int16_cases import Quantized, int16_networks
from models import tiny_mobilenet_v2
from networks import as_image, compare_with_onnx_runtime, int8_inputs, int8_model, quantized
from operator_cases import network_around

from mbn2c.errors import InternalError
from mbn2c.ir.check import check
from mbn2c.ir.graph import Graph, Node, Port, Quant, Tensor
from mbn2c.ops import OPERATORS
from mbn2c.ops.base.operator import clamped
from mbn2c.ops.base.quants import codes_of, quant_of, scale_of
from mbn2c.ops.base.requantize import WideRequantize
from mbn2c.ops.base.segments import function_table, run_segments
from mbn2c.ops.base.weighted import ConvAttributes
from mbn2c.reference.run_graph import run_graph

ONE = np.ones(1, np.float32)


@pytest.fixture(scope="module")
def networks() -> dict[str, Quantized]:
    return int16_networks()


def test_every_mixture_keeps_the_laws(networks: dict[str, Quantized]) -> None:
    assert len(networks) > 300
    for name, network in networks.items():
        check(network.graph, "quantized", OPERATORS)
        node = _case(network.graph)
        assert OPERATORS[node.op].check_attributes(node, network.graph) == "", name


def test_the_result_is_onnx_runtime_s_and_the_operator_s(networks: dict[str, Quantized]) -> None:
    """The float32 operator on the very values that the node reads is what it makes, but for a step."""
    for name, network in networks.items():
        graph, float_graph = network.graph, network.float_graph
        model, node = int8_model(graph), _case(float_graph)
        operator, quant = OPERATORS[node.op], quant_of(graph, node.outputs[0])
        for values in int8_inputs(graph, 4):
            reference = run_graph(graph, {"input": values})
            assert compare_with_onnx_runtime(graph, reference, model(as_image(graph, values))) == "", name
            if operator.has_weights:
                continue  # rounded ones
            read = [_real(graph, reference, tensor) for tensor in operator.activations(node, float_graph)]
            wanted = clamped(operator.run_float(node, float_graph, read), operator.activation(node))
            made = reference[node.outputs[0]].astype(np.int64)
            assert np.abs(made - codes_of(quant, wanted)).max() <= _STEPS.get(_bits(name), 1), name


# Of a function of int16 into int16, whose corners may be cut: less than a step of int8.
_STEPS = {"clamp 16 16": 200, "softsign 16 16": 3}


def _bits(name: str) -> str:
    """The operator, and which types it reads and makes, of "operator words, types"."""
    return f"{name.split()[0]} {name.rpartition(', ')[2]}"


def _case(graph: Graph) -> Node:
    return next(node for node in graph.nodes if node.name == "case")


def _real(graph: Graph, found: dict[str, np.ndarray], tensor: str) -> np.ndarray:
    quant = quant_of(graph, tensor)
    return np.asarray((found[tensor].astype(np.float64) - quant.zero_point) * float(scale_of(quant)))


@pytest.mark.parametrize("op", ["hard_swish", "sigmoid", "silu", "tanh"])
@pytest.mark.parametrize("reach", [4.0, 40.0])
def test_lines_stay_near_their_function(op: str, reach: float) -> None:
    """Of all 65,536 values none is off by a third of a step that int8 would have; with half the entries some are."""
    node = Node("f", op, ("x",), ("y",), _attributes(op))
    x = Quant(np.array([reach / 32767], np.float32), 0, 16)
    values = np.arange(-32768, 32768)
    wanted = OPERATORS[op].function(node, values * float(x.scale[0]))
    y = Quant(np.array([np.abs(wanted).max() / 32767], np.float32), 0, 16)
    table = function_table(lambda real: OPERATORS[op].function(node, real), x, y)
    found = run_segments(table, x, y, values.astype(np.int16)).astype(np.int64)
    assert np.abs(found - codes_of(y, wanted)).max() < 257 / 3


def _attributes(op: str) -> object:
    return next(iter(OPERATORS[op].cases().values())).attributes


@pytest.mark.parametrize(
    ("made", "channels", "value", "shifts"),
    [(Quant(ONE, 0, 16), 512, 30_000, (20, 24)), (Quant(ONE, -128), 2048, 128, (26, 21))],
    ids=["int16", "int8"],
)
def test_sums_beyond_float32_are_onnx_runtime_s(
    made: Quant, channels: int, value: int, shifts: tuple[int, int]
) -> None:
    """Sums near 2^30, and 2^25, whose bias takes them back to where a step of the output is 16 of theirs, and 2:
    float32 holds every 128th there, and every second, so that the halves of the exported model are needed."""
    graph = _large_sums(made, channels, value, shifts)
    model = int8_model(graph)
    for values in int8_inputs(graph, 4):
        reference = run_graph(graph, {"input": values})
        assert len(np.unique(reference["summed"])) > 2
        assert compare_with_onnx_runtime(graph, reference, model(as_image(graph, values))) == ""


def _large_sums(made: Quant, channels: int, value: int, shifts: tuple[int, int]) -> Graph:
    """Three 1x1 convolutions: channels near a value above the zero point, their weighted sums, and an int8 output."""
    generator = np.random.default_rng(6)
    tensors = {"input": Tensor("input", (1, 6, 6, 4), "int8", quant=Quant(ONE, 0))}
    nodes: list[Node] = []

    def conv(x: str, name: str, weights: np.ndarray, bias: np.ndarray, quant: Quant, shift: int) -> None:
        requantize = WideRequantize(np.full(len(weights), 2**20), shift, quant.lowest, quant.highest)
        tensors[name] = Tensor(name, (1, 6, 6, len(weights)), quant.dtype, quant=quant)
        for part, data in (("weight", weights.astype(np.int8)), ("bias", bias.astype(np.int32))):
            tensors[f"{name}.{part}"] = Tensor(f"{name}.{part}", data.shape, str(data.dtype), data, Quant(ONE))
        inputs = (x, f"{name}.weight", f"{name}.bias")
        nodes.append(Node(name, "conv2d", inputs, (name,), ConvAttributes(requantize=requantize)))

    conv(
        "input",
        "made",
        generator.integers(-1, 2, (channels, 1, 1, 4)),
        np.full(channels, value << shifts[0] - 20),
        made,
        shifts[0],
    )
    weights, wide = generator.integers(64, 128, (8, 1, 1, channels)), Quant(ONE, 0, 16)
    conv("made", "summed", weights, -value * weights.sum(axis=(1, 2, 3)), wide, shifts[1])
    conv("summed", "after", generator.integers(-127, 128, (3, 1, 1, 8)), np.zeros(3), Quant(ONE, 0), 34)
    ports = (_port("input", (1, 4, 6, 6)), _port("after", (1, 3, 6, 6)))
    graph = Graph("sums", tensors, tuple(nodes), ports[:1], ports[1:])
    check(graph, "quantized", OPERATORS)
    return graph


def _port(tensor: str, shape: tuple[int, ...]) -> Port:
    return Port(tensor, f"{tensor}_outside", shape, (0, 3, 1, 2))


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
    crop = OPERATORS["crop2d"]
    graph = quantized(network_around(crop, next(iter(crop.cases().values())), "crop"))
    reader = next(node for node in graph.nodes if node.op == "crop2d")
    for name in (*reader.inputs, *reader.outputs):
        with pytest.raises(InternalError, match="int16 at a crop2d"):
            check(_with(graph, name, "int16", wide), "quantized", OPERATORS)
