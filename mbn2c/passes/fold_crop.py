"""fold_crop: rows and columns that a crop leaves out are not computed where the window before it has pads there."""

from __future__ import annotations

from dataclasses import replace

from mbn2c.ir.graph import Graph, Note
from mbn2c.ir.window import Window
from mbn2c.ops import operator_of
from mbn2c.passes.rewrite import sole_consumer, until_stable, with_nodes


def fold_crop(graph: Graph) -> Graph:
    """Fold every crop that is no wider than the pads of what it crops, exactly."""
    return until_stable(graph, _fold_one)


def _fold_one(graph: Graph) -> Graph | None:
    for node in graph.nodes:
        before = graph.producer.get(node.inputs[0])
        if not operator_of(node).is_cropping or before is None or sole_consumer(graph, node.inputs[0]) is None:
            continue
        if not operator_of(before).has_window:
            continue
        window: Window = before.attributes.window
        top, left, bottom, right = (
            pad - crop * stride
            for pad, crop, stride in zip(window.pad, node.attributes.crop, window.stride * 2, strict=True)
        )
        if min(top, left, bottom, right) < 0:
            continue
        attributes = replace(before.attributes, window=replace(window, pad=(top, left, bottom, right)))
        smaller = replace(before, attributes=attributes, outputs=node.outputs)
        note = Note("crop", node.name, f"crop {','.join(map(str, node.attributes.crop))} folded into {before.name}")
        return graph.rebuild(nodes=with_nodes(graph, {before.name: smaller, node.name: None}), notes=[note])
    return None
