"""What a network is fed: samples or noise -> float32 inputs -> the int8 tensor it starts from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from mbn2c.errors import ModelError
from mbn2c.ir.graph import Graph
from mbn2c.network.int8_oracle import PrequantizedOracle
from mbn2c.numerics import quantize_linear
from mbn2c.ops.base.quants import quant_of, scale_of
from mbn2c.quantize.calibrate import random_images
from mbn2c.tasks.camera import Camera
from mbn2c.tasks.images import Samples
from mbn2c.tasks.inputs import InputSpec, Preprocess, Sample

RANDOM_IMAGES = 8


def input_spec(graph: Graph, camera: Camera | None = None) -> InputSpec:
    """Shape and axis order of the network's only input. Raises ModelError if there are several."""
    if len(graph.inputs) != 1:
        raise ModelError(f"the model has {len(graph.inputs)} inputs", hint="export it with one image input")
    return InputSpec(graph.inputs[0].shape, graph.inputs[0].permutation, camera)


@dataclass(frozen=True)
class Inputs:
    """Calibration inputs in the model's own axis order, loaded again on each pass over them."""

    spec: InputSpec
    preprocess: Preprocess
    samples: Samples | None
    oracle: PrequantizedOracle | None = None

    def __len__(self) -> int:
        return RANDOM_IMAGES if self.samples is None else len(self.samples)

    def __iter__(self) -> Iterator[np.ndarray]:
        if self.samples is None:
            return random_images(self.spec.shape, RANDOM_IMAGES)
        return (self._values(sample, self.samples.are_codes) for sample in self.samples)

    def _values(self, sample: Sample, are_codes: bool) -> np.ndarray:
        values = sample.model_input(self.spec, self.preprocess)
        return values if self.oracle is None else self.oracle.real(values, are_codes)

    def first(self, count: int) -> list[np.ndarray]:
        """The first `count` inputs, fewer if there are not as many."""
        return [values for values, _ in zip(self, range(count), strict=False)]


def quantize_input(graph: Graph, spec: InputSpec, values: np.ndarray) -> np.ndarray:
    """A float input in the model's own axis order -> the int8 NHWC tensor the network starts from."""
    quant = quant_of(graph, graph.inputs[0].tensor)
    return quantize_linear(spec.to_nhwc(values), scale_of(quant), quant.zero_point)
