"""fold_pad: a Pad node becomes pads of the windows that read it."""

from __future__ import annotations

from dataclasses import replace

from mbn2c.errors import ModelError
from mbn2c.ir.graph import Graph, Node, Note
from mbn2c.ir.window import Window
from mbn2c.ops import operator_of
from mbn2c.passes.rewrite import reading, until_stable, with_nodes


def fold_pad(graph: Graph) -> Graph:
    """Fold every pad, exactly.

    raises  ModelError for a pad with another value than 0, or before anything but a convolution, an average pool, or a
            max pool behind a ReLU
    """
    return until_stable(graph, _fold_one)


def _fold_one(graph: Graph) -> Graph | None:
    node = next((node for node in graph.nodes if operator_of(node).is_padding), None)
    if node is None:
        return None
    source, padded = node.inputs[0], node.outputs[0]
    changes: dict[str, Node | None] = {node.name: None}
    if node.attributes.value != 0:
        raise _refusal(node, f"padding with {node.attributes.value:g}", "pad with 0")
    if graph.is_output(padded):
        raise _refusal(node, "an output that ends in padding", "remove the Pad")
    for reader in graph.consumers[padded]:
        if operator_of(reader).is_padding and reader.attributes.value == 0:
            total = _sum(node.attributes.pad, reader.attributes.pad)
            attributes = replace(reader.attributes, pad=total)
        elif operator_of(reader).takes_zeros(reader, graph, source):
            window: Window = reader.attributes.window
            window = replace(window, pad=_sum(node.attributes.pad, window.pad))
            if any(pad >= span for pad, span in zip(window.pad, window.extent * 2, strict=True)):
                raise _refusal(node, "padding wider than the window that reads it", "use smaller pads")
            attributes = replace(reader.attributes, window=window)
        else:
            raise _refusal(node, f"padding before {reader.op} '{reader.name}'", "pad right before a convolution only")
        changes[reader.name] = reading(replace(reader, attributes=attributes), padded, source)
    readers = ", ".join(reader.name for reader in graph.consumers[padded])
    note = Note("padding", node.name, f"pad {','.join(map(str, node.attributes.pad))} folded into {readers}")
    return graph.rebuild(nodes=with_nodes(graph, changes), notes=[note])


def _sum(one: tuple[int, int, int, int], other: tuple[int, int, int, int]) -> tuple[int, int, int, int]:
    return (one[0] + other[0], one[1] + other[1], one[2] + other[2], one[3] + other[3])


def _refusal(node: Node, what: str, hint: str) -> ModelError:
    return ModelError(f"{what} is not supported", where=f"node '{node.name}', operator Pad", hint=hint)
