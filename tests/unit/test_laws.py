"""The laws of a Graph: each way to break one, with the complaint word for word, and what is still allowed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
from models import RELU, Builder, same_window
from networks import quantized

from mbn2c.errors import InternalError
from mbn2c.ir.check import LAWS, check
from mbn2c.ir.graph import Graph, Port, Quant
from mbn2c.ops import OPERATORS

Change = Callable[[Graph], Graph]
NAN, INFINITY = np.float32(np.nan), np.float32(np.inf)


@cache
def network(stage: str) -> Graph:
    """conv2d "c" -> average_pool2d "p" -> fully_connected "f"; constants "c.weight" [6, 3, 3, 3], "c.bias", ..."""
    builder = Builder((12, 10, 3))
    pooled = builder.average_pool(builder.conv2d("input", 6, same_window(3, 2), RELU))
    graph = builder.graph(builder.fully_connected(pooled, 5))
    return quantized(graph) if stage == "quantized" else graph


# --- changes -------------------------------------------------------------------------------------

CONV, POOL, DENSE = "conv2d_0", "average_pool2d_1", "fully_connected_2"
WEIGHT, BIAS = "conv2d_0.weight", "conv2d_0.bias"
NETWORK = network("float").name


def tensor(name: str, /, **changes: Any) -> Change:
    return lambda graph: graph.rebuild(tensors=[replace(graph.tensors[name], **changes)])


def node(name: str, /, **changes: Any) -> Change:
    return lambda graph: graph.rebuild(
        nodes=[replace(one, **changes) if one.name == name else one for one in graph.nodes]
    )


def order(*names: str) -> Change:
    return lambda graph: graph.rebuild(nodes=[next(one for one in graph.nodes if one.name == name) for name in names])


def input_port(**changes: Any) -> Change:
    return lambda graph: graph.rebuild(inputs=(replace(graph.inputs[0], **changes),))


def output_port(**changes: Any) -> Change:
    return lambda graph: graph.rebuild(outputs=(replace(graph.outputs[0], **changes),))


def data(name: str, place: tuple[int, ...], value: float) -> Change:
    """One element changed."""

    def change(graph: Graph) -> Graph:
        values = graph.constant(name).copy()
        values[place] = value
        return tensor(name, data=values)(graph)

    return change


def scale(name: str, *values: float, dtype: type = np.float32) -> Change:
    return lambda graph: tensor(name, quant=replace(graph.tensors[name].quant, scale=np.array(values, dtype)))(graph)


def zero_point(name: str, value: int) -> Change:
    return lambda graph: tensor(name, quant=replace(graph.tensors[name].quant, zero_point=value))(graph)


def in_bits(name: str, bits: int, dtype: str, zero: int = 0) -> Change:
    return lambda graph: tensor(
        name, dtype=dtype, quant=replace(graph.tensors[name].quant, bits=bits, zero_point=zero)
    )(graph)


def crop_of_int16(graph: Graph) -> Graph:
    """An operator that takes int8 only, of the convolution in 16 bits."""
    old = next(one for one in graph.nodes if one.name == POOL)
    _, height, width, _ = graph.tensors[old.inputs[0]].shape
    attributes = OPERATORS["crop2d"].attributes((0, 0, height - 1, width - 1))
    crop = node(POOL, op="crop2d", inputs=old.inputs[:1], attributes=attributes)(graph)
    return in_bits(CONV, 16, "int16")(crop)


def four_bits(name: str, largest: int = 7, least: int = -8) -> Change:
    """Weights between these two, each of which is there, said to have four bits."""

    def change(graph: Graph) -> Graph:
        values = np.clip(graph.constant(name), least, largest)
        values.reshape(-1)[:2] = least, largest
        return tensor(name, data=values, quant=replace(graph.tensors[name].quant, bits=4))(graph)

    return change


def sharing(count: int) -> Change:
    """A layer that shares so many multipliers."""

    def change(graph: Graph) -> Graph:
        old = next(one for one in graph.nodes if one.name == CONV)
        requantize = replace(old.attributes.requantize, multiplier=np.arange(1, count + 1))
        attributes = replace(old.attributes, requantize=requantize)
        shared = tensor(WEIGHT, quant=replace(graph.tensors[WEIGHT].quant, shares_multipliers=True))(graph)
        return node(CONV, attributes=attributes)(shared)

    return change


def sharing_nothing(graph: Graph) -> Graph:
    old = next(one for one in graph.nodes if one.name == CONV)
    return node(CONV, attributes=replace(old.attributes, requantize=None))(sharing(6)(graph))


def four_bits_after_int16(graph: Graph) -> Graph:
    return in_bits(POOL, 16, "int16")(four_bits(f"{DENSE}.weight")(graph))


def another(name: str, like: str) -> Change:
    """A node more that reads what `like` reads and whose output nobody reads."""

    def change(graph: Graph) -> Graph:
        old = next(one for one in graph.nodes if one.name == like)
        new = replace(old, name=name, outputs=(name,))
        return graph.rebuild(nodes=[*graph.nodes, new], tensors=[replace(graph.tensors[old.outputs[0]], name=name)])

    return change


def widened(graph: Graph) -> Graph:
    """Weights as int16, as they are where uint8 weights with a zero point of their own are read."""
    return tensor(WEIGHT, dtype="int16", data=graph.constant(WEIGHT).astype(np.int16))(graph)


def filed_wrongly(graph: Graph) -> Graph:
    return replace(graph, tensors={**graph.tensors, "c": replace(graph.tensors[CONV], name="d")})


def undone(graph: Graph) -> Graph:
    """The output is a tensor that no node makes."""
    return replace(graph, nodes=graph.nodes[:2])


def with_input(port: Port) -> Change:
    return lambda graph: replace(
        graph,
        tensors={**graph.tensors, port.tensor: replace(graph.tensors["input"], name=port.tensor)},
        inputs=(*graph.inputs, port),
    )


# --- the tables: stage, law, (where, complaint), change ------------------------------------------

BROKEN: list[tuple[str, str, tuple[str, str], Change]] = [
    ("lowered", "names_are_unique", (CONV, "two nodes have this name"), node(POOL, name=CONV)),
    ("lowered", "names_are_unique", ("c", "the tensor calls itself 'd'"), filed_wrongly),
    ("lowered", "tensors_exist", (CONV, "no tensor 'gone'"), node(CONV, inputs=("gone", WEIGHT, BIAS))),
    ("lowered", "tensors_exist", (CONV, "no tensor 'gone'"), node(CONV, outputs=("gone",))),
    ("lowered", "tensors_exist", ("image", "no tensor 'gone'"), input_port(tensor="gone")),
    ("lowered", "tensors_exist", (f"{DENSE}_out", "no tensor 'gone'"), output_port(tensor="gone")),
    (
        "lowered", "nodes_stand_in_execution_order",
        (POOL, f"'{CONV}' is read before it is made"), order(POOL, CONV, DENSE),
    ),
    ("lowered", "nodes_stand_in_execution_order", (POOL, f"'{CONV}' is made twice"), node(POOL, outputs=(CONV,))),
    ("lowered", "nodes_stand_in_execution_order", (CONV, "'input' is made twice"), node(CONV, outputs=("input",))),
    ("lowered", "nodes_stand_in_execution_order", (CONV, f"'{BIAS}' is made twice"), node(CONV, outputs=(BIAS,))),
    ("lowered", "nodes_stand_in_execution_order", (POOL, "0 outputs"), node(POOL, outputs=())),
    ("lowered", "nodes_stand_in_execution_order", (DENSE, "2 outputs"), node(DENSE, outputs=(DENSE, DENSE))),
    (
        "lowered", "nodes_stand_in_execution_order",
        (f"{DENSE}_out", f"output '{DENSE}' is never made"), undone,
    ),
    ("lowered", "nothing_is_unused", ("idle", "the tensor is read by nobody"), another("idle", POOL)),
    ("lowered", "activations_are_nhwc", ("input", "shape (2, 12, 10, 3)"), tensor("input", shape=(2, 12, 10, 3))),
    ("lowered", "activations_are_nhwc", ("input", "shape (1, 12, 30)"), tensor("input", shape=(1, 12, 30))),
    ("lowered", "activations_are_nhwc", ("input", "shape (1, 12, 0, 3)"), tensor("input", shape=(1, 12, 0, 3))),
    ("lowered", "activations_are_nhwc", (BIAS, "shape (5,), data (6,)"), tensor(BIAS, shape=(5,))),
    (
        "lowered", "ports_agree",
        ("image", "permutation (0, 3, 1) for shape (1, 3, 12, 10)"), input_port(permutation=(0, 3, 1)),
    ),
    (
        "lowered", "ports_agree",
        ("image", "permutation (0, 3, 1, 1) for shape (1, 3, 12, 12)"),
        input_port(permutation=(0, 3, 1, 1), shape=(1, 3, 12, 12)),
    ),
    (
        "lowered", "ports_agree",
        ("image", "shape (1, 3, 12, 10) with permutation (0, 1, 2, 3) of NHWC (1, 12, 10, 3)"),
        input_port(permutation=(0, 1, 2, 3)),
    ),
    (
        "lowered", "ports_agree",
        (f"{DENSE}_out", "shape (1, 6) with permutation (0, 3) of NHWC (1, 1, 1, 5)"), output_port(shape=(1, 6)),
    ),
    (
        "lowered", "ports_agree",
        ("image", "permutation (0, 3, 1) leaves out an axis of NHWC (1, 12, 10, 3)"),
        input_port(permutation=(0, 3, 1), shape=(1, 3, 12)),
    ),
    ("lowered", "ports_agree", ("image", "tail is 'softmax'"), input_port(tail="softmax")),
    ("lowered", "operators_are_of_the_stage", (POOL, "operator 'pad'"), node(POOL, op="pad")),
    ("lowered", "operators_are_of_the_stage", (POOL, "operator 'nonsense'"), node(POOL, op="nonsense")),
    ("imported", "operators_are_of_the_stage", (POOL, "operator 'lookup'"), node(POOL, op="lookup")),
    ("quantized", "operators_are_of_the_stage", (POOL, "operator 'scale_shift'"), node(POOL, op="scale_shift")),
    ("lowered", "shapes_agree", (POOL, "do not suit average_pool2d"), node(POOL, inputs=(CONV, CONV))),
    (
        "lowered", "shapes_agree",
        (CONV, "output (1, 6, 5, 7), expected (1, 6, 5, 6)"), tensor(CONV, shape=(1, 6, 5, 7)),
    ),
    ("lowered", "everything_is_float32", (CONV, "int8, quant None"), tensor(CONV, dtype="int8")),
    ("lowered", "everything_is_float32", (CONV, "float32, quant Quant"), tensor(CONV, quant=Quant(np.ones(1)))),
    ("lowered", "everything_is_float32", (BIAS, "data of float64"), tensor(BIAS, data=np.zeros(6))),
    (
        "lowered", "weights_are_constant_and_finite",
        (CONV, f"'{WEIGHT}' is not constant and finite"), data(WEIGHT, (5, 2, 2, 2), NAN),
    ),
    ("lowered", "weights_are_constant_and_finite", (CONV, f"'{BIAS}' is not"), data(BIAS, (0,), -INFINITY)),
    ("quantized", "activations_are_int8_or_int16", (CONV, "activation of int16 in 8"), tensor(CONV, dtype="int16")),
    ("quantized", "activations_are_int8_or_int16", (CONV, "activation of int8 in 16 bits"), in_bits(CONV, 16, "int8")),
    ("quantized", "activations_are_int8_or_int16", (CONV, "activation of int4 in 4 bits"), in_bits(CONV, 4, "int4")),
    ("quantized", "activations_are_int8_or_int16", (CONV, "zero point 1 of int16"), in_bits(CONV, 16, "int16", 1)),
    ("quantized", "activations_are_int8_or_int16", (CONV, "no quant"), tensor(CONV, quant=None)),
    ("quantized", "activations_are_int8_or_int16", (CONV, "zero point 128"), zero_point(CONV, 128)),
    ("quantized", "activations_are_int8_or_int16", (CONV, "zero point -129"), zero_point(CONV, -129)),
    ("quantized", "activations_are_int8_or_int16", (CONV, "scale float32 (6,) for 1 "), scale(CONV, *[1.0] * 6)),
    (
        "quantized", "activations_are_int8_or_int16",
        (CONV, "scale float64 (1,) for 1 channels"), scale(CONV, 1.0, dtype=np.float64),
    ),
    *(
        ("quantized", "activations_are_int8_or_int16", (CONV, "a scale that is not positive"), scale(CONV, value))
        for value in (0.0, -1.0, NAN, INFINITY)
    ),
    ("quantized", "int16_stands_where_it_may", ("image", "int16 at the border"), in_bits("input", 16, "int16")),
    ("quantized", "int16_stands_where_it_may", (POOL, "int16 at a crop2d"), crop_of_int16),
    ("quantized", "weights_are_int8", (WEIGHT, "expected constant int8, found int32"), tensor(WEIGHT, dtype="int32")),
    (
        "quantized", "weights_are_int8",
        (WEIGHT, "expected constant int8, found int8"), tensor(WEIGHT, data=np.zeros((6, 3, 3, 3), np.int16)),
    ),
    ("quantized", "weights_are_int8", (BIAS, "expected constant int32, found int16"), tensor(BIAS, dtype="int16")),
    (
        "quantized", "weights_are_int8",
        (BIAS, "expected constant int32, found int32"), tensor(BIAS, data=np.zeros(6, np.int64)),
    ),
    ("quantized", "weights_are_int8", (WEIGHT, "no quant"), tensor(WEIGHT, quant=None)),
    ("quantized", "weights_are_int8", (BIAS, "no quant"), tensor(BIAS, quant=None)),
    ("quantized", "weights_are_int8", (WEIGHT, "scale float32 (5,) for 6 channels"), scale(WEIGHT, *[1.0] * 5)),
    ("quantized", "weights_are_int8", (WEIGHT, "a scale that is not"), scale(WEIGHT, 1, 1, 1, 1, 1, 0)),
    ("quantized", "weights_are_int8", (WEIGHT, "zero point 1"), zero_point(WEIGHT, 1)),
    ("quantized", "weights_are_int8", (BIAS, "zero point -1"), zero_point(BIAS, -1)),
    ("quantized", "weights_are_int8", (WEIGHT, "a weight of -128"), data(WEIGHT, (5, 2, 2, 2), -128)),
    ("quantized", "weights_are_int8", (f"{DENSE}.weight", "a weight of -128"), data(f"{DENSE}.weight", (0, 0), -128)),
    *(
        ("quantized", "weights_of_four_bits_stand_where_they_may", said, change)
        for said, change in (
            ((CONV, "weights of 4 bits at a conv2d"), four_bits(WEIGHT)),
            ((DENSE, "weights of 4 bits at a fully_connected"), four_bits_after_int16),
            ((DENSE, "weights of 5 bits"), in_bits(f"{DENSE}.weight", 5, "int8")),
            ((f"{DENSE}.weight", "weights from -8 to 8 in 4 bits"), four_bits(f"{DENSE}.weight", 8)),
            ((f"{DENSE}.weight", "weights from -9 to 7 in 4 bits"), four_bits(f"{DENSE}.weight", 7, -9)),
        )
    ),
    ("quantized", "shared_multipliers_are_few", (NETWORK, "257 multipliers are shared"), sharing(257)),
    ("quantized", "shared_multipliers_are_few", (CONV, "no multipliers to share"), sharing_nothing),
]  # fmt: skip

ALLOWED: dict[str, tuple[str, Change]] = {
    "an input that nobody reads": ("lowered", with_input(Port("extra", "extra", (1, 3, 12, 10), (0, 3, 1, 2)))),
    "an output with a tail": ("lowered", output_port(tail="softmax")),
    "an output of the channels alone": ("lowered", output_port(shape=(5,), permutation=(3,))),
    "an output in NHWC": ("lowered", output_port(shape=(1, 1, 1, 5), permutation=(0, 1, 2, 3))),
    "the output of a node and of the network": ("lowered", lambda graph: replace(
        another("extra", POOL)(graph),
        outputs=(*graph.outputs, Port("extra", "extra", (1, 6), (0, 3))),
    )),
    "weights of one scale": ("quantized", scale(WEIGHT, 1.0)),
    "nine bits": ("quantized", lambda graph: data(WEIGHT, (0, 0, 0, 0), -255)(widened(graph))),
    "the smallest weight": ("quantized", data(WEIGHT, (0, 0, 0, 0), -127)),
    "the smallest zero point": ("quantized", zero_point(CONV, -128)),
    "the largest zero point": ("quantized", zero_point(CONV, 127)),
    "256 multipliers that are shared": ("quantized", sharing(256)),
    "all values of four bits": ("quantized", four_bits(f"{DENSE}.weight")),
    "an activation of 16 bits": ("quantized", in_bits(CONV, 16, "int16")),
}  # fmt: skip


@pytest.mark.parametrize("stage", LAWS)
def test_each_law_of_a_stage_is_broken_here(stage: str) -> None:
    assert check(network(stage), stage, OPERATORS) is network(stage)
    assert {law.__name__ for law in LAWS[stage]} <= {law for _, law, _, _ in BROKEN}


@pytest.mark.parametrize(
    ("stage", "law", "said", "change"), BROKEN, ids=[f"{law}: {where}: {text}" for _, law, (where, text), _ in BROKEN]
)
def test_law(stage: str, law: str, said: tuple[str, str], change: Change) -> None:
    with pytest.raises(InternalError) as caught:
        check(change(network(stage)), stage, OPERATORS)
    assert caught.value.where == said[0]
    words, _, complaint = caught.value.what.partition(" is broken: ")
    assert words == f"law '{law}' of stage '{stage}'" and said[1] in complaint


@pytest.mark.parametrize("name", ALLOWED)
def test_allowed(name: str) -> None:
    stage, change = ALLOWED[name]
    graph = change(network(stage))
    assert check(graph, stage, OPERATORS) is graph
