"""Nodes whose inputs are all known -> constants, with ONNX's reference implementation, within a budget."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable, Mapping

import numpy as np
import onnx
from onnx import ModelProto, NodeProto, TypeProto, ValueInfoProto
from onnx.reference import ReferenceEvaluator

from mbn2c.errors import ModelError
from mbn2c.frontend.limits import SHORT, inferred
from mbn2c.frontend.load import run_tool
from mbn2c.frontend.nodes import describe
from mbn2c.frontend.operators import SUPPORTED
from mbn2c.frontend.order import subgraphs
from mbn2c.ir.axes import Value
from mbn2c.ir.limits import MAX_ELEMENTS
from mbn2c.ops.base.builder import Builder
from mbn2c.ops.base.call import EXPORT_AGAIN

# Elements read or made, and products of matrices, for all constants of a model: each weight is turned over a few times.
MAX_FOLDED = 1 << 28
_RANDOM = {"RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike", "Multinomial", "Bernoulli"}
# Nobody computes weights with these, and their time or size does not follow from the shapes.
_NOT_OF_CONSTANTS = {"Pad", "Resize", "OneHot", "EyeLike", "Upsample", "If", "Loop", "Scan", "Einsum", "Conv"}
_NOT_OF_CONSTANTS |= {"ConvTranspose", "DeformConv", "RegexFullMatch", "StringSplit", "ImageDecoder", "MaxUnpool"}
_PRODUCTS = {"MatMul", "Gemm", "MatMulInteger", "QLinearMatMul"}
_QUANTIZE = {"QuantizeLinear", "DequantizeLinear"}


def shape_of(value: Value, node: NodeProto) -> np.ndarray:
    """What ONNX Shape or Size says of an activation: int64 [rank], or int64 []."""
    if node.op_type == "Size":
        return np.array(math.prod(value.shape), dtype=np.int64)
    attributes = {attribute.name: attribute.i for attribute in node.attribute}
    return np.array(value.shape[attributes.get("start", 0) : attributes.get("end")], dtype=np.int64)


def fold_constants(builder: Builder, node: NodeProto) -> None:
    """Compute a node of constants, with ONNX's reference implementation.

    source  onnx.reference.ReferenceEvaluator
    raises  ModelError if it does not compute, or if the constants of the model become too many or too large
    """
    inputs = {name: builder.constants[name] for name in node.input if name}
    if node.op_type in _RANDOM:
        raise ModelError(f"operator {node.op_type} is not supported", where=describe(node), hint=SUPPORTED)
    if node.op_type in _NOT_OF_CONSTANTS:
        raise ModelError(
            f"{node.op_type} of constants is not supported", where=describe(node), hint="simplify the model: onnxsim"
        )
    _spend(builder, node, inputs)
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        results = run_tool(
            "ONNX's reference implementation",
            describe(node),
            lambda: _evaluator(builder, node).run(None, inputs),
        )
    for name, result in zip((name for name in node.output if name), results, strict=True):
        builder.constants[name] = np.asarray(result)


def _evaluator(builder: Builder, node: NodeProto) -> ReferenceEvaluator:
    """Of the file's opset; where the reference has only newer implementations (QuantizeLinear's first is of opset 19),
    they mean the same with the attributes that there were."""
    try:
        return ReferenceEvaluator(_alone(builder, node))
    except RuntimeError:
        return ReferenceEvaluator(node, opsets=builder.opsets)


def _alone(builder: Builder, node: NodeProto) -> ModelProto:
    """A model of that node, which, unlike a node, says of which opset it is."""
    inputs = [ValueInfoProto(name=name) for name in dict.fromkeys(name for name in node.input if name)]
    outputs = [ValueInfoProto(name=name) for name in node.output if name]
    opsets = [onnx.helper.make_opsetid(name, version) for name, version in builder.opsets.items()]
    return onnx.helper.make_model(onnx.helper.make_graph([node], "alone", inputs, outputs), opset_imports=opsets)


def bound_constants(model: ModelProto) -> None:
    """Refuse a model whose constants ONNX Runtime could not fold in little memory, before it tries.

    raises  ModelError as `fold_constants`
    """
    builder = Builder({"" if each.domain == "ai.onnx" else each.domain: each.version for each in model.opset_import})
    builder.constants = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    shapes = {
        port.name: np.array([max(1, dim.dim_value) for dim in port.type.tensor_type.shape.dim], np.int64)
        for port in (*model.graph.input, *inferred(model))
        if port.type.tensor_type.HasField("shape")
    }
    _fold_all(builder, model.graph.node, shapes)


def _fold_all(builder: Builder, nodes: Iterable[NodeProto], shapes: Mapping[str, np.ndarray]) -> None:
    for node in nodes:
        for attribute in node.attribute:
            for graph in subgraphs(attribute):  # a branch of If, which ONNX Runtime puts into the graph
                inner = Builder(builder.opsets)
                weights = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in graph.initializer}
                inner.constants, inner.folded = {**builder.constants, **weights}, builder.folded
                _fold_all(inner, graph.node, shapes)
                builder.folded = inner.folded
        if node.op_type == "Shape" and node.input[0] in shapes:
            bounds = {attribute.name: attribute.i for attribute in node.attribute}
            builder.constants[node.output[0]] = shapes[node.input[0]][bounds.get("start", 0) : bounds.get("end")]
            continue
        of_constants = all(name in builder.constants for name in node.input if name)
        if of_constants and node.op_type not in (*_QUANTIZE, "If"):  # which make no more than they read
            fold_constants(builder, node)
        elif of_constants and node.op_type in _QUANTIZE:
            builder.constants[node.output[0]] = builder.constants[node.input[0]]


def _spend(builder: Builder, node: NodeProto, inputs: Mapping[str, np.ndarray]) -> None:
    """Count what a node reads, makes and multiplies, from the shapes that ONNX infers for it, against the budget."""
    read = sum(array.size for array in inputs.values())
    made = _elements_made(builder, node, inputs)
    if not made <= MAX_ELEMENTS:
        raise ModelError(
            f"{node.op_type} would make a constant of {made:.3g} elements", where=describe(node), hint=EXPORT_AGAIN
        )
    depth = max(array.shape[-1] if array.ndim else 1 for array in inputs.values()) if node.op_type in _PRODUCTS else 1
    builder.folded += max(read, made * depth)
    if builder.folded > MAX_FOLDED:
        raise ModelError(
            "computing the constants of the model takes too long",
            where=describe(node),
            hint="simplify the model: onnxsim",
        )


def _elements_made(builder: Builder, node: NodeProto, inputs: Mapping[str, np.ndarray]) -> float:
    """How many elements the outputs have; infinitely many if ONNX cannot say. An unknown extent is at most the input's.

    source  onnx.shape_inference.infer_node_outputs
    """
    domain = "" if node.domain == "ai.onnx" else node.domain
    types = {
        name: onnx.helper.make_tensor_type_proto(onnx.helper.np_dtype_to_tensor_dtype(array.dtype), array.shape)
        for name, array in inputs.items()
    }
    short = {name: onnx.numpy_helper.from_array(array, name) for name, array in inputs.items() if array.size <= SHORT}
    opsets = [onnx.helper.make_opsetid(name, version) for name, version in builder.opsets.items()]
    types_made: Mapping[str, TypeProto] = run_tool(
        "ONNX's shape inference",
        describe(node),
        lambda: onnx.shape_inference.infer_node_outputs(
            onnx.defs.get_schema(node.op_type, builder.opsets.get(domain, 1), domain),
            node,
            types,
            input_data=short,
            opset_imports=opsets,
        ),
    )
    read = sum(array.size for array in inputs.values())
    made = 0.0
    for output in types_made.values():
        if not output.tensor_type.HasField("shape"):
            return math.inf
        dims = [dim.dim_value if dim.HasField("dim_value") else read for dim in output.tensor_type.shape.dim]
        made += math.prod(dims)
    return made
