"""A Loop that ends after one turn for one image -> its body: so files of TensorFlow work on each image of a batch."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx
from onnx import AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto, helper, numpy_helper

from mbn2c.errors import ModelError
from mbn2c.frontend.convert import bare_copy
from mbn2c.frontend.detectors.cut import Links
from mbn2c.frontend.fold_constants import bound_constants
from mbn2c.frontend.load import run_tool
from mbn2c.frontend.order import drop_dead_nodes, subgraphs
from mbn2c.frontend.runtime import Oracle


def without_loops(model: ModelProto) -> ModelProto:
    """The model without those of its Loops that are seen to end after the first turn; itself if there is none."""
    if not any(node.op_type == "Loop" for node in model.graph.node):
        return model
    ends: list[str] = []
    opened = ModelProto()
    opened.CopyFrom(model)
    del opened.graph.node[:]
    opset = next(entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx"))
    for number, node in enumerate(model.graph.node):
        body = _body(node)
        if body is None:
            opened.graph.node.append(node)
            continue
        weights, nodes, end = _opened(node, body, f"loop{number}__", opset)
        ends.append(end)
        opened.graph.initializer.extend(weights)
        opened.graph.node.extend(nodes)
    if not ends:
        return model
    try:
        return opened if _end(opened, ends) else model
    except ModelError:
        return model


def _end(opened: ModelProto, going: Sequence[str]) -> bool:
    """Whether there is no second turn of any loop: what decides it are numbers and shapes, but no pixels.

    raises  ModelError for a model that ONNX Runtime does not take
    """
    links = Links(opened)
    entrances = [port for port in opened.graph.input if port.name not in links.constants]
    if len(entrances) != 1 or any(links.depends_on_image(name) for name in going):
        return False
    bare = bare_copy(opened, list(opened.graph.node))
    run_tool("the ONNX checker", "the model without its loops", lambda: onnx.checker.check_model(bare))
    bound_constants(opened)
    part = ModelProto()
    part.CopyFrom(opened)
    del part.graph.output[:]
    part.graph.output.extend(helper.make_empty_tensor_value_info(name) for name in going)
    drop_dead_nodes(part.graph)
    tensor = entrances[0].type.tensor_type
    kind = helper.tensor_dtype_to_np_dtype(tensor.elem_type)
    image = np.zeros([max(1, dim.dim_value) for dim in tensor.shape.dim], kind)
    found = Oracle(part.SerializeToString()).run({entrances[0].name: image})
    return all(value.size == 1 and not value.reshape(-1)[0] for value in found.values())


def _body(node: NodeProto) -> GraphProto | None:
    """Of a Loop that holds no other graphs."""
    if node.op_type != "Loop" or node.domain not in ("", "ai.onnx"):
        return None
    [body, *more] = [graph for attribute in node.attribute for graph in subgraphs(attribute)] or [GraphProto()]
    fits = not more and len(body.input) == len(node.input) >= 2 and len(body.output) == len(node.output) + 1
    return body if fits and is_flat(body) else None


def is_flat(graph: GraphProto) -> bool:
    """Whether it holds no other graphs."""
    kinds = {attribute.type for inner in graph.node for attribute in inner.attribute}
    return not kinds & {AttributeProto.GRAPH, AttributeProto.GRAPHS}


def _opened(
    node: NodeProto, body: GraphProto, prefix: str, opset: int
) -> tuple[list[TensorProto], list[NodeProto], str]:
    """Weights and nodes of the first turn, and the tensor that says whether there is a second."""
    turn, going = f"{prefix}turn", f"{prefix}going"
    weights = [numpy_helper.from_array(np.array(0, np.int64), turn), numpy_helper.from_array(np.array(True), going)]
    more, nodes, made = inlined(body, [turn, node.input[1] or going, *node.input[2:]], prefix)
    weights += more
    carried = len(node.input) - 2
    for position, (name, output) in enumerate(zip(made[1:], node.output, strict=True)):
        if output and position < carried:
            nodes.append(helper.make_node("Identity", [name], [output]))
        elif output:
            nodes += _stacked(name, output, opset, weights)
    return weights, nodes, made[0]


def inlined(
    graph: GraphProto, inputs: Sequence[str], prefix: str
) -> tuple[list[TensorProto], list[NodeProto], list[str]]:
    """Weights and nodes of an inner graph for the outer one, and what they call its outputs; inputs: outer names."""
    names = dict(zip((port.name for port in graph.input), inputs, strict=True))
    own = [tensor.name for tensor in graph.initializer] + [
        name for inner in graph.node for name in inner.output if name
    ]
    names.update((name, prefix + name) for name in own)
    weights, nodes = [], []
    for tensor in graph.initializer:
        weights.append(type(tensor).FromString(tensor.SerializeToString()))
        weights[-1].name = names[tensor.name]
    for inner in graph.node:
        copy = NodeProto.FromString(inner.SerializeToString())
        copy.input[:] = [names.get(name, name) for name in inner.input]
        copy.output[:] = [names.get(name, name) for name in inner.output]
        copy.name = prefix + inner.name if inner.name else ""
        nodes.append(copy)
    return weights, nodes, [names.get(port.name, port.name) for port in graph.output]


def _stacked(name: str, output: str, opset: int, weights: list[TensorProto]) -> Sequence[NodeProto]:
    """What all turns have made, one behind the other: of one turn."""
    if opset < 13:
        return [helper.make_node("Unsqueeze", [name], [output], axes=[0])]
    axes = f"{output}__axes"
    weights.append(numpy_helper.from_array(np.array([0], np.int64), axes))
    return [helper.make_node("Unsqueeze", [name, axes], [output])]
