"""What an activation was seen to hold -> the range its int8 values cover.

Four methods. No range goes beyond a clamp (ReLU6), which so stays the saturation it was.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from mbn2c.ir.graph import Graph
from mbn2c.ops import operator_of
from mbn2c.quantize.calibrate import Observed, Range

_LEVELS = 255
_OUTPUT_HEADROOM = 1.25
_FACTORS = np.linspace(1.0, 0.2, 41)


def by_minmax(seen: Observed) -> Range:
    """Everything seen is inside."""
    return Range(seen.low, seen.high)


def by_percentile(percent: float) -> Callable[[Observed], Range]:
    """This share of the values, in percent, is inside on each side."""
    return lambda seen: seen.range(percent)


def by_mse(seen: Observed) -> Range:
    """The least mean squared error of the int8 values, rounding and saturation together.

    source  Sung et al., Resiliency of Deep Neural Networks under Quantization (2015); TensorRT and ONNX Runtime
            search the same objective over a histogram
    """
    centres, counts = seen.histogram()

    def error(low: float, high: float) -> float:
        step = (high - low) / _LEVELS
        beyond = np.maximum(low - centres, 0) + np.maximum(centres - high, 0)
        inside = counts[beyond == 0].sum()
        return float((beyond**2 * counts).sum() + inside * step**2 / 12)

    return _search(seen, error)


def by_entropy(seen: Observed) -> Range:
    """The least Kullback-Leibler divergence between the values' distribution and that of their int8 values.

    source  Migacz, 8-bit Inference with TensorRT (2017)
    """
    centres, counts = seen.histogram()
    total = counts.sum()

    def divergence(low: float, high: float) -> float:
        level = np.clip(np.rint((centres - low) / (high - low) * _LEVELS), 0, _LEVELS).astype(np.int64)
        mass = np.bincount(level, weights=counts, minlength=_LEVELS + 1)
        inside = (centres >= low) & (centres <= high)
        bins = np.bincount(level[inside & (counts > 0)], minlength=_LEVELS + 1)
        kept = np.bincount(level[inside], weights=counts[inside], minlength=_LEVELS + 1)
        # The reference holds the saturated values in its end bins; the candidate spreads each level over its bins.
        spread = kept / np.maximum(bins, 1)
        used = inside & (counts > 0)
        reference = counts[used].astype(np.float64)
        reference[0] += counts[centres < low].sum()
        reference[-1] += counts[centres > high].sum()
        candidate = np.maximum(spread[level[used]], 1e-9) / max(mass.sum(), 1)
        share = reference / total
        return float((share * np.log(share / candidate)).sum())

    return _search(seen, divergence)


def _search(seen: Observed, cost: Callable[[float, float], float]) -> Range:
    """The range of least cost: both ends shrink towards 0, together and then each for itself."""
    low, high = min(seen.low, 0.0), max(seen.high, 0.0)
    if high - low <= 0:
        return Range(seen.low, seen.high)
    best = min(((cost(low * f, high * f), f, f) for f in _FACTORS), key=lambda entry: entry[0])
    if low < 0 < high:
        _, both, _ = best
        best = min(best, *((cost(low * f, high * both), f, both) for f in _FACTORS), key=lambda entry: entry[0])
        _, lower, _ = best
        best = min(best, *((cost(low * lower, high * f), lower, f) for f in _FACTORS), key=lambda entry: entry[0])
    return Range(low * best[1], high * best[2])


def find_ranges(observed: Mapping[str, Observed], method: Callable[[Observed], Range]) -> dict[str, Range]:
    """The range of each observed tensor by one method."""
    return {name: method(seen) for name, seen in observed.items()}


def widen(graph: Graph, ranges: Mapping[str, Range], factor: float) -> dict[str, Range]:
    """Ranges `factor` times as wide, but never beyond a clamp, and the network's inputs as they are."""
    wider = {}
    for name, found in ranges.items():
        node = graph.producer.get(name)
        low, high = (found.low, found.high) if node is None else (found.low * factor, found.high * factor)
        activation = None if node is None else operator_of(node).activation(node)
        if activation is not None:
            low, high = max(low, activation.low), min(high, activation.high)
        wider[name] = Range(low, high)
    return wider


def covering(ranges: Mapping[str, Range], least: Mapping[str, Range]) -> dict[str, Range]:
    """Ranges that hold those of `least`, too."""
    return dict(ranges) | {
        name: Range(min(ranges[name].low, wanted.low), max(ranges[name].high, wanted.high))
        for name, wanted in least.items()
    }


def output_ranges(graph: Graph, observed: Mapping[str, Observed]) -> dict[str, Range]:
    """Ranges of the network's outputs, which hold more than what was seen.

    Where the largest output is the answer, a surer answer than any seen so far must not saturate beside the second one.
    """
    seen = {port.tensor: by_minmax(observed[port.tensor]) for port in graph.outputs}
    return widen(graph, seen, _OUTPUT_HEADROOM)
