"""An If that asks whether there is any box to choose among -> its branch that chooses: of none it would choose none.

    one branch    makes constants without an element, and reads nothing
    the other     holds a NonMaxSuppression

source  torchvision's batched_nms, as TorchScript exports it
"""

from __future__ import annotations

import numpy as np
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, helper, numpy_helper

from mbn2c.frontend.loops import inlined, is_flat


def without_conditions(model: ModelProto) -> ModelProto:
    """The model without such Ifs; itself if there is none."""
    chosen = {node.output[0]: branch for node in model.graph.node if (branch := _choosing(node)) is not None}
    if not chosen:
        return model
    opened = ModelProto()
    opened.CopyFrom(model)
    del opened.graph.node[:]
    for number, node in enumerate(model.graph.node):
        branch = chosen.get(node.output[0]) if node.output else None
        if branch is None:
            opened.graph.node.append(node)
            continue
        weights, nodes, made = inlined(branch, (), f"if{number}__")
        opened.graph.initializer.extend(weights)
        opened.graph.node.extend(nodes)
        pairs = zip(made, node.output, strict=True)
        opened.graph.node.extend(helper.make_node("Identity", [name], [output]) for name, output in pairs)
    return opened


def _choosing(node: NodeProto) -> GraphProto | None:
    """The branch that chooses boxes; None if the node is something else."""
    if node.op_type != "If" or node.domain not in ("", "ai.onnx"):
        return None
    branches = [attribute.g for attribute in node.attribute if attribute.HasField("g")]
    for one, other in (branches, branches[::-1]) if len(branches) == 2 else ():
        has_choice = any(inner.op_type == "NonMaxSuppression" for inner in one.node)
        if has_choice and is_flat(one) and len(one.output) == len(node.output) and _is_nothing(other):
            return one
    return None


def _is_nothing(graph: GraphProto) -> bool:
    """Whether all that it makes are constants without an element."""
    made = {tensor.name: tensor for tensor in graph.initializer}
    for node in graph.node:
        value = next((helper.get_attribute_value(one) for one in node.attribute if one.name == "value"), None)
        if node.op_type != "Constant" or not isinstance(value, TensorProto):
            return False
        made[node.output[0]] = value
    return all(port.name in made and np.size(numpy_helper.to_array(made[port.name])) == 0 for port in graph.output)
