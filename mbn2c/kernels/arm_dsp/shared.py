"""The multipliers that the layers of a network share: a channel has a byte that says which of them is its own.

Only networks whose weight scales were chosen for that have so few: see `Quant.shares_multipliers`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from mbn2c.ir.graph import Graph, Node
from mbn2c.ir.kernel import Parts
from mbn2c.kernels.arm_common import has_high_word_form, high_word_multipliers
from mbn2c.ops import OPERATORS
from mbn2c.ops.base.packing import folded_bias

# Three bytes with sign: the fourth of a word is the index.
_BIAS_LIMIT = 2**23


def has_short_biases(node: Node, graph: Graph, channel_axis: int) -> bool:
    """Whether the folded biases fit three bytes."""
    return bool(np.abs(folded_bias(node, graph, channel_axis)).max() < _BIAS_LIMIT)


def shared_numbers(node: Node, graph: Graph, channel_axis: int) -> tuple[int, ...]:
    """The network's multipliers, if this node's are among them and its biases leave room for the byte; else ()."""
    fits = _shares(node, graph) and has_short_biases(node, graph, channel_axis)
    return _multipliers(graph) if fits else ()


def _multipliers(graph: Graph) -> tuple[int, ...]:
    """Of all nodes that share, in order."""
    found = [high_word_multipliers(node) for node in graph.nodes if _shares(node, graph)]
    return tuple(int(number) for number in np.unique(np.concatenate(found)))


def _shares(node: Node, graph: Graph) -> bool:
    if not OPERATORS[node.op].has_weights or not has_high_word_form(node):
        return False
    quant = graph.tensors[node.inputs[1]].quant
    return quant is not None and quant.shares_multipliers


def indices(multipliers: np.ndarray, numbers: tuple[int, ...]) -> np.ndarray:
    """Which of the numbers each multiplier is, int64 [C]; what pads a layer may be any."""
    return np.searchsorted(np.array(numbers), multipliers)


def parts_with(parts: Parts, numbers: tuple[int, ...]) -> Parts:
    """The same table, of functions that read shared multipliers, if there are any."""
    if not numbers:
        return parts
    members = tuple(one if isinstance(one, str) else tuple(_shared(one)) for one in parts.members)
    return replace(parts, name=parts.name.replace("parts", "shared_parts"), members=members, numbers=numbers)


def functions_with(functions: Iterable[str], numbers: tuple[int, ...]) -> frozenset[str]:
    """The functions of `parts_with` for those of the table without."""
    return frozenset(_shared(functions) if numbers else functions)


def _shared(functions: Iterable[str]) -> Iterable[str]:
    """By name: one writes rows of either layout, and makes any number of blocks."""
    for function in functions:
        name = re.sub("_planar|_interleaved|_once", "", function) if "_block" in function else function
        yield name.replace("_block", "_shared_block")
