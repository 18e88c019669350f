"""Graph -> ONNX: the float32 Graph for calibration, the int8 Graph as `model.int8.onnx`.

Both keep the outside names and axis orders of the user's file, so the int8 model can take its place:
float32 in, QuantizeLinear, QLinearConv and friends, DequantizeLinear, float32 out.
Only standard operators (ai.onnx) are used. Every activation inside is NCHW and named as in the Graph.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from mbn2c import __version__
from mbn2c.errors import InternalError
from mbn2c.ir.graph import Graph, Port
from mbn2c.ops import OPERATORS
from mbn2c.ops.base.operator import OnnxOp
from mbn2c.ops.base.quants import quant_of
from mbn2c.ops.base.spelling import spell_dequantize, spell_quantize

OPSET = 13
IR_VERSION = 8
NHWC_OF_NCHW = (0, 3, 1, 2)


def to_onnx_float(graph: Graph) -> bytes:
    """The lowered float32 Graph as a serialized ONNX model."""
    return _serialize(graph, quantized=False)


def to_onnx_int8(graph: Graph) -> bytes:
    """The int8 Graph as a serialized ONNX model; equal Graphs give equal bytes."""
    return _serialize(graph, quantized=True)


def onnx_names(graph: Graph) -> dict[str, str]:
    """What each activation is called in the exported models: its own name, unless an input or output has it."""
    outside = {port.outside for port in graph.inputs + graph.outputs}
    return {
        name: f"{name}__inside" if name in outside else name
        for name, tensor in graph.tensors.items()
        if tensor.data is None
    }


def _rename(graph: Graph) -> Graph:
    names = {name: name for name in graph.tensors} | onnx_names(graph)
    return replace(
        graph,
        tensors={names[name]: replace(tensor, name=names[name]) for name, tensor in graph.tensors.items()},
        nodes=tuple(
            replace(
                node,
                inputs=tuple(names[name] for name in node.inputs),
                outputs=tuple(names[name] for name in node.outputs),
            )
            for node in graph.nodes
        ),
        inputs=tuple(replace(port, tensor=names[port.tensor]) for port in graph.inputs),
        outputs=tuple(replace(port, tensor=names[port.tensor]) for port in graph.outputs),
    )


def with_outputs(model: bytes, names: Iterable[str]) -> bytes:
    """The same model with more of its tensors as outputs, for calibration and comparison."""
    proto = onnx.load_from_string(model)
    present = {entry.name for entry in proto.graph.output}
    proto.graph.output.extend(helper.make_empty_tensor_value_info(name) for name in names if name not in present)
    return proto.SerializeToString(deterministic=True)


def _serialize(graph: Graph, *, quantized: bool) -> bytes:
    graph = _rename(graph)
    spelled: list[OnnxOp] = []
    for port in graph.inputs:
        nchw = f"{port.tensor}__real" if quantized else port.tensor
        spelled += _spell_input(port, nchw)
        if quantized:
            spelled.append(spell_quantize(nchw, port.tensor, quant_of(graph, port.tensor)))
    for node in graph.nodes:
        operator = OPERATORS[node.op]
        spelled += operator.spell_int8(node, graph) if quantized else operator.spell_float(node, graph)
    for port in graph.outputs:
        real = port.tensor
        if quantized:
            dequantize, real = spell_dequantize(graph, port.tensor, port.outside)
            spelled.append(dequantize)
        spelled += _spell_output(port, real)
    constants: dict[str, np.ndarray] = {}
    for op in spelled:
        constants.update(op.constants)
    proto = helper.make_graph(
        [_node(op) for op in spelled],
        graph.name,
        [helper.make_tensor_value_info(port.outside, TensorProto.FLOAT, port.shape) for port in graph.inputs],
        [helper.make_tensor_value_info(port.outside, TensorProto.FLOAT, port.shape) for port in graph.outputs],
        [numpy_helper.from_array(np.array(value, order="C"), name) for name, value in constants.items()],
    )
    model = helper.make_model(
        proto,
        producer_name="mbn2c",
        producer_version=__version__,
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
    )
    try:
        onnx.checker.check_model(model)
    except onnx.checker.ValidationError as error:
        raise InternalError(f"the exported ONNX model is not valid: {error}", where=graph.name) from error
    return model.SerializeToString(deterministic=True)


def _node(op: OnnxOp) -> onnx.NodeProto:
    return helper.make_node(op.op_type, op.inputs, op.outputs, name=op.outputs[0], **op.attributes)


def _spell_input(port: Port, nchw: str) -> list[OnnxOp]:
    """From the outside's axis order to NCHW; a missing axis has extent 1 and is put back by Reshape."""
    if tuple(port.permutation) == NHWC_OF_NCHW:
        return [OnnxOp("Identity", (port.outside,), (nchw,))]
    full, order = _with_all_axes(port.permutation)
    source, spelled = port.outside, []
    if full != len(port.permutation):
        extents = [1] * (full - len(port.permutation)) + list(port.shape)
        source = f"{nchw}__reshaped"
        spelled.append(_spell_reshape(port.outside, source, extents))
    position = [order.index(axis) for axis in NHWC_OF_NCHW]
    return [*spelled, OnnxOp("Transpose", (source,), (nchw,), {"perm": position})]


def _spell_output(port: Port, nchw: str) -> list[OnnxOp]:
    """From NCHW to the outside's axis order and rank."""
    if tuple(port.permutation) == NHWC_OF_NCHW:
        return [OnnxOp("Identity", (nchw,), (port.outside,))]
    full, order = _with_all_axes(port.permutation)
    transposed = port.outside if full == len(port.permutation) else f"{nchw}__transposed"
    spelled = [OnnxOp("Transpose", (nchw,), (transposed,), {"perm": [NHWC_OF_NCHW.index(axis) for axis in order]})]
    if transposed != port.outside:
        spelled.append(_spell_reshape(transposed, port.outside, list(port.shape)))
    return spelled


def _with_all_axes(permutation: Iterable[int]) -> tuple[int, list[int]]:
    """The permutation with the axes it leaves out (all of extent 1) put in front."""
    kept = list(permutation)
    missing = [axis for axis in range(4) if axis not in kept]
    return 4, missing + kept


def _spell_reshape(source: str, output: str, extents: list[int]) -> OnnxOp:
    shape = f"{output}__shape"
    return OnnxOp("Reshape", (source, shape), (output,), {}, {shape: np.array(extents, np.int64)})
