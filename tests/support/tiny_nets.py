"""Tiny networks under C prefixes of their own: layers, streams, two outputs, raw pixels, what ends them, labels."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
from host_c import Net
from models import tiny_mobilenet_v1, tiny_mobilenet_v2, tiny_two_outputs
from networks import kernels_of, plan_with_cuts, quantized

from mbn2c.ir.graph import Graph
from mbn2c.ir.plan import Plan
from mbn2c.planner.layerwise import plan_layerwise

LABELS = ("cat", 'a "quoted" one', "back\\slash", "??=", "K\N{LATIN SMALL LETTER A WITH DIAERESIS}se1", "")


def streamed(graph: Graph, *pieces: int) -> Plan:
    return plan_with_cuts(graph, [], pieces)


def with_tails(graph: Graph, *tails: str) -> Graph:
    """What the importer split off, output by output."""
    return replace(graph, outputs=tuple(replace(port, tail=t) for port, t in zip(graph.outputs, tails, strict=True)))


def tables_for(channels: int) -> np.ndarray:
    """Some uint8 -> int8 tables, another one for each channel."""
    return np.stack([np.arange(255, -1, -1) // (channel + 1) - 100 for channel in range(channels)]).astype(np.int8)


@cache
def tiny_nets() -> dict[str, Net]:
    """By prefix."""
    v2, v1, two = (quantized(make()) for make in (tiny_mobilenet_v2, tiny_mobilenet_v1, tiny_two_outputs))
    nets = (
        Net("layers", plan_layerwise(v2, kernels_of(v2))),
        Net("stream", streamed(v2)),
        Net("pieces", streamed(v2, 4)),
        Net("gray", streamed(v1)),
        Net("two", streamed(two)),
        Net("pixels", streamed(v2), tables=tables_for(3)),
        Net("gray_pixels", streamed(v1, 2), tables=tables_for(1)),
        Net("probable", streamed(with_tails(v2, "softmax")), labels=LABELS),
        Net("log_probable", streamed(with_tails(v2, "log_softmax"))),
        Net("log_of_two", streamed(with_tails(two, "log_softmax", ""))),
        Net("multi_label", streamed(with_tails(v2, "sigmoid"))),
        Net("two_tails", streamed(with_tails(two, "softmax", "sigmoid"))),
        Net("two_vectors", streamed(with_tails(two, "l2_normalize", "tanh"))),
        Net("two_sigmoids", streamed(with_tails(two, "sigmoid", "sigmoid"))),
    )
    return {net.prefix: net for net in nets}
