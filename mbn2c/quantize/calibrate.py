"""Float Graph and images -> the range of every activation, observed in ONNX Runtime.

The Graph is exported and run as it will be quantized (batch norms folded, activations fused), with every
activation as an output.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mbn2c.errors import ModelError, UsageError
from mbn2c.ir.graph import Graph
from mbn2c.ir.limits import LARGEST_ACTIVATION, is_usable
from mbn2c.ops import operator_of

# A histogram this fine places a percentile within 1/2048 of the largest magnitude.
_BINS = 4096
# Values of one activation of one image that the histogram counts, evenly spaced; extremes and means see them all.
_COUNTED = 1 << 16

RunFloat = Callable[[np.ndarray], Mapping[str, np.ndarray]]
# Graph, float or int8, and some of its activations -> what runs it.
Runner = Callable[[Graph, Sequence[str]], RunFloat]


@dataclass(frozen=True)
class Range:
    """What one activation was seen to hold."""

    low: float
    high: float


class Observed:
    """What one activation [1, C, H, W] was seen to hold.

    low, high                   over everything
    channel_low, channel_high   float64 [C]
    channel_mean, channel_power float64 [C], the mean, the mean square
    counts                      histogram over [-limit, limit], which doubles when a value falls outside; of large
                                activations it counts a part
    """

    def __init__(self, channels: int) -> None:
        self.channel_low, self.channel_high = (np.full(channels, np.inf), np.full(channels, -np.inf))
        self.limit = 2.0**-10
        self.counts = np.zeros(_BINS, np.int64)
        self._sums, self._squares, self._values = (np.zeros(channels), np.zeros(channels), 0)

    @property
    def low(self) -> float:
        """The least value of all channels."""
        return float(self.channel_low.min())

    @property
    def high(self) -> float:
        """The greatest value of all channels."""
        return float(self.channel_high.max())

    @property
    def channel_mean(self) -> np.ndarray:
        """float64 [C]; zeros before the first value."""
        return self._sums / max(1, self._values)

    @property
    def channel_power(self) -> np.ndarray:
        """Mean of the squares, float64 [C]; zeros before the first value."""
        return self._squares / max(1, self._values)

    def see(self, values: np.ndarray) -> None:
        """Take in one activation, [1, C, H, W]."""
        flat = np.ascontiguousarray(values).reshape(len(self.channel_low), -1)
        self.channel_low = np.minimum(self.channel_low, flat.min(axis=1))
        self.channel_high = np.maximum(self.channel_high, flat.max(axis=1))
        self._sums += flat.sum(axis=1)
        self._squares += np.einsum("cp,cp->c", flat, flat)
        self._values += flat.shape[1]
        while max(-self.low, self.high) > self.limit:
            self.limit *= 2
            merged = self.counts.reshape(-1, 2).sum(axis=1)
            self.counts = np.concatenate([np.zeros(_BINS // 4, np.int64), merged, np.zeros(_BINS // 4, np.int64)])
        # An odd step meets every column of an image.
        counted = flat.reshape(-1)[:: flat.size // _COUNTED | 1]
        bins = (counted * np.float32(_BINS / 2 / self.limit) + np.float32(_BINS / 2)).astype(np.int64)
        self.counts += np.bincount(np.minimum(bins, _BINS - 1), minlength=_BINS)

    def shifted(self, shift: np.ndarray) -> Observed:
        """What the activation holds if shift [C] is added to its channels; without a histogram."""
        moved = Observed(len(shift))
        moved.channel_low, moved.channel_high = self.channel_low + shift, self.channel_high + shift
        moved._values, moved._sums = self._values, self._sums + shift * self._values
        moved._squares = self._squares + 2 * shift * self._sums + shift**2 * self._values
        return moved

    def within(self, low: np.ndarray, high: np.ndarray) -> Observed:
        """What the activation holds if channel c is clamped to [low[c], high[c]], the histogram to the widest."""
        clamped = Observed(len(low))
        clamped.channel_low, clamped.channel_high = (
            np.clip(ends, low, high) for ends in (self.channel_low, self.channel_high)
        )
        clamped._values, clamped._sums, clamped._squares = self._values, self._sums, self._squares
        clamped.limit = self.limit
        centres = (np.arange(_BINS) + 0.5) * (2 * self.limit / _BINS) - self.limit
        kept = np.clip(centres, max(clamped.low, -self.limit), min(clamped.high, self.limit))
        bins = np.minimum(((kept + self.limit) * (_BINS / 2 / self.limit)).astype(np.int64), _BINS - 1)
        clamped.counts = np.bincount(bins, weights=self.counts, minlength=_BINS).astype(np.int64)
        return clamped

    def histogram(self) -> tuple[np.ndarray, np.ndarray]:
        """(centres, counts) of the bins that hold something."""
        edges = np.linspace(-self.limit, self.limit, _BINS + 1)
        filled = self.counts > 0
        return ((edges[:-1] + edges[1:]) / 2)[filled], self.counts[filled]

    def shares(self, bins: int) -> np.ndarray:
        """Thousandths of the values in equal parts of [low, high], int [bins], at least 1 where any lies."""
        centres, counts = self.histogram()
        inside = np.clip(centres, self.low, self.high)
        held = np.histogram(inside, bins, (self.low, max(self.high, self.low + 1e-30)), weights=counts)[0]
        return np.ceil(1000 * held / max(1, counts.sum())).astype(np.int64)

    def beyond(self, low: float, high: float) -> float:
        """The share of the values outside of [low, high]; of bins across an end none."""
        centres, counts = self.histogram()
        half = self.limit / _BINS
        return float(counts[(centres + half <= low) | (centres - half >= high)].sum() / max(1, counts.sum()))

    def range(self, percentile: float) -> Range:
        """The range that keeps this share of the values on each side."""
        if percentile >= 100:
            return Range(self.low, self.high)
        cumulative = np.cumsum(self.counts) / max(1, self.counts.sum())
        edges = np.linspace(-self.limit, self.limit, _BINS + 1)
        tail = (100 - percentile) / 100
        low = edges[int(np.searchsorted(cumulative, tail))]
        high = edges[min(int(np.searchsorted(cumulative, 1 - tail)) + 1, _BINS)]
        return Range(max(float(low), self.low), min(float(high), self.high))


def observe(graph: Graph, run_float: RunFloat, images: Iterable[np.ndarray]) -> dict[str, Observed]:
    """Observe every activation of the float Graph.

    run_float   one input in the model's own axis order -> every activation by name, each [1, C, H, W]
    images      inputs in the model's own axis order, batch 1
    raises      UsageError without images, ModelError if a value is not finite
    """
    observed = {name: Observed(tensor.shape[3]) for name, tensor in graph.tensors.items() if tensor.data is None}
    seen = 0
    for image in images:
        seen += 1
        for name, values in run_float(image).items():
            if not is_usable(values, LARGEST_ACTIVATION):
                reason = "is not finite" if not np.isfinite(values).all() else f"reaches {np.abs(values).max():.3g}"
                raise ModelError(
                    f"activation {name} {reason} on calibration image {seen}",
                    hint="check the preprocessing (--preprocess) and the model's weights",
                )
            observed[name].see(values)
    if not seen:
        raise UsageError("no calibration images", hint="point --calib at a folder of images or an .npz file")
    return observed


def what_matters(graph: Graph, observed: Mapping[str, Observed]) -> dict[str, Observed]:
    """The same, clamped to what the readers tell apart: a hard-swish makes 0 of all values below -3.

    Means and powers stay those of all values.
    """
    found = dict(observed)
    for name, readers in graph.consumers.items():
        if not readers or graph.is_output(name):
            continue
        ends = [operator_of(reader).useful_inputs(reader, graph) for reader in readers if reader.inputs[0] == name]
        if len(ends) < len(readers):
            continue
        low, high = np.min([low for low, _ in ends], axis=0), np.max([high for _, high in ends], axis=0)
        if np.isfinite(low).any() or np.isfinite(high).any():
            found[name] = observed[name].within(low, high)
    return found


def calibrate(graph: Graph, run_float: RunFloat, images: Iterable[np.ndarray], percentile: float) -> dict[str, Range]:
    """The range of every activation that keeps a share of its values (in percent) on each side, 100 for all."""
    return {name: seen.range(percentile) for name, seen in observe(graph, run_float, images).items()}


def random_images(shape: tuple[int, ...], count: int) -> Iterator[np.ndarray]:
    """Noise in [-1, 1], the same on every run: good for sizes, not for accuracy."""
    generator = np.random.default_rng(0)
    for _ in range(count):
        yield generator.uniform(-1, 1, shape).astype(np.float32)
