"""How large a model may become before any of it is computed: a file of kilobytes can ask for gigabytes.

The bounds lie far above what a microcontroller or a single-board computer runs, and far below what takes a desktop's
memory: EfficientNet-B7 has 66 M weights, MobileNetV2 1.0 at 513x513 makes 110 M values in its layers.
"""

from __future__ import annotations

import math

import onnx
from onnx import GraphProto, ModelProto, NodeProto, ValueInfoProto

from mbn2c.errors import ModelError
from mbn2c.frontend.nodes import describe
from mbn2c.frontend.order import subgraphs
from mbn2c.ir.limits import MAX_ELEMENTS
from mbn2c.ops.base.call import EXPORT_AGAIN

# Once all functions are written out. The largest published image networks have 5,000.
MAX_NODES = 20_000
MAX_NODES_BYTES = 1 << 30
# Of all tensors together that nodes make, in elements: 2 GiB as float32, which calibration keeps at once.
MAX_TOTAL_ELEMENTS = 1 << 29
# Larger constants are known to shape inference by their shape only; shapes and axes are short.
SHORT = 256


def check_nodes(model: ModelProto, where: str) -> None:
    """Count the nodes that inlining all functions would give, without doing it.

    raises  ModelError if they are too many, or if functions call each other in a circle
    """
    functions = {(each.domain, each.name): each for each in model.functions}
    sizes: dict[tuple[str, str], tuple[int, int]] = {}  # nodes and bytes of each function, once counted
    being_counted: list[tuple[str, str]] = []

    def of_nodes(nodes: list[NodeProto]) -> tuple[int, int]:
        count = size_bytes = 0
        for node in nodes:
            key = (node.domain, node.op_type)
            more = of_function(key) if key in functions else (1, node.ByteSize())
            for attribute in node.attribute:
                for graph in subgraphs(attribute):
                    inner = of_nodes(list(graph.node))
                    more = (more[0] + inner[0], more[1] + inner[1])
            count, size_bytes = count + more[0], size_bytes + more[1]
        return count, size_bytes

    def of_function(key: tuple[str, str]) -> tuple[int, int]:
        if key in being_counted:
            raise ModelError(f"the function {key[1]} calls itself", where=where, hint=EXPORT_AGAIN)
        if key not in sizes:
            being_counted.append(key)
            sizes[key] = of_nodes(list(functions[key].node))
            being_counted.pop()
        return sizes[key]

    count, size_bytes = of_nodes(list(model.graph.node))
    if count > MAX_NODES or size_bytes > MAX_NODES_BYTES:
        raise ModelError(
            f"the model has {count:,} nodes of {size_bytes:,} bytes, its functions written out; "
            f"at most {MAX_NODES:,} and {MAX_NODES_BYTES:,} are supported",
            where=where,
            hint="mbn2c compiles image networks for small devices; simplify the model with onnxsim",
        )


def check_sizes(model: ModelProto, where: str) -> None:
    """Refuse a model with tensors that are too large, by the shapes that ONNX infers: nothing is computed.

    Dynamic extents count as 1. What ONNX cannot infer is bounded where it is folded or emitted.

    raises  ModelError naming the node
    """
    makers = {name: node for node in model.graph.node for name in node.output}
    total = 0
    for port in (*model.graph.input, *inferred(model)):
        elements = _elements(port)
        total += elements
        if elements > MAX_ELEMENTS:
            what = f"'{port.name}' has {elements:,} elements, at most {MAX_ELEMENTS:,} are supported"
        elif total > MAX_TOTAL_ELEMENTS:
            what = f"its tensors have more than {MAX_TOTAL_ELEMENTS:,} elements"
        else:
            continue
        raise ModelError(
            f"the model is too large: {what}",
            where=describe(makers[port.name]) if port.name in makers else where,
            hint="check the input size the model declares, or remove what the image network does not need",
        )


def _elements(port: ValueInfoProto) -> int:
    return math.prod(max(1, dim.dim_value) for dim in port.type.tensor_type.shape.dim)


def inferred(model: ModelProto) -> list[ValueInfoProto]:
    """Name and shape of everything that the nodes make, as far as ONNX can tell from operators and input shapes."""
    graph = GraphProto(name=model.graph.name, node=model.graph.node)
    ports = {port.name: port for port in model.graph.input}
    for tensor in model.graph.initializer:
        if math.prod(tensor.dims) <= SHORT:
            graph.initializer.append(tensor)
        elif tensor.name not in ports:
            graph.input.append(onnx.helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims))
    graph.input.extend(ports.values())
    graph.output.extend(ValueInfoProto(name=port.name) for port in model.graph.output)
    bare = ModelProto(ir_version=model.ir_version, opset_import=model.opset_import, graph=graph)
    try:
        found = onnx.shape_inference.infer_shapes(bare)  # propagating data would take memory for each value of it
    except Exception:  # of many kinds; `convert` infers strictly, and says what is wrong
        return []
    return [*found.graph.value_info, *found.graph.output]
