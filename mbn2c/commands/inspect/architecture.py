"""Graph -> the name of the architecture, in the words of the papers.

Only for people to read: the compiler itself knows operators, never architectures. A family is known by its structure:
the kernels of its depthwise layers in order, and how many channels the layers behind them make.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mbn2c.ir.graph import Graph, Node
from mbn2c.ops import operator_of, weighted_of
from mbn2c.ops.base.windows import window_of

_WIDTHS = (0.0625, 0.1, 0.125, 0.25, 0.35, 0.5, 0.75, 1.0, 1.25, 1.3, 1.4, 1.5, 2.0, 2.5)
# Channels are rounded to multiples of 8, and those that are constant are gone: so many must be near, and so near.
_MOST, _NEAR, _STEP = 0.7, 0.15, 8


@dataclass(frozen=True)
class _Family:
    """What one is known by.

    kernels   of the depthwise layers, in order
    channels  that the 1x1 layers behind them make, at width 1.0
    adds      there are sums of two tensors
    squeezes  there are tensors multiplied by a number per channel; None: with or without
    has_width a width other than 1.0 is a network of that family, too
    """

    name: str
    kernels: tuple[int, ...]
    channels: tuple[int, ...]
    adds: bool = True
    squeezes: bool | None = False
    has_width: bool = True


def _times(*runs: tuple[int, int]) -> tuple[int, ...]:
    """(value, count) each."""
    return tuple(value for value, count in runs for _ in range(count))


_V3_SMALL = _times((16, 1), (24, 2), (40, 3), (48, 2), (96, 3))
_V3_LARGE = _times((16, 1), (24, 2), (40, 3), (80, 4), (112, 2), (160, 3))
_EFFICIENT = (
    _times((3, 3), (5, 2), (3, 3), (5, 7), (3, 1)),
    _times((16, 1), (24, 2), (40, 2), (80, 3), (112, 3), (192, 4), (320, 1)),
)
_FACE = _times((128, 1), (64, 5), (128, 1), (128, 6), (128, 1), (128, 2))
_SHUFFLED = {0.5: 192, 1.0: 464, 1.5: 704, 2.0: 976}  # channels of ShuffleNetV2's last stage
# source  Howard et al. (2017), table 1; Sandler et al. (2018), table 2; Howard et al. (2019), tables 1 and 2;
#         Qin et al. (2024), table 11; Tan et al. (2019), figure 7 (B1); Tan and Le (2019), table 1; Cui et al. (2021),
#         table 1; Chen et al. (2018), table 1
_FAMILIES = (
    _Family(
        "MobileNetV1", (3,) * 13, _times((64, 1), (128, 2), (256, 2), (512, 6), (1024, 2)), adds=False, squeezes=False
    ),
    _Family("MobileNetV2", (3,) * 17, _times((16, 1), (24, 2), (32, 3), (64, 4), (96, 3), (160, 3), (320, 1))),
    _Family("MobileNetV3-small", _times((3, 3), (5, 8)), _V3_SMALL, squeezes=None),
    _Family("MobileNetV3-large", _times((3, 3), (5, 3), (3, 6), (5, 3)), _V3_LARGE, squeezes=None),
    _Family("MobileNetV3-small minimalistic", (3,) * 11, _V3_SMALL),
    _Family("MobileNetV3-large minimalistic", (3,) * 15, _V3_LARGE),
    _Family(
        "MobileNetV4-conv-small",
        (5, 5, *_times((3, 7), (5, 4), (3, 2))),
        (192, *_times((96, 5)), 384, 576, 128, 512, *_times((128, 5))),
    ),
    _Family(
        "MnasNet",
        _times((3, 4), (5, 6), (3, 2), (5, 4), (3, 1)),
        _times((16, 1), (24, 3), (40, 3), (80, 3), (96, 2), (192, 4), (320, 1)),
    ),
    _Family("EfficientNet-Lite0", *_EFFICIENT, has_width=False),
    _Family("EfficientNet-B0", *_EFFICIENT, squeezes=True, has_width=False),
    _Family(
        "PP-LCNet",
        _times((3, 6), (5, 7)),
        _times((32, 1), (64, 2), (128, 2), (256, 6), (512, 2)),
        adds=False,
        squeezes=None,
    ),
)


def architecture_of(graph: Graph) -> str:
    """ "MobileNetV2, width 0.35, 128x128", or "convolutional network, 96x96" if it is none we know."""
    _, height, width, _ = graph.tensors[graph.inputs[0].tensor].shape
    return f"{_name(graph)}, {height}x{width}"


def _name(graph: Graph) -> str:
    depthwise = [node for node in graph.nodes if (one := weighted_of(node)) is not None and not one.mixes_channels]
    kernels = tuple(window_of(node).kernel[0] for node in depthwise)
    channels = [_channels_behind(graph, node) for node in depthwise]
    adds = any(_adds_tensors(graph, node) for node in graph.nodes)
    squeezes = any(_scales_channels(graph, node) for node in graph.nodes)
    for family in _FAMILIES:
        is_alike = kernels == family.kernels and adds == family.adds and family.squeezes in (None, squeezes)
        width = _width(channels, family.channels) if is_alike else None
        if width is not None and (family.has_width or width == 1):
            return family.name + (f", width {width}" if family.has_width else "")
    return (
        _shufflenet(graph, depthwise, kernels)
        or _face_net(graph, depthwise, kernels, channels)
        or _squeezenet(graph, depthwise)
        or _described(graph, depthwise, kernels, adds)
    )


def _width(channels: Sequence[int], full: Sequence[int]) -> float | None:
    """The width multiplier by which most of `channels` follow from those at width 1.0; None if there is none."""
    pairs = list(zip(channels, full, strict=True))
    width = min(_WIDTHS, key=lambda one: sum(abs(found - _rounded(wanted * one)) for found, wanted in pairs))
    near = sum(abs(found - wanted * width) <= max(_STEP, _NEAR * wanted * width) for found, wanted in pairs)
    return width if near >= _MOST * len(full) else None


def _rounded(channels: float) -> int:
    """To a multiple of 8, not more than a tenth below, as most families do."""
    found = max(_STEP, int(channels + _STEP / 2) // _STEP * _STEP)
    return found + _STEP if found < 0.9 * channels else found


def _channels_behind(graph: Graph, node: Node) -> int:
    """How many channels the next layer on the same map makes that mixes them; 0 if there is none."""
    shape = graph.tensors[node.outputs[0]].shape
    waiting = list(graph.consumers[node.outputs[0]])
    while waiting:
        reader = waiting.pop(0)
        made = graph.tensors[reader.outputs[0]].shape
        if made[1:3] != shape[1:3]:
            continue  # the pool of a squeeze
        if operator_of(reader).mixes_channels:
            return made[3]
        waiting += graph.consumers[reader.outputs[0]]
    return 0


def _adds_tensors(graph: Graph, node: Node) -> bool:
    operator = operator_of(node)
    return operator.sums_channels and len(operator.activations(node, graph)) > 1


def _scales_channels(graph: Graph, node: Node) -> bool:
    """Whether it reads a map and a number for each of its channels."""
    shapes = [graph.tensors[name].shape for name in operator_of(node).activations(node, graph)]
    return len(shapes) == 2 and shapes[0] != shapes[1] and shapes[1] == (1, 1, 1, shapes[0][3])


# --- those that are known by something else ------------------------------------------------------


def _shufflenet(graph: Graph, depthwise: Sequence[Node], kernels: Sequence[int]) -> str:
    """16 units that put two halves together, of which the three that halve the map have a layer in both; else "".

    source  Ma et al., ShuffleNet V2 (2018), table 5
    """
    joins = [node for node in graph.nodes if _joins_channels(graph, node)]
    if len(joins) != 16 or kernels != (3,) * 19:
        return ""
    half = graph.tensors[depthwise[-1].outputs[0]].shape[3]
    width = min(_SHUFFLED, key=lambda known: abs(_SHUFFLED[known] - 2 * half))
    return f"ShuffleNetV2, width {width}" if abs(_SHUFFLED[width] - 2 * half) <= _STEP else ""


def _joins_channels(graph: Graph, node: Node) -> bool:
    channels = [graph.tensors[name].shape[3] for name in operator_of(node).activations(node, graph)]
    return len(channels) > 1 and sum(channels) == graph.tensors[node.outputs[0]].shape[3]


def _face_net(graph: Graph, depthwise: Sequence[Node], kernels: Sequence[int], channels: Sequence[int]) -> str:
    """A last depthwise layer over the whole map, whose 1x1 layer is the embedding; else ""."""
    if len(depthwise) != len(_FACE) + 1 or set(kernels[:-1]) != {3}:
        return ""
    covers = window_of(depthwise[-1]).kernel == graph.tensors[depthwise[-1].inputs[0]].shape[1:3]
    width = _width(channels[:-1], _FACE)
    return f"MobileFaceNet, width {width}" if covers and kernels[-1] > 1 and width is not None else ""


def _squeezenet(graph: Graph, depthwise: Sequence[Node]) -> str:
    """Eight fire modules: a 1x1 layer, of which a 1x1 and a 3x3 one read and are put together; else ""."""
    fires = [node for node in graph.nodes if _is_fire(graph, node)]
    layers = [node for node in graph.nodes if weighted_of(node) is not None]
    if depthwise or len(fires) != 8 or len(layers) not in (25, 26):
        return ""
    return {7: "SqueezeNet 1.0", 3: "SqueezeNet 1.1"}.get(window_of(layers[0]).kernel[0], "SqueezeNet")


def _is_fire(graph: Graph, node: Node) -> bool:
    makers = [graph.producer.get(name) for name in operator_of(node).activations(node, graph)]
    layers = [maker for maker in makers if maker is not None and weighted_of(maker) is not None]
    kernels = sorted(window_of(maker).kernel[0] for maker in layers)
    return len(makers) == 2 and kernels == [1, 3] and len({maker.inputs[0] for maker in layers}) == 1


def _described(graph: Graph, depthwise: Sequence[Node], kernels: Sequence[int], adds: bool) -> str:
    if depthwise and adds:
        if _has_expansion(graph, depthwise) and {3, 5, 7} <= set(kernels):
            return "inverted residual network with kernels of 3, 5 and 7 (as ProxylessNAS and MCUNet)"
        return "inverted residual network (MobileNetV2 blocks)"
    if depthwise:
        return "depthwise separable network (MobileNetV1 blocks)"
    return "convolutional network"


def _has_expansion(graph: Graph, depthwise: Sequence[Node]) -> bool:
    """Whether most depthwise convolutions have more channels than the network has between its blocks."""
    wider = sum(graph.tensors[node.outputs[0]].shape[3] > _channels_behind(graph, node) for node in depthwise)
    return wider > len(depthwise) // 2
