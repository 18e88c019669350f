"""Float Graph -> float Graph that computes the same and quantizes better: channels scaled to use int8 alike.

Channel c of an activation may be multiplied by any s[c] > 0 if the layers that make it multiply their weights and bias
by s[c] and the layers that read it divide theirs. One tensor-wide int8 range then acts as one range per channel.
Tensors that an add, a pool or a gate ties together share one s: x[c] * g[c] is scaled as x is, and the gate g stays. A
clamp at 6 stays a clamp at 6 for all channels, so it would cut channel c at 6 / s[c]: a channel that reaches 6 keeps s
= 1, another one is scaled only so far that its observed maximum, with a margin, stays below. So nothing changes on the
calibration images, which `search` measures.
A function of each value with numbers per channel (`per_channel_functions`) makes and reads tensors that can be scaled.

Source: Nagel et al., Data-Free Quantization Through Weight Equalization and Bias Correction (2019), here with observed
activations and a noise model in place of weight ranges alone, and with clamps kept exact.
"""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass, field

import numpy as np

from mbn2c.ir.graph import Graph, Node, Tensor
from mbn2c.numerics import weight_range
from mbn2c.ops import operator_of, weighted_of
from mbn2c.quantize.calibrate import Observed

_LEVELS = 255
_STEPS, _RATE = 80, 0.1
# 2 to this is the exponent of the p-norm that stands for a maximum during the descent.
_NORM_SQUARINGS = 4
# A channel of one pixel's map is never scaled more than this above the tensor's largest: one that was hardly seen at
# work, as the features of classes that no calibration image shows, may reach as far as the others later. Of a map of
# many pixels more was seen.
_LARGEST_GAIN, _SMALL_MAP = 4.0, 7
# What fitting leaves of the noise of weights rounded to the nearest step.
_WEIGHTS_LEFT = 0.15
# Where weights of four bits are cut, of the largest one in a row.
_FOUR_BITS_CUT = 0.75


@dataclass
class Group:
    """Activations that must share one scaling, the layers that make and read them."""

    tensors: list[str]
    makers: list[Node] = field(default_factory=list)
    readers: list[Node] = field(default_factory=list)


def equalize(
    graph: Graph,
    observed: Mapping[str, Observed],
    gains: Mapping[str, np.ndarray],
    margin: float,
    four_bits: Set[str] = frozenset(),
) -> Graph:
    """Scale the channels of every group of activations that can be scaled.

    observed  of `graph`
    gains     of `graph`, by `sensitivity.noise_gains`
    margin    how far above its observed maximum a clamped channel stays below its clamp, at least 1
    four_bits names of layers whose weights will have four bits: their columns want to be alike, too
    """
    constants = {
        name: tensor.data.astype(np.float64) for name, tensor in graph.tensors.items() if tensor.data is not None
    }
    for group in groups_of(graph):
        upper = _upper_bounds(graph, group, observed, margin)
        if upper is None:
            continue
        largest = _largest_gain(graph, group)
        factors = _choose(_noise_model(graph, group, observed, gains, constants, four_bits), upper, largest)
        scale_channels(group, constants, factors)
    tensors = [Tensor(name, value.shape, "float32", value.astype(np.float32)) for name, value in constants.items()]
    return graph.rebuild(tensors=tensors)


def groups_of(graph: Graph) -> list[Group]:
    """Groups in execution order, without those that touch the outside or an operator that is not channelwise linear."""
    parent = {name: name for name, tensor in graph.tensors.items() if tensor.data is None}

    def root(name: str) -> str:
        while parent[name] != name:
            name = parent[name]
        return name

    fixed = {port.tensor for port in graph.inputs + graph.outputs}
    for node in graph.nodes:
        operator = operator_of(node)
        tied = operator.scaled_alike(node, graph)
        for name in tied:
            parent[root(name)] = root(node.outputs[0])
        if tied:
            fixed |= {*node.inputs} - {*tied}
        elif not _scales_channels(node):
            fixed |= {*node.inputs, *node.outputs}
    fixed_roots = {root(name) for name in fixed}
    groups: dict[str, Group] = {}
    for name in parent:
        if root(name) not in fixed_roots:
            groups.setdefault(root(name), Group([])).tensors.append(name)
    for node in graph.nodes:
        if _scales_channels(node):
            if root(node.outputs[0]) in groups:
                groups[root(node.outputs[0])].makers.append(node)
            if root(node.inputs[0]) in groups:
                groups[root(node.inputs[0])].readers.append(node)
    return list(groups.values())


def _scales_channels(node: Node) -> bool:
    """Whether the node has constants that can scale the channels of what it makes, and those of what it reads."""
    operator = operator_of(node)
    return operator.has_weights or (operator.is_function and len(node.inputs) > 1)


def _largest_gain(graph: Graph, group: Group) -> float:
    """By how much a channel may be scaled above the largest one, by the size of the smallest map of the group."""
    pixels = min(graph.tensors[name].shape[1] * graph.tensors[name].shape[2] for name in group.tensors)
    return _LARGEST_GAIN * max(1.0, float(np.sqrt(pixels)) / _SMALL_MAP)


def _upper_bounds(graph: Graph, group: Group, observed: Mapping[str, Observed], margin: float) -> np.ndarray | None:
    """The largest allowed factor of each channel, inf without a clamp, 1 where a clamp cuts; None if none is exact."""
    upper = np.full(len(observed[group.tensors[0]].channel_high), np.inf)
    for name in group.tensors:
        node = graph.producer[name]
        activation = operator_of(node).activation(node)
        if activation is None:
            continue
        if activation.low not in (0, -np.inf) or activation.high <= 0:
            return None
        if np.isfinite(activation.high):
            highest = np.maximum(observed[name].channel_high, 0)
            room = activation.high / np.maximum(highest * margin, activation.high / _LARGEST_GAIN)
            upper = np.minimum(upper, np.where(highest >= activation.high * (1 - 1e-6), -1, np.maximum(room, 1)))
    return upper


@dataclass(frozen=True)
class _Noise:
    """The noise model of one group: what rounding its activations and the weights that read them costs at the outputs.

    extent      [T, C], largest magnitude of each tensor's channels (with s = 1)
    clamp       [T], the clamp a tensor's range ends at, 0 if none: then the range follows the channels
    symmetric   [T], 2 where a tensor has values of both signs, else 1
    gain        [T, C], what noise in a channel costs
    dense       per dense reader (|weights| [O, C], what the square of each row's largest weight costs [O] by the noise
                of rounding the row, mean square of its input [C])
    """

    extent: np.ndarray
    clamp: np.ndarray
    symmetric: np.ndarray
    gain: np.ndarray
    dense: list[tuple[np.ndarray, np.ndarray, np.ndarray]]

    def total(self, s: np.ndarray) -> float:
        """The noise with factors s [C]."""
        return self.total_and_gradient(s, hard=True)[0]

    def total_and_gradient(self, s: np.ndarray, *, hard: bool = False) -> tuple[float, np.ndarray]:
        """The noise and its derivative by log s [C]; maxima are p-norms, which have a derivative, unless `hard`."""
        spans = self.extent * s
        ranges, shares = _soft_max(spans, hard)
        ranges = np.where(self.clamp > 0, self.clamp, ranges * self.symmetric)
        power = (ranges / _LEVELS) ** 2
        shares = shares * (np.where(self.clamp > 0, 0.0, power))[:, None]
        costs = self.gain / s**2
        noise = (power * costs.sum(axis=1)).sum()
        slope = 2 * (costs.sum(axis=1) @ shares) - 2 * (power @ costs)
        for weights, importance, mean_square in self.dense:
            largest, shares = _soft_max(weights / s, hard)
            steps = importance * largest**2
            signal = s**2 * mean_square
            noise += steps.sum() * signal.sum()
            slope += 2 * steps.sum() * signal - 2 * (steps @ shares) * signal.sum()
        return float(noise), slope


def _soft_max(values: np.ndarray, hard: bool) -> tuple[np.ndarray, np.ndarray]:
    """Row maxima [R] of values [R, C] and the share of each entry in it [R, C]."""
    largest = np.maximum(values.max(axis=1), 1e-30)
    if hard:
        return largest, np.zeros_like(values)
    powers = (values / largest[:, None]).astype(np.float32)
    for _ in range(_NORM_SQUARINGS):
        powers *= powers
    total = np.maximum(powers.sum(axis=1), 1e-30)
    return largest * total ** (0.5**_NORM_SQUARINGS), powers / total[:, None]


def _choose(noise: _Noise, upper: np.ndarray, largest: float) -> np.ndarray:
    """Factors [C] that make the noise small: gradient descent from a start at equal channel ranges."""
    extent = noise.extent.max(axis=0)
    if not extent.any():  # 0 on every image: a gate that none of them opens
        return np.ones_like(extent)
    s = extent.max() / np.maximum(extent, extent.max() / largest)
    fixed = upper < 0
    if np.isfinite(upper).any():
        s = np.where(fixed, 1.0, np.minimum(s, np.where(np.isfinite(upper), upper, s)))
    ceiling = np.where(fixed, 1.0, np.minimum(upper, largest))
    best, best_s = noise.total(s), s
    if best == 0:  # no noise reaches an output: it lies beyond what tells anything, on every image
        return s
    logs, velocity, spread = np.log(s), np.zeros(len(s)), np.zeros(len(s))
    for step in range(_STEPS):
        value, slope = noise.total_and_gradient(np.exp(logs))
        slope = np.where(fixed, 0.0, slope / value)
        # Adam (Kingma and Ba, 2014), with a step that fades out.
        velocity, spread = 0.9 * velocity + 0.1 * slope, 0.95 * spread + 0.05 * slope**2
        logs = logs - _RATE * (1 - step / _STEPS) * velocity / (np.sqrt(spread) + 1e-9)
        logs = np.minimum(logs, np.log(ceiling))
        if step % 4 == 3 and (value := noise.total(np.exp(logs))) < best:
            best, best_s = value, np.exp(logs)
    return best_s


def _noise_model(
    graph: Graph,
    group: Group,
    observed: Mapping[str, Observed],
    gains: Mapping[str, np.ndarray],
    constants: Mapping[str, np.ndarray],
    four_bits: Set[str],
) -> _Noise:
    extent, clamp, symmetric = [], [], []
    for name in group.tensors:
        seen = observed[name]
        extent.append(np.maximum(np.abs(seen.channel_low), np.abs(seen.channel_high)))
        activation = operator_of(graph.producer[name]).activation(graph.producer[name])
        clamp.append(activation.high if activation is not None and np.isfinite(activation.high) else 0.0)
        symmetric.append(2.0 if seen.low < 0 else 1.0)
    dense = []
    for node in group.readers:
        if not operator_of(node).mixes_channels:
            # A channel of its own has a weight scale of its own: scaling changes nothing.
            continue
        weights = constants[node.inputs[1]]
        flat = np.abs(weights.reshape(len(weights), -1, len(extent[0])))
        power = observed[node.inputs[0]].channel_power * flat.shape[1]
        levels = weight_range(4)[1] / _FOUR_BITS_CUT if node.name in four_bits else weight_range(8)[1]
        dense.append((flat.max(axis=1), _WEIGHTS_LEFT * _at_least_mean(gains[node.outputs[0]]) / levels**2, power))
    gain = np.array([_at_least_mean(gains[name]) for name in group.tensors])
    return _Noise(np.array(extent), np.array(clamp), np.array(symmetric), gain, dense)


def _at_least_mean(gain: np.ndarray) -> np.ndarray:
    """Gains [C] for images still to come: a channel that the few seen hardly need may decide about others."""
    return np.maximum(gain, gain.mean())


def scale_channels(group: Group, constants: dict[str, np.ndarray], s: np.ndarray) -> None:
    """Multiply channel c of the group's activations by s[c], in the layers that make them; readers divide."""
    for node in group.makers:
        if operator_of(node).is_function:
            outer = node.inputs[3]
            constants[outer] = constants[outer] * s
            continue
        operator, (_, weights, bias) = weighted_of(node), node.inputs
        assert operator is not None
        constants[weights] = operator.scale_outputs(constants[weights], s)
        constants[bias] = constants[bias] * s
    for node in group.readers:
        if operator_of(node).is_function:
            inner = node.inputs[1]
            constants[inner] = constants[inner] / s
            continue
        operator, (_, weights, _) = weighted_of(node), node.inputs
        assert operator is not None
        constants[weights] = constants[weights] / operator.by_input(node, s, constants[weights])
