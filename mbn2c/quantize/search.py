"""Float Graph and calibration images -> the int8 Graph that stays nearest to the float one.

The methods are tried one after the other, each on top of what was kept so far, on three quarters of the images. A
method is kept if it raises the SQNR of outputs and last features on the quarter held back, and the network that was
judged best is built, from all images. Where that is cheap, each quarter is held back in turn.
Nothing is random and nothing is timed to decide, so the same images give the same network.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np

from mbn2c.errors import QuantError
from mbn2c.ir.graph import Graph
from mbn2c.ops import operator_of
from mbn2c.progress import Progress
from mbn2c.quantize.calibrate import Observed, Runner
from mbn2c.quantize.four_bits import ChooseFourBits, candidates, least_noise
from mbn2c.quantize.images import Images
from mbn2c.quantize.int16 import ChooseInt16, PlanOf
from mbn2c.quantize.judge import Judged, judge
from mbn2c.quantize.recipe import ChannelScaling, Recipe, Step, steps_of
from mbn2c.quantize.reconstruct import Fit
from mbn2c.quantize.share_multipliers import ChooseSharing
from mbn2c.quantize.workshop import Workshop
from mbn2c.tasks.protocol import Task

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
# For weights of four bits: there is more to make up for, and more is seen of what they read (`Workshop.make`).
_FOUR_BITS_FIT = Fit(ridge=10.0, damp=0.3)


@dataclass(frozen=True)
class Tried:
    """One line of the table of what was tried, judged on the images held back.

    sqnr_db    of the outputs and the last features, the mean over the images: one strange image shall not decide
    agreement  share of decisions that are the float network's; None where the task has none
    """

    method: str
    sqnr_db: float
    agreement: float | None
    kept: bool

    def as_json(self) -> dict[str, Any]:
        """The fields, as report.json keeps them."""
        return asdict(self)


@dataclass(frozen=True)
class WeightsPoint:
    """A network between 8 and four bits.

    flash_bytes  as expected of its plan
    layers       that have weights of four bits
    sqnr_db, agreement  as of `Tried`
    """

    flash_bytes: int
    layers: int
    sqnr_db: float
    agreement: float | None
    chosen: bool


@dataclass(frozen=True)
class WeightsCurve:
    """How many of them to make, and who says how they will be planned."""

    points: int
    plan_of: PlanOf


@dataclass(frozen=True)
class Found:
    """float_graph  what `graph` (int8) was made from; it computes what the given Graph does
    judged       images by their number among those given; each by a network made without it, of the same recipe
    folds        networks made to judge them; 0: too few images to hold any back, `graph` judges those it is made from
    int8_only    about what `graph` would be without int16, for its size; None if it has none
    four_bits    the layers whose weights have four bits, and what each adds to the noise of all activations, which is 1
    weights_curve  networks between 8 and four bits, the largest first; empty where nobody asked
    observed     what the activations of `float_graph` hold, from which the ranges are; empty without images
    """

    float_graph: Graph
    graph: Graph
    recipe: Recipe
    tried: tuple[Tried, ...]
    judged: tuple[Judged, ...] = ()
    folds: int = 0
    int8_only: Graph | None = None
    four_bits: Mapping[str, float] = field(default_factory=dict)
    observed: Mapping[str, Observed] = field(default_factory=dict)
    weights_curve: tuple[WeightsPoint, ...] = ()


def search(
    graph: Graph,
    images: Images,
    task: Task,
    effort: str,
    percentile: float,
    run: Runner,
    progress: Progress,
    int16: ChooseInt16 | None = None,
    four_bits: ChooseFourBits | None = None,
    sharing: ChooseSharing | None = None,
    curve: WeightsCurve | None = None,
) -> Found:
    """Quantize as well as `effort` allows.

    task        what the Graph's outputs mean
    percentile  100 lets the range method be searched, less fixes it to this percentile
    run         Graph, float or int8, and activations -> a function that runs it: one image -> their real values
    int16       says which activations are int16, once the methods for int8 are found; the network is made anew with
                them, so that its weights are fitted to what they read
    four_bits   says which layers' weights have four bits, last of all; weights are fitted then, whatever the effort
    sharing     says before whether all layers share few multipliers
    curve       of networks between 8 and four bits; `four_bits` must be there
    """
    folds = _folds(graph, images, task, run, progress)
    made: tuple[Graph, Graph] | None = None
    judged: tuple[Judged, ...] = ()
    recipe = Recipe(ranges=f"percentile {percentile:g}" if percentile < 100 else "min-max")
    steps: list[Step] = [(f"{recipe.ranges} ranges, weights to nearest", lambda recipe: recipe)]
    tried: list[Tried] = []
    best: Tried | None = None
    for name, change in steps + steps_of(effort, percentile, len(images.values)):
        candidate = change(recipe)
        if best is not None and candidate == recipe:
            continue
        first_fit = candidate.fit is not None and recipe.fit is None
        try:
            seen, answers, graphs = _look(
                name, candidate, folds, best, _FIT_GAIN_DB if first_fit else _SMALLEST_GAIN_DB
            )
        except QuantError:
            if best is None:
                raise
            continue
        tried.append(seen)
        if seen.kept:
            recipe, best, judged, made = candidate, seen, answers, graphs
    assert best is not None and made is not None
    int8_only: Graph | None = None
    if int16 is not None:
        workshop = folds[-1].workshop
        names = workshop.choose_int16(int16, recipe, made)
        if names:
            int8_only = made[1]
            recipe = replace(recipe, int16=names)
            seen, judged, made = _look(f"{len(names)} activations in int16", recipe, folds, best, -_EXACT_DB)
            tried.append(seen)
    noise: Mapping[str, float] = {}
    points: list[WeightsPoint] = []
    seen, smaller, of_eight_bits = best, recipe, recipe.fit
    if sharing is not None and folds[-1].workshop.choose_sharing(sharing, recipe, made[1]):
        smaller = replace(smaller, shares_multipliers=True)
    if four_bits is not None:
        names, noise_of = folds[-1].workshop.choose_four_bits(four_bits, smaller, made)
        noise = {name: noise_of()[name] for name in sorted(names)}
        smaller = replace(smaller, four_bits=names, fit=_FOUR_BITS_FIT if names else recipe.fit)
    if smaller != recipe:
        recipe = smaller
        words = [f"weights of {len(recipe.four_bits)} layers in four bits"] if recipe.four_bits else []
        words += ["multipliers shared by all layers"] if recipe.shares_multipliers else []
        seen, judged, made = _look(", ".join(words), recipe, folds, best, -_EXACT_DB)
        tried.append(seen)
    if curve is not None and four_bits is not None:
        taken = curve.plan_of(made[1]).flash_bytes
        points = [WeightsPoint(taken, len(recipe.four_bits), seen.sqnr_db, seen.agreement, chosen=True)]
        points += _other_points(curve, recipe, of_eight_bits, noise_of(), folds, best)
        points.sort(key=lambda point: -point.flash_bytes)
    is_split, workshop = len(images.values) >= _FEWEST_TO_SPLIT, folds[-1].workshop
    if is_split:
        workshop = Workshop(graph, images, run, progress, {})
        made = workshop.make(recipe)
    observed = workshop.equalized(recipe.scaling)[1]
    return Found(
        *made, recipe, tuple(tried), judged, len(folds) if is_split else 0, int8_only, noise, observed, tuple(points)
    )


def _other_points(
    curve: WeightsCurve,
    recipe: Recipe,
    of_eight_bits: Fit | None,
    noise: Mapping[str, float],
    folds: Sequence[_Fold],
    best: Tried,
) -> Iterator[WeightsPoint]:
    """Networks whose weights save as many bytes more each than the one before, from 8 bits everywhere on.

    recipe         of the network that is built, which is not made again
    of_eight_bits  how weights are fitted without four bits
    """
    sizes = candidates(folds[-1].workshop.graph)
    for number in range(curve.points):
        wanted = sum(size // 2 for size in sizes.values()) * number // max(1, curve.points - 1)
        names = least_noise(sizes, noise, wanted)
        if names == recipe.four_bits:
            continue
        other = replace(recipe, four_bits=names, fit=_FOUR_BITS_FIT if names else of_eight_bits)
        seen, _, (_, int8_graph) = _look("", other, folds, best, -_EXACT_DB)
        taken = curve.plan_of(int8_graph).flash_bytes
        yield WeightsPoint(taken, len(names), seen.sqnr_db, seen.agreement, chosen=False)


@dataclass(frozen=True)
class _Fold:
    """A workshop, the images it does not see, their numbers, and what the float network makes of them, by scaling."""

    workshop: Workshop
    held: Images
    numbers: Sequence[int]
    task: Task
    expected: dict[ChannelScaling, list[Mapping[str, np.ndarray]]]

    def compare(self, recipe: Recipe) -> tuple[list[float], list[Judged], tuple[Graph, Graph]]:
        """(SQNR of each image in dB, answers, float and int8 Graph)."""
        float_graph, int8_graph = self.workshop.make(recipe)
        weights = _importance(float_graph, self.task)
        ports = [port.tensor for port in float_graph.outputs]
        run_int8 = self.workshop.run(int8_graph, list(weights))
        decibels, judged = [], []
        sides = (self.held.values, self._floats(recipe.scaling), self._floats(ChannelScaling(None)))
        for number, values, expected, users in zip(self.numbers, *sides, strict=True):
            found = run_int8(values)
            decibels.append(_sqnr_db(weights, expected, found))
            judged.append(judge(number, self.task, ports, users, found))
        return decibels, judged, (float_graph, int8_graph)

    def _floats(self, scaling: ChannelScaling) -> list[Mapping[str, np.ndarray]]:
        """What the float network with these channels makes of the images; None: the user's own, which no clamp cuts."""
        if scaling not in self.expected:
            graph = self.workshop.equalized(scaling)[0]
            run_float = self.workshop.run(graph, list(_importance(graph, self.task)))
            self.expected[scaling] = [run_float(values) for values in self.held.values]
        return self.expected[scaling]


def _folds(graph: Graph, images: Images, task: Task, run: Runner, progress: Progress) -> list[_Fold]:
    count = len(images.values)
    if count < _FEWEST_TO_SPLIT:
        return [_Fold(Workshop(graph, images, run, progress, {}), images, range(count), task, {})]
    values = count * sum(int(np.prod(tensor.shape)) for tensor in graph.tensors.values() if tensor.data is None)
    folds = []
    for fold in range(_QUARTERS if values <= _FOLD_VALUES else 1):
        held = [position for position in range(count) if position % _QUARTERS == _QUARTERS - 1 - fold]
        used = sorted(set(range(count)) - set(held))
        workshop = Workshop(graph, images.some(used), run, progress, {})
        folds.append(_Fold(workshop, images.some(held), held, task, {}))
    return folds


def _look(
    method: str, recipe: Recipe, folds: Sequence[_Fold], best: Tried | None, least_db: float
) -> tuple[Tried, tuple[Judged, ...], tuple[Graph, Graph]]:
    """Make the int8 Graph of a recipe, compare it with the float Graph on the images held back; Graphs of the last."""
    decibels: list[float] = []
    judged: list[Judged] = []
    for fold in folds:
        found, answers, graphs = fold.compare(recipe)
        decibels += found
        judged += answers
    sqnr = round(float(np.mean(decibels)), 3)
    agreement = folds[0].task.agreement([one.record for one in judged])
    kept = best is None or sqnr > best.sqnr_db + least_db
    return Tried(method, sqnr, agreement, kept), tuple(judged), graphs


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


def _importance(graph: Graph, task: Task) -> dict[str, np.ndarray]:
    """The tensors int8 is judged by, and what noise in each of their channels counts, float64 [C].

    The outputs as the task weighs them, and what the last layers read, weighted by their weights: a classifier with
    two outputs says little about a network with a dozen images, its 256 features say more. Equalized channels do not
    change this measure.
    """
    found = {}
    for number, port in enumerate(graph.outputs):
        found[port.tensor] = task.importance(number)
    for port in graph.outputs:
        node = graph.producer[port.tensor]
        if operator_of(node).mixes_channels and node.inputs[0] not in found:
            weights = graph.constant(node.inputs[1]).astype(np.float64)
            found[node.inputs[0]] = (weights.reshape(-1, weights.shape[-1]) ** 2).sum(axis=0)
    return found
