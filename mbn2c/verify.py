"""Output folder, a line to a device, and images -> the three comparisons of design.md, section 2.

device against reference, reference against ONNX Runtime on model.int8.onnx, int8 against the user's float model.
"""

from __future__ import annotations

import contextlib
import hashlib
import queue
import threading
import time
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np

from mbn2c.errors import BoardError, GateError, InternalError, UsageError
from mbn2c.int8_oracle import ExportedModel, GivenFacts, GivenModel, Int8Oracle
from mbn2c.ir.graph import Graph
from mbn2c.ir.plan import from_memory, in_memory
from mbn2c.journal import Journal
from mbn2c.link.emulator import EmulatedBoard
from mbn2c.link.session import Session
from mbn2c.link.transport import Transport
from mbn2c.network_inputs import input_spec, preprocess_of, quantize_input
from mbn2c.ops.operator import quant_of, scale_of
from mbn2c.oracle import Oracle
from mbn2c.output_folder import OutputFolder
from mbn2c.progress import Progress
from mbn2c.reference.run_graph import run_graph
from mbn2c.results import Share, decibel, paired_drop
from mbn2c.target import load_core
from mbn2c.tasks.classification import labels_of, read_labels
from mbn2c.tasks.images import Samples, open_samples
from mbn2c.tasks.task import InputSpec, Preprocess, Sample

JOURNAL = "verify.journal"
_IDLE_S = 0.05
_END_S = 5.0
_BITS_PER_BYTE = 10  # with start and stop bit


@dataclass(frozen=True)
class VerifyOptions:
    """What the command line says.

    layers    compare the digest of every layer too, and name the first bad one
    digest    the device sends the CRC-32 of its output; the output itself only if that differs
    journal   file that remembers the results so far; None to remember nothing
    resume    go on with what it holds
    max_drop  percent of accuracy the device may lose against the float model, with 95 % confidence; None: no gate
    """

    images: Path
    labels: Path | None = None
    limit: int | None = None
    layers: bool = False
    max_drop: float | None = None
    digest: bool = False
    journal: Path | None = None
    resume: bool = False


@dataclass(frozen=True)
class Device:
    """One line to a device, and the conversation on it."""

    transport: Transport
    session: Session


@dataclass
class Tally:
    """Counts over one image, or over those so far. `instructions` has one entry per inference that was counted."""

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
    instructions: list[int] = field(default_factory=list)

    def add(self, other: Tally) -> None:
        for entry in fields(Tally):
            setattr(self, entry.name, getattr(self, entry.name) + getattr(other, entry.name))


@dataclass(frozen=True)
class _Models:
    """The three computations a device is compared with."""

    graph: Graph
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


def verify(
    output: OutputFolder, transport: Transport, session: Session, options: VerifyOptions, progress: Progress
) -> dict[str, Any]:
    """`verify_on_all` with one device."""
    return verify_on_all(output, [Device(transport, session)], options, progress)


def verify_on_all(
    output: OutputFolder, devices: Sequence[Device], options: VerifyOptions, progress: Progress
) -> dict[str, Any]:
    """Stream the images through the devices, which share one queue; a device that fails gives its image back.

    returns the JSON object of design.md, section 7

    raises  UsageError for images, labels or the journal, BoardError when no device is left
    """
    started = time.monotonic()
    models = _open_models(output)
    samples = open_samples(options.images, models.spec, resize=output.report["build"]["resize"], limit=options.limit)
    _check_kind(models, samples, options)
    labels = _labels(output, options, samples)
    for device in devices:
        device.session.hello()
    subject = {
        "model": output.digest.hex(),
        "images": [len(samples), hashlib.sha256("\n".join(samples.names).encode()).hexdigest()],
        "folder": str(options.images.resolve()),
        "labels": labels,
        "layers": options.layers,
        "cores": sorted({device.session.facts.core for device in devices}),
    }
    with Journal(options.journal, subject, resume=options.resume) as journal:
        bench = _Bench(output, models, samples, labels, options)
        results = {position: Tally(**result) for position, result in journal.done.items()}
        resumed = len(results)
        todo = [position for position in range(len(samples)) if position not in results]
        finished = _finished(bench, devices, todo)
        for _ in progress(range(len(todo)), "verify", len(todo)):
            position, tally = next(finished)
            journal.write(position, asdict(tally))
            results[position] = tally
        whole = Tally()
        for position in sorted(results):
            whole.add(results[position])
        result = _result(output, whole, devices, labels is not None, time.monotonic() - started)
        journal.finish()
    return result | {"resumed_images": resumed}


@dataclass(frozen=True)
class _Bench:
    """What is needed to judge one image. `alone` is held while the host computes: only the lines work in parallel."""

    output: OutputFolder
    models: _Models
    samples: Samples
    labels: list[int] | None
    options: VerifyOptions
    alone: threading.Lock = field(default_factory=threading.Lock)

    def judge(self, position: int, device: Device, instructions: _Instructions) -> Tally:
        label = self.labels[position] if self.labels is not None else None
        return _one_image(self, device.session, self.samples[position], label, instructions)


def _finished(bench: _Bench, devices: Sequence[Device], todo: Sequence[int]) -> Iterator[tuple[int, Tally]]:
    """Position and Tally of each image, as the devices finish them."""
    height = bench.models.spec.height
    if len(devices) == 1:
        instructions = _Instructions(devices[0].transport, height)
        for position in todo:
            yield position, bench.judge(position, devices[0], instructions)
        return
    waiting: queue.SimpleQueue[int] = queue.SimpleQueue()
    done: queue.SimpleQueue[tuple[int, Tally] | Exception] = queue.SimpleQueue()
    for position in todo:
        waiting.put(position)
    stop = threading.Event()

    def work(device: Device) -> None:
        instructions = _Instructions(device.transport, height)
        while not stop.is_set():
            try:
                position = waiting.get(timeout=_IDLE_S)
            except queue.Empty:
                continue  # another device may yet fail and give its image back
            try:
                done.put((position, bench.judge(position, device, instructions)))
            except Exception as error:
                waiting.put(position)
                done.put(error)
                return

    threads = [threading.Thread(target=work, args=(device,), daemon=True) for device in devices]
    for thread in threads:
        thread.start()
    left, working = len(todo), len(devices)
    try:
        while left:
            item = done.get()
            if isinstance(item, Exception):
                working -= 1
                if working == 0 or not isinstance(item, BoardError):
                    raise item
                continue
            left -= 1
            yield item
    finally:
        stop.set()
        for thread in threads:
            thread.join(_END_S)


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
        if result["top1_agreement"] is None:
            raise GateError(
                "--max-drop compares with the float model, and this model came quantized",
                hint="verify without --max-drop, or build from the float model",
            )
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
    return _Models(
        graph,
        input_spec(graph),
        preprocess_of(facts),
        facts["input"] == "uint8",
        _int8_oracle(output),
        Oracle(output.float_model) if output.float_model else None,
    )


def _int8_oracle(output: OutputFolder) -> Int8Oracle:
    model, given = output.int8_model.read_bytes(), output.report["build"]["given"]
    if given is None:
        return ExportedModel(output.graph, model)
    return GivenModel(output.graph, model, output.fused_model.read_bytes(), GivenFacts.from_json(given))


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

    def note(self) -> list[int]:
        """Called after an inference in plain mode; its instructions, or [] if they are not known."""
        if self._board is None:
            return []
        counts = self._board.instruction_counts()
        new, self._seen = counts[self._seen :], len(counts)
        return [sum(new)] if len(new) == self._brackets else []

    def skip(self) -> None:
        """Called after an inference that measures something else."""
        if self._board is not None:
            self._seen = len(self._board.instruction_counts())


def _one_image(
    bench: _Bench, session: Session, sample: Sample, label: int | None, instructions: _Instructions
) -> Tally:
    models, graph = bench.models, bench.models.graph
    tally = Tally(images=1)
    with bench.alone:
        values = models.int8.real(sample.model_input(models.spec, models.preprocess), bench.samples.are_codes)
        frame, quantized = models.frame(sample, values)
        reference = run_graph(graph, {graph.inputs[0].tensor: quantized})
        comparison = models.int8.compare(values, reference)
    expected = b"".join(reference[port.tensor].tobytes() for port in graph.outputs)
    if bench.options.digest and session.run_digest(frame) == zlib.crc32(expected):
        got = expected
    else:
        instructions.skip()
        got = session.run(frame)
    tally.instructions = instructions.note()
    tally.outputs_compared = len(expected)
    differing = sum(a != b for a, b in zip(got, expected, strict=True))
    tally.device_mismatches += differing
    for where, count in comparison.differing.items():
        tally.oracle_mismatches += count
        tally.first_bad.append(f"{sample.name}, {where}: reference against ONNX Runtime")
    if bench.options.layers:
        bad = _first_bad_layer(bench.output, session, frame, reference)
        instructions.skip()
        if bad:
            tally.device_mismatches += not differing
            tally.first_bad.append(f"{sample.name}, {bad}")
    elif differing:
        tally.first_bad.append(f"{sample.name}, output: device against reference")
    with bench.alone:
        _count_accuracy(models, values, got, comparison.logits, label, tally)
    return tally


def _first_bad_layer(output: OutputFolder, session: Session, frame: bytes, reference: Mapping[str, np.ndarray]) -> str:
    """The first step whose rows have another CRC-32 than the reference's, or ""."""
    digests = session.layer_digests(frame)
    plan = output.layout(load_core(session.facts.core)).plan
    for call in plan.calls:
        rows, buffer = reference[call.write], plan.buffers[call.write]
        expected = in_memory(buffer, rows, quant_of(plan.graph, call.write).zero_point)
        if digests[call.step] != zlib.crc32(expected.tobytes()):
            dumped = from_memory(buffer, np.frombuffer(b"".join(session.layer_dump(frame, call.step)), np.int8))
            first = [int(axis) for axis in np.argwhere(dumped != rows)[0]] if (dumped != rows).any() else []
            at = f", first at row {first[1]}, column {first[2]}, channel {first[3]}" if first else ""
            return f"step {call.step}, {call.node or 'input'}: {int((dumped != rows).sum())} bytes differ{at}"
    return ""


def _count_accuracy(
    models: _Models,
    values: np.ndarray,
    got: bytes,
    logits: np.ndarray,
    label: int | None,
    tally: Tally,
) -> None:
    """Top-1 and SQNR of the first output.

    logits  int8, that output in ONNX Runtime
    """
    graph = models.graph
    port = graph.outputs[0]
    shape = graph.tensors[port.tensor].shape
    device = np.frombuffer(got[: int(np.prod(shape))], np.int8)
    choices = (int(device.argmax()), int(logits.argmax()))
    right = [choice == label for choice in choices]
    tally.device_hits += right[0]
    tally.int8_hits += right[1]
    if models.float32 is None:
        return
    floats = models.float32.run({models.float32.input_names[0]: values})[models.float32.output_names[0]]
    tally.agreements += choices[0] == int(floats.argmax())
    if label is not None:
        right.append(int(floats.argmax()) == label)
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
    devices: Sequence[Device],
    labelled: bool,
    seconds: float,
) -> dict[str, Any]:
    n = tally.images
    has_float = output.float_model is not None
    drop, upper = paired_drop(tally.losses, tally.gains, n) if labelled and has_float else (None, None)
    counts = tally.instructions
    sessions = [device.session for device in devices]
    line_s = max(session.line_s for session in sessions)
    mean = sum(counts) / len(counts) if counts else None
    macs = output.report["model"]["macs"]

    def share(hits: int) -> float | None:
        return hits / n if labelled else None

    def interval(hits: int) -> list[float] | None:
        return list(Share(hits, n).interval) if labelled else None

    return {
        "board": ", ".join(dict.fromkeys(session.facts.board for session in sessions)),
        "core": ", ".join(dict.fromkeys(session.facts.core for session in sessions)),
        "devices": len(sessions),
        "images": n,
        "outputs_compared": tally.outputs_compared,
        "device_vs_reference_mismatches": tally.device_mismatches,
        "reference_vs_ort_int8_mismatches": tally.oracle_mismatches,
        "first_mismatch": tally.first_bad[0] if tally.first_bad else None,
        "top1_device": share(tally.device_hits),
        "top1_device_interval_95": interval(tally.device_hits),
        "top1_ort_float32": share(tally.float_hits) if has_float else None,
        "top1_ort_float32_interval_95": interval(tally.float_hits) if has_float else None,
        "top1_ort_int8": share(tally.int8_hits),
        "top1_agreement": tally.agreements / n if has_float else None,
        "top1_agreement_interval_95": list(Share(tally.agreements, n).interval) if has_float else None,
        "drop": drop,
        "drop_upper_95": upper,
        "sqnr_db": decibel(tally.signal, tally.noise),
        "instructions_per_inference": round(mean) if mean is not None else None,
        "instructions_smallest": min(counts) if counts else None,
        "instructions_largest": max(counts) if counts else None,
        "instructions_per_mac": round(mean / macs, 3) if mean is not None and macs else None,
        "cycles_per_inference": None,
        "stack_used_bytes": _stack_used(sessions),
        "calibration": output.report["build"]["calibration"]["source"],
        "retries": sum(session.retries for session in sessions),
        "line_bytes": sum(session.sent_bytes + session.received_bytes for session in sessions),
        "line_share": _line_share(sessions),
        "images_per_s": round(sum(session.runs for session in sessions) / line_s, 2) if line_s else None,
        "wall_s": round(seconds, 3),
    }


def _stack_used(sessions: Sequence[Session]) -> int | None:
    """The largest high-water mark of the devices that still answer."""
    used = [0]
    for session in sessions:
        with contextlib.suppress(BoardError):
            used.append(session.vitals().stack_used_bytes)
    return max(used) or None


def _line_share(sessions: Sequence[Session]) -> float | None:
    """Of 1, how much of the lines' capacity towards the devices the runs used; None for lines without a rate."""
    busy_s = sum(session.sent_bytes * _BITS_PER_BYTE / session.baud for session in sessions if session.baud)
    whole_s = sum(session.line_s for session in sessions if session.baud)
    return round(busy_s / whole_s, 3) if whole_s else None
