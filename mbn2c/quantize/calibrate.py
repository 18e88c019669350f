"""Float Graph and images -> the range of every activation, observed in ONNX Runtime.

The Graph is exported and run as it will be quantized (batch norms folded, activations fused), with every
activation as an output.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from mbn2c.errors import ModelError, UsageError
from mbn2c.ir.graph import Graph

# A histogram this fine places a percentile within 1/2048 of the largest magnitude.
_BINS = 4096

RunFloat = Callable[[np.ndarray], Mapping[str, np.ndarray]]


@dataclass(frozen=True)
class Range:
    """What one activation was seen to hold."""

    low: float
    high: float


class _Observer:
    """Running minimum, maximum and a histogram over [-limit, limit] that doubles when a value falls outside."""

    def __init__(self) -> None:
        self.low, self.high = np.inf, -np.inf
        self.limit = 2.0**-10
        self.counts = np.zeros(_BINS, np.int64)

    def see(self, values: np.ndarray) -> None:
        self.low = min(self.low, float(values.min()))
        self.high = max(self.high, float(values.max()))
        while max(-self.low, self.high) > self.limit:
            self.limit *= 2
            merged = self.counts.reshape(-1, 2).sum(axis=1)
            self.counts = np.concatenate([np.zeros(_BINS // 4, np.int64), merged, np.zeros(_BINS // 4, np.int64)])
        self.counts += np.histogram(values, bins=_BINS, range=(-self.limit, self.limit))[0]

    def range(self, percentile: float) -> Range:
        if percentile >= 100:
            return Range(self.low, self.high)
        cumulative = np.cumsum(self.counts) / max(1, self.counts.sum())
        edges = np.linspace(-self.limit, self.limit, _BINS + 1)
        tail = (100 - percentile) / 100
        low = edges[int(np.searchsorted(cumulative, tail))]
        high = edges[min(int(np.searchsorted(cumulative, 1 - tail)) + 1, _BINS)]
        return Range(max(float(low), self.low), min(float(high), self.high))


def calibrate(graph: Graph, run_float: RunFloat, images: Iterable[np.ndarray], percentile: float) -> dict[str, Range]:
    """Observe every activation of the float Graph.

    run_float   one input in the model's own axis order -> every activation by name
    images      inputs in the model's own axis order, batch 1
    percentile  share of the values kept on each side, 100 for minimum and maximum
    raises      UsageError without images, ModelError if a value is not finite
    """
    activations = [name for name, tensor in graph.tensors.items() if tensor.data is None]
    observers = {name: _Observer() for name in activations}
    seen = 0
    for image in images:
        seen += 1
        for name, values in run_float(image).items():
            if not np.isfinite(values).all():
                raise ModelError(
                    f"activation {name} is not finite on calibration image {seen}",
                    hint="check the preprocessing (--preprocess) and the model's weights",
                )
            observers[name].see(values)
    if not seen:
        raise UsageError("no calibration images", hint="point --calib at a folder of images or an .npz file")
    return {name: observer.range(percentile) for name, observer in observers.items()}


def random_images(shape: tuple[int, ...], count: int) -> Iterator[np.ndarray]:
    """Noise in [-1, 1], the same on every run: good for sizes, not for accuracy."""
    generator = np.random.default_rng(0)
    for _ in range(count):
        yield generator.uniform(-1, 1, shape).astype(np.float32)
