"""The laws of a Graph, as a table per stage: "imported", "lowered", "quantized".

A law is a function from a Graph and the operators there are to complaints (node or tensor, what is wrong).
Breaking one is a bug of mbn2c, never the user's fault.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Protocol

import numpy as np

from mbn2c.errors import InternalError
from mbn2c.ir.graph import Graph, Node, Tensor

Complaint = tuple[str, str]


class OperatorRules(Protocol):
    """What the laws ask an operator; see `ops.base.operator`."""

    stages: frozenset[str]
    has_weights: bool

    def output_shape(self, node: Node, shapes: Sequence[tuple[int, ...]]) -> tuple[int, ...] | None:
        """Shape of the output; None if the inputs' shapes do not suit the node."""

    def constants(self, node: Node) -> tuple[str, ...]:
        """Names of the inputs that must be constant."""

    def takes_int16(self, node: Node) -> bool:
        """Whether its activations may be int16."""

    def takes_four_bits(self, node: Node, graph: Graph) -> bool:
        """Whether its weights may have four bits."""


Rules = Mapping[str, OperatorRules]
Law = Callable[[Graph, Rules], Iterator[Complaint]]


MOST_SHARED_MULTIPLIERS = 256


def check(graph: Graph, stage: str, operators: Rules) -> Graph:
    """Return `graph` if every law of `stage` holds.

    operators  all there are, by name
    raises     InternalError naming the law and the node
    """
    for law in LAWS[stage]:
        for where, complaint in law(graph, operators):
            raise InternalError(
                f"law '{law.__name__}' of stage '{stage}' is broken: {complaint}",
                where=where,
                hint="this is a bug in mbn2c; please report it with the model",
            )
    return graph


# --- structure -----------------------------------------------------------------------------------


def names_are_unique(graph: Graph, operators: Rules) -> Iterator[Complaint]:
    """No two nodes share a name, and each tensor is filed under its own."""
    seen: set[str] = set()
    for node in graph.nodes:
        if node.name in seen:
            yield node.name, "two nodes have this name"
        seen.add(node.name)
    for name, tensor in graph.tensors.items():
        if name != tensor.name:
            yield name, f"the tensor calls itself '{tensor.name}'"


def tensors_exist(graph: Graph, operators: Rules) -> Iterator[Complaint]:
    """What nodes and ports name is in the Graph."""
    for node in graph.nodes:
        for name in node.inputs + node.outputs:
            if name not in graph.tensors:
                yield node.name, f"no tensor '{name}'"
    for port in graph.inputs + graph.outputs:
        if port.tensor not in graph.tensors:
            yield port.outside, f"no tensor '{port.tensor}'"


def nodes_stand_in_execution_order(graph: Graph, operators: Rules) -> Iterator[Complaint]:
    """Each tensor is made once, before it is read; constants and inputs are made by nobody."""
    known = {name for name, tensor in graph.tensors.items() if tensor.data is not None}
    known |= {port.tensor for port in graph.inputs}
    for node in graph.nodes:
        for name in node.inputs:
            if name not in known:
                yield node.name, f"'{name}' is read before it is made"
        if len(node.outputs) != 1:
            yield node.name, f"{len(node.outputs)} outputs"
        for name in node.outputs:
            if name in known:
                yield node.name, f"'{name}' is made twice"
            known.add(name)
    for port in graph.outputs:
        if port.tensor not in known:
            yield port.outside, f"output '{port.tensor}' is never made"


def nothing_is_unused(graph: Graph, operators: Rules) -> Iterator[Complaint]:
    """Each tensor is read by a node or is an output; inputs may go unread."""
    for name, readers in graph.consumers.items():
        if not readers and not graph.is_output(name) and name not in {port.tensor for port in graph.inputs}:
            yield name, "the tensor is read by nobody"


def ports_agree(graph: Graph, operators: Rules) -> Iterator[Complaint]:
    """A port has the NHWC shape of its tensor, permuted and without axes of extent 1; only outputs have a tail."""
    for port in graph.inputs + graph.outputs:
        inner = graph.tensors[port.tensor].shape
        if len(set(port.permutation)) != len(port.permutation) or len(port.permutation) != len(port.shape):
            yield port.outside, f"permutation {port.permutation} for shape {port.shape}"
        elif any(inner[axis] != extent for axis, extent in zip(port.permutation, port.shape, strict=True)):
            yield port.outside, f"shape {port.shape} with permutation {port.permutation} of NHWC {inner}"
        elif any(inner[axis] != 1 for axis in range(4) if axis not in port.permutation):
            yield port.outside, f"permutation {port.permutation} leaves out an axis of NHWC {inner}"
        if port.tail and port not in graph.outputs:
            yield port.outside, f"tail is '{port.tail}'"
        if port.by_rows and (port not in graph.outputs or graph.consumers[port.tensor] or inner[1] == 1):
            yield port.outside, "only an output of several rows, which nobody else reads, leaves row by row"


def operators_are_known(stage: str) -> Law:
    """The law that each node's operator exists and may stand in a Graph of `stage`."""

    def operators_are_of_the_stage(graph: Graph, operators: Rules) -> Iterator[Complaint]:
        for node in graph.nodes:
            rules = operators.get(node.op)
            if rules is None or stage not in rules.stages:
                yield node.name, f"operator '{node.op}'"

    return operators_are_of_the_stage


# --- shapes --------------------------------------------------------------------------------------


def activations_are_nhwc(graph: Graph, operators: Rules) -> Iterator[Complaint]:
    """Activations have shape [1, H, W, C]; constants have the shape of their data."""
    for tensor in graph.tensors.values():
        if tensor.data is None and (len(tensor.shape) != 4 or tensor.shape[0] != 1 or min(tensor.shape) < 1):
            yield tensor.name, f"shape {tensor.shape}"
        if tensor.data is not None and tensor.data.shape != tensor.shape:
            yield tensor.name, f"shape {tensor.shape}, data {tensor.data.shape}"


def shapes_agree(graph: Graph, operators: Rules) -> Iterator[Complaint]:
    """Each output has the shape that its operator gives for the inputs."""
    for node in graph.nodes:
        shapes = [graph.tensors[name].shape for name in node.inputs]
        expected = operators[node.op].output_shape(node, shapes)
        if expected is None:
            yield node.name, f"inputs {shapes} do not suit {node.op} with {node.attributes}"
        elif graph.tensors[node.outputs[0]].shape != expected:
            yield node.name, f"output {graph.tensors[node.outputs[0]].shape}, expected {expected}"


# --- values --------------------------------------------------------------------------------------


def everything_is_float32(graph: Graph, operators: Rules) -> Iterator[Complaint]:
    """No tensor is quantized, and constants are stored as float32."""
    for tensor in graph.tensors.values():
        if tensor.dtype != "float32" or tensor.quant is not None:
            yield tensor.name, f"{tensor.dtype}, quant {tensor.quant}"
        if tensor.data is not None and tensor.data.dtype != np.float32:
            yield tensor.name, f"data of {tensor.data.dtype}"


def weights_are_constant_and_finite(graph: Graph, operators: Rules) -> Iterator[Complaint]:
    """Inputs that an operator takes as constants have data, without NaN and infinity."""
    for node in graph.nodes:
        for name in operators[node.op].constants(node):
            data = graph.tensors[name].data
            if data is None or not np.isfinite(data).all():
                yield node.name, f"'{name}' is not constant and finite"


def activations_are_int8_or_int16(graph: Graph, operators: Rules) -> Iterator[Complaint]:
    """Activations have one scale, and are int8 with a zero point within int8, or int16 with zero point 0."""
    for tensor in graph.tensors.values():
        if tensor.data is None:
            yield from _quant_complaints(tensor, channels=1)
            if tensor.quant is None:
                continue
            if tensor.quant.bits not in (8, 16) or tensor.dtype != tensor.quant.dtype:
                yield tensor.name, f"activation of {tensor.dtype} in {tensor.quant.bits} bits"
            if not (-128 <= tensor.quant.zero_point <= 127) or (tensor.quant.bits == 16 and tensor.quant.zero_point):
                yield tensor.name, f"zero point {tensor.quant.zero_point} of {tensor.dtype}"


def int16_stands_where_it_may(graph: Graph, operators: Rules) -> Iterator[Complaint]:
    """Inputs and outputs of the network are int8, and only operators that take int16 read or make it."""
    for port in graph.inputs + graph.outputs:
        if graph.tensors[port.tensor].dtype != "int8":
            yield port.outside, f"{graph.tensors[port.tensor].dtype} at the border of the network"
    for node in graph.nodes:
        touched = [graph.tensors[name] for name in node.inputs + node.outputs if graph.tensors[name].data is None]
        if any(tensor.dtype == "int16" for tensor in touched) and not operators[node.op].takes_int16(node):
            yield node.name, f"int16 at a {node.op}"


def weights_are_int8(graph: Graph, operators: Rules) -> Iterator[Complaint]:
    """Weights are int8 (int16 if imported with nine bits) without -128, biases int32; their zero points are 0."""
    for node in graph.nodes:
        if not operators[node.op].has_weights:
            continue
        weights, bias = (graph.tensors[name] for name in node.inputs[1:3])
        channels = bias.shape[0]
        # Imported uint8 weights with a zero point of their own need nine bits.
        for tensor, dtypes in ((weights, ("int8", "int16")), (bias, ("int32",))):
            if tensor.dtype not in dtypes or tensor.data is None or tensor.data.dtype != np.dtype(tensor.dtype):
                yield tensor.name, f"expected constant {dtypes[0]}, found {tensor.dtype}"
            yield from _quant_complaints(tensor, channels)
            if tensor.quant is not None and tensor.quant.zero_point != 0:
                yield tensor.name, f"zero point {tensor.quant.zero_point}"
        if weights.dtype == "int8" and weights.data is not None and int(weights.data.min(initial=0)) < -127:
            yield weights.name, "a weight of -128"


def weights_of_four_bits_stand_where_they_may(graph: Graph, operators: Rules) -> Iterator[Complaint]:
    """Weights have 8 bits, or 4 where the operator takes them, of which none is outside [-8, 7]."""
    for node in graph.nodes:
        if not operators[node.op].has_weights:
            continue
        weights = graph.tensors[node.inputs[1]]
        if weights.quant is None or weights.data is None or weights.quant.bits == 8:
            continue
        if weights.quant.bits != 4 or not operators[node.op].takes_four_bits(node, graph):
            yield node.name, f"weights of {weights.quant.bits} bits at a {node.op}"
        elif weights.data.min(initial=0) < weights.quant.lowest or weights.data.max(initial=0) > weights.quant.highest:
            yield weights.name, f"weights from {weights.data.min()} to {weights.data.max()} in 4 bits"


def shared_multipliers_are_few(graph: Graph, operators: Rules) -> Iterator[Complaint]:
    """Layers that share multipliers have at most 256 of them together: a byte says which one."""
    found: set[tuple[int, int]] = set()
    for node in graph.nodes:
        quant = graph.tensors[node.inputs[1]].quant if operators[node.op].has_weights else None
        if quant is not None and quant.shares_multipliers:
            requantize = getattr(node.attributes, "requantize", None)
            if requantize is None:
                yield node.name, "no multipliers to share"
            else:
                found |= {(int(multiplier), requantize.shift) for multiplier in requantize.multiplier}
    if len(found) > MOST_SHARED_MULTIPLIERS:
        yield graph.name, f"{len(found)} multipliers are shared"


def _quant_complaints(tensor: Tensor, channels: int) -> Iterator[Complaint]:
    if tensor.quant is None:
        yield tensor.name, "no quant"
        return
    scale = tensor.quant.scale
    if scale.dtype != np.float32 or scale.shape not in ((1,), (channels,)):
        yield tensor.name, f"scale {scale.dtype} {scale.shape} for {channels} channels"
    elif not (np.isfinite(scale).all() and (scale > 0).all()):
        yield tensor.name, "a scale that is not positive and finite"


_STRUCTURE: tuple[Law, ...] = (
    names_are_unique,
    tensors_exist,
    nodes_stand_in_execution_order,
    nothing_is_unused,
    activations_are_nhwc,
    ports_agree,
)
_FLOAT: tuple[Law, ...] = (everything_is_float32, weights_are_constant_and_finite)

LAWS: dict[str, tuple[Law, ...]] = {
    "imported": (*_STRUCTURE, operators_are_known("imported"), shapes_agree, *_FLOAT),
    "lowered": (*_STRUCTURE, operators_are_known("lowered"), shapes_agree, *_FLOAT),
    "quantized": (
        *_STRUCTURE,
        operators_are_known("quantized"),
        shapes_agree,
        activations_are_int8_or_int16,
        int16_stands_where_it_may,
        weights_are_int8,
        weights_of_four_bits_stand_where_they_may,
        shared_multipliers_are_few,
    ),
}
