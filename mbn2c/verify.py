"""Output folder, a line to a device, and images -> the three comparisons of design.md, section 2.

device against reference, reference against ONNX Runtime on model.int8.onnx, int8 against the user's float model.
"""

from __future__ import annotations

import time
import zlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from mbn2c.errors import GateError, InternalError, UsageError
from mbn2c.ir.graph import Graph
from mbn2c.link.emulator import EmulatedBoard
from mbn2c.link.session import Session
from mbn2c.link.transport import Transport
from mbn2c.onnx_export import onnx_names, with_outputs
from mbn2c.ops.operator import quant_of, scale_of
from mbn2c.oracle import Oracle
from mbn2c.output_folder import OutputFolder
from mbn2c.pipeline import decibel, input_spec, preprocess_of, quantize_input
from mbn2c.reference.run_graph import run_graph
from mbn2c.results import Share, paired_drop
from mbn2c.tasks.classification import labels_of, read_labels
from mbn2c.tasks.images import Samples, open_samples
from mbn2c.tasks.task import InputSpec, Preprocess, Sample

Progress = Callable[[Iterable[int], str, int], Iterable[int]]


@dataclass(frozen=True)
class VerifyOptions:
    """What the command line says.

    layers    compare the digest of every layer too, and name the first bad one
    max_drop  percent of accuracy the device may lose against the float model, with 95 % confidence; None: no gate
    """

    images: Path
    labels: Path | None = None
    limit: int | None = None
    layers: bool = False
    max_drop: float | None = None


@dataclass
class Tally:
    """Counts over the images so far."""

    images: int = 0
    outputs_compared: int = 0
    device_mismatches: int = 0
    oracle_mismatches: int = 0
    device_hits: int = 0
    int8_hits: int = 0
    float_hits: int = 0
    losses: int = 0
    gains: int = 0
    agreements: int = 0
    signal: float = 0.0
    noise: float = 0.0
    first_bad: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class _Models:
    """The three computations a device is compared with."""

    graph: Graph
    spec: InputSpec
    preprocess: Preprocess
    takes_pixels: bool
    names: Mapping[str, str]
    int8: Oracle
    float32: Oracle

    def frame(self, sample: Sample, values: np.ndarray) -> tuple[bytes, np.ndarray]:
        """What the device is sent, and the int8 tensor it must make of it."""
        quantized = quantize_input(self.graph, self.spec, values)
        if not self.takes_pixels:
            return quantized.tobytes(), quantized
        if sample.pixels is None:
            raise InternalError("a network that takes raw pixels was given floats")
        return sample.pixels.tobytes(), quantized


def verify(
    output: OutputFolder, transport: Transport, session: Session, options: VerifyOptions, progress: Progress
) -> dict[str, Any]:
    """Stream the images through the device; the result as the JSON object of design.md, section 7.

    raises  UsageError for images or labels, BoardError for the line
    """
    started = time.monotonic()
    models = _open_models(output)
    samples = open_samples(options.images, models.spec, resize=output.report["build"]["resize"], limit=options.limit)
    _check_kind(models, samples, options)
    labels = _labels(output, options, samples)
    session.hello()
    tally, instructions = Tally(), _Instructions(transport, models.spec.height)
    for position in progress(range(len(samples)), "verify", len(samples)):
        sample = samples[position]
        label = labels[position] if labels is not None else None
        _one_image(models, session, sample, label, instructions, options.layers, output, tally)
    return _result(output, tally, instructions, session, labels is not None, time.monotonic() - started)


def check_gates(result: Mapping[str, Any], max_drop: float | None) -> None:
    """Raises GateError if the device is not bit-exact, or loses more accuracy than allowed."""
    for what, against in (("device_vs_reference", "the integer reference"), ("reference_vs_ort_int8", "ONNX Runtime")):
        count = result[f"{what}_mismatches"]
        if count:
            raise GateError(
                f"{count} bytes differ from {against}",
                where=result["first_mismatch"] or "outputs",
                hint="run verify again with --layers to find the layer",
            )
    if max_drop is not None:
        if result["drop_upper_95"] is None:
            raise GateError("--max-drop needs labels", hint="--labels CSV with columns file and index")
        if 100 * result["drop_upper_95"] > max_drop:
            raise GateError(
                f"accuracy drops by {100 * result['drop']:.2f} %, at most {100 * result['drop_upper_95']:.2f} % "
                f"with 95 % confidence; {max_drop:g} % is allowed",
                hint="more images narrow the interval; more calibration images or another --percentile may help",
            )


def _open_models(output: OutputFolder) -> _Models:
    graph, facts = output.graph, output.report["build"]
    names = onnx_names(graph)
    return _Models(
        graph,
        input_spec(graph),
        preprocess_of(facts),
        facts["input"] == "uint8",
        names,
        Oracle(with_outputs(output.int8_model.read_bytes(), names.values())),
        Oracle(output.float_model),
    )


def _check_kind(models: _Models, samples: Samples, options: VerifyOptions) -> None:
    if models.takes_pixels and not samples.are_pixels:
        raise UsageError(
            "this network takes raw pixels (--input uint8), not ready inputs",
            where=str(options.images),
            hint="give a folder of images, or build with --input int8",
        )


def _labels(output: OutputFolder, options: VerifyOptions, samples: Samples) -> list[int] | None:
    if options.labels is None:
        return None
    labels = read_labels(options.labels, output.report["build"]["labels"])
    classes = output.report["outputs"][0]["shape"][3]
    return labels_of(samples.names, labels, classes, str(options.labels))


class _Instructions:
    """Instructions of each inference, where the device is an emulator that counts them."""

    def __init__(self, transport: Transport, rows: int) -> None:
        self._board = transport if isinstance(transport, EmulatedBoard) else None
        self._brackets = rows + 2  # begin, each row, finish
        self._seen = 0
        self.per_inference: list[int] = []

    def note(self) -> None:
        """Called after each inference in plain mode."""
        if self._board is None:
            return
        counts = self._board.instruction_counts()
        new, self._seen = counts[self._seen :], len(counts)
        if len(new) == self._brackets:
            self.per_inference.append(sum(new))

    def skip(self) -> None:
        """Called after an inference that measures something else."""
        if self._board is not None:
            self._seen = len(self._board.instruction_counts())


def _one_image(
    models: _Models,
    session: Session,
    sample: Sample,
    label: int | None,
    instructions: _Instructions,
    layers: bool,
    output: OutputFolder,
    tally: Tally,
) -> None:
    values = sample.model_input(models.spec, models.preprocess)
    frame, quantized = models.frame(sample, values)
    graph = models.graph
    reference = run_graph(graph, {graph.inputs[0].tensor: quantized})
    oracle = models.int8.run({graph.inputs[0].outside: values})
    expected = b"".join(reference[port.tensor].tobytes() for port in graph.outputs)
    got = session.run(frame)
    instructions.note()
    tally.images += 1
    tally.outputs_compared += len(expected)
    differing = sum(a != b for a, b in zip(got, expected, strict=True))
    tally.device_mismatches += differing
    for tensor, name in models.names.items():
        differing_here = int((reference[tensor].transpose(0, 3, 1, 2) != oracle[name]).sum())
        tally.oracle_mismatches += differing_here
        if differing_here:
            tally.first_bad.append(f"{sample.name}, tensor {tensor}: reference against ONNX Runtime")
    if layers:
        bad = _first_bad_layer(output, session, frame, reference)
        instructions.skip()
        if bad:
            tally.device_mismatches += not differing
            tally.first_bad.append(f"{sample.name}, {bad}")
    elif differing:
        tally.first_bad.append(f"{sample.name}, output: device against reference")
    _count_accuracy(models, values, got, oracle, label, tally)


def _first_bad_layer(output: OutputFolder, session: Session, frame: bytes, reference: Mapping[str, np.ndarray]) -> str:
    """The first step whose rows have another CRC-32 than the reference's, or ""."""
    digests = session.layer_digests(frame)
    for call in output.layout(output.core).plan.calls:
        rows = reference[call.write]
        if digests[call.step] != zlib.crc32(rows.tobytes()):
            dumped = np.frombuffer(b"".join(session.layer_dump(frame, call.step)), np.int8).reshape(rows.shape)
            first = [int(axis) for axis in np.argwhere(dumped != rows)[0]] if (dumped != rows).any() else []
            at = f", first at row {first[1]}, column {first[2]}, channel {first[3]}" if first else ""
            return f"step {call.step}, {call.node or 'input'}: {int((dumped != rows).sum())} bytes differ{at}"
    return ""


def _count_accuracy(
    models: _Models,
    values: np.ndarray,
    got: bytes,
    oracle: Mapping[str, np.ndarray],
    label: int | None,
    tally: Tally,
) -> None:
    """Top-1 and SQNR of the first output."""
    graph = models.graph
    port = graph.outputs[0]
    shape = graph.tensors[port.tensor].shape
    device = np.frombuffer(got[: int(np.prod(shape))], np.int8)
    floats = models.float32.run({models.float32.input_names[0]: values})[models.float32.output_names[0]]
    choices = (int(device.argmax()), int(oracle[port.outside].argmax()), int(floats.argmax()))
    tally.agreements += choices[0] == choices[2]
    if label is not None:
        right = [choice == label for choice in choices]
        tally.device_hits += right[0]
        tally.int8_hits += right[1]
        tally.float_hits += right[2]
        tally.losses += right[2] and not right[0]
        tally.gains += right[0] and not right[2]
    quant = quant_of(graph, port.tensor)
    real = (device.astype(np.float64) - quant.zero_point) * float(scale_of(quant))
    wanted = floats.astype(np.float64).transpose(np.argsort(port.permutation)).reshape(-1)
    if graph.softmax:
        # The device returns logits; of a softmax they are known up to a constant.
        wanted = wanted if graph.softmax == "log_softmax" else np.log(np.maximum(wanted, 1e-30))
        wanted, real = wanted - wanted.mean(), real - real.mean()
    tally.signal += float((wanted**2).sum())
    tally.noise += float(((real - wanted) ** 2).sum())


def _result(
    output: OutputFolder,
    tally: Tally,
    instructions: _Instructions,
    session: Session,
    labelled: bool,
    seconds: float,
) -> dict[str, Any]:
    n = tally.images
    drop, upper = paired_drop(tally.losses, tally.gains, n) if labelled else (None, None)
    counts = instructions.per_inference
    mean = sum(counts) / len(counts) if counts else None
    macs = output.report["model"]["macs"]

    def share(hits: int) -> float | None:
        return hits / n if labelled else None

    def interval(hits: int) -> list[float] | None:
        return list(Share(hits, n).interval) if labelled else None

    return {
        "board": session.facts.board,
        "core": session.facts.core,
        "images": n,
        "outputs_compared": tally.outputs_compared,
        "device_vs_reference_mismatches": tally.device_mismatches,
        "reference_vs_ort_int8_mismatches": tally.oracle_mismatches,
        "first_mismatch": tally.first_bad[0] if tally.first_bad else None,
        "top1_device": share(tally.device_hits),
        "top1_device_interval_95": interval(tally.device_hits),
        "top1_ort_float32": share(tally.float_hits),
        "top1_ort_float32_interval_95": interval(tally.float_hits),
        "top1_ort_int8": share(tally.int8_hits),
        "top1_agreement": tally.agreements / n,
        "top1_agreement_interval_95": list(Share(tally.agreements, n).interval),
        "drop": drop,
        "drop_upper_95": upper,
        "sqnr_db": decibel(tally.signal, tally.noise),
        "instructions_per_inference": round(mean) if mean is not None else None,
        "instructions_smallest": min(counts) if counts else None,
        "instructions_largest": max(counts) if counts else None,
        "instructions_per_mac": round(mean / macs, 3) if mean is not None and macs else None,
        "cycles_per_inference": None,
        "stack_used_bytes": session.vitals().stack_used_bytes or None,
        "calibration": output.report["build"]["calibration"]["source"],
        "retries": session.retries,
        "wall_s": round(seconds, 3),
    }
