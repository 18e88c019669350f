"""Float Graph -> the same network at another input size or width, untrained: for its sizes only.

Shapes follow by the operators' own laws. A window that covers its whole input still does, a map that is enlarged is by
the same factor, and all that is trained per channel is cut or repeated to the channels there are then.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from mbn2c.errors import ModelError
from mbn2c.ir.graph import Graph, Node, Port, Tensor
from mbn2c.ops import operator_of

_STEP = 8
Size = tuple[int, int]


def rounded(channels: float) -> int:
    """The nearest multiple of 8, not more than a tenth below.

    source  TensorFlow's MobileNets, make_divisible
    """
    found = max(_STEP, int(channels + _STEP / 2) // _STEP * _STEP)
    return found + _STEP if found < 0.9 * channels else found


def scaled(graph: Graph, size: Size | None = None, width: float = 1.0) -> Graph:
    """A float Graph after all passes, at another input size or with fewer or more channels inside.

    size    (height, width) of the input; None: as it is
    width   factor of all channels but those of inputs and outputs, which are then rounded to multiples of 8
    raises  ModelError if the network does not exist that way
    """
    image = graph.tensors[graph.inputs[0].tensor]
    tensors: dict[str, Tensor] = {image.name: replace(image, shape=(1, *(size or image.shape[1:3]), image.shape[3]))}
    kept = _output_channels(graph)
    nodes = []
    for node in graph.nodes:
        if width != 1 and operator_of(node).selected_channels(node) is not None:
            raise ModelError("a network that picks channels by number has one width", where=node.name)
        made = replace(node, attributes=_attributes(node, graph, tensors))
        for name in node.inputs:
            if (data := graph.tensors[name].data) is not None:
                tensors[name] = _constant(name, data, made, graph, tensors, 1.0 if node.name in kept else width)
        shape = operator_of(made).output_shape(made, [tensors[name].shape for name in made.inputs])
        if shape is None or min(shape) < 1:
            raise ModelError("the network does not exist at this size", where=node.name)
        tensors[node.outputs[0]] = replace(graph.tensors[node.outputs[0]], shape=shape)
        nodes.append(made)
    ports = [tuple(_port(port, tensors) for port in all_ports) for all_ports in (graph.inputs, graph.outputs)]
    return replace(graph, tensors=tensors, nodes=tuple(nodes), inputs=ports[0], outputs=ports[1])


def _output_channels(graph: Graph) -> set[str]:
    """The names of the nodes whose channels leave the network."""
    found: set[str] = set()
    waiting = [port.tensor for port in graph.outputs]
    while waiting:
        node = graph.producer.get(waiting.pop())
        if node is None or node.name in found:
            continue
        found.add(node.name)
        if not operator_of(node).mixes_channels:
            waiting += operator_of(node).activations(node, graph)
    return found


def _attributes(node: Node, graph: Graph, tensors: Mapping[str, Tensor]) -> Any:
    before, after = graph.tensors[node.inputs[0]].shape[1:3], tensors[node.inputs[0]].shape[1:3]
    window, size = getattr(node.attributes, "window", None), getattr(node.attributes, "size", None)
    if window is not None and window.kernel == before and not operator_of(node).has_weights and not any(window.pad):
        return replace(node.attributes, window=replace(window, kernel=after))
    if size is not None:
        return replace(node.attributes, size=tuple(one * b // a for one, a, b in zip(size, before, after, strict=True)))
    return node.attributes


def _constant(
    name: str, data: np.ndarray, node: Node, graph: Graph, tensors: Mapping[str, Tensor], width: float
) -> Tensor:
    """An input of a node, for the channels that its other inputs have by then."""
    operator = operator_of(node)
    channels, now = graph.tensors[node.inputs[0]].shape[3], tensors[node.inputs[0]].shape[3]
    if not operator.has_weights:
        shape = tuple(now if extent == channels else extent for extent in data.shape)
    elif not operator.mixes_channels:
        shape = (*data.shape[:-1], data.shape[-1] // channels * now)
    elif getattr(node.attributes, "groups", 1) != 1 and width != 1:
        raise ModelError("a network with groups of channels has one width", where=node.name)
    else:
        outputs = len(data) if width == 1 else rounded(len(data) * width)
        shape = (outputs, *data.shape[1:-1], now) if data.ndim > 1 else (outputs,)
    return Tensor(name, shape, data=_cut_or_repeated(data, shape))


def _cut_or_repeated(data: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    for axis, extent in enumerate(shape):
        if extent != data.shape[axis]:
            data = np.take(data, np.arange(extent) % data.shape[axis], axis=axis)
    return data


def _port(port: Port, tensors: Mapping[str, Tensor]) -> Port:
    return replace(port, shape=tuple(tensors[port.tensor].shape[axis] for axis in port.permutation))
