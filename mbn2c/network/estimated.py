"""A network without images -> drawn ones to choose its int8 scales from, as near to what it was trained on as it tells.

Where batch norms are unfolded they say what their inputs held while the network was trained. The usual preprocessing
that brings drawn images nearest to the first of them is the network's own; of many images those are taken that together
come nearest to all of them. Else the images take every usual preprocessing in turn.

source  Nagel et al., Data-free quantization through weight equalization and bias correction (2019), and Cai et al.,
        ZeroQ (2020): batch norms remember the data
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mbn2c.ir.graph import Graph
from mbn2c.network.real_values import runner
from mbn2c.ops import operator_of
from mbn2c.quantize.calibrate import Range
from mbn2c.tasks.drawn_images import draw_image
from mbn2c.tasks.images import Samples
from mbn2c.tasks.inputs import USUAL, InputSpec, Preprocess

# Images that calibrate, those they are chosen from, and those that find the preprocessing.
DRAWN_IMAGES, _CANDIDATES, _COMPARED_IMAGES = 18, 72, 6


@dataclass(frozen=True)
class Estimate:
    """samples       drawn images, as the network's inputs
    preprocess    as given, or as the batch norms say; None: nobody knows
    words         what the images were preprocessed as, and why
    input_range   of all the network may be fed: of every usual preprocessing where the user has given none
    """

    samples: Samples
    preprocess: Preprocess | None
    words: str
    input_range: Range


def estimate(imported: Graph, spec: InputSpec, given: Preprocess | None) -> Estimate:
    """Images for a network that came without any.

    imported  its float Graph before all passes, which fold the batch norms
    given     the preprocessing, if the user said it
    """
    usual = {name: one for name, one in USUAL.items() if one.suits_channels(spec.channels)}
    trained = _Trained.of(imported)
    known, words = given, "preprocessed as given"
    if given is None and trained is None:
        words = f"preprocessed as {', '.join(usual)} in turn"
    elif given is None and trained is not None:
        name = _trained_with(imported, spec, usual, trained)
        known, words = usual[name], f"preprocessed as {name}, which suits the statistics of {trained.names[0]} best"
    if known is not None and trained is not None:
        values = _nearest(imported, [_drawn(number, spec, known) for number in range(_CANDIDATES)], trained)
    else:
        turns = list(usual.values()) if known is None else [known]
        values = [_drawn(number, spec, turns[number % len(turns)]) for number in range(DRAWN_IMAGES)]
    ends = np.array([one.pixel_values(spec.channels) for one in ([given] if given is not None else usual.values())])
    samples = Samples(spec, values=np.concatenate(values), rows=tuple(range(DRAWN_IMAGES)))
    return Estimate(samples, known, words, Range(float(ends.min()), float(ends.max())))


def _drawn(number: int, spec: InputSpec, preprocess: Preprocess) -> np.ndarray:
    """Image `number` as the network's input, float32 of shape spec.shape."""
    return spec.from_nhwc(preprocess.apply(draw_image(number, *spec.nhwc[1:])))


@dataclass(frozen=True)
class _Trained:
    """What some activations held while the network was trained.

    names            nodes that say it
    tensors          the activations
    mean, variance   of each one's channels, float64 [C]
    """

    names: tuple[str, ...]
    tensors: tuple[str, ...]
    mean: tuple[np.ndarray, ...]
    variance: tuple[np.ndarray, ...]

    @classmethod
    def of(cls, graph: Graph) -> _Trained | None:
        """Of all nodes that say it; None if there is none."""
        said = [(node, found) for node in graph.nodes if (found := operator_of(node).trained_on(node)) is not None]
        if not said:
            return None
        nodes, found = zip(*said, strict=True)
        mean, variance = zip(*found, strict=True)
        return cls(tuple(node.name for node in nodes), tuple(node.inputs[0] for node in nodes), mean, variance)

    def first(self) -> _Trained:
        """Of the first node alone."""
        return _Trained(self.names[:1], self.tensors[:1], self.mean[:1], self.variance[:1])

    def seen(self, graph: Graph, images: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """Means and mean squares in images, float64 [N, channels of all activations]."""
        run = runner(graph, self.tensors)
        means, squares = [], []
        for image in images:
            values = run(image)
            maps = [values[tensor].astype(np.float64) for tensor in self.tensors]
            means.append(np.concatenate([one.mean(axis=(0, 2, 3)) for one in maps]))
            squares.append(np.concatenate([(one**2).mean(axis=(0, 2, 3)) for one in maps]))
        return np.array(means), np.array(squares)

    def distance(self, mean: np.ndarray, square: np.ndarray) -> np.ndarray:
        """Kullback-Leibler divergence of normal distributions, the mean over each activation's channels, then over all.

        mean, square  float64 [..., channels of all activations]
        returns       float64 [...]
        """
        wanted_mean, wanted = np.concatenate(self.mean), np.concatenate(self.variance)
        weights = np.concatenate([np.full(len(one), 1 / len(one) / len(self.mean)) for one in self.mean])
        least = 1e-6 * max(1e-30, float(wanted.max()))
        wanted, found = np.maximum(wanted, least), np.maximum(square - mean**2, least)
        divergence = (found / wanted + (mean - wanted_mean) ** 2 / wanted - 1 - np.log(found / wanted)) / 2
        return np.asarray(divergence @ weights)


def _trained_with(graph: Graph, spec: InputSpec, usual: Mapping[str, Preprocess], trained: _Trained) -> str:
    """Name of the preprocessing that suits the first statistics best."""
    first = trained.first()

    def distance(name: str) -> float:
        images = [_drawn(number, spec, usual[name]) for number in range(_COMPARED_IMAGES)]
        mean, square = first.seen(graph, images)
        return float(first.distance(mean.mean(axis=0), square.mean(axis=0)))

    return min(usual, key=distance)


def _nearest(graph: Graph, images: Sequence[np.ndarray], trained: _Trained) -> list[np.ndarray]:
    """Images that together come nearest to the statistics: each the one that helps those before it most."""
    means, squares = trained.seen(graph, images)
    chosen: list[int] = []
    for count in range(1, DRAWN_IMAGES + 1):
        mean, square = (means[chosen].sum(axis=0) + means) / count, (squares[chosen].sum(axis=0) + squares) / count
        distances = trained.distance(mean, square)
        distances[chosen] = np.inf
        chosen.append(int(np.argmin(distances)))
    return [images[position] for position in chosen]
