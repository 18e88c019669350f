"""One image through reference, ONNX Runtime and a device -> a Tally of what differs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np

from mbn2c.commands.build import camera_of, preprocess_of, task_of
from mbn2c.commands.output_folder import OutputFolder
from mbn2c.commands.verify.device import Device, Instructions
from mbn2c.commands.verify.layers import compare_layers
from mbn2c.commands.verify.second_look import Finding, FirstAnswer, first_look, second_look
from mbn2c.errors import BoardError, InternalError, UsageError
from mbn2c.files.typed_json import Count
from mbn2c.frontend.runtime import Oracle
from mbn2c.ir.graph import Graph
from mbn2c.network.inputs import input_spec, quantize_input
from mbn2c.network.int8_oracle import Comparison, ExportedModel, Int8Oracle, PrequantizedFacts, PrequantizedOracle
from mbn2c.network.outputs import device_answers
from mbn2c.reference.run_graph import run_graph
from mbn2c.tasks.images import Samples
from mbn2c.tasks.inputs import InputSpec, Preprocess, Sample
from mbn2c.tasks.protocol import Task


@dataclass(frozen=True)
class VerifyOptions:
    """What the command line says.

    layers    compare the digest of every layer too, and name the first bad one
    digest    the device sends the CRC-32 of its output; the output itself only if that differs
    journal   file that remembers the results so far; None to remember nothing
    resume    go on with what it holds
    stress    run the stress set on each device, too
    max_drop  percent of accuracy the device may lose against the float model, with 95 % confidence; None: no gate
    output_kinds  what the user says of an output, by name, beside what the build was told
    results  folder for pictures and tables of the images, if the task makes any; None: none
    """

    images: Path
    labels: Path | None = None
    limit: int | None = None
    layers: bool = False
    max_drop: float | None = None
    digest: bool = False
    journal: Path | None = None
    resume: bool = False
    output_kinds: Mapping[str, str] = field(default_factory=dict)
    stress: bool = True
    results: Path | None = None


@dataclass
class Tally:
    """Counts over one image, or over those so far. `instructions`, `cycles`: one entry per inference counted.

    unstable             images on which a device contradicted itself; their `device_mismatches` are never 0
    rotated              images that were turned upright as their EXIF orientation says
    records              one entry per image: the fields of the task's record
    """

    images: Count = 0
    rotated: Count = 0
    outputs_compared: Count = 0
    device_mismatches: Count = 0
    oracle_mismatches: Count = 0
    unstable: Count = 0
    records: list[dict[str, Any]] = field(default_factory=list)
    first_bad: list[str] = field(default_factory=list)
    instructions: list[Count] = field(default_factory=list)
    cycles: list[Count] = field(default_factory=list)

    def add(self, other: Tally) -> None:
        """Add the counts of `other`, and append its lists."""
        for entry in fields(Tally):
            setattr(self, entry.name, getattr(self, entry.name) + getattr(other, entry.name))


@dataclass(frozen=True)
class Models:
    """The three computations a device is compared with."""

    graph: Graph
    task: Task
    spec: InputSpec
    preprocess: Preprocess
    takes_pixels: bool
    int8: Int8Oracle
    float32: Oracle | None

    def frame(self, sample: Sample, values: np.ndarray) -> tuple[bytes, np.ndarray]:
        """What the device is sent, and the int8 tensor it must make of it."""
        quantized = quantize_input(self.graph, self.spec, values)
        if not self.takes_pixels:
            return quantized.tobytes(), quantized
        if sample.pixels is None:
            raise InternalError("a network that takes raw pixels was given floats")
        return sample.pixels.tobytes(), quantized

    def compared(self, sample: Sample, are_codes: bool) -> tuple[np.ndarray, bytes, dict[str, np.ndarray], Comparison]:
        """A sample as floats and as what the device is sent, the reference's int8 tensors, and their comparison."""
        values = self.int8.real(sample.model_input(self.spec, self.preprocess), are_codes)
        frame, quantized = self.frame(sample, values)
        reference = run_graph(self.graph, {self.graph.inputs[0].tensor: quantized})
        return values, frame, reference, self.int8.compare(values, reference)

    def floats(self, values: np.ndarray, name: str) -> Mapping[str, np.ndarray] | None:
        """The outputs of the float model by name; None without one. Raises UsageError if they are no numbers."""
        if self.float32 is None:
            return None
        outputs = self.float32.run({self.float32.input_names[0]: values})
        for output, found in outputs.items():
            if not np.isfinite(found).all():
                what = f"the float model's output '{output}' overflows, so there is nothing to compare with"
                hint = f"check the image's values, which go up to {np.abs(values).max():.3g}"
                raise UsageError(what, where=name, hint=hint)
        return outputs


def open_models(output: OutputFolder, kinds: Mapping[str, str]) -> Models:
    """kinds: of outputs, by name, beside what the build was told."""
    graph, facts = output.graph, output.record.build
    return Models(
        graph,
        task_of(graph, facts, kinds),
        input_spec(graph, camera_of(output.record.build)),
        preprocess_of(facts),
        facts.input == "uint8",
        _int8_oracle(output),
        Oracle(output.float_model) if output.float_model else None,
    )


def _int8_oracle(output: OutputFolder) -> Int8Oracle:
    model, facts = output.int8_model.read_bytes(), output.record.build.given
    if facts is None:
        return ExportedModel(output.graph, model)
    return PrequantizedOracle(output.graph, model, output.fused_model.read_bytes(), PrequantizedFacts.from_json(facts))


@dataclass(frozen=True)
class Prepared:
    """An image as the host has computed it: what the device is sent, and all that it is compared with.

    sha256     of what the image is made of
    reference  int8 tensors by name
    expected   the output bytes the device must return
    """

    position: int
    name: str
    sha256: str
    is_rotated: bool
    values: np.ndarray
    frame: bytes
    reference: Mapping[str, np.ndarray]
    expected: bytes
    comparison: Comparison


@dataclass(frozen=True)
class Outcome:
    """What a device made of an image.

    bad_layer     the first layer that differs, in words; "" if none does, or if layers are not compared
    instructions  of this inference, [] if they are not counted
    cycles        likewise, 0 if they are not counted
    """

    prepared: Prepared
    finding: Finding
    bad_layer: str = ""
    instructions: list[int] = field(default_factory=list)
    cycles: int = 0


@dataclass(frozen=True)
class Bench:
    """What is needed to judge images."""

    output: OutputFolder
    models: Models
    samples: Samples
    options: VerifyOptions

    @property
    def output_bytes(self) -> int:
        """Of all outputs, for each image."""
        graph = self.models.graph
        return sum(int(np.prod(graph.tensors[port.tensor].shape)) for port in graph.outputs)

    def prepare(self, position: int) -> Prepared:
        """The host's part before the device's."""
        sha256 = self.samples.digest(position)  # before it is loaded: of one that changes meanwhile, the digest is old
        sample = self.samples[position]
        values, frame, reference, comparison = self.models.compared(sample, self.samples.are_codes)
        graph = self.models.graph
        expected = b"".join(reference[port.tensor].tobytes() for port in graph.outputs)
        is_rotated = sample.name in self.samples.rotated
        return Prepared(position, sample.name, sha256, is_rotated, values, frame, reference, expected, comparison)

    def examine(self, prepared: Prepared, device: Device, instructions: Instructions) -> Outcome:
        """One image on a device, in all that the options ask for."""
        session, frame = device.session, prepared.frame
        answer = session.run_digest(frame) if self.options.digest else session.run(frame)
        first = FirstAnswer.of(prepared.expected, answer, session.last_fault)
        counts, cycles, bad = instructions.note(), device.cycles, ""
        finding = first_look(first)
        try:
            if not first.is_right:
                finding = second_look(first, frame, session)
            if self.options.layers:
                layers = compare_layers(session, device.expectations(self.output), frame, prepared.reference)
                bad, finding = layers.bad, finding.with_doubt(layers.unstable)
        except BoardError:
            if first.is_right:
                raise  # else the verdict on this image stands; the next one meets what became of the device
        instructions.skip()
        return Outcome(prepared, finding, bad, counts, cycles)

    def judge(self, outcome: Outcome) -> Tally:
        """The host's part after the device's."""
        prepared, finding = outcome.prepared, outcome.finding
        tally = Tally(
            images=1,
            rotated=int(prepared.is_rotated),
            outputs_compared=len(prepared.expected),
            instructions=outcome.instructions,
        )
        tally.cycles = [outcome.cycles] if outcome.cycles else []
        tally.device_mismatches += finding.differing
        if finding.unstable:
            tally.unstable += 1
            tally.first_bad.append(f"{prepared.name}: {finding.unstable}")
        for where, count in prepared.comparison.differing.items():
            tally.oracle_mismatches += count
            tally.first_bad.append(f"{prepared.name}, {where}: reference against ONNX Runtime")
        if outcome.bad_layer:
            tally.device_mismatches += not finding.differing
            tally.first_bad.append(f"{prepared.name}, {outcome.bad_layer}")
        elif finding.differing:
            right = ", though every layer's digest is right" if self.options.layers else ""
            tally.first_bad.append(f"{prepared.name}, output: device against reference{right}")
        models = self.models
        floats = models.floats(prepared.values, prepared.name)
        found, expected = finding.got, prepared.expected
        answers = device_answers(models.graph, models.task, found, expected, prepared.comparison.outputs, floats)
        tally.records = [asdict(models.task.compare(answers))]
        return tally
