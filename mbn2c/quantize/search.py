"""Float Graph and calibration images -> the int8 Graph that stays nearest to the float one.

The methods are tried one after the other, each on top of what was kept so far, on three quarters of the images. A
method is kept if it raises the SQNR of outputs and last features on the quarter held back; where that is cheap, each
quarter is held back in turn. The kept methods are then run again on all images.
Nothing is random and nothing is timed to decide, so the same images give the same network.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from mbn2c.errors import QuantError
from mbn2c.ir.graph import Graph
from mbn2c.progress import Progress
from mbn2c.quantize.calibrate import Observed, Range, RunFloat, observe
from mbn2c.quantize.correct_bias import correct_bias
from mbn2c.quantize.equalize import equalize
from mbn2c.quantize.quantize import quantize
from mbn2c.quantize.ranges import by_entropy, by_minmax, by_mse, by_percentile, find_ranges, widen
from mbn2c.quantize.reconstruct import Fit, reconstruct

EFFORTS = ("fast", "default", "best")
# Fewer images than this are not split: all are used to fit and to judge.
_FEWEST_TO_SPLIT = 8
_QUARTERS = 4
# Up to so many values of all activations and images, every quarter is held back in turn.
_FOLD_VALUES = 200_000_000
# A method must win by this much, in dB: less is chance. Fitting weights won on every network measured on hundreds of
# images, so on the few held back here it may lose by chance.
_SMALLEST_GAIN_DB, _FIT_GAIN_DB = 0.05, -0.2
_EXACT_DB = 200.0
_MARGIN = 1.25
# Values of the largest activation over all images that are kept in memory while layers are fitted (float32 and int8).
_FIT_VALUES = 80_000_000

Runner = Callable[[Graph, Sequence[str]], RunFloat]


@dataclass(frozen=True)
class Recipe:
    """Which methods make an int8 Graph.

    ranges    "min-max", "mse", "entropy" or "percentile P"
    headroom  ranges of inner activations are this much wider than found, for images still to come
    margin    of `equalize`, None: channels are not equalized
    bias      correct biases analytically
    fit       fit weights and biases layer by layer, None: round to nearest
    """

    ranges: str = "min-max"
    headroom: float = 1.0
    margin: float | None = None
    bias: bool = False
    fit: Fit | None = None


Step = tuple[str, Callable[[Recipe], Recipe]]


@dataclass(frozen=True)
class Tried:
    """One line of the table of what was tried, judged on the images held back.

    sqnr_db    of the outputs and the last features, the mean over the images: one strange image shall not decide
    agreement  share of images with the float network's top-1 in the first output
    """

    method: str
    sqnr_db: float
    agreement: float
    kept: bool
    seconds: float

    def as_json(self) -> dict[str, Any]:
        return {name: value for name, value in asdict(self).items() if name != "seconds"}


@dataclass(frozen=True)
class Found:
    """float_graph: what `graph` (int8) was made from; it computes what the given Graph does."""

    float_graph: Graph
    graph: Graph
    recipe: Recipe
    tried: tuple[Tried, ...]


@dataclass(frozen=True)
class Images:
    """Calibration images: in the model's own axis order, batch 1, and as one NHWC batch."""

    values: Sequence[np.ndarray]
    to_nhwc: Callable[[np.ndarray], np.ndarray]

    def some(self, positions: Iterable[int]) -> Images:
        return Images([self.values[position] for position in positions], self.to_nhwc)

    def batch(self, limit: int) -> np.ndarray:
        count = min(limit, len(self.values))
        chosen = [self.values[number * len(self.values) // count] for number in range(count)]
        return np.concatenate([self.to_nhwc(values) for values in chosen])


def steps_of(effort: str, percentile: float) -> list[Step]:
    """The methods to try in order: (name, what it changes in the recipe so far)."""

    def ranges(method: str) -> Step:
        return f"{method} ranges", lambda recipe: replace(recipe, ranges=method)

    def headroom(factor: float) -> Step:
        return f"ranges {factor:g} times as wide", lambda recipe: replace(recipe, headroom=factor)

    def equalized(recipe: Recipe) -> Recipe:
        # Equal channels leave no slack in the range for a channel that goes beyond what it was seen to hold.
        return replace(recipe, margin=_MARGIN, headroom=1.5)

    steps: list[Step] = [
        ("analytic bias correction", lambda recipe: replace(recipe, bias=True)),
        headroom(1.1),
        ("channels equalized, ranges 1.5 times as wide", equalized),
        headroom(1.25),
        headroom(1.1),
        headroom(1.0),
    ]
    if percentile >= 100:
        steps += [ranges("mse")]
    if effort == "fast":
        return steps
    if effort == "best" and percentile >= 100:
        steps += [ranges("percentile 99.999"), ranges("percentile 99.99"), ranges("entropy")]
    steps += [("weights fitted layer by layer", lambda recipe: replace(recipe, fit=Fit()))]
    if effort == "best":
        steps += [
            ("... and moved to make up for earlier layers", lambda recipe: replace(recipe, fit=Fit(ridge=10.0))),
            ("... moved less", lambda recipe: replace(recipe, fit=Fit(ridge=30.0))),
            ("... with more damping", lambda recipe: replace(recipe, fit=replace(recipe.fit or Fit(), damp=0.5))),
        ]
    return steps


@dataclass(frozen=True)
class _Workshop:
    """Makes int8 Graphs by recipe from one set of images; remembers what several recipes share."""

    graph: Graph
    images: Images
    run: Runner
    progress: Progress
    memory: dict[float | None, tuple[Graph, dict[str, Observed]]]

    def equalized(self, margin: float | None) -> tuple[Graph, dict[str, Observed]]:
        """The float Graph with equalized channels, and what its activations hold."""
        if margin not in self.memory:
            graph = self.graph
            if margin is not None:
                graph = equalize(graph, self.equalized(None)[1], margin)
            activations = [name for name, tensor in graph.tensors.items() if tensor.data is None]
            title = "calibrate" if margin is None else "calibrate, channels equalized"
            values = self.progress(self.images.values, title, len(self.images.values))
            self.memory[margin] = graph, observe(graph, self.run(graph, activations), values)
        return self.memory[margin]

    def make(self, recipe: Recipe) -> tuple[Graph, Graph]:
        """(float Graph, int8 Graph)."""
        graph, observed = self.equalized(recipe.margin)
        ranges = widen(graph, find_ranges(observed, _range_method(recipe.ranges)), recipe.headroom)
        int8_graph = quantize(graph, ranges)
        if recipe.fit is not None:
            largest = max(int(np.prod(tensor.shape)) for tensor in graph.tensors.values() if tensor.data is None)
            batch = self.images.batch(max(1, _FIT_VALUES // largest))
            return graph, reconstruct(graph, int8_graph, batch, recipe.fit, self.progress)
        if recipe.bias:
            int8_graph = correct_bias(graph, int8_graph, observed)
        return graph, int8_graph


def search(
    graph: Graph,
    images: Images,
    effort: str,
    percentile: float,
    run: Runner,
    progress: Progress,
) -> Found:
    """Quantize as well as `effort` allows.

    percentile  100 lets the range method be searched, less fixes it to this percentile
    run         Graph, float or int8, and activations -> a function that runs it: one image -> their real values
    """
    folds = _folds(graph, images, run, progress)
    recipe = Recipe(ranges=f"percentile {percentile:g}" if percentile < 100 else "min-max")
    tried = [_look(f"{recipe.ranges} ranges, weights to nearest", recipe, folds, None)]
    best = tried[0]
    for name, change in steps_of(effort, percentile):
        candidate = change(recipe)
        if candidate == recipe:
            continue
        try:
            first_fit = candidate.fit is not None and recipe.fit is None
            seen = _look(name, candidate, folds, best, _FIT_GAIN_DB if first_fit else _SMALLEST_GAIN_DB)
        except QuantError:
            continue
        tried.append(seen)
        if seen.kept:
            recipe, best = candidate, seen
    everything = _Workshop(graph, images, run, progress, {})
    return Found(*everything.make(recipe), recipe, tuple(tried))


def _folds(graph: Graph, images: Images, run: Runner, progress: Progress) -> list[tuple[_Workshop, Images]]:
    """Workshops, each with the images that it does not see."""
    count = len(images.values)
    if count < _FEWEST_TO_SPLIT:
        return [(_Workshop(graph, images, run, progress, {}), images)]
    values = count * sum(int(np.prod(tensor.shape)) for tensor in graph.tensors.values() if tensor.data is None)
    folds = []
    for fold in range(_QUARTERS if values <= _FOLD_VALUES else 1):
        held = [position for position in range(count) if position % _QUARTERS == _QUARTERS - 1 - fold]
        used = sorted(set(range(count)) - set(held))
        folds.append((_Workshop(graph, images.some(used), run, progress, {}), images.some(held)))
    return folds


def _look(
    method: str,
    recipe: Recipe,
    folds: Sequence[tuple[_Workshop, Images]],
    best: Tried | None,
    least_db: float = _SMALLEST_GAIN_DB,
) -> Tried:
    """Make the int8 Graph of a recipe and compare it with the float Graph on the images held back."""
    started = time.monotonic()
    agreements, decibels = 0, []
    for workshop, held in folds:
        float_graph, int8_graph = workshop.make(recipe)
        weights = _importance(float_graph)
        first = float_graph.outputs[0].tensor
        run_float, run_int8 = (workshop.run(graph, list(weights)) for graph in (float_graph, int8_graph))
        for values in held.values:
            expected, found = run_float(values), run_int8(values)
            decibels.append(_sqnr_db(weights, expected, found))
            agreements += int(found[first].argmax()) == int(expected[first].argmax())
    sqnr = round(float(np.mean(decibels)), 3)
    kept = best is None or sqnr > best.sqnr_db + least_db
    return Tried(method, sqnr, agreements / len(decibels), kept, time.monotonic() - started)


def _sqnr_db(
    weights: Mapping[str, np.ndarray], expected: Mapping[str, np.ndarray], found: Mapping[str, np.ndarray]
) -> float:
    """Of one image, all tensors of `_importance` together, each counted by its size; at most _EXACT_DB."""
    ratio = size = 0.0
    for name, weight in weights.items():
        wanted, got = (side[name][0].astype(np.float64) for side in (expected, found))
        signal, noise = (np.einsum("chw,c->", power, weight) for power in (wanted**2, (got - wanted) ** 2))
        ratio += wanted.size * noise / max(signal, 1e-30)
        size += wanted.size
    return min(_EXACT_DB, -10 * float(np.log10(max(ratio / size, 1e-30))))


def _importance(graph: Graph) -> dict[str, np.ndarray]:
    """The tensors int8 is judged by, and what noise in each of their channels counts, float64 [C].

    The outputs, and what the last layers read, weighted by their weights: a classifier with two outputs says little
    about a network with a dozen images, its 256 features say more. Equalized channels do not change this measure.
    """
    found = {}
    for port in graph.outputs:
        found[port.tensor] = np.ones(graph.tensors[port.tensor].shape[3])
    for port in graph.outputs:
        node = graph.producer[port.tensor]
        if node.op in ("conv2d", "fully_connected") and node.inputs[0] not in found:
            weights = graph.constant(node.inputs[1]).astype(np.float64)
            found[node.inputs[0]] = (weights.reshape(-1, weights.shape[-1]) ** 2).sum(axis=0)
    return found


def _range_method(name: str) -> Callable[[Observed], Range]:
    if name.startswith("percentile "):
        return by_percentile(float(name.split()[1]))
    return {"min-max": by_minmax, "mse": by_mse, "entropy": by_entropy}[name]
