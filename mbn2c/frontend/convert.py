"""A checked ONNX model -> Graph: one walk over the nodes, constants folded on the way."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy as np
import onnx
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto

from mbn2c.errors import ModelError
from mbn2c.frontend.ceil_mode import leave_out_windows_in_pads
from mbn2c.frontend.fold_constants import fold_constants, shape_of
from mbn2c.frontend.limits import SHORT
from mbn2c.frontend.load import run_tool
from mbn2c.frontend.names import layer_name
from mbn2c.frontend.nodes import describe, domain_of, view_of
from mbn2c.frontend.operators import IMPORTERS, SUPPORTED
from mbn2c.frontend.tails import ends_of
from mbn2c.frontend.unsupported import PASS_ON, hint_for, refuse_unsupported
from mbn2c.ir.axes import CHANNEL, INPUT_LAYOUTS, LayoutError, Value, labeled, nhwc_shape, port_permutation
from mbn2c.ir.graph import Graph, Node, Port
from mbn2c.ir.limits import MAX_ELEMENTS
from mbn2c.ops.base.builder import Builder
from mbn2c.ops.base.call import EXPORT_AGAIN, OnnxCall


def convert(model: ModelProto, name: str) -> Graph:
    """Translate a model that `load_model` returned.

    raises  ModelError naming the node that is not supported
    """
    graph = model.graph
    opsets = {("" if entry.domain == "ai.onnx" else entry.domain): entry.version for entry in model.opset_import}
    initializers = {tensor.name for tensor in graph.initializer}
    outside = [port for port in graph.input if port.name not in initializers]
    if len(outside) != 1:
        raise ModelError(
            f"the model has {len(outside)} inputs: {', '.join(port.name for port in outside) or 'none'}",
            where=f"model '{name}'",
            hint="mbn2c compiles networks with one image input",
        )
    live = list(graph.node)
    refuse_unsupported(live, initializers)
    shape = input_shape(outside[0])
    ends = ends_of(graph, PASS_ON)
    bare = bare_copy(model, live)
    run_tool("the ONNX checker", f"model '{name}'", lambda: onnx.checker.check_model(bare))
    failures: list[tuple[bool, int, ModelError]] = []
    for layout in input_layouts(shape):
        builder = Builder(opsets, ends)
        for tensor in graph.initializer:
            builder.constants[tensor.name] = onnx.numpy_helper.to_array(tensor)
        tensor_name = builder.add_activation(outside[0].name, nhwc_shape(shape, layout))
        builder.values[outside[0].name] = labeled(tensor_name, shape, layout)
        entrance = Port(tensor_name, outside[0].name, shape, layout)
        try:
            walk(builder, live)
            result = _finish(builder, graph, name, entrance)
            _cross_check(builder, graph, bare)
            return result
        except ModelError as error:
            failures.append((_is_plausible(shape, layout), len(builder.nodes), error))
    raise max(failures, key=lambda failure: failure[:2])[2]  # of equally plausible tries, the one that came furthest


# --- before the walk -----------------------------------------------------------------------------


def input_shape(port: ValueInfoProto, types: tuple[int, ...] = (TensorProto.FLOAT,)) -> tuple[int, ...]:
    """The declared shape of the image input, batch fixed to 1.

    raises  ModelError if it is not fixed, or its type is not one of `types`
    """
    where = f"input '{port.name}'"
    tensor = port.type.tensor_type
    if not port.type.HasField("tensor_type") or not tensor.HasField("shape"):
        raise ModelError("the input has no declared shape", where=where, hint="export with a fixed input size")
    if tensor.elem_type not in types:
        kind = TensorProto.DataType.Name(tensor.elem_type) if tensor.elem_type in TensorProto.DataType.values() else "?"
        raise ModelError(
            f"an input of type {kind.lower()} is not supported",
            where=where,
            hint="export the float32 model; raw pixels are what `build --input uint8` offers",
        )
    rank = len(tensor.shape.dim)
    if rank not in INPUT_LAYOUTS:
        raise ModelError(
            f"an input of rank {rank} is not supported", where=where, hint="one image: [1, 3, H, W] or [1, H, W, 3]"
        )
    shape = [dim.dim_value if dim.HasField("dim_value") else -1 for dim in tensor.shape.dim]
    names = [
        dim.dim_param or "?" if extent < 1 else str(extent) for dim, extent in zip(tensor.shape.dim, shape, strict=True)
    ]
    if rank != 3:
        if shape[0] > 1:
            raise ModelError(
                f"the batch size is {shape[0]}", where=where, hint="export with batch 1 or a dynamic batch axis"
            )
        shape[0] = 1
    if min(shape) < 1:
        raise ModelError(
            f"the input shape [{', '.join(names)}] is not fixed: only the batch axis may be dynamic",
            where=where,
            hint="export for one height and width, or fix them: python -m onnxruntime.tools.make_dynamic_shape_fixed",
        )
    if math.prod(shape) > MAX_ELEMENTS:
        raise ModelError(f"the input shape {shape} is far too large", where=where, hint="check the declared size")
    return tuple(shape)


def input_layouts(shape: tuple[int, ...]) -> list[tuple[int, ...]]:
    """How the input may be read, the one that gives it 1 or 3 channels first.

    Labels cannot make a result wrong, they can only fail; so the walk may simply try them.
    """
    layouts = INPUT_LAYOUTS[len(shape)]
    return sorted(layouts, key=lambda layout: not _is_plausible(shape, layout))


def _is_plausible(shape: tuple[int, ...], layout: tuple[int, ...]) -> bool:
    return nhwc_shape(shape, layout)[CHANNEL] in (1, 3)


# --- the walk ------------------------------------------------------------------------------------


def walk(builder: Builder, nodes: Iterable[NodeProto]) -> None:
    """Translate nodes in order; what they make is added to `builder`.

    raises  ModelError naming the node that is not supported
    """
    for node in nodes:
        if node.op_type == "If" and domain_of(node) == "":
            _walk_if(builder, node)
        elif node.op_type in ("Shape", "Size") and node.input[0] in builder.values:
            builder.constants[node.output[0]] = shape_of(builder.values[node.input[0]], node)
        elif all(name in builder.constants for name in node.input if name):
            fold_constants(builder, node)
        elif node.op_type == "CastLike" and node.input[0] in builder.constants and node.input[1] in builder.values:
            # torch's exporter, left unoptimized, gives the bounds of a Clip the type of its input; that is float32.
            builder.constants[node.output[0]] = builder.constants[node.input[0]].astype(np.float32)
        else:
            builder.values[node.output[0]] = _translate(builder, node)


def _translate(builder: Builder, node: NodeProto) -> Value:
    domain = domain_of(node)
    if (domain, node.op_type) not in IMPORTERS:
        raise ModelError(
            f"operator {node.op_type} is not supported",
            where=describe(node),
            hint=hint_for(node.op_type),
        )
    name = builder.unique_node(layer_name(node, builder.constants))
    call = OnnxCall(builder, view_of(node), name, builder.opsets.get(domain, 1))
    try:
        return IMPORTERS.translate(call)
    except LayoutError as error:
        raise ModelError(
            f"{node.op_type}: the axis order cannot be resolved; it needs {error}",
            where=describe(node),
            hint="only layout changes that move whole axes compile; check the Reshape and Transpose before this node",
        ) from None


def _walk_if(builder: Builder, node: NodeProto) -> None:
    """An If with a constant condition is its branch (torch exports `squeeze` of an unknown axis so)."""
    if node.input[0] not in builder.constants:
        raise ModelError(
            "If whose condition depends on the image is not supported", where=describe(node), hint=SUPPORTED
        )
    wanted = "then_branch" if builder.constants[node.input[0]].any() else "else_branch"
    branch = next(attribute.g for attribute in node.attribute if attribute.name == wanted)
    for tensor in branch.initializer:
        builder.constants[tensor.name] = onnx.numpy_helper.to_array(tensor)
    walk(builder, branch.node)
    for inner, name in zip(branch.output, node.output, strict=True):
        if inner.name in builder.values:
            builder.values[name] = builder.values[inner.name]
        else:
            builder.constants[name] = builder.constants[inner.name]


# --- after the walk ------------------------------------------------------------------------------


def _finish(builder: Builder, graph: GraphProto, name: str, entrance: Port) -> Graph:
    exits: list[Port] = []
    for port in graph.output:
        where = f"output '{port.name}'"
        if port.name not in builder.values:
            raise ModelError("an output does not depend on the image", where=where, hint="remove it from the model")
        value = builder.values[port.name]
        if value.tensor == entrance.tensor:
            raise ModelError("an output is the input itself", where=where, hint="remove it from the model")
        try:
            exits.append(Port(value.tensor, port.name, value.shape, port_permutation(value), value.tail))
        except LayoutError as error:
            raise ModelError(
                f"the model has {error}", where=where, hint="end the network with a dense layer, or drop the Flatten"
            ) from None
    return Graph(
        name=name,
        tensors=builder.tensors,
        nodes=live_nodes(builder.nodes, exits),
        inputs=(entrance,),
        outputs=tuple(exits),
    ).rebuild()


def live_nodes(nodes: Sequence[Node], outputs: Iterable[Port]) -> tuple[Node, ...]:
    """Without the nodes that no output needs: of a Split not all parts need be read."""
    wanted = {port.tensor for port in outputs}
    kept = []
    for node in reversed(nodes):
        if wanted.intersection(node.outputs):
            kept.append(node)
            wanted.update(node.inputs)
    return tuple(reversed(kept))


def bare_copy(model: ModelProto, live: list[NodeProto]) -> ModelProto:
    """A copy for ONNX's tools: live nodes only, without the shapes a file may declare wrongly, or not at all.

    The checker wants every output to have a shape: an empty one will do.
    """
    bare = ModelProto()
    bare.CopyFrom(model)
    del bare.graph.value_info[:]
    del bare.graph.node[:]
    bare.graph.node.extend(live)
    for port in bare.graph.output:
        port.type.tensor_type.ClearField("shape")
        port.type.tensor_type.shape.SetInParent()
    return bare


def _cross_check(builder: Builder, graph: GraphProto, bare: ModelProto) -> None:
    """Compare every shape of the walk with ONNX's own shape inference, and the outputs' with what the file declares."""
    for port in bare.graph.input:
        if port.name in builder.values:
            for dim, extent in zip(port.type.tensor_type.shape.dim, builder.values[port.name].shape, strict=True):
                dim.dim_value = extent
    for port in bare.graph.output:
        port.type.tensor_type.ClearField("shape")
    leave_out_windows_in_pads(bare, {name: value.shape for name, value in builder.values.items()})
    # Propagated data takes a hundred bytes for each value, and shapes are short.
    lists = [array for array in builder.constants.values() if array.dtype.kind in "iu" and array.ndim <= 1]
    data_prop = all(array.size <= SHORT for array in lists)
    inferred = run_tool(
        "ONNX's shape inference",
        f"model '{graph.name}'",
        lambda: onnx.shape_inference.infer_shapes(bare, strict_mode=True, data_prop=data_prop),
    )
    for port in (*inferred.graph.value_info, *inferred.graph.output):
        _compare_shape(builder, port, first_axis=0)
    for port in graph.output:
        _compare_shape(builder, port, first_axis=1)  # the batch axis may say anything


def _compare_shape(builder: Builder, port: ValueInfoProto, first_axis: int) -> None:
    value = builder.values.get(port.name)
    tensor = port.type.tensor_type
    if value is None or not tensor.HasField("shape"):
        return
    shape = [dim.dim_value if dim.HasField("dim_value") else -1 for dim in tensor.shape.dim]
    pairs = list(zip(shape, value.shape, strict=False))[first_axis:]
    if len(shape) != len(value.shape) or any(extent > 0 and extent != own for extent, own in pairs):
        raise ModelError(
            f"the file says '{port.name}' has shape {shape}, its layers make {list(value.shape)}",
            where=f"tensor '{port.name}'",
            hint=EXPORT_AGAIN,
        )
