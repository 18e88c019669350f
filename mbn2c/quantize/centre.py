"""Float Graph -> float Graph that computes the same, with the channels of its linear activations centred on 0.

What no clamp holds in place may be moved: the layer that makes an activation adds d[c] to its bias, and the layers that
read it take the same off theirs. One tensor-wide range then has to hold the widest channel, not the lowest and the
highest one together: on the last residual tensors of a MobileNetV2 that is half of the range, and half of the rounding
error. An add moves by the sum of what its inputs move by, so the makers' shifts are chosen together.

Source: Nagel et al., Data-Free Quantization Through Weight Equalization and Bias Correction (2019), section 4.1.3, who
absorb high biases behind a ReLU; here the channels have no activation, so it is exact everywhere.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from mbn2c.ir.graph import Graph, Node, Tensor
from mbn2c.ops import operator_of, weighted_of
from mbn2c.quantize.calibrate import Observed
from mbn2c.quantize.equalize import Group, groups_of


def centre(graph: Graph, observed: Mapping[str, Observed]) -> tuple[Graph, dict[str, Observed]]:
    """Centre the channels of every group of activations that can be moved.

    observed  of `graph`
    returns   the Graph, and what its activations hold (without histograms)
    """
    constants = {
        name: tensor.data.astype(np.float64) for name, tensor in graph.tensors.items() if tensor.data is not None
    }
    moved = dict(observed)
    for group in groups_of(graph):
        if not _can_move(graph, group):
            continue
        sums = _sums(graph, group)
        middles = [(observed[name].channel_low + observed[name].channel_high) / 2 for name in group.tensors]
        # Least squares over what is left off centre, all tensors of the group alike.
        shifts = -np.linalg.lstsq(sums, np.array(middles), rcond=None)[0]
        for maker, shift in zip(group.makers, shifts, strict=True):
            constants[maker.inputs[2]] = constants[maker.inputs[2]] + shift
        moves = dict(zip(group.tensors, sums @ shifts, strict=True))
        for reader in group.readers:
            # Behind its input and what it multiplies it by: a layer's bias, the shift of a function.
            constants[reader.inputs[2]] = constants[reader.inputs[2]] - _carried(
                reader, constants[reader.inputs[1]], moves[reader.inputs[0]]
            )
        moved |= {name: observed[name].shifted(move) for name, move in moves.items()}
    tensors = [Tensor(name, value.shape, "float32", value.astype(np.float32)) for name, value in constants.items()]
    return graph.rebuild(tensors=tensors), moved


def _can_move(graph: Graph, group: Group) -> bool:
    """No clamp and no product inside, no function makes it, and nobody reads a pad, which would stay at 0."""
    if any(operator_of(maker).is_function for maker in group.makers):
        return False
    inside = [graph.producer[name] for name in group.tensors]
    between = [node for node in inside if node not in group.makers]
    is_padded = any(any(operator_of(node).window(node).pad) for node in [*group.readers, *between])
    are_sums = all(operator_of(node).sums_channels for node in between)
    return are_sums and not is_padded and all(operator_of(node).activation(node) is None for node in inside)


def _sums(graph: Graph, group: Group) -> np.ndarray:
    """How often each maker's output is in each tensor: float64 [tensors, makers]."""
    rows: dict[str, np.ndarray] = {
        maker.outputs[0]: unit for maker, unit in zip(group.makers, np.eye(len(group.makers)), strict=True)
    }
    for node in graph.nodes:
        if node.outputs[0] in group.tensors and node.outputs[0] not in rows:
            rows[node.outputs[0]] = np.sum([rows[name] for name in node.inputs], axis=0)
    return np.array([rows[name] for name in group.tensors])


def _carried(reader: Node, weights: np.ndarray, move: np.ndarray) -> np.ndarray:
    """What a reader makes of its input's move [C]: float64 per output channel."""
    if operator_of(reader).is_function:
        return weights * move
    operator = weighted_of(reader)
    assert operator is not None
    return operator.contribution(reader, weights, move)
