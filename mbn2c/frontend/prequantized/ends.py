"""The two ends of a quantized file: what its own input holds, and what it computes behind the last int8 tensors."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto

from mbn2c.ir.graph import Graph
from mbn2c.numerics import quantize_linear
from mbn2c.ops.base.prequantized.values import UNSIGNED_SHIFT, Probe
from mbn2c.ops.base.quants import quant_of, scale_of


def tail_model(fused: bytes, ends: list[Probe]) -> bytes | None:
    """The part of a model behind some of its tensors, from them to its outputs; None where nothing is left."""
    model = onnx.load_model_from_string(fused)
    starts = {end.name for end in ends}
    nodes: list[onnx.NodeProto] = []
    needed = {port.name for port in model.graph.output}
    for node in reversed(model.graph.node):
        if needed.intersection(node.output) and not starts.intersection(node.output):
            nodes.insert(0, node)
            needed.update(node.input)
    if not nodes:
        return None
    made = {name for node in nodes for name in node.output}
    used = {name for node in nodes for name in node.input} - made
    constants = {tensor.name: tensor for tensor in model.graph.initializer if tensor.name in used}
    graph = onnx.helper.make_graph(
        nodes,
        "tail",
        [
            onnx.helper.make_tensor_value_info(
                end.name, TensorProto.UINT8 if end.unsigned else TensorProto.INT8, end.shape
            )
            for end in ends
        ],
        [port for port in model.graph.output if port.name in made],
        list(constants.values()),
    )
    tail = onnx.helper.make_model(graph, opset_imports=model.opset_import, ir_version=model.ir_version)
    return bytes(tail.SerializeToString(deterministic=True))


def as_input(values: np.ndarray, graph: Graph, input_type: str) -> np.ndarray:
    """Real numbers in the file's axis order -> what the file's own input holds."""
    if input_type == "float32":
        return values
    quant = quant_of(graph, graph.inputs[0].tensor)
    codes = quantize_linear(values, scale_of(quant), quant.zero_point)
    return codes if input_type == "int8" else (codes.astype(np.int16) + UNSIGNED_SHIFT).astype(np.uint8)


def real_numbers(codes: np.ndarray, graph: Graph, input_type: str) -> np.ndarray:
    """What the file's integer input holds -> float32 real numbers, which `as_input` brings back exactly."""
    quant = quant_of(graph, graph.inputs[0].tensor)
    zero_point = quant.zero_point + (UNSIGNED_SHIFT if input_type == "uint8" else 0)
    return (codes.astype(np.float32) - np.float32(zero_point)) * scale_of(quant)
