"""The Tally of all images -> the JSON object of design.md, section 7, and the gates that it must pass."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from typing import Any

from mbn2c.commands.output_folder import OutputFolder
from mbn2c.commands.verify.device import Device
from mbn2c.commands.verify.one_image import Tally
from mbn2c.commands.verify.stress import StressTally
from mbn2c.errors import BoardError, GateError, InternalError, Page
from mbn2c.files.typed_json import from_plain
from mbn2c.link.dialogue import BITS_PER_BYTE
from mbn2c.link.session import Session
from mbn2c.link.stop_and_wait import UNSTABLE_HINT
from mbn2c.tasks.protocol import Labels, Limits, Task
from mbn2c.tasks.registry import task_named


def verify_result(
    output: OutputFolder,
    task: Task,
    tally: Tally,
    stress: StressTally,
    devices: Sequence[Device],
    labels: Labels,
    seconds: float,
) -> dict[str, Any]:
    """The JSON object; labels: of the images."""
    judged = task.judge_verified(records_of(tally, task), labels, output.float_model is not None)
    counts = tally.instructions
    sessions = [device.session for device in devices]
    line_s = max(session.line_s for session in sessions)
    mean = sum(counts) / len(counts) if counts else None
    macs = output.record.model.macs
    return {
        "verified": "; ".join(dict.fromkeys(device.verified for device in devices)),
        "board": ", ".join(dict.fromkeys(session.facts.board for session in sessions)),
        "core": ", ".join(dict.fromkeys(session.facts.core for session in sessions)),
        "devices": len(sessions),
        "images": tally.images,
        "outputs_compared": tally.outputs_compared,
        "device_vs_reference_mismatches": tally.device_mismatches,
        "reference_vs_ort_int8_mismatches": tally.oracle_mismatches + stress.oracle_mismatches,
        "unstable_images": tally.unstable,
        "stress_inputs": stress.inputs,
        "stress_layers": stress.steps,
        "stress_constants": stress.constants,
        "stress_mismatches": stress.device_mismatches,
        "first_mismatch": next(iter((*stress.first_bad, *tally.first_bad)), None),
        "task": task.name,
        **judged,
        "labels": labels.to_json(),
        "exif_rotated_images": tally.rotated,
        "instructions_per_inference": round(mean) if mean is not None else None,
        "instructions_smallest": min(counts) if counts else None,
        "instructions_largest": max(counts) if counts else None,
        "instructions_per_mac": round(mean / macs, 3) if mean is not None and macs else None,
        "cycles_per_inference": round(sum(tally.cycles) / len(tally.cycles)) if tally.cycles else None,
        "cycles_smallest": min(tally.cycles, default=None),
        "cycles_largest": max(tally.cycles, default=None),
        "stack_used_bytes": _stack_used(sessions),
        "calibration": output.record.build.calibration.source,
        "warning": output.record.build.calibration.warning or None,
        "retries": sum(session.retries for session in sessions),
        "line_bytes": sum(session.sent_bytes + session.received_bytes for session in sessions),
        "line_share": _line_share(sessions),
        "images_per_s": round(sum(session.runs for session in sessions) / line_s, 2) if line_s else None,
        "wall_s": round(seconds, 3),
    }


def records_of(tally: Tally, task: Task) -> list[Any]:
    """What the task found of each image. Raises InternalError if an image has none: labels go by position."""
    if len(tally.records) != tally.images:
        raise InternalError(f"{len(tally.records)} records of {tally.images} images", hint="please report it")
    return [from_plain(one, task.record) for one in tally.records]


def _stack_used(sessions: Sequence[Session]) -> int | None:
    """The largest high-water mark of the devices that still answer."""
    used = [0]
    for session in sessions:
        with contextlib.suppress(BoardError):
            used.append(session.vitals().stack_used_bytes)
    return max(used) or None


def _line_share(sessions: Sequence[Session]) -> float | None:
    """Of 1, how much of the lines' capacity towards the devices the runs used; None for lines without a rate."""
    busy_s = sum(session.sent_bytes * BITS_PER_BYTE / session.baud for session in sessions if session.baud)
    whole_s = sum(session.line_s for session in sessions if session.baud)
    return round(busy_s / whole_s, 3) if whole_s else None


def check_gates(
    result: Mapping[str, Any],
    max_drop: float | None,
    costs: Mapping[str, float] | None = None,
    min_sqnr: float | None = None,
) -> None:
    """Raises GateError if the device is unstable, not bit-exact, loses more accuracy than allowed, or is too noisy.

    min_sqnr  dB that every output must have against the float model; None: no gate
    costs  share of the rounding noise at the outputs, by layer, as far as known
    """
    if result["unstable_images"]:
        raise GateError(
            f"unstable: the device contradicts itself on {result['unstable_images']} of {result['images']} images",
            where=result["first_mismatch"],
            hint=UNSTABLE_HINT,
        )
    if result["stress_mismatches"]:
        raise GateError(
            f"{result['stress_mismatches']} stress inputs or constant arrays differ from what was compiled",
            where=result["first_mismatch"],
            hint="the board's memory is damaged, or its code is not what was built: flash it again, try another board",
        )
    for what, against in (("device_vs_reference", "the integer reference"), ("reference_vs_ort_int8", "ONNX Runtime")):
        count = result[f"{what}_mismatches"]
        if count:
            raise GateError(
                f"{count} bytes differ from {against}",
                where=result["first_mismatch"] or "outputs",
                hint="run verify again with --layers to find the layer",
                page=Page.BYTES,
            )
    task_named(result["task"]).check_verified(result, Limits(max_drop, min_sqnr), costs or {})
