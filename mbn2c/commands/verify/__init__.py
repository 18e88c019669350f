"""Output folder, a line to a device, and images -> the three comparisons of design.md, section 2.

device against reference, reference against ONNX Runtime on model.int8.onnx, int8 against the user's float model.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from mbn2c.commands.input_kind import check_input_kind
from mbn2c.commands.output_folder import OutputFolder
from mbn2c.commands.verify.device import Device
from mbn2c.commands.verify.journal import Journal
from mbn2c.commands.verify.one_image import Bench, Tally, VerifyOptions, open_models
from mbn2c.commands.verify.result import check_gates, records_of, verify_result
from mbn2c.commands.verify.results import ResultsFolder
from mbn2c.commands.verify.resumed import subject_of, taken_over
from mbn2c.commands.verify.shared_queue import finished_images
from mbn2c.commands.verify.stress import StressSet, StressTally, after_findings, run_stress
from mbn2c.errors import BoardError, DeviceFaultError
from mbn2c.link.session import Session
from mbn2c.link.transports.transport import Transport
from mbn2c.progress import Stages
from mbn2c.report.html.results import with_page
from mbn2c.report.text import verified_facts
from mbn2c.tasks.protocol import Limits

__all__ = ["JOURNAL", "RESULTS", "Device", "VerifyOptions", "check_gates", "verify", "verify_on_all", "verify_stages"]

JOURNAL = "verify.journal"
RESULTS = "results"
_READ, _STRESS, _COMPARE, _CYCLES, _RESULTS = (
    "read images",
    "stress set",
    "compare images",
    "cycles of layers",
    "write results",
)


def verify_stages(options: VerifyOptions) -> tuple[str, ...]:
    """The stages of `verify_on_all`."""
    is_run = {_STRESS: options.stress, _CYCLES: options.layers, _RESULTS: options.results is not None}
    return tuple(one for one in (_READ, _STRESS, _COMPARE, _CYCLES, _RESULTS) if is_run.get(one, True))


def verify(output: OutputFolder, transport: Transport, session: Session, options: VerifyOptions) -> dict[str, Any]:
    """`verify_on_all` with one device."""
    return verify_on_all(output, [Device(transport, session)], options)


def verify_on_all(
    output: OutputFolder,
    devices: Sequence[Device],
    options: VerifyOptions,
    lost: Sequence[str] = (),
    stages: Stages | None = None,
) -> dict[str, Any]:
    """Stream the images through the devices, which share one queue; a device that fails gives its images back.

    lost    devices that could not even be opened, in words, for the report
    stages  that those of `verify_stages` begin in
    returns the JSON object of design.md, section 7

    raises  UsageError for images, labels or the journal, BoardError when no device is left
    """
    started = time.monotonic()
    stages = stages or Stages(verify_stages(options))
    stages.begin(_READ)
    models = open_models(output, options.output_kinds)
    task, resize = models.task, output.record.build.resize
    samples = task.open_samples(options.images, models.spec, resize=resize, limit=options.limit)
    check_input_kind(output.record.build, samples.are_pixels, str(options.images))
    task.check_limits(Limits(options.max_drop))
    class_names = output.record.build.labels
    labels = task.find_labels(samples.names, samples.folders, options.labels, class_names)
    shown = ResultsFolder(options.results) if options.results else None
    for device in devices:
        device.session.hello()
    bench = Bench(output, models, samples, options)
    subject = subject_of(output, models, samples, labels.truths, options, devices)
    with Journal(options.journal, subject, resume=options.resume) as journal:
        failed = list(lost)
        results = taken_over(
            journal.done, samples, bench.output_bytes, task, models.float32 is not None, str(options.journal)
        )
        resumed = len(results)
        todo = [position for position in range(len(samples)) if position not in results]
        left, stress = list(devices), StressTally()
        if options.stress:
            left, stress = run_stress(StressSet(output, models), devices, failed, stages.begin(_STRESS))
        with contextlib.closing(finished_images(bench, left, todo, failed)) as finished:
            try:
                for _ in stages.begin(_COMPARE)(range(len(todo)), "images", len(todo)):
                    prepared, tally = next(finished)
                    journal.write(prepared.position, prepared.sha256, asdict(tally))
                    results[prepared.position] = tally
            except BoardError as error:
                raise after_findings(_mismatches(stress, results), error) from error
        whole = Tally()
        for position in sorted(results):
            whole.add(results[position])
        result = verify_result(output, task, whole, stress, devices, labels, time.monotonic() - started)
        layer_cycles = None
        if options.layers:
            stages.begin(_CYCLES)
            layer_cycles = _layer_cycles(bench, devices)
        journal.finish()
    result |= {"layer_cycles": layer_cycles, "resumed_images": resumed, "devices_lost": failed, "results": None}
    if shown is not None:
        stages.begin(_RESULTS)
        files = task.result_files(samples, records_of(whole, task), labels, class_names)
        shown.write(with_page(files, output.record.model.name, verified_facts(result)))
        result["results"] = str(shown.folder) if shown.files else None
    return result


def _mismatches(stress: StressTally, results: Mapping[int, Tally]) -> list[str]:
    """What differs on devices, in words: of the stress set, and of each image so far."""
    images = [tally.first_bad[0] for _, tally in sorted(results.items()) if tally.device_mismatches]
    return [*stress.first_bad[: stress.device_mismatches], *images]


def _layer_cycles(bench: Bench, devices: Sequence[Device]) -> list[dict[str, Any]] | None:
    """Cycles of each layer, of one more inference on the first real board that counts them; None without one."""
    for device in devices:
        try:
            if device.counts_cycles:
                counted = device.cycles_of_calls(bench.output, bench.prepare(0).frame)
                return [{"step": call.step, "name": call.node or "input", "cycles": cycles} for call, cycles in counted]
        except DeviceFaultError:
            raise
        except BoardError:
            continue  # its line is gone; the images are verified all the same
    return None
