"""Graph -> the name of the architecture, in the words of the papers.

Only for people to read: the compiler itself knows operators, never architectures.
"""

from __future__ import annotations

from mbn2c.ir.graph import Graph, Node
from mbn2c.ops import operator_of, weighted_of

_WIDTHS = (0.0625, 0.1, 0.125, 0.25, 0.35, 0.5, 0.75, 1.0, 1.3, 1.4)


def architecture_of(graph: Graph) -> str:
    """ "MobileNetV2, width 0.35, 128x128", or "convolutional network, 96x96" if it is none we know.

    source  Howard et al., MobileNets (2017), table 1; Sandler et al., MobileNetV2 (2018), table 2
    """
    _, height, width, _ = graph.tensors[graph.inputs[0].tensor].shape
    size = f"{height}x{width}"
    depthwise = [node for node in graph.nodes if (one := weighted_of(node)) is not None and one.channel_axis != 0]
    adds = [node for node in graph.nodes if _adds_tensors(graph, node)]
    if len(depthwise) >= 13 and not adds and not _has_expansion(graph, depthwise):
        last = graph.tensors[depthwise[-1].outputs[0]].shape[3]
        return f"MobileNetV1, width {_nearest(last / 1024)}, {size}"
    if len(depthwise) >= 13 and adds and _has_expansion(graph, depthwise):
        projected = _projected_channels(graph, depthwise[-1])
        return f"MobileNetV2, width {_nearest(projected / 320)}, {size}"
    if depthwise and adds:
        return f"inverted residual network (MobileNetV2 blocks), {size}"
    if depthwise:
        return f"depthwise separable network (MobileNetV1 blocks), {size}"
    return f"convolutional network, {size}"


def _adds_tensors(graph: Graph, node: Node) -> bool:
    operator = operator_of(node)
    return operator.sums_channels and len(operator.activations(node, graph)) > 1


def _has_expansion(graph: Graph, depthwise: list[Node]) -> bool:
    """Whether most depthwise convolutions read a 1x1 convolution that widens its input."""
    widened = 0
    for node in depthwise:
        maker = graph.producer.get(node.inputs[0])
        if maker is not None and operator_of(maker).mixes_channels:
            channels = graph.tensors[maker.inputs[0]].shape[3]
            widened += graph.tensors[maker.outputs[0]].shape[3] >= 3 * channels
    return widened > len(depthwise) // 2


def _projected_channels(graph: Graph, depthwise: Node) -> int:
    readers = graph.consumers[depthwise.outputs[0]]
    return graph.tensors[readers[0].outputs[0]].shape[3] if readers else 0


def _nearest(width: float) -> float:
    return min(_WIDTHS, key=lambda known: abs(known - width))
