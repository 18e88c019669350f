"""Already quantized ONNX file -> int8 Graph that keeps every scale and zero point, equal to ONNX Runtime on that file.

ONNX Runtime rewrites a quantized model before it runs it: DequantizeLinear, Conv, QuantizeLinear become QLinearConv
where its rules allow, and stay float32 where they do not. What counts is what it computes, so the model is read as
ONNX Runtime has rewritten it (`runtime.fused_model`), and small domains are settled by asking ONNX Runtime for every
result. uint8 tensors become int8 by taking off 128 from value and zero point.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import onnx
from onnx import GraphProto, ModelProto, NodeProto, TensorProto

from mbn2c.errors import ModelError
from mbn2c.files.user_files import text_of
from mbn2c.frontend.convert import input_layouts, input_shape, live_nodes
from mbn2c.frontend.fold_constants import bound_constants, fold_constants, shape_of
from mbn2c.frontend.load import DYNAMICALLY_QUANTIZED, is_prequantized_operator, load_model, notes_of
from mbn2c.frontend.nodes import describe, domain_of, view_of
from mbn2c.frontend.operators import IN_ORDER, WEIGHTED, Importers, in_words, relabel
from mbn2c.frontend.prequantized import quantizers, tails
from mbn2c.frontend.prequantized.probe import run_nodes
from mbn2c.frontend.runtime import fused_model
from mbn2c.frontend.tails import ends_of
from mbn2c.ir.axes import LayoutError, labeled, nhwc_shape, port_permutation
from mbn2c.ir.graph import Graph, Note, Port
from mbn2c.ops import OPERATORS
from mbn2c.ops.base.call import MICROSOFT
from mbn2c.ops.base.prequantized.float_layers import left_in_float
from mbn2c.ops.base.prequantized.integer_sums import integer_sum_imports
from mbn2c.ops.base.prequantized.values import (
    FOLD_FIRST,
    Meaning,
    PrequantizedBuilder,
    PrequantizedCall,
    Probe,
    unquantized,
)

_RELABELS = ("Dropout", "Flatten", "Identity", "Reshape", "Squeeze", "Transpose", "Unsqueeze")
# What may stand between a tail and the output.
_PASS_ON = (*_RELABELS, "QuantizeLinear", "DequantizeLinear")
_IMPORTERS: Importers[PrequantizedCall] = Importers(
    offers=[
        integer_sum_imports(),
        {(domain, "QuantizeLinear"): quantizers.quantize for domain in ("", MICROSOFT)},
        *(operator.prequantized_imports() for operator in IN_ORDER),
    ],
    alone={
        **{(domain, "DequantizeLinear"): quantizers.dequantize for domain in ("", MICROSOFT)},
        **{("", kind): tails.relabeled(relabel.RELABELS["", kind]) for kind in _RELABELS},
        **tails.QLINEAR_OVER_CLASSES,
    },
    at_the_end={
        **{name: tails.split_off(importer) for name, importer in relabel.TAILS.items()},
        **tails.QLINEAR_OF_EACH_VALUE,
    },
)
_FOLDED_ELSEWHERE = ("BatchNormalization", "Div")
_SUPPORTED = f"supported: {in_words(operator for operator in OPERATORS.values() if operator.prequantized_imports())}"
_INPUT_TYPES = {TensorProto.FLOAT: "float32", TensorProto.INT8: "int8", TensorProto.UINT8: "uint8"}


@dataclass(frozen=True, eq=False)
class PrequantizedModel:
    """An imported quantized model.

    graph       int8, stage "quantized" of `ir.check`
    model       the user's own file as one serialized model
    fused       what ONNX Runtime makes of it; every tensor of the Graph is found there
    probes      where in `fused`, by tensor
    input_type  "float32", "int8" or "uint8": what the file's input holds
    """

    graph: Graph
    model: bytes
    fused: bytes
    probes: Mapping[str, Probe]
    input_type: str


def is_prequantized(path: Path) -> bool:
    """Whether an ONNX file holds quantized layers.

    raises  UsageError, ModelError as `load_model`
    """
    return any(is_prequantized_operator(node.op_type) for node in load_model(path).model.graph.node)


def import_prequantized(path: Path) -> PrequantizedModel:
    """Read a quantized model.

    raises  UsageError if there is no such file; ModelError if it is broken or not supported
    """
    loaded = load_model(path)
    for node in loaded.model.graph.node:
        if node.op_type in DYNAMICALLY_QUANTIZED:
            raise ModelError(
                f"{node.op_type}: dynamically quantized models are not supported",
                where=describe(node),
                hint="give the float32 model with --calib, or quantize with fixed scales (quantize_static)",
            )
    content = bytes(loaded.model.SerializeToString(deterministic=True))
    bound_constants(loaded.model)
    fused = fused_model(content)
    try:
        found = _convert(onnx.load_model_from_string(fused), text_of(path.stem), content, fused)
        return replace(found, graph=found.graph.rebuild(notes=notes_of(loaded)))
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise ModelError(
            f"the model cannot be understood ({type(error).__name__}: {str(error)[:200]})",
            where=str(path),
            hint="if ONNX Runtime runs it, please report it with the model as a bug in mbn2c",
        ) from error


def _convert(model: ModelProto, name: str, content: bytes, fused: bytes) -> PrequantizedModel:
    initializers = {tensor.name for tensor in model.graph.initializer}
    entrances = [port for port in model.graph.input if port.name not in initializers]
    if len(entrances) != 1:
        raise ModelError(f"the model has {len(entrances)} inputs", where=f"model '{name}'", hint="one image input")
    in_float = {tensor.name for tensor in model.graph.initializer if tensor.data_type == TensorProto.FLOAT}
    # Whose sums are of integers: `integer_sums` takes what multiplies them from the right, or refuses it.
    sums = {n.output[0] for n in model.graph.node if n.op_type == "MatMul" and n.input[0] in in_float}
    layers = [n for n in model.graph.node if n.op_type in WEIGHTED and n.input[0] not in sums]
    unquantized_layers = [n for n in layers if in_float.intersection(n.input[1:2])]
    if unquantized_layers:
        raise left_in_float([view_of(node) for node in unquantized_layers])
    entrance = entrances[0]
    input_type = _INPUT_TYPES.get(entrance.type.tensor_type.elem_type)
    if input_type is None:
        raise ModelError("the input is neither float32, int8 nor uint8", where=f"input '{entrance.name}'", hint="")
    shape = input_shape(entrance, tuple(_INPUT_TYPES))
    failure: ModelError | None = None
    for layout in input_layouts(shape):
        opsets = {entry.domain: entry.version for entry in model.opset_import if entry.domain in ("", MICROSOFT)}
        builder = PrequantizedBuilder(opsets, run_nodes, ends_of(model.graph, _PASS_ON))
        for tensor in model.graph.initializer:
            builder.constants[tensor.name] = onnx.numpy_helper.to_array(tensor)
        inside = builder.add_activation(entrance.name, nhwc_shape(shape, layout))
        value = labeled(inside, shape, layout)
        builder.values[entrance.name] = value
        is_real = input_type == "float32"
        builder.meanings[entrance.name] = Meaning(is_real, input_type == "uint8")
        if not is_real:
            builder.note_probe(entrance.name, value, input_type == "uint8")
        try:
            for node in model.graph.node:
                _translate(builder, node)
            graph = _finish(builder, model.graph, name, Port(inside, entrance.name, shape, layout))
            return PrequantizedModel(graph, content, fused, builder.probes, input_type)
        except ModelError as error:
            failure = failure or error
    assert failure is not None
    raise failure


def _translate(builder: PrequantizedBuilder, node: NodeProto) -> None:
    domain = domain_of(node)
    output = node.output[0]
    name = builder.unique_node(node.name or f"{node.op_type}_{output}")
    call = PrequantizedCall(builder, view_of(node), name, builder.opsets.get(domain, 1))
    if all(name in builder.constants for name in node.input if name):
        if node.op_type == "DequantizeLinear":
            builder.dequantized_constants[output] = quantizers.dequantize_constant(call)
        fold_constants(builder, node)
        return
    if node.op_type in ("Shape", "Size"):
        builder.constants[output] = shape_of(builder.values[node.input[0]], node)
        return
    if not _IMPORTERS.may_take(call):
        raise call.refuse(
            f"operator {node.op_type} is not supported in a quantized model",
            FOLD_FIRST if node.op_type in _FOLDED_ELSEWHERE else _SUPPORTED,
        )
    try:
        builder.values[output] = _IMPORTERS.translate(call)
    except LayoutError as error:
        raise ModelError(
            f"{node.op_type}: the axis order cannot be resolved; it needs {error}",
            where=describe(node),
            hint="only layout changes that move whole axes compile; check the Reshape and Transpose before this node",
        ) from None


def _finish(builder: PrequantizedBuilder, proto: GraphProto, name: str, entrance: Port) -> Graph:
    ports, notes = [], []
    for port in proto.output:
        value, meaning = builder.values.get(port.name), builder.meanings.get(port.name)
        if value is not None and meaning is not None and meaning.terms and not meaning.steps:
            if value.tensor in builder.unfinished:
                quantizers.quantize_output(builder, value.tensor, meaning.terms)
                notes.append(Note("float32", port.name, "a float32 sum in the file; the device returns it as int8"))
        elif value is None or meaning is None or value.tensor not in builder.probes:
            raise unquantized("the output is not quantized", f"output '{port.name}'")
        if len(meaning.steps) > 1:
            raise unquantized("the network ends with a float32 function", f"output '{port.name}'")
        try:
            ports.append(Port(value.tensor, port.name, value.shape, port_permutation(value), value.tail))
        except LayoutError as error:
            raise ModelError(f"the output is {error}", where=f"output '{port.name}'", hint="end with classes") from None
    activations = [
        replace(tensor, dtype="int8", quant=builder.quant_of(key))
        for key, tensor in builder.tensors.items()
        if tensor.data is None
    ]
    if entrance.tensor not in builder.quants:
        raise unquantized("the input is not quantized", f"input '{entrance.outside}'")
    notes += [
        Note("float32", layer, "ONNX Runtime computes this layer in float32; so does mbn2c where a rounding is near")
        for layer in builder.float_layers
    ]
    notes += [
        Note("scale", port.outside, "the file does not say what scale its int8 has; 1 is assumed")
        for port in ports
        if port.tensor not in builder.quants
    ]
    graph = Graph(name, {**builder.tensors, **{t.name: t for t in activations}}, (), (entrance,), tuple(ports))
    live = graph.rebuild(nodes=live_nodes(builder.nodes, ports), notes=notes)
    # A sum that another one goes on with needs no node of its own.
    for node in live.nodes:
        if node.outputs[0] in builder.unfinished:
            raise unquantized("a layer computes float32 that nothing quantizes", f"node '{node.name}'")
    return live
