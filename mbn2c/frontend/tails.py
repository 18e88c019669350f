"""Where a network ends: after which tensors nothing comes but what changes their looks."""

from __future__ import annotations

from collections.abc import Collection

from onnx import GraphProto

from mbn2c.frontend.order import used_names


def ends_of(graph: GraphProto, pass_on: Collection[str]) -> set[str]:
    """The tensors that reach an output, and nothing else, through nodes of the kinds `pass_on` only."""
    outputs = {port.name for port in graph.output}
    inner: set[str] = set()
    reached = set(outputs)
    for node in reversed(graph.node):
        is_used = bool(reached.intersection(node.output))
        passes = node.op_type in pass_on and not inner.intersection(node.output)
        for name in used_names(node):
            if is_used:
                reached.add(name)
                if not passes:
                    inner.add(name)
    return reached - inner
