"""What files have before the first layer and behind the last, in another spelling that means the same to a device.

A choice between classes at the end is left out: the device returns the classes' values. A vector divided by its
length is one LpNormalization, however it is spelt, and x / (1 + |x|) is Softsign. A uint8 image that is cast to float32
at once is a float32 one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from mbn2c.frontend.limits import inferred
from mbn2c.frontend.order import drop_dead_nodes, used_names
from mbn2c.ir.graph import Note
from mbn2c.tasks.tails import CHOICES

# What may stand between a choice and the output.
_LOOKS = ("Cast", "Identity", "Reshape", "Squeeze", "Unsqueeze")
# One of these is in each group of nodes that is joined.
_OF_GROUPS = ("Abs", "ReduceL2", "ReduceSum", "ReduceSumSquare")


def rewrite_ends(model: ModelProto) -> tuple[ModelProto, tuple[Note, ...]]:
    """A copy of a model whose nodes are in order; names of inputs and outputs stay."""
    kinds = {node.op_type for node in model.graph.node}
    has_bytes = any(port.type.tensor_type.elem_type == TensorProto.UINT8 for port in model.graph.input)
    if not has_bytes and not kinds.intersection(_OF_GROUPS) and not kinds.intersection(CHOICES):
        return model, ()
    changed = ModelProto()
    changed.CopyFrom(model)
    notes = (*_without_choice(changed), *_without_cast(changed))
    if not _join_groups(changed) and not notes:
        return model, ()
    drop_dead_nodes(changed.graph)
    return changed, notes


class _Links:
    """Who makes and who reads what, and the constants."""

    def __init__(self, model: ModelProto) -> None:
        self.makers = {name: node for node in model.graph.node for name in node.output}
        self.readers: dict[str, list[NodeProto]] = {}
        for node in model.graph.node:
            for name in set(used_names(node)):
                self.readers.setdefault(name, []).append(node)
        self.constants = {tensor.name: tensor for tensor in model.graph.initializer}
        for node in model.graph.node:
            value = _attributes(node).get("value")
            if node.op_type == "Constant" and isinstance(value, TensorProto):
                self.constants[node.output[0]] = value

    def numbers(self, name: str) -> np.ndarray | None:
        """A constant; None if it is none."""
        return numpy_helper.to_array(self.constants[name]) if name in self.constants else None


def _attributes(node: NodeProto) -> dict[str, Any]:
    return {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}


def _put(model: ModelProto, new: Mapping[str, NodeProto]) -> None:
    """Other nodes in place of those that make these tensors first; what only those needed is dropped at last."""
    copies = [NodeProto.FromString(new.get(node.output[0], node).SerializeToString()) for node in model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(copies)


# --- choices -------------------------------------------------------------------------------------


def _without_choice(model: ModelProto) -> Iterator[Note]:
    """An output that is the number of the largest class becomes the classes' values, under its own name."""
    ranks = {port.name: len(port.type.tensor_type.shape.dim) for port in inferred(model)}
    links, new = _Links(model), {}
    for port in model.graph.output:
        last = node = links.makers.get(port.name)
        while node is not None and node.op_type in _LOOKS:
            node = links.makers.get(node.input[0])
        if last is None or node is None or node.op_type not in CHOICES or ranks.get(node.input[0]) != 2:
            continue
        if _attributes(node).get("axis", 0) not in (1, -1):
            continue
        new[port.name] = helper.make_node("Identity", node.input[:1], [port.name], name=node.name or port.name)
        port.type.tensor_type.elem_type = TensorProto.FLOAT
        port.type.tensor_type.ClearField("shape")
        yield Note("choice", port.name, CHOICES[node.op_type])
    _put(model, new)


# --- what is divided by a function of itself ----------------------------------------------------------------------


def _join_groups(model: ModelProto) -> bool:
    """Put LpNormalization where a tensor is divided by its length along an axis, and Softsign where by 1 + |x|."""
    links, new = _Links(model), {}
    for node in model.graph.node:
        norm = _norm_of(links, node)
        if norm is not None:
            attributes = {"name": node.name, "axis": norm[1], "p": 2}
            new[node.output[0]] = helper.make_node("LpNormalization", [norm[0]], node.output[:1], **attributes)
        elif _is_softsign(links, node):
            new[node.output[0]] = helper.make_node("Softsign", node.input[:1], node.output[:1], name=node.name)
    _put(model, new)
    return bool(new)


def _is_softsign(links: _Links, node: NodeProto) -> bool:
    """Whether it divides x by 1 + |x|."""
    add = links.makers.get(node.input[1]) if node.op_type == "Div" else None
    if add is None or add.op_type != "Add":
        return False
    ones = [links.numbers(name) for name in add.input]
    magnitudes = [links.makers.get(name) for name in add.input]
    has_one = any(one is not None and (one == 1).all() for one in ones)
    return has_one and any(m is not None and m.op_type == "Abs" and m.input[0] == node.input[0] for m in magnitudes)


def _norm_of(links: _Links, node: NodeProto) -> tuple[str, int] | None:
    """(vector, axis) if a node divides a vector by its length."""
    if node.op_type == "Div":
        pairs = [(node.input[0], links.makers.get(node.input[1]))]
    elif node.op_type == "Mul":
        both = [(node.input[0], node.input[1]), (node.input[1], node.input[0])]
        pairs = [(x, _before(links, other, "Reciprocal")) for x, other in both]
    else:
        return None
    for x, length in pairs:
        found = _length_of(links, length)
        if found is not None and found[0] == x:
            return found
    return None


def _before(links: _Links, name: str, kind: str) -> NodeProto | None:
    """What makes the input of the node of that kind that makes `name`."""
    maker = links.makers.get(name)
    return links.makers.get(maker.input[0]) if maker is not None and maker.op_type == kind else None


def _length_of(links: _Links, node: NodeProto | None) -> tuple[str, int] | None:
    """(vector, axis) if a node makes a vector's length, held above some tiny number."""
    node = _without_floor(links, node)
    if node is None:
        return None
    if node.op_type == "ReduceL2":
        return _along_one_axis(links, node, node.input[0])
    inner = _without_floor(links, links.makers.get(node.input[0])) if node.op_type == "Sqrt" else None
    if inner is None:
        return None
    if inner.op_type == "ReduceSumSquare":
        return _along_one_axis(links, inner, inner.input[0])
    square = links.makers.get(inner.input[0]) if inner.op_type == "ReduceSum" else None
    if square is None:
        return None
    by = links.numbers(square.input[1]) if square.op_type == "Pow" else None
    is_square = (square.op_type == "Mul" and square.input[0] == square.input[1]) or (by is not None and (by == 2).all())
    return _along_one_axis(links, inner, square.input[0]) if is_square else None


def _without_floor(links: _Links, node: NodeProto | None) -> NodeProto | None:
    """What stands before Expand, and before Clip, Max or Add of a number up to a thousandth."""
    while node is not None and node.op_type in ("Expand", "Clip", "Max", "Add"):
        source = next((name for name in node.input if name and links.numbers(name) is None), "")
        floors = [links.numbers(name) for name in node.input if name and name != source]
        if node.op_type == "Clip" and not floors:
            floors = [np.array(_attributes(node).get("min", 0.0))]
        if node.op_type != "Expand" and not all(f is not None and (np.abs(f) <= 1e-3).all() for f in floors):
            return None
        node = links.makers.get(source)
    return node


def _along_one_axis(links: _Links, node: NodeProto, source: str) -> tuple[str, int] | None:
    attributes = _attributes(node)
    given = links.numbers(node.input[1]) if len(node.input) > 1 else None
    axes = list(attributes.get("axes", [])) if given is None else given.ravel().tolist()
    return (source, int(axes[0])) if len(axes) == 1 and attributes.get("keepdims", 1) else None


# --- uint8 images --------------------------------------------------------------------------------


def _without_cast(model: ModelProto) -> Iterator[Note]:
    """An input of bytes that nothing but a Cast to float32 reads."""
    links = _Links(model)
    for port in model.graph.input:
        casts = links.readers.get(port.name, [])
        is_cast = all(one.op_type == "Cast" and _attributes(one).get("to") == TensorProto.FLOAT for one in casts)
        if port.type.tensor_type.elem_type != TensorProto.UINT8 or not casts or not is_cast:
            continue
        made = {one.output[0]: one.name for one in casts}
        _put(model, {y: helper.make_node("Identity", [port.name], [y], name=name) for y, name in made.items()})
        port.type.tensor_type.elem_type = TensorProto.FLOAT
        yield Note("input", port.name, "the file's input is uint8 and cast to float32: its values are 0 to 255")
