"""A node of an ONNX file as plain data, and back: the operators know no `onnx` package."""

from __future__ import annotations

import onnx
from onnx import NodeProto

from mbn2c.ops.base.call import OnnxNode


def domain_of(node: NodeProto) -> str:
    """The domain of a node's operator; "" for ONNX's own."""
    return "" if node.domain == "ai.onnx" else node.domain


def view_of(node: NodeProto) -> OnnxNode:
    """A node as plain data."""
    attributes = {attribute.name: onnx.helper.get_attribute_value(attribute) for attribute in node.attribute}
    return OnnxNode(node.op_type, domain_of(node), node.name, tuple(node.input), tuple(node.output), attributes)


def proto_of(node: OnnxNode) -> NodeProto:
    """The inverse of `view_of`; an empty list, whose type nobody knows, is left out."""
    made = onnx.helper.make_node(node.op_type, node.inputs, node.outputs, node.name, domain=node.domain or None)
    known = ((name, value) for name, value in node.attributes.items() if not isinstance(value, list) or value)
    made.attribute.extend(onnx.helper.make_attribute(name, value) for name, value in known)
    return made


def describe(node: NodeProto) -> str:
    """How error messages name a node of the file."""
    return OnnxNode(node.op_type, domain_of(node), node.name, tuple(node.input), tuple(node.output)).where
