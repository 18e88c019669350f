"""Float and int8 Graph -> which layers' weights have four bits: all that may, or those that cost least for their bytes.

What four bits add to the noise at the outputs is measured layer by layer: the float network runs with one layer's
weights rounded as they will be. Where a flash limit is not kept, those layers are taken that save what is lacking
with the least noise; without a limit as many as cost little beside the int8 activations. What reads the network's
input stays in 8 bits, as do depthwise layers: both have few weights.

Source: Dong et al., HAWQ-V2 (2020) for the idea; Frantar et al., GPTQ (2022) for the rounding.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from mbn2c.errors import FitError
from mbn2c.ir.graph import Graph, Node, Quant
from mbn2c.ops import operator_of, weighted_of
from mbn2c.progress import Progress
from mbn2c.quantize.calibrate import Runner
from mbn2c.quantize.images import Images
from mbn2c.quantize.int16 import PlanOf
from mbn2c.quantize.layers import run_float
from mbn2c.quantize.moments import Moments
from mbn2c.quantize.reconstruct import Fit, fitted_rows

# Of the noise of rounding all activations to int8: what weights of four bits may add to it where no flash is short.
MOST_NOISE = 0.25
# Images that say what a layer's weights cost at the outputs.
_JUDGED_IMAGES = 8
# Plans made until one keeps the limit.
_MOST_PLANS = 6
# What is wanted of the flash is counted in so many parts.
_UNITS = 8192

# By how much code may be smaller than a Plan says.
_CODE_SLACK_BYTES = 4096
# What a network takes at most: where that fits no Plan is made. Some kernels keep depthwise weights as int16.
_MOST_BYTES_PER_WEIGHT, _MOST_CODE_BYTES = 2, 128 * 1024

# Which layers shall have weights of four bits -> the int8 Graph with these.
GraphWith = Callable[[frozenset[str]], Graph]
# int8 Graph, what each layer's weights in four bits would add to the noise of all activations at the outputs (which is
# 1), GraphWith -> names of layers
ChooseFourBits = Callable[[Graph, Callable[[], Mapping[str, float]], GraphWith], frozenset[str]]


def candidates(graph: Graph) -> dict[str, int]:
    """The layers whose weights may have four bits, with how many weights they have; graph: float or int8."""
    start = {port.tensor for port in graph.inputs}
    found = [node for node in graph.nodes if operator_of(node).takes_four_bits(node, graph)]
    return {node.name: graph.constant(node.inputs[1]).size for node in found if node.inputs[0] not in start}


def wherever_they_may(
    int8_graph: Graph, noise_of: Callable[[], Mapping[str, float]], graph_with: GraphWith
) -> frozenset[str]:
    """All candidates."""
    return frozenset(candidates(int8_graph))


def where_they_cost_little(
    int8_graph: Graph, noise_of: Callable[[], Mapping[str, float]], graph_with: GraphWith
) -> frozenset[str]:
    """As many bytes as at most MOST_NOISE buys."""
    sizes, noise = candidates(int8_graph), noise_of()
    chosen, total = set(), 0.0
    for name in _by_noise_per_byte(sizes, noise):
        if total + noise[name] <= MOST_NOISE:
            chosen.add(name)
            total += noise[name]
    return frozenset(chosen)


def within_flash(plan_of: PlanOf, limit_bytes: int) -> ChooseFourBits:
    """As few as keep a limit of flash, none if the network keeps it without.

    plan_of  as the network will be planned, which says what it takes
    raises   FitError, when asked, if the network does not keep it with all of them, by more than code may be smaller
    """

    def choose(int8_graph: Graph, noise_of: Callable[[], Mapping[str, float]], graph_with: GraphWith) -> frozenset[str]:
        chosen: frozenset[str] = frozenset()
        if surely_fits(int8_graph, limit_bytes):
            return chosen
        excess = plan_of(int8_graph).flash_bytes - limit_bytes
        sizes, wanted = candidates(int8_graph), excess
        for _ in range(_MOST_PLANS):
            if excess <= 0:
                return chosen
            if len(chosen) == len(sizes):
                break
            chosen = least_noise(sizes, noise_of(), wanted)
            excess = plan_of(graph_with(chosen)).flash_bytes - limit_bytes
            # Kernels pad channels, and those of four bits take code of their own.
            wanted += max(0, excess)
        if excess <= _CODE_SLACK_BYTES and len(chosen) == len(sizes):
            return chosen
        raise FitError(
            f"with weights of four bits the network takes about {limit_bytes + excess:,} B of flash, "
            f"{limit_bytes:,} B are there",
            hint="a narrower network or more flash; --weights 4 builds it all the same, and says what it costs",
        )

    return choose


def surely_fits(graph: Graph, limit_bytes: int) -> bool:
    """Whether a network is so small that no Plan need be made to say that it keeps a limit of flash."""
    parameters = sum(operator_of(node).parameters(node, graph) for node in graph.nodes)
    return _MOST_BYTES_PER_WEIGHT * parameters + _MOST_CODE_BYTES <= limit_bytes


def _by_noise_per_byte(sizes: Mapping[str, int], noise: Mapping[str, float]) -> list[str]:
    return sorted(sizes, key=lambda name: (noise[name] / sizes[name], name))


def least_noise(sizes: Mapping[str, int], noise: Mapping[str, float], wanted_bytes: int) -> frozenset[str]:
    """The layers that save so many bytes together with the least noise; all if they do not.

    Exact but for the unit that bytes are counted in (a knapsack: the least noise for each number of units saved).
    """
    names, unit = sorted(sizes), max(1, wanted_bytes // _UNITS)
    wanted = -(-wanted_bytes // unit)
    saved = [sizes[name] // 2 // unit for name in names]
    if sum(saved) <= wanted:
        return frozenset(names)
    least, taken = np.full(wanted + 1, np.inf), np.zeros((len(names), wanted + 1), bool)
    least[0] = 0.0
    for index, name in enumerate(names):
        before = np.maximum(np.arange(wanted + 1) - saved[index], 0)
        with_it = least[before] + noise[name]
        taken[index] = with_it < least
        least = np.minimum(with_it, least)
    chosen, units = set(), wanted
    for index in reversed(range(len(names))):
        if taken[index, units]:
            chosen.add(names[index])
            units = max(0, units - saved[index])
    return frozenset(chosen)


def four_bit_noise(
    graph: Graph, images: Images, limit: int, fit: Fit, activations: float, run: Runner, progress: Progress
) -> dict[str, float]:
    """What four bits for each candidate's weights add to the squared error of the outputs, in units of `activations`.

    Every second image says how to round, and some of the others what that costs: a layer with more weights per channel
    than there are pixels seen can be fitted to these without an error. Measured at the outputs, since errors of one
    layer's weights are alike in all pixels, and do not cancel in a mean as those of activations do.

    graph        float
    limit        images to fit on at most
    activations  what rounding all of them adds to it
    """
    count = len(images.values)
    fitted, judged = (images.some(range(start, count, 2)) if count > 1 else images for start in (0, 1))
    judged, ports = judged.evenly(_JUDGED_IMAGES), [port.tensor for port in graph.outputs]

    def outputs(changed: Graph) -> np.ndarray:
        run_float = run(changed, ports)
        found = [run_float(values) for values in judged.values]
        return np.stack([np.concatenate([one[port].ravel() for port in ports]) for one in found])

    names, expected = candidates(graph), outputs(graph)
    last_reader = {name: node.name for node in graph.nodes for name in node.inputs}
    values, found = {graph.inputs[0].tensor: fitted.batch(limit)}, {}
    for node in progress(graph.nodes, "weigh four bits", len(graph.nodes)):
        arrays = [name for name in node.inputs if name in values]
        if node.name in names:
            error = outputs(_with_four_bits(graph, node, values[node.inputs[0]], fit)) - expected
            found[node.name] = float((error.astype(np.float64) ** 2).sum(axis=1).mean()) / max(activations, 1e-30)
        values[node.outputs[0]] = run_float(node, graph, [values[name] for name in arrays])
        for name in arrays:
            if last_reader[name] == node.name:
                del values[name]
    return found


def _with_four_bits(graph: Graph, node: Node, x: np.ndarray, fit: Fit) -> Graph:
    """The float Graph with one layer's weights in four bits, fitted to inputs x."""
    operator, (weights, bias) = weighted_of(node), node.inputs[1:]
    assert operator is not None
    moments = Moments.of(node, (x, x), Quant(np.ones(1, np.float32)), crossed=False)
    wanted = operator.rows(graph.constant(weights).astype(np.float64))
    rows = fitted_rows(wanted, moments, fit, 4)
    data = {
        weights: operator.from_rows(rows, graph.constant(weights).shape),
        bias: graph.constant(bias) + moments.mean_shift(wanted, rows),
    }
    tensors = [replace(graph.tensors[name], data=value.astype(np.float32)) for name, value in data.items()]
    return graph.rebuild(tensors=tensors)


def four_bit_layers(graph: Graph) -> tuple[str, ...]:
    """The layers of a quantized Graph with weights of four bits, in order."""
    weighted = [node for node in graph.nodes if operator_of(node).has_weights]
    quants = {node.name: graph.tensors[node.inputs[1]].quant for node in weighted}
    return tuple(name for name, quant in quants.items() if quant is not None and quant.bits == 4)
