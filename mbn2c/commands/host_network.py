"""Output folder and images -> the bytes that the device computes, by the exact integer reference in numpy."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mbn2c.commands.build import camera_of, preprocess_of, task_of
from mbn2c.commands.input_kind import check_input_kind
from mbn2c.commands.output_folder import OutputFolder
from mbn2c.ir.graph import Graph, Port
from mbn2c.network.inputs import input_spec, quantize_input
from mbn2c.network.int8_oracle import PrequantizedFacts
from mbn2c.network.outputs import real_values
from mbn2c.progress import Progress, no_progress
from mbn2c.reference.run_graph import run_graph
from mbn2c.tasks.array_samples import samples_of_array
from mbn2c.tasks.images import Samples
from mbn2c.tasks.inputs import InputSpec, Sample
from mbn2c.tasks.outputs import Output


@dataclass(frozen=True, eq=False)
class HostRun:
    """What a network makes of images; outputs by the name that the ONNX file gives them.

    names    of the images: file names, or numbers
    codes    int8 [N, H, W, C], the bytes that the device returns
    values   float64 [N, H, W, C], the numbers that they stand for: scale * (code - zero_point)
    answers  float64 [N, ...] in the ONNX file's axis order, after the function that the file ends with and the device
             leaves out; of boxes and class maps that the device makes, the values
    """

    names: tuple[str, ...]
    codes: Mapping[str, np.ndarray]
    values: Mapping[str, np.ndarray]
    answers: Mapping[str, np.ndarray]


@dataclass(frozen=True)
class HostNetwork:
    """The int8 network of an output folder. Its properties and `run` raise UsageError if the folder was damaged."""

    output: OutputFolder

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """Height, width and channels of an image."""
        return self._spec.nhwc[1:]

    def run(
        self, images: np.ndarray | str | Path, *, limit: int | None = None, progress: Progress = no_progress
    ) -> HostRun:
        """Run images one by one, preprocessed as the network was built for.

        images  a folder or an .npz, as verify reads them; uint8 pixels [N, H, W, C]; or floats [N, ...], ready inputs
                in the model's own axis order. N may be missing for one image
        limit   take this many of a folder, evenly spaced
        raises  UsageError for what is none of it, or of another shape
        """
        samples, are_codes = self._samples(images, limit)
        names: list[str] = []
        codes: list[list[np.ndarray]] = [[] for _ in self._ports]
        for sample in progress(samples, "run", len(samples)):
            names.append(sample.name)
            tensors = self.tensors(sample, are_codes)
            for port, found in zip(self._ports, codes, strict=True):
                found.append(tensors[port.tensor])
        stacked = [np.concatenate(found) for found in codes]
        values = real_values(self._graph, stacked)
        return HostRun(
            tuple(names),
            self._by_name(stacked),
            self._by_name(values),
            self._by_name(Output.of(port).after_tail(one) for port, one in zip(self._ports, values, strict=True)),
        )

    def tensors(self, sample: Sample, are_codes: bool = False) -> dict[str, np.ndarray]:
        """Every activation of one image, int8 [1, H, W, C] by tensor name."""
        facts, graph = self.output.record.build, self._graph
        values = sample.model_input(self._spec, preprocess_of(facts))
        if facts.given is not None:
            values = PrequantizedFacts.from_json(facts.given).real(graph, values, are_codes)
        return run_graph(graph, {graph.inputs[0].tensor: quantize_input(graph, self._spec, values)})

    def _samples(self, images: np.ndarray | str | Path, limit: int | None) -> tuple[Samples | list[Sample], bool]:
        facts = self.output.record.build
        if isinstance(images, np.ndarray):
            found = samples_of_array(images, self._spec)
            check_input_kind(facts, found[0].pixels is not None, "the array")
            return found, False
        task = task_of(self._graph, facts, {})
        samples = task.open_samples(Path(images), self._spec, resize=facts.resize, limit=limit)
        check_input_kind(facts, samples.are_pixels, str(images))
        return samples, samples.are_codes

    def _by_name(self, outputs: Iterable[np.ndarray]) -> dict[str, np.ndarray]:
        return {port.outside: one for port, one in zip(self._ports, outputs, strict=True)}

    @property
    def _graph(self) -> Graph:
        return self.output.graph

    @property
    def _ports(self) -> tuple[Port, ...]:
        return self._graph.outputs

    @property
    def _spec(self) -> InputSpec:
        return input_spec(self._graph, camera_of(self.output.record.build))
