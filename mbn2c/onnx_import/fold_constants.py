"""Nodes whose inputs are all known -> constants, with ONNX's reference implementation."""

from __future__ import annotations

import math
import warnings

import numpy as np
from onnx import NodeProto
from onnx.reference import ReferenceEvaluator

from mbn2c.errors import ModelError
from mbn2c.onnx_import.builder import EXPORT_AGAIN, MAX_ELEMENTS, Builder, describe
from mbn2c.onnx_import.layout import Value
from mbn2c.onnx_import.load import run_tool
from mbn2c.onnx_import.unsupported import SUPPORTED

_RANDOM = {"RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike", "Multinomial", "Bernoulli"}


def shape_of(value: Value, node: NodeProto) -> np.ndarray:
    if node.op_type == "Size":
        return np.array(math.prod(value.shape), dtype=np.int64)
    attributes = {attribute.name: attribute.i for attribute in node.attribute}
    return np.array(value.shape[attributes.get("start", 0) : attributes.get("end")], dtype=np.int64)


def fold_constants(builder: Builder, node: NodeProto) -> None:
    """Compute a node of constants, with ONNX's reference implementation.

    source  onnx.reference.ReferenceEvaluator
    """
    inputs = {name: builder.constants[name] for name in node.input if name}
    if node.op_type in _RANDOM:
        raise ModelError(f"operator {node.op_type} is not supported", where=describe(node), hint=SUPPORTED)
    _refuse_huge(node, [builder.constants[name] if name else None for name in node.input])
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        results = run_tool(
            "ONNX's reference implementation",
            describe(node),
            lambda: ReferenceEvaluator(node, opsets=builder.opsets).run(None, inputs),
        )
    for name, result in zip(node.output, results, strict=False):
        if name:
            builder.constants[name] = np.asarray(result)


def _refuse_huge(node: NodeProto, inputs: list[np.ndarray | None]) -> None:
    """A few bytes of a damaged file may ask for terabytes: these operators' output size is a value, not a shape."""
    arrays = [np.asarray(array, dtype=np.float64).ravel() if array is not None else None for array in inputs[:3]]
    size = 0.0
    if node.op_type in ("ConstantOfShape", "Expand", "Tile") and arrays and arrays[-1] is not None:
        size = float(np.prod(arrays[-1])) * (inputs[0].size if len(arrays) > 1 and inputs[0] is not None else 1)
    elif node.op_type == "Range" and all(array is not None and array.size == 1 for array in arrays):
        start, limit, step = (float(array[0]) for array in arrays if array is not None)
        size = (limit - start) / step if step else math.inf
    elif node.op_type in ("Pad", "Resize", "OneHot", "EyeLike", "Upsample"):
        raise ModelError(
            f"{node.op_type} of constants is not supported", where=describe(node), hint="simplify the model: onnxsim"
        )
    if not size <= MAX_ELEMENTS:
        raise ModelError(
            f"{node.op_type} would make a constant of {size:.3g} elements", where=describe(node), hint=EXPORT_AGAIN
        )
